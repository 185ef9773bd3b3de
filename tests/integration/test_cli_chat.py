"""Conversations: feedback to the last answer, approvals, and alignment that never makes a reply wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from app.chat import Conversation
from app.cli_chat import _handle
from app.worker import Worker
from graph.services import Services
from personaagent.context import Context
from personaagent.errors import InvalidLabel, ModelUnreachable
from personaagent.scheduling import ALIGNMENT
from personaagent.settings import Settings
from scripted import HashEmbedder, ScriptedModels

ANN = Context(user_id="ann")


@pytest.fixture
def model() -> ScriptedModels:
    return ScriptedModels("an answer", tool_calling=False)


@pytest.fixture
async def services(tmp_path: Path, model: ScriptedModels) -> AsyncIterator[Services]:
    settings = Settings(home=tmp_path, align_after=1, align_delay_s=0)
    made = Services(settings, models=model, embedder=HashEmbedder())
    yield made
    await made.close()


async def wait_for(true: Any) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 (it looks from outside, where nothing sets an event)
            await asyncio.sleep(0.01)


async def test_a_turn_tells_what_it_stood_on_and_streams_while_it_is_written(services: Services) -> None:
    texts: list[str] = []
    conversation = Conversation(services, ANN, texts.append)
    first = await conversation.say("I keep bees")
    assert (first.answer, first.persona_version) == ("an answer", 0)
    assert texts[-1] == "an answer"
    assert texts[0] != texts[-1]
    second = await conversation.say("what do I keep?")
    assert [r.interaction.query for r in second.recalled] == ["I keep bees"]
    assert second.persona is not None
    assert second.interaction_id != first.interaction_id


async def test_feedback_is_about_the_last_answer_and_needs_one(services: Services) -> None:
    conversation = Conversation(services, ANN)
    with pytest.raises(InvalidLabel, match="ask something first"):
        await conversation.good()
    turn = await conversation.say("hello")
    await conversation.wrong("good day")
    assert (await services.episodic.get("ann", turn.interaction_id)).ground_truth == "good day"
    conversation.new()
    with pytest.raises(InvalidLabel):
        await conversation.wrong("again")


async def test_the_chat_tells_that_the_monitor_took_a_version_back() -> None:
    said: list[str] = []
    back = SimpleNamespace(version=2, reason="rolled back by the monitor: live loss 0.10 → 0.90")
    conversation: Any = SimpleNamespace(good=lambda: {"due": False, "rolled_back": back}, news=[])
    screen: Any = SimpleNamespace(out=SimpleNamespace(print=lambda text, **_: said.append(text)))
    _handle("/good", conversation, screen, lambda result: result)
    assert said == ["Noted.", "Persona 2: rolled back by the monitor: live loss 0.10 → 0.90"]


async def test_the_thread_is_remembered_until_a_new_one_begins(services: Services, model: ScriptedModels) -> None:
    conversation = Conversation(services, ANN)
    await conversation.say("first words")
    await conversation.say("second words")
    assert [m.text for m in model.calls[-1].messages if m.type == "ai"] == ["an answer"]
    conversation.new()
    await conversation.say("third words")
    assert [m.text for m in model.calls[-1].messages if m.type == "ai"] == []


async def test_a_tool_with_side_effects_waits_for_the_users_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    call = {"name": "remember", "args": {"text": "keeps bees"}, "id": "c1", "type": "tool_call"}
    asking = AIMessage("", tool_calls=[call])
    model = ScriptedModels(agent=[asking, "kept", asking, "not kept"])
    services = Services(Settings(home=tmp_path), models=model, embedder=HashEmbedder())
    conversation = Conversation(services, ANN)
    waits = await conversation.say("remember that I keep bees")
    assert [r["action_request"]["action"] for r in waits.approvals] == ["remember"]
    assert waits.answer == ""
    done = await conversation.decide([{"type": "accept"}])
    assert (done.answer, [t.outcome for t in done.tools]) == ("kept", ["ok"])
    assert done.approvals == ()
    waits = await conversation.say("remember it again")
    declined = await conversation.decide([{"type": "ignore"}])
    assert declined.answer == "not kept"
    assert "ok" not in [t.outcome for t in declined.tools]
    assert "Deserializing unregistered" not in caplog.text
    await services.close()


async def test_alignment_runs_in_the_background_after_feedback(services: Services) -> None:
    conversation = Conversation(services, ANN)
    await conversation.say("hello")
    await conversation.wrong("good day")
    await conversation.work()
    await wait_for(lambda: conversation.news)
    assert "no change" in conversation.news[0].outcome
    await conversation.rest()
    assert await services.jobs.depth("ann") == 0


async def test_a_reply_by_the_only_model_does_not_wait_for_an_alignment_which_comes_later(
    tmp_path: Path,
) -> None:
    model = ScriptedModels("an answer", embedded=True, tool_calling=False)
    services = Services(Settings(home=tmp_path), models=model, embedder=HashEmbedder())
    conversation = Conversation(services, ANN)
    began = asyncio.Event()

    async def endless(*_: Any, **__: Any) -> dict[str, Any]:
        began.set()
        await asyncio.Event().wait()
        return {}

    conversation._worker._alignment.ainvoke = endless  # type: ignore[method-assign]
    await services.jobs.enqueue("ann", ALIGNMENT, {}, datetime.now(UTC) - timedelta(seconds=1))
    await conversation.work()
    await asyncio.wait_for(began.wait(), 20)
    turn = await asyncio.wait_for(conversation.say("hello"), 20)
    assert turn.answer == "an answer"
    given_back = await services.jobs.lease(datetime.now(UTC), 60)
    assert given_back is not None
    assert given_back.attempts == 1
    await services.close()


async def test_a_failed_alignment_is_put_off_with_its_reason(services: Services) -> None:
    worker = Worker(services)

    async def down(*_: Any, **__: Any) -> dict[str, Any]:
        raise ModelUnreachable("the endpoint does not answer")

    worker._alignment.ainvoke = down  # type: ignore[method-assign]
    await services.jobs.enqueue("ann", ALIGNMENT, {}, datetime.now(UTC) - timedelta(seconds=1))
    done = await worker.next()
    assert done is not None
    assert done.error == "the endpoint does not answer"
    assert await worker.next() is None
    assert await services.jobs.depth("ann") == 1


async def test_a_job_of_an_older_program_is_carried_out_as_far_as_it_is_understood(services: Services) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    await services.jobs.enqueue("ann", ALIGNMENT, {"user_id": "eve", "align_batch": 2, "gone_setting": 1}, past)
    await services.jobs.enqueue("bob", "unknown work", {}, past)
    done = {one.user_id: one for one in await Worker(services).all_due()}
    assert "at least 2 are needed" in done["ann"].outcome
    assert done["bob"].error == "no work is called 'unknown work'"
    assert await services.jobs.depth() == 0
