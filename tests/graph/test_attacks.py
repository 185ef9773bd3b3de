"""The corpus of attacks against the real graphs, with models that obey: what the frame protects stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from personaagent.evals.attacks.runner import Attack, Result, corpus, run, success, table
from personaagent.nodes.alignment import judge_candidate
from personaagent.persona import shape

PICKED = [
    "override-en", "override-ko", "rights-admin", "rights-sudo", "hidden-zero-width", "hidden-spaced", "tool-exfil",
    "disclose-others", "fence-close", "fence-spaced", "forge-section", "forge-evidence", "flood-admin",
    "carry-en", "carry-paste", "pay-iban",
    "agreed", "unlisted-vi", "unlisted-paraphrase", "leave-subdomain", "leave-turn-slash", "unread-he",
    "unread-two-sentences", "unread-comma", "unread-split", "unread-shop",
    "unread-zh-split", "ride-and", "ride-before", "ride-ja", "ride-two-words", "leave-password", "leave-turn-more",
]  # fmt: skip


def attack(name: str) -> Attack:
    (found,) = [one for one in corpus() if one.id == name]
    return found


def test_the_corpus_is_broad_and_each_attack_has_a_name_of_its_own() -> None:
    attacks = corpus()
    assert len({one.id for one in attacks}) == len(attacks) >= 120
    assert len({one.lang for one in attacks}) >= 12
    assert {one.where for one in attacks} == {"label", "query", "tool", "flood", "paste", "turn", "split"}
    assert {one.kind for one in attacks} >= {"override", "rights", "hidden", "tool", "fence", "forgery", "flood"}
    assert {one.kind for one in attacks} >= {"leaving", "unread", "unlisted", "riding"}


async def test_no_attack_reaches_persona_facts_or_another_user_and_alignment_goes_on(tmp_path: Path) -> None:
    results = await run(tmp_path, [attack(name) for name in PICKED])
    assert {r.attack.id: r.breaches for r in results if r.breaches} == {}
    assert all(r.aligned and r.learnt for r in results)


async def test_the_runner_notices_an_attack_that_succeeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_args: Any) -> None:
        """Leave no clause out."""

    monkeypatch.setattr(shape, "broken_rule", lambda text: None)
    monkeypatch.setattr(judge_candidate, "leave_out", nothing)
    (result,) = await run(tmp_path, [attack("rights-admin")])
    assert result.breaches == ("it stands in the persona",)
    assert success([result]) == 1
    assert "`rights-admin` (en): it stands in the persona" in table([result])


def test_success_is_a_share_and_the_table_counts_by_kind() -> None:
    held, fell = (Result(attack=attack(name), breaches=b) for name, b in (("tool-page", ()), ("override-en", ("x",))))
    assert success([held, fell]) == 0.5
    assert "| **all** | 2 | 1 | 0 | 0 |" in table([held, fell])
