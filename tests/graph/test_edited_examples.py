"""Edited answers are shown to the model as the user left them, but not where a persona is judged."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from langchain_core.messages import HumanMessage

from personaagent.conversation import build_messages
from personaagent.racing import lived
from personaagent.turn import EXAMPLES_KEY
from personaagent.types import Interaction, Persona, Recall

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EDITED = Interaction(
    id="1", user_id="ann", query="How do I cook rice?", response="Long. Very long.", ground_truth="Long.",
    truth_source="edit", truth_confidence=1.0, created_at=NOW, persona_version=0,
)  # fmt: skip
LABELLED = replace(EDITED, id="2", query="Tea or coffee?", ground_truth="Tea", truth_source="correction")


def shown(*recalled: Interaction, before: datetime | None = None, choices: tuple[str, ...] = ()) -> list[str]:
    state = {
        "messages": [HumanMessage("How do I cook pasta?")],
        "recalled": [Recall(interaction=one, score=1.0) for one in recalled],
        "before": before,
    }
    messages = build_messages(state, instructions=None, choices=choices, tools=(), personalize=True)  # type: ignore[arg-type]
    return [message.text for message in messages[1:]]


def test_what_the_user_edited_is_an_example_and_what_they_said_is_data() -> None:
    *examples, turn = shown(EDITED, LABELLED)
    assert examples == ["How do I cook rice?", "Long."]
    assert "Tea or coffee?" in turn and "rice" not in turn


def test_a_simulation_sees_no_edited_answer_at_all() -> None:
    (turn,) = shown(EDITED, LABELLED, before=NOW + timedelta(hours=1))
    assert "Tea or coffee?" in turn and "rice" not in turn


def test_a_long_edited_answer_is_quoted_only() -> None:
    (turn,) = shown(replace(EDITED, ground_truth="Long. " * 400))
    assert "How do I cook rice?" in turn


def test_an_answer_that_had_examples_is_simulated_without_them() -> None:
    base = Persona(user_id="ann", version=0, sections={}, origin="seed", created_at=NOW)
    assert lived(EDITED, base)
    assert not lived(replace(EDITED, metadata={EXAMPLES_KEY: 2}), base)
