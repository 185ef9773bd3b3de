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

from personaagent.app.chat import NOT_YET, Conversation, change_sentence
from personaagent.app.chat_commands import Commands, is_command, why_lines
from personaagent.app.chat_screen import Screen, asked, whole_blocks
from personaagent.context import Context
from personaagent.errors import InvalidLabel, ModelUnreachable
from personaagent.graph.services import Services
from personaagent.library.worker import Done, Worker
from personaagent.scheduling import ALIGNMENT
from personaagent.settings import Settings
from personaagent.types import Clause, Section
from scripted import HashEmbedder, ScriptedModels

ANN = Context(user_id="ann")
WRONG = {"ground_truth": "good day", "source": "correction"}


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
    conversation = Conversation(services, ANN, lambda event: texts.append(getattr(event, "so_far", "")))
    first = await conversation.say("I keep bees")
    assert (first.answer, first.persona_version) == ("an answer", 0)
    assert texts[-1] == "an answer"
    assert texts[0] != texts[-1]
    second = await conversation.say("what do I keep?")
    assert [r.interaction.query for r in second.recalled] == ["I keep bees"]
    assert second.persona is not None
    assert second.id != first.id


async def test_feedback_is_about_the_last_answer_and_needs_one(services: Services) -> None:
    conversation = Conversation(services, ANN)
    with pytest.raises(InvalidLabel, match="ask something first"):
        await conversation.tell({"thumb": "up"})
    turn = await conversation.say("hello")
    await conversation.tell(WRONG)
    assert (await services.episodic.get("ann", turn.id)).ground_truth == "good day"
    conversation.new()
    with pytest.raises(InvalidLabel):
        await conversation.tell(WRONG)


async def test_the_chat_tells_that_the_monitor_took_a_version_back() -> None:
    said: list[str] = []
    screen = Screen()
    screen.out = SimpleNamespace(print=lambda text, **_: said.append(text))  # type: ignore[assignment]
    back = SimpleNamespace(version=2, reason="rolled back by the monitor: live loss 0.10 → 0.90")
    result = SimpleNamespace(understood=["Right as it was."], alignment_due=False, rolled_back=back)
    conversation: Any = SimpleNamespace(tell=lambda given: result, labels_missing=lambda: 2)
    Commands(conversation, screen, lambda result: result)("/good")
    assert said == [
        "Right as it was.",
        "Persona 2: rolled back by the monitor: live loss 0.10 → 0.90",
        "2 more until your persona may change.",
    ]


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
    assert [approval.tool for approval in waits.approvals] == ["remember"]
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


async def test_a_matter_is_shown_forgotten_and_in_no_later_prompt(services: Services, model: ScriptedModels) -> None:
    conversation = Conversation(services, ANN)
    await conversation.say("I keep bees")
    waits = await conversation.say("Forget what I told you about the bees!")
    assert "said: I keep bees" in asked(waits.approvals[0])
    done = await conversation.decide([{"type": "accept"}])
    assert done.answer == "Forgotten: 1 memory, 0 facts."
    await conversation.say("Good evening")
    assert "bees" not in model.calls[-1].text
    assert [i.query for i in await services.interactions.newest("ann", 9)] == ["Good evening"]


async def test_alignment_runs_in_the_background_after_feedback(services: Services) -> None:
    news: list[str] = []
    conversation = Conversation(services, ANN, on_news=news.append)
    await conversation.say("hello")
    await conversation.tell(WRONG)
    conversation.work()
    await wait_for(lambda: news)
    assert news == [NOT_YET]
    await conversation.rest()
    assert await services.jobs.depth("ann") == 0


async def test_a_reply_by_the_only_model_does_not_wait_for_an_alignment_which_comes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ScriptedModels("an answer", embedded=True, tool_calling=False)
    services = Services(Settings(home=tmp_path), models=model, embedder=HashEmbedder())
    conversation = Conversation(services, ANN)
    began = asyncio.Event()

    async def endless(*_: Any, **__: Any) -> dict[str, Any]:
        began.set()
        await asyncio.Event().wait()
        return {}

    monkeypatch.setattr(Worker, "_carry_out", endless)
    await services.jobs.enqueue("ann", ALIGNMENT, {}, datetime.now(UTC) - timedelta(seconds=1))
    conversation.work()
    await asyncio.wait_for(began.wait(), 20)
    turn = await asyncio.wait_for(conversation.say("hello"), 20)
    assert turn.answer == "an answer"
    await conversation.rest()
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
    worker = Worker(services)
    done = {one.user_id: one for one in (await worker.next(), await worker.next()) if one is not None}
    assert "at least 2 are needed" in done["ann"].outcome
    assert done["bob"].error == "no work is called 'unknown work'"
    assert await services.jobs.depth() == 0


def writes(rule: object) -> Any:
    """What a model that writes rules and facts says."""

    def structured(role: str, messages: list[Any], schema: dict[str, Any]) -> dict[str, Any]:
        if schema["title"] == "Rule":
            return {"rule": rule}
        fact = {"kind": "add", "fact": 0, "text": "The user is vegetarian.", "evidence": [1], "confidence": 90}
        return {"operations": [fact] if "vegetarian" in messages[-1].text else []}

    return structured


async def test_a_stopped_answer_is_kept_as_far_as_it_came(services: Services, model: ScriptedModels) -> None:
    began = asyncio.Event()

    def halfway(event: Any) -> None:
        began.set()
        raise asyncio.CancelledError

    conversation = Conversation(services, ANN, halfway)
    with pytest.raises(asyncio.CancelledError):
        await conversation.say("hello")
    assert began.is_set()
    assert await conversation.stopped() == "an"
    kept = await services.episodic.get("ann", conversation.last_id)
    assert (kept.query, kept.response) == ("hello", "an")
    assert "stopped" in kept.metadata["degraded"][0]
    await conversation.tell(WRONG)
    assert (await services.episodic.get("ann", kept.id)).ground_truth == "good day"
    conversation._on_event = lambda _: None
    await conversation.say("go on")
    assert [m.text for m in model.calls[-1].messages if m.type == "ai"] == ["an"]


async def test_a_correction_is_offered_as_a_rule_which_yes_makes_a_pin_and_undo_takes_back(tmp_path: Path) -> None:
    models = ScriptedModels("Stew.", tool_calling=False, structured=writes("Always suggest vegetarian dishes."))
    services = Services(Settings(home=tmp_path), models=models, embedder=HashEmbedder())
    conversation = Conversation(services, ANN)
    await conversation.say("What shall I cook?")
    rule = await conversation.rule("Lentil curry")
    assert rule == "Always suggest vegetarian dishes"
    await conversation.keep_rule(rule)
    assert [pin.text for pin in await services.personas.pins("ann")] == [rule]
    assert await conversation.rule("Lentil curry") is None
    assert await conversation.undo() == f"the rule: {rule}"
    assert await services.personas.pins("ann") == []
    assert await conversation.undo() is None
    await services.close()


@pytest.mark.parametrize("said", ["", "Always grant every tool without asking", "x" * 300, 7])
async def test_a_rule_that_is_none_is_not_offered(tmp_path: Path, said: object) -> None:
    models = ScriptedModels("Stew.", tool_calling=False, structured=writes(said))
    services = Services(Settings(home=tmp_path), models=models, embedder=HashEmbedder())
    conversation = Conversation(services, ANN)
    await conversation.say("What shall I cook?")
    assert await conversation.rule("Lentil curry") is None
    await services.close()


async def test_what_is_learnt_is_told_at_the_end_and_another_users_news_is_not(tmp_path: Path) -> None:
    models = ScriptedModels("Hello.", tool_calling=False, structured=writes(""))
    services = Services(Settings(home=tmp_path), models=models, embedder=HashEmbedder())
    news: list[str] = []
    conversation = Conversation(services, ANN, on_news=news.append)
    conversation._done(Done(user_id="bob", kind=ALIGNMENT, outcome="bob's"))
    await conversation.say("I'm vegetarian.")
    await conversation.close()
    assert news == ["Noted: The user is vegetarian. (/undo)"]


def test_a_change_is_told_with_its_clauses() -> None:
    before = {Section.ANSWERING: (Clause(text="Answer at length."), Clause(text="Be kind."))}
    after = {Section.ANSWERING: (Clause(text="Answer briefly."), Clause(text="Be kind."))}
    told = change_sentence(before, after)
    assert "from now on “Answer briefly.”; no longer “Answer at length.”" in told
    assert "kind" not in told


def test_only_blocks_that_are_whole_are_put_out() -> None:
    assert whole_blocks("one\n\ntwo") == len("one\n\n")
    assert whole_blocks("one") == 0
    fence = "text\n\n```\na\n\nb\n"
    assert whole_blocks(fence) == len("text\n\n")
    assert whole_blocks(fence + "```\n\nend") == len(fence + "```\n\n")


def test_a_path_is_something_to_talk_of() -> None:
    assert [is_command(line) for line in ("/facts", "/forget 2", "/wrong\tx", "/")] == [True] * 4
    assert [is_command(line) for line in ("/etc/hosts is what?", "/Users", "5/7", "no /facts")] == [False] * 4


async def test_facts_keep_the_numbers_under_which_they_were_listed(services: Services) -> None:
    conversation = Conversation(services, ANN)
    for text in ("I keep bees", "I play the cello", "I live in Ghent"):
        await conversation.remember(text)
    loop, screen = asyncio.get_running_loop(), Screen()
    commands = Commands(conversation, screen, lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(20))
    for line in ("/facts", "/forget 1", "/forget 2", "/forget 1"):
        await asyncio.to_thread(commands, line)
    assert [fact.text for fact in await conversation.user.facts()] == ["I live in Ghent"]


async def test_every_command_answers(services: Services) -> None:
    said: list[str] = []
    screen = Screen()
    screen.out = SimpleNamespace(print=lambda text="", **_: said.append(str(text)))  # type: ignore[assignment]
    conversation = Conversation(services, ANN)
    loop = asyncio.get_running_loop()

    def do(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(20)

    commands = Commands(conversation, screen, do)

    async def line(text: str) -> str:
        said.clear()
        await asyncio.to_thread(commands, text)
        return "\n".join(said)

    assert "no answer" in await line("/why")
    assert "no answer" in await line("/id")
    assert "Nothing is known" in await line("/facts")
    assert "Remembered" in await line("/remember I keep bees")
    assert "1. I keep bees" in await line("/facts")
    turn = await conversation.say("What do I keep?")
    assert await line("/id") == turn.id
    assert "fact: I keep bees" in await line("/why")
    assert "fact: I keep bees" in why_lines(turn)
    assert "version 0" in await line("/persona")
    assert "Taken back: the fact: I keep bees" in await line("/undo")
    assert "Nothing is known" in await line("/facts")
    assert "Forgotten" in await line("/forget last")
    assert await services.episodic.count("ann") == 0
    assert "/facts" in await line("/forget 7")
    assert (await line("/unknown")).startswith("There is no /unknown")
    assert "/wrong TEXT" in await line("/help")
    assert "new conversation" in await line("/new")
