"""The real OpenAI client against ``/v1``: answers, streams, errors in its own classes, and nobody else's memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from page_house import ANN, BOB, key_of, serving


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    home: Path = tmp_path_factory.mktemp("openai")
    keys = {user: key_of(home, user) for user in (ANN, BOB)}
    with serving(home, auth="api_key", requests_per_minute=0, turns_per_minute=0) as url:
        yield url, keys


def client_of(place: tuple[str, dict[str, str]], user: str, **options: Any) -> OpenAI:
    url, keys = place
    return OpenAI(base_url=f"{url}/v1", api_key=keys.get(user, user), max_retries=0, **options)


def memories(place: tuple[str, dict[str, str]], user: str) -> list[str]:
    url, keys = place
    found = httpx.get(f"{url}/api/v1/me/memories", params={"limit": 100}, headers={"X-API-Key": keys[user]}).json()
    return [one["query"] for one in found["memories"]]


def test_an_answer_and_its_reasons_and_the_body_names_nobody(place: tuple[str, dict[str, str]]) -> None:
    client = client_of(place, ANN)
    assert [one.id for one in client.models.list()] == ["personaagent", "personaagent-temporary"]
    told = client.chat.completions.create(
        model="personaagent",
        messages=[
            {"role": "system", "content": "Speak of films only."},
            {"role": "user", "content": "Which film?"},
            {"role": "assistant", "content": "Solaris."},
            {"role": "user", "content": [{"type": "text", "text": "And after it?"}]},
        ],
        user=BOB,
        temperature=0.2,
        metadata={"thread_id": "films"},
    )
    assert told.choices[0].message.content == "An answer."
    assert told.choices[0].finish_reason == "stop"
    assert told.usage is not None and told.usage.completion_tokens > 0
    beside = (told.model_extra or {})["personaagent"]
    assert beside["thread_id"] == "films" and beside["clauses"]
    url, keys = place
    kept = httpx.get(f"{url}/api/v1/me/memories/{beside['interaction_id']}", headers={"X-API-Key": keys[ANN]}).json()
    assert kept["query"] == "And after it?"
    assert kept["metadata"]["instructions"] == "Speak of films only."
    assert "And after it?" not in memories(place, BOB)


def test_a_stream_is_the_same_answer_word_by_word_with_its_usage(place: tuple[str, dict[str, str]]) -> None:
    parts = list(
        client_of(place, ANN).chat.completions.create(
            model="personaagent",
            messages=[{"role": "user", "content": "Stream it"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    texts = [part.choices[0].delta.content for part in parts if part.choices and part.choices[0].delta.content]
    assert texts == ["An ", "answer."]
    assert [part.choices[0].finish_reason for part in parts if part.choices][-1] == "stop"
    assert parts[-1].usage is not None and parts[-1].usage.total_tokens > 0


def test_the_temporary_model_keeps_nothing(place: tuple[str, dict[str, str]]) -> None:
    before = memories(place, ANN)
    told = client_of(place, ANN).chat.completions.create(
        model="personaagent-temporary", messages=[{"role": "user", "content": "Between us"}]
    )
    beside = (told.model_extra or {})["personaagent"]
    assert told.choices[0].message.content == "An answer."
    assert beside["interaction_id"] == "" and beside["clauses"] == [] and beside["recalled"] == []
    assert memories(place, ANN) == before


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        ({"model": "gpt-4o"}, openai.BadRequestError, "There is no model 'gpt-4o'"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, openai.BadRequestError, "Tools of the client"),
        ({"n": 2}, openai.BadRequestError, "One answer is given"),
        ({"response_format": {"type": "json_object"}}, openai.BadRequestError, "No response_format is followed"),
        ({"stop": ["curry"]}, openai.BadRequestError, "leave stop out"),
        ({"logprobs": True}, openai.BadRequestError, "leave logprobs out"),
        ({"messages": []}, openai.BadRequestError, "The field messages"),
        ({"messages": [{"role": "user", "content": " "}]}, openai.BadRequestError, "The message is empty"),
        ({"messages": [{"role": "user", "content": "x" * 32_001}]}, openai.BadRequestError, "32000 at most"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, openai.BadRequestError, "must be the user's"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            openai.BadRequestError,
            "send it whole",
        ),
        (
            {"messages": [{"role": "system", "content": "x" * 8_001}, {"role": "user", "content": "x"}]},
            openai.BadRequestError,
            "instructions",
        ),
        ({"metadata": {"thread_id": "x" * 65}}, openai.BadRequestError, "64 characters"),
    ],
    ids=[
        "model",
        "tools",
        "n",
        "format",
        "stop",
        "logprobs",
        "none",
        "empty",
        "long",
        "last",
        "picture",
        "instructions",
        "thread",
    ],
)
def test_what_is_not_done_here_is_an_error_of_the_clients_own_kind(
    place: tuple[str, dict[str, str]], body: dict[str, Any], kind: type[openai.APIStatusError], said: str
) -> None:
    asked = {"model": "personaagent", "messages": [{"role": "user", "content": "Hello"}]} | body
    for stream in (False, True):
        with pytest.raises(kind) as caught:
            client_of(place, ANN).chat.completions.create(**asked, stream=stream)
        assert said in caught.value.message
        assert isinstance(caught.value.body, dict) and caught.value.body["type"] == "invalid_request_error"


def test_without_a_key_nobody_is_answered(place: tuple[str, dict[str, str]]) -> None:
    for ask in (
        lambda client: client.models.list(),
        lambda client: client.chat.completions.create(
            model="personaagent", messages=[{"role": "user", "content": "x"}]
        ),
    ):
        with pytest.raises(openai.AuthenticationError):
            ask(client_of(place, "pa_no_key"))


async def test_users_at_once_get_and_keep_their_own_only(place: tuple[str, dict[str, str]]) -> None:
    url, keys = place

    async def talk(user: str) -> None:
        client = AsyncOpenAI(base_url=f"{url}/v1", api_key=keys[user], max_retries=0)
        for n in range(6):
            told = await client.chat.completions.create(
                model="personaagent",
                messages=[{"role": "user", "content": f"{user} asks {n}"}],
                user=ANN if user == BOB else BOB,
                stream=n % 2 == 1,  # type: ignore[arg-type]
                metadata={"thread_id": "the same thread"},
            )
            if n % 2 == 1:
                last = [part async for part in told][-1]  # type: ignore[attr-defined]
                beside = (last.model_extra or {})["personaagent"]
            else:
                beside = (told.model_extra or {})["personaagent"]
            other = BOB if user == ANN else ANN
            assert not any(other in memory["query"] for memory in beside["recalled"])

    await asyncio.gather(talk(ANN), talk(BOB), talk(ANN), talk(BOB))
    for user, other in ((ANN, BOB), (BOB, ANN)):
        found = memories(place, user)
        assert sum(f"{user} asks" in query for query in found) == 12
        assert not any(other in query for query in found)
