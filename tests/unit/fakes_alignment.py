"""A tiny model for the alignment core: structured answers from a script, everything asked is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from langchain_core.messages import BaseMessage

from personaagent.errors import ModelOutputInvalid
from personaagent.models.card import Card
from personaagent.types import Fact, Interaction, Simulation

START = datetime(2026, 1, 1, tzinfo=UTC)


class ScriptedModels:
    """Answers ``structured`` from a list, an exception is raised; nothing else may be asked."""

    tool_calling = True

    def __init__(self, *answers: dict[str, Any] | Exception, embedded: bool = False) -> None:
        self.embedded = embedded
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []

    def name(self, role: str) -> str:
        return role

    async def card(self, role: str) -> Card:
        return Card()

    def chat(self, role: str) -> Any:
        raise AssertionError(f"no chat was expected of {role}")

    async def probabilities(
        self,
        role: str,
        messages: Sequence[BaseMessage],
        choices: Sequence[str],
    ) -> dict[str, float] | None:
        """It tells none."""
        return None

    async def choose(self, role: str, messages: Sequence[BaseMessage], choices: Sequence[str]) -> str:
        raise AssertionError(f"no choice was expected of {role}")

    async def structured(self, role: str, messages: Sequence[BaseMessage], schema: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append((role, "\n".join(str(message.content) for message in messages)))
        answer = self.answers.pop(0) if self.answers else ModelOutputInvalid("the script is over")
        if isinstance(answer, Exception):
            raise answer
        return answer


def interaction(number: int, query: str = "a question", truth: str | None = "yes", **fields: Any) -> Interaction:
    """The interaction ``i<number>`` of ann, one an hour."""
    return Interaction(
        **{
            "id": f"i{number}",
            "user_id": "ann",
            "query": query,
            "created_at": START + timedelta(hours=number),
            "ground_truth": truth,
            "truth_source": "correction" if truth else None,
            **fields,
        }
    )


def simulation(number: int, loss: float = 1.0, **fields: Any) -> Simulation:
    """How ``i<number>`` was answered again."""
    return Simulation(
        **{
            "interaction_id": f"i{number}",
            "query": "a question",
            "expected": "yes",
            "actual": "yes" if loss == 0 else "no",
            "loss": loss,
            **fields,
        }
    )


def fact(number: int, text: str, **fields: Any) -> Fact:
    """The active fact ``f<number>`` of ann, from the summarizer."""
    return Fact(
        **{
            "id": f"f{number}",
            "user_id": "ann",
            "text": text,
            "evidence": (f"i{number}",),
            "confidence": 0.8,
            "valid_from": START,
            **fields,
        }
    )
