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


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("我的台灯订单号是362881", "订单362881是什么"),
        ("注文番号は３６２８８１です", "362881の注文は何ですか"),
        ("رقم الطلب ٣٦٢٨٨١", "ما هو الطلب 362881"),
        ("เลขที่สั่งซื้อ362881ของฉัน", "362881"),
        ("The shop has +49 348 9458955", "Who is 03489458955?"),
        ("I paid to DE35 6087 7242 4624 5151 30", "What is DE35608772424624515130?"),
        ("I bought it on 2024-03-26", "What did I buy on 26 March 2024?"),
        ("I bought it on March 26th, 2024", "2024/3/26"),
        ("Am 26.03.2024 gekauft", "Was war am 26. März 2024?"),
        ("Acheté le 26/03/2024", "le 26 mars 2024"),
        ("1er juillet 2024", "2024-07-01"),
        ("El 26 de marzo de 2024", "26.3.2024"),
        ("26 марта 2024", "26-03-2024"),
        ("我在2024年3月26日买的", "2024-03-26"),
    ],
)
def test_a_code_is_found_beside_other_scripts_in_other_digits_and_in_other_notations(said: str, asked: str) -> None:
    assert set(code_terms(said)[0]) & set(code_terms(asked)[0])


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("on 2024-03-26", "on 26 April 2024"),
        ("+49 151 2000037", "0151 2000074"),
        ("订单号是362881", "订单362882是什么"),
    ],
)
def test_another_code_is_another(said: str, asked: str) -> None:
    assert not set(code_terms(said)[0]) & set(code_terms(asked)[0])


def test_a_code_is_the_same_with_other_separators_and_words_are_none() -> None:
    assert code_terms("4242")[0]
    assert set(code_terms("call +49 (151) 234-567")[0]) & set(code_terms("+49 151 234567")[0])
    assert code_terms("A-17/3")[0] == code_terms("a17.3")[0]
    assert code_terms("a plain well-known word, the 2 of us, 10 times") == ([], [])
