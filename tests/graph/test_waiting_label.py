"""A label that waited for the ledger counts towards the next alignment as one that was taken at once."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from graph_house import Build, past
from personaagent import PersonaAgent
from personaagent.app.doctor import _spool
from personaagent.context import Context
from personaagent.errors import FeedbackWaits, LedgerUnavailable
from personaagent.graph.services import Services
from personaagent.inputs import Feedback
from personaagent.memory.spool import Spool
from scripted import ScriptedModels


async def waiting(build: Build, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Services:
    """A new process on a folder whose spool has one label of ann's."""
    earlier = build(ScriptedModels("tea"), **settings)
    await earlier.episodic.append("ann", past("ann", 1, "coffee"))

    async def fail(*args: object, **kwargs: object) -> object:
        raise LedgerUnavailable("the ledger is down")

    with monkeypatch.context() as patch:
        patch.setattr(earlier.interactions, "feedback", fail)
        with pytest.raises(FeedbackWaits, match="is kept"):
            await earlier.episodic.feedback("ann", "ann-1", Feedback(ground_truth="tea", source="correction"))
    await earlier.close()
    later = build(ScriptedModels("tea"), **settings)
    assert await later.users.labels("ann") == 0
    return later


async def test_a_label_that_lands_is_counted_and_asks_for_the_alignment_that_is_due(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = await waiting(build, monkeypatch, align_after=1)
    assert (await services.episodic.get("ann", "ann-1")).ground_truth == "tea"
    assert await services.users.labels("ann") == 1
    assert [job.kind for job in await services.jobs.pending("ann")] == ["alignment"]


async def test_feedback_that_finds_no_answer_is_told_in_the_next_turn_and_by_the_doctor(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = build(ScriptedModels(["well", "well", "well"], tool_calling=False))

    async def fail(*args: object, **kwargs: object) -> object:
        raise LedgerUnavailable("the ledger is down")

    with monkeypatch.context() as patch:
        patch.setattr(services.interactions, "feedback", fail)
        with pytest.raises(FeedbackWaits):
            await services.episodic.feedback("ann", "nobody's", Feedback(ground_truth="tea", source="correction"))
    bob, ann = [await PersonaAgent.over(services).user(user).ask("Which tea?") for user in ("bob", "ann")]
    assert bob.degraded == ()
    assert ann.degraded == ("feedback: 1 that waited for memory spoke of no answer that is there, and is dropped",)
    assert (await PersonaAgent.over(services).user("ann").ask("And now?")).degraded == ()
    told = await _spool(Spool(services.settings.home / "spool"))
    assert told.status == "warn" and "dropped (1)" in told.detail
    files = list((services.settings.home / "spool").iterdir())
    assert [(path.suffix, path.read_bytes()) for path in files] == [(".lost", b"")]


async def test_one_label_that_lands_is_not_yet_an_alignment(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    services = await waiting(build, monkeypatch, align_after=2)
    await services.episodic.count("bob")
    assert await services.users.labels("ann") == 1
    assert await services.jobs.pending("ann") == []
    assert await services.note_label("ann", Context(user_id="ann"))  # with the next one it is


async def test_a_server_that_starts_asks_for_what_a_waiting_label_has_made_due(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = await waiting(build, monkeypatch, align_after=1)
    monkeypatch.setitem(sys.modules, "langgraph_api.server", object())
    asked: list[str] = []

    class Scheduler:
        async def schedule(self, user_id: str, context: Context) -> None:
            asked.append(context.user_id)

    assert await services.schedule_owed(Scheduler()) == 1
    assert asked == ["ann"]
    assert await services.jobs.pending("ann") == []  # on a server nobody works on the ledger's queue
