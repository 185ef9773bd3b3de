"""The real embedded model, through the same client as every endpoint."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from personaagent.app.chat import Conversation
from personaagent.context import Context
from personaagent.errors import ModelRefused
from personaagent.graph.services import Services
from personaagent.models.chat import ModelsFromSettings
from personaagent.models.constrained import choose
from personaagent.models.meter import metering
from personaagent.models.replies import loop_start
from personaagent.settings import Settings

pytestmark = pytest.mark.model

LEAVING = """
import asyncio
from personaagent.models.chat import ModelsFromSettings
from personaagent.settings import Settings

async def main():
    chat = await ModelsFromSettings(Settings()).chat("agent")
    calls = [asyncio.create_task(chat.ainvoke("Tell a very long story.")) for _ in range(2)]
    await asyncio.sleep(0.3)
    for call in calls:
        call.cancel()
    print("leaving")

asyncio.run(main())
"""

WAITING = """
from personaagent.models.chat import _runtime

_runtime()
print("libgomp" in open("/proc/self/maps").read())
"""


@pytest.fixture
def models() -> ModelsFromSettings:
    models = ModelsFromSettings(Settings())
    assert models.embedded
    assert not models.tool_calling
    return models


async def test_it_answers_and_its_usage_is_counted(models: ModelsFromSettings) -> None:
    chat = (await models.chat("agent")).bind(max_tokens=12)
    with metering() as meter:
        reply = await chat.ainvoke([SystemMessage("You are brief."), HumanMessage("What is the capital of France?")])
    assert reply.text.strip()
    assert meter.by_role["agent"].calls == 1
    assert 10 < meter.by_role["agent"].input_tokens < 60
    assert 0 < meter.by_role["agent"].output_tokens <= 12
    assert not meter.estimated


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere llama.cpp has threads of another kind")
@pytest.mark.parametrize(("chosen", "spins"), [(None, "0"), ("active", "30000000000")])
def test_its_threads_sleep_while_they_wait_unless_the_operator_says_otherwise(chosen: str | None, spins: str) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    own = {"OMP_DISPLAY_ENV": "verbose"} | ({"OMP_WAIT_POLICY": chosen} if chosen else {})
    ran = subprocess.run(
        [sys.executable, "-c", WAITING], env=plain | own, capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout == "True\n"
    assert f"GOMP_SPINCOUNT = '{spins}'" in ran.stderr


async def test_it_streams_in_parts_and_is_counted_once(models: ModelsFromSettings) -> None:
    chat = (await models.chat("simulator")).bind(max_tokens=12)
    with metering() as meter:
        parts = [part.text async for part in chat.astream("Count from one to ten.")]
    assert len([part for part in parts if part]) > 3
    assert meter.by_role["simulator"].calls == 1
    assert meter.total.output_tokens == 12
    assert not meter.estimated


async def test_it_answers_with_one_of_the_choices_whatever_they_are_made_of(models: ModelsFromSettings) -> None:
    choices = ['say "no"', "back\\slash", "two\nlines", "日本語", " padded "]
    assert await models.choose("agent", [HumanMessage("Pick one.")], choices) in choices


async def test_a_schema_is_kept(models: ModelsFromSettings) -> None:
    schema = {
        "title": "Rating",
        "type": "object",
        "properties": {"score": {"type": "integer", "minimum": 0, "maximum": 10}},
        "required": ["score"],
        "additionalProperties": False,
    }
    reply = await models.structured("critic", [HumanMessage("Rate the weather from 0 to 10.")], schema)
    assert 0 <= reply["score"] <= 10


async def test_it_takes_choices_as_a_schema_too_as_other_endpoints_do(models: ModelsFromSettings) -> None:
    chosen = await choose(await models.chat("agent"), [HumanMessage("Pick one.")], ['a "b"', "日本"], grammar=False)
    assert chosen in ('a "b"', "日本")


async def test_concurrent_calls_share_one_server(models: ModelsFromSettings) -> None:
    other = ModelsFromSettings(Settings())
    first, second = await asyncio.gather(models.chat("agent"), other.chat("critic"))
    assert first.openai_api_base == second.openai_api_base  # type: ignore[attr-defined]
    with metering() as meter:
        replies = await asyncio.gather(*(chat.bind(max_tokens=6).ainvoke("Say hello.") for chat in (first, second)))
    assert all(reply.text for reply in replies)
    assert meter.total.calls == 2


async def test_a_prompt_beyond_the_context_is_refused_by_name(models: ModelsFromSettings) -> None:
    with pytest.raises(ModelRefused, match="context size"):
        await (await models.chat("agent")).ainvoke("word " * 6000)


def test_it_works_on_one_event_loop_after_another() -> None:
    models = ModelsFromSettings(Settings())

    async def ask() -> str:
        return await models.choose("agent", [HumanMessage("Yes or no?")], ["yes", "no"])

    assert asyncio.run(ask()) == asyncio.run(ask())


def test_the_process_ends_quietly_while_calls_are_running() -> None:
    done = subprocess.run([sys.executable, "-c", LEAVING], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")


@pytest.mark.parametrize("question", ["Hi", "Write a short mail to my landlord: the heating is broken since Monday."])
async def test_free_chat_is_short_and_whole_and_nothing_of_a_loop_is_kept(tmp_path: Path, question: str) -> None:
    services = Services(Settings(home=tmp_path, embedded_answer_tokens=80))
    try:
        with metering() as meter:
            turn = await Conversation(services, Context(user_id="ann")).say(question)
        kept = await services.episodic.get("ann", turn.id)
    finally:
        await services.close()
    assert turn.answer
    assert kept.response == turn.answer
    assert loop_start(turn.answer) is None
    assert turn.answer[-1] in ".!?…\"'" or meter.total.output_tokens < 80
    assert 0 < meter.total.output_tokens <= 80
    assert meter.total.input_tokens < 60  # one sentence of prompt and the question
