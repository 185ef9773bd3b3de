"""Numbers, dates, codes and telephone numbers are found by what they are, with the embedder that everybody has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from personaagent.graph.services import Services
from personaagent.memory.index_common import code_terms
from personaagent.settings import Settings
from personaagent.types import Interaction
from scripted import ScriptedModels

START = datetime(2026, 1, 1, tzinfo=UTC)
THINGS = ("lamp", "desk", "chair", "kettle", "bicycle", "jacket", "phone", "camera", "carpet", "radio")
KINDS = {
    "number": ("The order number of my {thing} is {code}", "What was order {code} for?", lambda n: str(4000 + 7 * n)),
    "date": ("I bought the {thing} on {code}", "What did I buy on {code}?",
             lambda n: f"{START + timedelta(days=n):%Y-%m-%d}"),
    "code": ("The {thing} has serial XK-{code}", "Which of them has serial XK-{code}?", lambda n: f"{n:03}/B"),
    "phone": ("The seller of the {thing} has the number {code}", "Whose number is {code}?",
              lambda n: f"+49 151 {2000000 + 37 * n}"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
async def test_a_memory_is_found_by_its_code(tmp_path: Path, kind: str) -> None:
    said, asked, code = KINDS[kind]
    services = Services(Settings(home=tmp_path / "home"), models=ScriptedModels())
    rows = [
        Interaction(
            id=str(n),
            user_id="ann",
            query=said.format(thing=f"{THINGS[n % 10]} {chr(97 + n // 10)}", code=code(n)),
            created_at=START + timedelta(minutes=n),
        )
        for n in range(200)
    ]
    try:
        await services.episodic.append_many("ann", rows)
        found = [await services.episodic.search("ann", asked.format(code=code(n)), 1) for n in range(0, 200, 4)]
    finally:
        await services.close()
    assert [recalls[0].interaction.id for recalls in found] == [str(n) for n in range(0, 200, 4)]


def test_a_code_is_the_same_with_other_separators_and_words_are_none() -> None:
    assert code_terms("4242")[0]
    assert set(code_terms("call +49 (151) 234-567")[0]) & set(code_terms("+49 151 234567")[0])
    assert code_terms("A-17/3")[0] == code_terms("a17.3")[0]
    assert code_terms("a plain well-known word, the 2 of us, 10 times") == ([], [])
