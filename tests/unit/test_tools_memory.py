"""Memory tools: one user's data only, the filters, the simulation cut, the user's own truth."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from personaagent.ports import EpisodicMemory, SemanticMemory, Where
from personaagent.tools.forget import forget_tool
from personaagent.tools.memory_write import correct_tool, remember_tool
from personaagent.tools.profile import profile_tool
from personaagent.tools.recall import recall_tool
from personaagent.tools.spec import ToolCall, ToolSpec
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

    async def forget(user_id: str, fact_id: str) -> int:
        done.append((user_id, fact_id))
        return 1

    specs = remember_tool(remember), correct_tool(correct), forget_tool(forget)
    assert all(spec.side_effects for spec in specs)
    assert "f1" in await run(specs[0], "ann", text="I moved")
    assert "f2" in await run(specs[1], "ann", fact_id="f1", text="I stayed")
    assert "1 record." in await run(specs[2], "ann", fact_id="f2")
    assert done == [("ann", "I moved"), ("ann", "f1", "I stayed"), ("ann", "f2")]
