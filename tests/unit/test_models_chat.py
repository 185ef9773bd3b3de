"""Which model answers which role, where, and what it is sent."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import SecretStr

from personaagent.errors import ModelOutputInvalid, SetupError
from personaagent.models import chat
from personaagent.models.chat import ModelsFromSettings
from personaagent.models.meter import metering
from personaagent.settings import Settings
from personaagent.types import Usage
from scripted import HashEmbedder, ScriptedModels
from stub_endpoint import endpoint


def models_at(url: str | None, **settings: Any) -> ModelsFromSettings:
    return ModelsFromSettings(Settings(**({"openai_base_url": url, "model_retries": 0} | settings)))


@pytest.mark.parametrize(
    ("settings", "is_embedded", "calls_tools"),
    [
        ({}, True, False),
        ({"openai_api_key": SecretStr(""), "openai_base_url": " "}, True, False),
        ({"openai_api_key": SecretStr("k")}, False, True),
        ({"openai_base_url": "http://127.0.0.1:1/v1"}, False, True),
        ({"tool_calling": "on"}, True, True),
        ({"openai_api_key": SecretStr("k"), "tool_calling": "off"}, False, False),
    ],
)
def test_the_embedded_model_runs_when_no_endpoint_is_set(
    settings: dict[str, Any], is_embedded: bool, calls_tools: bool
) -> None:
    models = ModelsFromSettings(Settings(**settings))
    assert (models.embedded, models.tool_calling) == (is_embedded, calls_tools)


def test_a_role_without_a_model_takes_the_common_one() -> None:
    models = models_at("http://127.0.0.1:1/v1", model="small", editor_model="large")
    assert (models.name("agent"), models.name("editor")) == ("small", "large")


def test_the_embedded_model_is_one_for_all_roles(tmp_path: Path) -> None:
    assert ModelsFromSettings(Settings(editor_model="large")).name("editor") == "SmolLM2-135M-Instruct"
    assert ModelsFromSettings(Settings(embedded_gguf=tmp_path / "qwen-1.5b.gguf")).name("agent") == "qwen-1.5b"


def test_messages_never_show_a_password_of_the_url() -> None:
    assert models_at("http://me:pw@127.0.0.1:1/v1").where() == "http://127.0.0.1:1/v1"


async def test_a_call_sends_the_roles_model_at_temperature_zero_and_is_counted() -> None:
    with endpoint() as (url, seen):
        models = models_at(url, critic_model="judge")
        with metering() as meter:
            reply = await (await models.chat("critic")).ainvoke([HumanMessage("hello")])
        await models.close()
    assert reply.text == "You said: hello"
    assert (seen[0]["model"], seen[0]["temperature"]) == ("judge", 0)
    assert meter.by_role == {"critic": Usage(calls=1, input_tokens=10, output_tokens=5)}


async def test_a_stream_reports_its_usage() -> None:
    with endpoint() as (url, seen):
        models = models_at(url)
        with metering() as meter:
            text = "".join([chunk.text async for chunk in (await models.chat("agent")).astream("hello")])
        await models.close()
    assert text == "You said: hello"
    assert seen[0]["stream_options"] == {"include_usage": True}
    assert meter.total == Usage(calls=1, input_tokens=10, output_tokens=5)
    assert not meter.estimated


async def test_choices_and_objects_are_asked_for_by_schema_in_one_call_each() -> None:
    schema = {"title": "S", "type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"]}
    with endpoint() as (url, seen):
        models = models_at(url)
        assert await models.choose("agent", [HumanMessage("which?")], ["Sports", "Money"]) == "Sports"
        assert await models.structured("critic", [HumanMessage("how?")], schema) == {"score": 0}
        await models.close()
    assert [body["response_format"]["type"] for body in seen] == ["json_schema", "json_schema"]
    assert not any(body.get("stream") for body in seen)


async def test_the_form_of_an_answer_never_reaches_a_graphs_message_stream() -> None:
    with endpoint() as (url, _):
        models = models_at(url)

        async def choose(state: MessagesState) -> dict[str, Any]:
            return {"messages": [AIMessage(await models.choose("agent", state["messages"], ["Sports", "Money"]))]}

        async def talk(state: MessagesState) -> dict[str, Any]:
            return {"messages": [await (await models.chat("agent")).ainvoke(state["messages"])]}

        streamed = {}
        for node in (choose, talk):
            graph = StateGraph(MessagesState).add_node("n", node).add_edge(START, "n").add_edge("n", END).compile()
            given = {"messages": [HumanMessage("hello")]}
            streamed[node.__name__] = [
                message.text async for message, _ in graph.astream(given, stream_mode="messages") if message.text
            ]
        await models.close()
    assert streamed == {"choose": ["Sports"], "talk": ["You said: hello"]}


async def test_an_endpoint_that_ignores_the_schema_is_refused() -> None:
    with endpoint(lambda body: {"content": "I would rather chat."}) as (url, seen):
        models = models_at(url)
        with pytest.raises(ModelOutputInvalid):
            await models.choose("agent", [HumanMessage("which?")], ["Sports", "Money"])
        await models.close()
    assert len(seen) == 2


async def test_a_call_to_a_bound_tool_comes_back() -> None:
    @tool
    def look_up(word: str) -> str:
        """Look up a word."""
        return word

    call = {"id": "1", "type": "function", "function": {"name": "look_up", "arguments": '{"word": "x"}'}}
    with endpoint(lambda body: {"tool_calls": [call]}) as (url, seen):
        models = models_at(url)
        reply = await (await models.chat("agent")).bind_tools([look_up]).ainvoke("hello")
        await models.close()
    assert [(made["name"], made["args"]) for made in reply.tool_calls] == [("look_up", {"word": "x"})]
    assert seen[0]["tools"][0]["function"]["name"] == "look_up"


def test_one_process_may_use_several_event_loops() -> None:
    with endpoint() as (url, seen):
        models = models_at(url)

        async def ask() -> AIMessage:
            return await (await models.chat("agent")).ainvoke("hello")

        assert [asyncio.run(ask()).text for _ in range(3)] == ["You said: hello"] * 3
    assert len(seen) == 3


def test_making_the_models_imports_no_client() -> None:
    code = "\n".join(
        [
            "import sys",
            "from personaagent.models.chat import ModelsFromSettings",
            "from personaagent.settings import Settings",
            "ModelsFromSettings(Settings())",
            "print([name for name in ('openai', 'langchain_openai', 'xllamacpp') if name in sys.modules])",
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


async def test_missing_weights_name_the_command_that_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match="make setup"):
        await ModelsFromSettings(Settings()).chat("agent")


def test_weights_with_another_checksum_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / chat._FILE
    file.write_bytes(b"GGUF tampered")
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(SetupError, match="checksum"):
        chat.gguf_path(Settings())
    monkeypatch.setattr(chat, "_SHA256", hashlib.sha256(b"GGUF tampered").hexdigest())
    assert chat.gguf_path(Settings()) == file
    file.unlink()
    with pytest.raises(SetupError, match="make clean setup"):
        chat.gguf_path(Settings())


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04zip", b"GGUF" + b"\x07" * 4000])
async def test_a_file_that_is_no_model_names_the_setting(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "model.gguf"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SetupError, match="PERSONAAGENT_EMBEDDED_GGUF"):
        await ModelsFromSettings(Settings(embedded_gguf=file)).chat("agent")


async def test_scripted_models_keep_the_contract_of_the_real_ones() -> None:
    models = ScriptedModels(agent=["one", ModelOutputInvalid("two")], choose=lambda role, messages, choices: " B ")
    chat = await models.chat("agent")
    assert (await chat.ainvoke("hello")).text == "one"
    with pytest.raises(ModelOutputInvalid, match="two"):
        await chat.ainvoke("hello")
    assert await models.choose("critic", [HumanMessage("which?")], ["a", "b"]) == "b"
    with pytest.raises(ModelOutputInvalid):
        await models.choose("critic", [HumanMessage("which?")], ["c"])
    with pytest.raises(ModelOutputInvalid):
        await models.structured("critic", [HumanMessage("how?")], {})
    assert [(call.role, call.kind) for call in models.calls][:3] == [("agent", "chat")] * 2 + [("critic", "choose")]


async def test_the_hash_embedder_finds_what_shares_words() -> None:
    vectors = await HashEmbedder().embed(["the cat sleeps", "a cat sleeping", "tax law reform", ""])
    assert vectors.shape == (4, 64)
    assert ((vectors**2).sum(axis=1) - 1 < 1e-5).all()
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
