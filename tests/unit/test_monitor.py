"""The monitor's rule: when live feedback speaks against a committed version."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from personaagent.persona.monitor import live_loss, probability_higher, watch
from personaagent.types import Interaction, Persona, PersonaOrigin

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def persona(version: int, origin: PersonaOrigin = "aligned") -> Persona:
    return Persona(user_id="ann", version=version, parent=version - 1, sections={}, origin=origin, created_at=NOW)


def answers(version: int, *losses: int, **fields: Any) -> list[Interaction]:
    base = Interaction(id="", user_id="ann", query="q", created_at=NOW, choices=("a", "b"), response="a")
    return [
        replace(base, id=f"{version}-{n}", persona_version=version, ground_truth="ab"[lost], **fields)
        for n, lost in enumerate(losses)
    ]


def test_a_version_that_is_clearly_worse_is_found_out() -> None:
    found = watch(persona(2), persona(1), [*answers(1, 0, 0, 0), *answers(2, 1, 1, 1)])
    assert found.worse
    assert (found.before, found.after) == (0, 1)
    assert "live loss 0.00 under version 1" in found.reason
    assert "1.00 under version 2" in found.reason


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((0, 0, 0), (1, 1)),  # too few under the version
        ((0, 0), (1, 1, 1)),  # too few under the parent
        ((0, 0, 1), (0, 1, 1)),  # chance could do that
        ((1, 1, 1), (0, 0, 0)),  # better
        ((1, 1, 1, 1), (1, 1, 1, 1)),
    ],
)
def test_little_evidence_and_good_versions_change_nothing(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    assert not watch(persona(2), persona(1), [*answers(1, *before), *answers(2, *after)]).worse


@pytest.mark.parametrize("origin", ["manual", "rollback", "rebuilt", "imported", "seed"])
def test_a_version_that_alignment_did_not_commit_is_left_alone(origin: PersonaOrigin) -> None:
    found = watch(persona(2, origin), persona(1), [*answers(1, 0, 0, 0, 0), *answers(2, 1, 1, 1, 1)])
    assert not found.worse
    assert origin in found.reason


def test_a_harder_task_that_came_later_is_not_held_against_the_version() -> None:
    seen = [*answers(1, 0, 0, 0, 0, task="easy"), *answers(2, 1, 1, 1, 1, task="hard")]
    assert not watch(persona(2), persona(1), seen).worse


def test_doubtful_labels_count_less() -> None:
    doubtful: dict[str, Any] = {"truth_source": "implicit", "truth_confidence": 0.5}
    assert not watch(persona(2), persona(1), [*answers(1, 0, 0, 0), *answers(2, 1, 1, 1, 1, **doubtful)]).worse
    assert watch(persona(2), persona(1), [*answers(1, 0, 0, 0), *answers(2, *[1] * 8, **doubtful)]).worse


def test_a_bad_rating_counts_without_a_truth_and_silence_counts_nothing() -> None:
    (one,) = answers(1, 0)
    assert live_loss(one) == 0
    assert live_loss(replace(one, ground_truth=None)) is None
    assert live_loss(replace(one, ground_truth=None, rating=1)) == 1
    assert live_loss(replace(one, ground_truth=None, rating=3)) == 0.5
    assert live_loss(replace(one, response=None)) is None


@pytest.mark.parametrize(
    ("case", "expected"), [((3, 3, 0, 3), 69 / 70), ((0, 3, 3, 3), 1 / 70), ((2, 5, 2, 5), 0.5), ((1, 1, 0, 1), 5 / 6)]
)
def test_the_probability_is_that_of_two_beta_posteriors(case: tuple[int, int, int, int], expected: float) -> None:
    assert probability_higher(*case) == pytest.approx(expected, abs=1e-3)
