"""Memory tools: one user's data only, the filters, the simulation cut, the user's own truth."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from personaagent.ports import EpisodicMemory, SemanticMemory, Where
from personaagent.tools.forget import forget_tool, matter_of
from personaagent.tools.memory_write import correct_tool, remember_tool
from personaagent.tools.profile import profile_tool
from personaagent.tools.recall import recall_tool
from personaagent.tools.spec import ToolCall, ToolFault, ToolSpec
from personaagent.types import Fact, Interaction, Recall, UserProfile


def day(n: int) -> datetime:
    return datetime(2026, 1, n, tzinfo=UTC)


class Episodes:
    def __init__(self) -> None:
        self.where = Where()

    async def search(self, user_id: str, query: str, k: int, where: Where = Where()) -> list[Recall]:
        self.where = where
        rows = [("ann", "tea or coffee", 3, "tea"), ("bob", "bank pin", 4, "1234"), ("ann", "open one", 5, None)]
        return [
            Recall(
                score=1.0,
                interaction=Interaction(
                    id=q, user_id=u, query=q, created_at=day(d), response="AGENT GUESS", ground_truth=truth, task="food"
                ),
            )
            for u, q, d, truth in rows
            if u == user_id and (where.before is None or day(d) < where.before)
        ][:k]


class Facts:
    def _of(self, user_id: str, before: datetime | None) -> list[Fact]:
        rows = [("ann", "likes tea", 2), ("ann", "left Rome", 8), ("bob", "owns a boat", 1)]
        return [
            Fact(id=t, user_id=u, text=t, evidence=("i",), confidence=0.9, valid_from=day(d))
            for u, t, d in rows
            if u == user_id and (before is None or day(d) < before)
        ]

    async def search(self, user_id: str, query: str, k: int, *, before: datetime | None = None) -> list[Fact]:
        return self._of(user_id, before)[:k]

    async def profile(self, user_id: str, *, before: datetime | None = None) -> UserProfile:
        return UserProfile(user_id=user_id, facts=tuple(self._of(user_id, before)))


async def run(spec: ToolSpec, user_id: str, cut: datetime | None = None, **arguments: Any) -> str:
    call = ToolCall(user_id=user_id, arguments=spec.check(arguments), before=cut, thread_id="t1")
    return await spec.run(call)


async def test_recall_shows_the_users_truth_and_never_another_users_memory() -> None:
    tool = recall_tool(cast(EpisodicMemory, Episodes()))
    text = await run(tool, "ann", query="drinks")
    assert "2026-01-03 [food] tea or coffee → the user: tea" in text
    assert "AGENT GUESS" not in text and "1234" not in text
    assert "1234" in await run(tool, "bob", query="drinks")
    assert "Nothing like that" in await run(tool, "eve", query="drinks")


async def test_recall_passes_its_filters_on() -> None:
    memory = Episodes()
    tool = recall_tool(cast(EpisodicMemory, memory))
    await run(tool, "ann", query="x", task="food", this_thread=True, since="2026-01-01", before="2026-01-09")
    assert memory.where == Where(before=day(9), since=day(1), task="food", thread_id="t1")


async def test_recall_never_looks_past_the_simulation_cut() -> None:
    memory = Episodes()
    tool = recall_tool(cast(EpisodicMemory, memory))
    text = await run(tool, "ann", cut=day(4), query="x")
    assert "tea" in text and "open one" not in text
    spec_call = ToolCall(user_id="ann", arguments=tool.check({"query": "x", "before": "2027-01-01"}), before=day(4))
    await tool.run(spec_call)
    assert memory.where.before == day(4)


async def test_profile_honours_user_and_cut() -> None:
    tool = profile_tool(cast(SemanticMemory, Facts()))
    assert "left Rome" in await run(tool, "ann")
    for query in ("", "travel"):
        then = await run(tool, "ann", cut=day(5), query=query)
        assert "likes tea" in then and "left Rome" not in then and "boat" not in then
    assert "Nothing is known" in await run(tool, "eve")


async def test_memory_is_written_for_the_calling_user_and_only_with_side_effects_declared() -> None:
    done: list[tuple[str, ...]] = []

    async def remember(user_id: str, text: str) -> str:
        done.append((user_id, text))
        return "f1"

    async def correct(user_id: str, fact_id: str, text: str) -> str:
        done.append((user_id, fact_id, text))
        return "f2"

    class Forgets:
        async def show(self, user_id: str, fact_id: str, about: str) -> str:
            return f"{fact_id}{about} would go"

        async def forget(self, user_id: str, fact_id: str, *, said_too: bool = False) -> int:
            done.append((user_id, fact_id))
            return 1

        async def forget_about(self, user_id: str, about: str) -> str:
            done.append((user_id, about))
            return "Forgotten: 2 memories."

    specs = remember_tool(remember), correct_tool(correct), forget_tool(Forgets())
    assert all(spec.side_effects for spec in specs)
    assert "f1" in await run(specs[0], "ann", text="I moved")
    assert "f2" in await run(specs[1], "ann", fact_id="f1", text="I stayed")
    assert "1 record." in await run(specs[2], "ann", fact_id="f2")
    assert "2 memories" in await run(specs[2], "ann", about="my divorce")
    assert done == [("ann", "I moved"), ("ann", "f1", "I stayed"), ("ann", "f2"), ("ann", "my divorce")]
    for wrong in ({}, {"fact_id": "f1", "about": "my divorce"}, {"about": " "}):
        with pytest.raises(ToolFault, match="one of the two"):
            specs[2].check(wrong)


@pytest.mark.parametrize(
    ("message", "matter"),
    [
        ("Forget what I said about my divorce", "my divorce"),
        ("Please forget everything I told you about my divorce.", "my divorce"),
        ("Can you forget what I told you earlier about my salary?", "my salary"),
        ("Forget everything you know about my health, please", "my health"),
        ("Vergiss bitte, was ich über meine Scheidung gesagt habe.", "meine Scheidung"),
        ("Bitte vergiss alles über meine Scheidung", "meine Scheidung"),
        ("Oublie tout ce que je t'ai dit à propos de mon divorce, s'il te plaît.", "mon divorce"),
        ("Por favor, olvida todo lo que te he contado sobre mi divorcio", "mi divorcio"),
        ("Dimentica quello che ho detto sul mio divorzio", "mio divorzio"),
        ("Esqueça o que eu disse sobre o meu divórcio", "o meu divórcio"),
        ("Vergeet wat ik over mijn scheiding heb gezegd", "mijn scheiding"),
        ("Забудь, что я тебе рассказывала про развод", "развод"),
        ("请忘记我说过的关于离婚的事", "离婚"),
        ("離婚について話したことを忘れてください", "離婚"),
        *[
            (other, "")
            for other in (
                "Forget it", "Forget that", "Forget about dinner", "Never mind what I said about jazz",
                "Don't forget what I said about Anna", "Never forget what I told you about Anna",
                "Vergiss nicht, was ich über Anna gesagt habe", "N'oublie pas ce que j'ai dit sur mon fils",
                "Forget what I said about jazz, I prefer rock", "How do I forget what I said about my boss?",
                "Forget what I said about the meeting. What is on at nine?", "I forget what you said about Lima",
                "Translate: forget what I said about Lima", "She will forget what I said about Lima",
            )
        ],
    ],
)  # fmt: skip
def test_only_a_message_that_is_nothing_else_wishes_to_forget_a_matter(message: str, matter: str) -> None:
    assert matter_of(message) == matter
