"""Turns over the JSON API: whole and streamed, their conversation, wishes, approvals, limits, and two users at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage

from ledger_house import with_ledger
from page_house import Browser, services_in
from personaagent import PersonaAgent
from personaagent.app.server.turns import MAX_WAITING, DecisionTooLate, Question, Turns
from personaagent.context import Context
from personaagent.errors import ModelUnreachable
from personaagent.graph.services import Services
from personaagent.memory.forgetting import Selection
from personaagent.memory.statements import is_statement
from personaagent.ports import Where
from personaagent.settings import Settings
from scripted import HashEmbedder, ScriptedModels

ANN, BOB = {"X-User-Id": "ann"}, {"X-User-Id": "bob"}


@pytest.fixture
async def services(own_settings: Path) -> AsyncIterator[Services]:
    made = services_in(own_settings)
    yield made
    await made.close()


@asynccontextmanager
async def opened(home: Path, models: ScriptedModels, **settings: Any) -> AsyncIterator[Services]:
    made = Services(Settings(home=with_ledger(home), **settings), models=models, embedder=HashEmbedder())
    yield made
    await made.close()


async def ask(browser: Browser, user: dict[str, str], text: str, **more: Any) -> dict[str, Any]:
    response = await browser.http.post("/api/v1/me/turns", json={"text": text} | more, headers=user)
    assert response.status_code == 200, response.text
    told: dict[str, Any] = response.json()
    return told


async def stream(browser: Browser, user: dict[str, str], path: str, body: dict[str, Any]) -> list[tuple[str, Any]]:
    events: list[tuple[str, Any]] = []
    async with browser.http.stream("POST", path, json=body, headers=user | {"Accept": "text/event-stream"}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events.append((name, json.loads(line.removeprefix("data: "))))
    return events


async def test_an_answer_tells_what_it_stands_on(services: Services) -> None:
    browser = Browser(services)
    first = await ask(browser, ANN, "I love slow films. Is Solaris one?")
    told = await ask(browser, ANN, "From now on answer in two sentences. Is Stalker a good film?")
    assert told["answer"] == "An answer."
    assert [memory["id"] for memory in told["recalled"]] == [first["interaction_id"]]
    assert all(clause["rule"] for clause in told["clauses"]) and told["persona_version"] == 0
    assert [wish["text"] for wish in told["wishes"]] == ["answer in two sentences"] == told["pins"]
    assert told["usage"]["calls"] == 1
    kept = await services.episodic.get("ann", told["interaction_id"])
    assert kept.thread_id == told["thread_id"] != first["thread_id"]


async def test_a_stream_is_tokens_and_then_the_whole_answer(services: Services) -> None:
    events = await stream(Browser(services), ANN, "/api/v1/me/turns", {"text": "Which film?"})
    assert [name for name, _ in events] == ["token", "token", "done"]
    assert "".join(data["text"] for name, data in events if name == "token") == events[-1][1]["answer"] == "An answer."
    assert await services.episodic.get("ann", events[-1][1]["interaction_id"])


async def test_a_conversation_goes_on_in_any_process_and_without_what_was_forgotten(services: Services) -> None:
    first = await ask(Browser(services), ANN, "My cat is called Mina.")
    other = Browser(services)  # a process of its own knows the thread by the ledger alone
    second = await ask(other, ANN, "What is she called?", thread_id=first["thread_id"])
    shown = services.models.calls[-1].text  # type: ignore[attr-defined]
    assert "My cat is called Mina." in shown and "An answer." in shown
    assert second["thread_id"] == first["thread_id"]
    forgotten = await other.http.post("/api/v1/me/forget", json={"ids": [first["interaction_id"]]}, headers=ANN)
    assert forgotten.status_code == 200
    await ask(other, ANN, "And now?", thread_id=first["thread_id"])
    assert "Mina" not in services.models.calls[-1].text  # type: ignore[attr-defined]
    await ask(other, BOB, "And I?", thread_id=first["thread_id"])  # the same thread of another user is another one
    assert "What is she called?" not in services.models.calls[-1].text  # type: ignore[attr-defined]


async def test_what_a_client_says_was_said_before_takes_the_place_of_the_thread(services: Services) -> None:
    earlier = [{"role": "user", "text": "Call me Nemo."}, {"role": "assistant", "text": "Aye."}]
    told = await ask(Browser(services), ANN, "Who am I?", earlier=earlier, personalize=False)
    assert "Call me Nemo." in services.models.calls[-1].text  # type: ignore[attr-defined]
    assert told["interaction_id"] == "" and told["clauses"] == [] and told["persona_version"] is None
    assert await services.episodic.count("ann") == 0


def counting(messages: list[BaseMessage], _: list[Any]) -> str:
    """The question, and how many messages of the user were shown with it."""
    return f"{sum(m.type == 'human' for m in messages)}: {messages[-1].text.splitlines()[-1]} {next(_numbers)}"


_numbers = iter(range(1_000))


async def sight(services: Services, user: str = "ann") -> list[str]:
    return [one.query for one in await services.episodic.newest(user, 50)]


async def test_an_answer_made_anew_takes_the_place_of_the_former_one(own_settings: Path) -> None:
    async with opened(own_settings, ScriptedModels(counting, tool_calling=False)) as services:
        browser = Browser(services)
        first = await ask(browser, ANN, "one")
        old = await ask(browser, ANN, "two", thread_id=first["thread_id"])
        await ask(browser, ANN, "three", thread_id=first["thread_id"])
        liked = {"picked": "x", "over": old["answer"]}
        await browser.http.post(f"/api/v1/me/memories/{old['interaction_id']}/feedback", json=liked, headers=ANN)
        told = {"thread_id": first["thread_id"], "instead_of": old["interaction_id"]}
        new = await ask(Browser(services), ANN, "two", **told)
        assert new["interaction_id"] == old["interaction_id"]
        assert new["answer"].startswith("2: two ") and new["answer"] != old["answer"]
        assert await sight(services) == ["one", "two"]  # and what came after it is of another branch
        assert (await services.episodic.get("ann", old["interaction_id"])).response == new["answer"]


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_message_in_other_words_leaves_the_old_one_and_what_followed(own_settings: Path, place: int) -> None:
    async with opened(own_settings, ScriptedModels(counting, tool_calling=False)) as services:
        browser, asked = Browser(services), ["one", "two", "three"]
        thread, keys = "a talk", []
        for text in asked:
            keys.append((await ask(browser, ANN, text, thread_id=thread))["interaction_id"])
        await ask(browser, ANN, "elsewhere", thread_id="another")
        new = await ask(browser, ANN, "changed", thread_id=thread, instead_of=keys[place])
        assert new["answer"].startswith(f"{place + 1}: changed")
        assert await sight(services) == [*asked[:place], "elsewhere", "changed"]
        went_on = await ask(browser, ANN, "more", thread_id=thread)
        assert went_on["answer"].startswith(f"{place + 2}: more")


async def test_a_label_that_the_old_words_gave_goes_with_them(own_settings: Path) -> None:
    async with opened(own_settings, ScriptedModels(["rock", "fine", "well"], tool_calling=False)) as services:
        browser = Browser(services)
        first = await ask(browser, ANN, "Which music?", thread_id="t")
        second = await ask(browser, ANN, "No, I meant jazz", thread_id="t")
        assert (await services.episodic.get("ann", first["interaction_id"])).ground_truth == "jazz"
        await ask(browser, ANN, "Tell me more", thread_id="t", instead_of=second["interaction_id"])
        assert (await services.episodic.get("ann", first["interaction_id"])).ground_truth is None


async def test_of_two_answers_the_one_that_was_picked_is_the_conversation(own_settings: Path) -> None:
    async with opened(own_settings, ScriptedModels(counting, tool_calling=False)) as services:
        browser = Browser(services)
        old = await ask(browser, ANN, "one", thread_id="t")
        new = await ask(browser, ANN, "one", thread_id="t", instead_of=old["interaction_id"])
        path = f"/api/v1/me/memories/{old['interaction_id']}/feedback"
        await browser.http.post(path, json={"picked": old["answer"], "over": new["answer"]}, headers=ANN)
        await ask(browser, ANN, "two", thread_id="t")
        shown = services.models.calls[-1].messages  # type: ignore[attr-defined]
        assert [m.text for m in shown if m.type == "ai"] == [old["answer"]]


@pytest.mark.parametrize("more", [{}, {"thread_id": "other"}, {"thread_id": "t", "earlier": []}])
async def test_only_a_turn_of_the_conversation_can_be_replaced(services: Services, more: dict[str, Any]) -> None:
    browser = Browser(services)
    told = await ask(browser, ANN, "Which film?", thread_id="t")
    for user, body in ((ANN, more), (BOB, {"thread_id": "t"})):
        wrong = {"text": "x", "instead_of": told["interaction_id"]} | body
        refused = await browser.http.post("/api/v1/me/turns", json=wrong, headers=user)
        assert refused.json()["error"]["name"] == "UnknownInteraction"
    assert await sight(services) == ["Which film?"] and await sight(services, "bob") == []


async def test_a_turn_that_fails_in_the_place_of_another_leaves_it_there(own_settings: Path) -> None:
    models = ScriptedModels(["well", ModelUnreachable("down")], tool_calling=False)
    async with opened(own_settings, models) as services:
        browser = Browser(services)
        told = await ask(browser, ANN, "one", thread_id="t")
        body = {"text": "two", "thread_id": "t", "instead_of": told["interaction_id"]}
        assert (await browser.http.post("/api/v1/me/turns", json=body, headers=ANN)).status_code == 503
        assert await sight(services) == ["one"]


@pytest.mark.parametrize("text", ["I love trams, which one?", "I love buses, which one?"])
async def test_what_a_turn_takes_the_place_of_is_not_recalled(services: Services, text: str) -> None:
    browser = Browser(services)
    kept = await ask(browser, ANN, "I love trams of Lisbon, do you?", thread_id="t")
    old = await ask(browser, ANN, "I love trams, which one?", thread_id="t")
    await ask(browser, ANN, "I love the tram 28", thread_id="t")
    label = {"ground_truth": "the 28", "source": "edit"}
    await browser.http.post(f"/api/v1/me/memories/{old['interaction_id']}/feedback", json=label, headers=ANN)
    new = await ask(browser, ANN, text, thread_id="t", instead_of=old["interaction_id"])
    assert [memory["id"] for memory in new["recalled"]] == [kept["interaction_id"]]


async def complete(browser: Browser, *said: str, thread: str = "t") -> dict[str, Any]:
    """Ask in OpenAI's form; the messages are the user's and the assistant's in turn."""
    messages = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(said)]
    body = {"messages": messages, "metadata": {"thread_id": thread}}
    response = await browser.http.post("/v1/chat/completions", json=body, headers=ANN)
    assert response.status_code == 200, response.text
    told: dict[str, Any] = response.json()["personaagent"]
    return told


async def test_a_client_that_sends_the_conversation_edits_and_asks_anew(services: Services) -> None:
    browser = Browser(services)
    first = await complete(browser, "I love trams")
    talk = ("I love trams", first["answer"])
    old = await complete(browser, *talk, "I love trams of Lisbon, and you?")
    await complete(browser, *talk, "I love trams of Lisbon, and you?", "Yes.", "I love the tram 28")
    anew = await complete(browser, *talk, "I love trams of Lisbon, and you?")
    assert anew["interaction_id"] == old["interaction_id"]
    assert [memory["id"] for memory in anew["recalled"]] == [first["interaction_id"]]
    edited = await complete(browser, *talk, "I love trams of Porto, and you?")
    assert [memory["id"] for memory in edited["recalled"]] == [first["interaction_id"]]
    assert await sight(services) == ["I love trams", "I love trams of Porto, and you?"]
    again = await complete(browser, *talk, "I love trams of Lisbon, and you?", "Yes.", "And buses?")
    assert await sight(services) == ["I love trams", "I love trams of Lisbon, and you?", "And buses?"]
    assert edited["interaction_id"] not in [memory["id"] for memory in again["recalled"]]


async def test_a_client_that_sends_no_conversation_leaves_nothing_of_its_thread(services: Services) -> None:
    browser = Browser(services)
    for text in ("I love trams", "I love buses", "I love trams"):
        await complete(browser, text)
    await complete(browser, "Something that was never asked", "Yes.", "I love trains")
    assert await sight(services) == ["I love trams", "I love buses", "I love trams", "I love trains"]


async def test_a_picture_reaches_the_model_and_memory_has_that_there_was_one(services: Services) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    shown = {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]}
    went_on = [shown, {"role": "assistant", "content": "A cat."}, {"role": "user", "content": "Which breed?"}]
    for messages, kept in (([shown], "What is this? [image]"), (went_on, "Which breed?")):
        body = {"model": "personaagent", "messages": messages, "stream": None, "stop": None}
        told = await Browser(services).http.post("/v1/chat/completions", json=body, headers=ANN)
        interaction = await services.episodic.get("ann", told.json()["personaagent"]["interaction_id"])
        assert interaction.query == kept
    first, second = (call.messages for call in services.models.calls if call.kind == "chat")  # type: ignore[attr-defined]
    assert first[-1].content[-1] == picture
    assert "[image]" in str(second) and "base64" not in str(second)


async def test_a_call_of_a_tool_that_there_is_not_is_never_shown(own_settings: Path) -> None:
    wrong = '{"name": "weather_of", "arguments": {"place": "Ghent"}}'

    def structured(_role: Any, _messages: list[BaseMessage], _schema: dict[str, Any]) -> dict[str, Any]:
        return {"name": "none"}

    async with opened(own_settings, ScriptedModels([wrong, "I cannot look."], structured=structured)) as services:
        events = await stream(Browser(services), ANN, "/api/v1/me/turns", {"text": "Is it raining in Ghent now?"})
        assert "weather_of" not in "".join(data["text"] for name, data in events if name == "token")
        assert events[-1][1]["answer"] == "I cannot look."


async def test_a_wish_is_taken_back_by_its_pin(services: Services) -> None:
    browser = Browser(services)
    told = await ask(browser, ANN, "From now on answer in French.")
    path = f"/api/v1/me/pins/{told['wishes'][0]['pin_id']}"
    assert (await browser.http.delete(path, headers=BOB)).status_code == 404
    assert (await browser.http.delete(path, headers=ANN)).json()["text"] == "answer in French"
    assert await services.personas.pins("ann") == []
    made = await browser.http.post("/api/v1/me/pins", json={"text": "No puns"}, headers=ANN)
    assert made.json()["origin"] == "user" and [pin.text for pin in await services.personas.pins("ann")] == ["No puns"]


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        ({"text": " \n"}, 400, "EmptyQuery"),
        ({"text": "x", "user_id": "bob"}, 400, "InputError"),
        ({"text": "x", "thread_id": "a\x00b"}, 400, "InputError"),
        ({"text": "x" * 32_001}, 400, "InputError"),
        ({"text": "x", "choices": ["y" * 256 + str(n) for n in range(200)]}, 400, "InputError"),
        ({"text": "x", "choices": ["y" * 250 + str(n) for n in range(200)]}, 400, "InvalidContext"),
        ({"text": "x", "earlier": [{"role": "system", "text": "x"}]}, 400, "InputError"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_name_before_a_stream_begins(
    services: Services, body: dict[str, Any], status: int, name: str
) -> None:
    for accept in ("application/json", "text/event-stream"):
        refused = await Browser(services).http.post("/api/v1/me/turns", json=body, headers=ANN | {"Accept": accept})
        assert (refused.status_code, refused.json()["error"]["name"]) == (status, name)
    assert await services.episodic.count("ann") == 0


async def test_a_model_that_fails_is_503_before_the_first_word_and_an_event_after_it(own_settings: Path) -> None:
    calls = 0

    def said(_: list[BaseMessage], tools: list[Any]) -> AIMessage | Exception:
        nonlocal calls
        calls += 1
        if calls == 2:
            return ModelUnreachable("http://10.0.0.7/v1 does not answer")
        call = {"name": "calculator", "args": {"expression": "1+1"}, "id": "1", "type": "tool_call"}
        return AIMessage("Let me count. ", tool_calls=[call])

    async with opened(own_settings, ScriptedModels(said)) as services:
        events = await stream(Browser(services), ANN, "/api/v1/me/turns", {"text": "What is 1+1?"})
        assert [name for name, _ in events] == ["token", "token", "token", "error"]
        assert events[-1][1]["error"]["name"] == "ModelUnreachable"
        assert "10.0.0.7" not in json.dumps(events)
    async with opened(own_settings, ScriptedModels([ModelUnreachable("http://10.0.0.7 is down")])) as services:
        refused = await Browser(services).http.post("/api/v1/me/turns", json={"text": "x", "stream": True}, headers=ANN)
        assert refused.status_code == 503 and "10.0.0.7" not in refused.text


def remembering(messages: list[BaseMessage], tools: list[Any]) -> AIMessage | str:
    """Calls ``remember`` once, then says what came of it."""
    if messages[-1].type == "tool":
        return f"Done: {messages[-1].text}"
    call = {"name": "remember", "args": {"text": "I play the cello"}, "id": "1", "type": "tool_call"}
    return AIMessage("", tool_calls=[call])


async def test_a_turn_waits_for_the_user_alone_and_goes_on_by_their_decision(own_settings: Path) -> None:
    async with opened(own_settings, ScriptedModels(remembering)) as services:
        browser = Browser(services)
        waiting = await ask(browser, ANN, "Remember that I play the cello")
        assert [(one["tool"], one["arguments"]) for one in waiting["approvals"]] == [
            ("remember", {"text": "I play the cello"})
        ]
        path, accept = f"/api/v1/me/turns/{waiting['turn_id']}/decisions", {"decisions": [{"type": "accept"}]}
        foreign = await browser.http.post(path, json=accept, headers=BOB)
        assert (foreign.status_code, foreign.json()["error"]["name"]) == (409, "DecisionTooLate")
        for wrong in ({"decisions": []}, {"decisions": ["yes"]}, {"decisions": [{"type": "edit"}]}, {}):
            assert (await browser.http.post(path, json=wrong, headers=ANN)).status_code == 400
        done = await browser.http.post(path, json=accept, headers=ANN)
        assert done.json()["answer"].startswith("Done:") and done.json()["interaction_id"]
        assert [fact.text for fact in await services.facts.holding("ann")] == ["I play the cello"]
        assert await services.facts.holding("bob") == []
        assert (await browser.http.post(path, json=accept, headers=ANN)).status_code == 409

        refused = await ask(browser, BOB, "Remember that I play the cello")
        path = f"/api/v1/me/turns/{refused['turn_id']}/decisions"
        events = await stream(browser, BOB, path, {"decisions": [{"type": "ignore"}]})
        assert events[-1][1]["tools"][0]["outcome"] == "rejected"
        assert await services.facts.holding("bob") == []


async def test_a_turn_that_waits_goes_on_in_another_process_once(own_settings: Path) -> None:
    async with opened(own_settings, ScriptedModels(remembering)) as services:
        text = "Remember that I play the cello"
        waiting = await ask(Browser(services), ANN, text, thread_id="t")
    path = f"/api/v1/me/turns/{waiting['turn_id']}/decisions"
    async with opened(own_settings, ScriptedModels(remembering)) as services:
        told = [
            Browser(services).http.post(path, json={"decisions": [{"type": "accept"}]}, headers=ANN) for _ in range(2)
        ]
        done, late = sorted(await asyncio.gather(*told), key=lambda response: response.status_code)
        assert (done.status_code, late.status_code) == (200, 409)
        assert done.json()["answer"].startswith("Done:") and done.json()["thread_id"] == "t"
        assert done.json()["usage"]["calls"] == 2  # with the one before it waited
        assert [fact.text for fact in await services.facts.holding("ann")] == ["I play the cello"]
        kept = await services.episodic.newest("ann", 9, Where(thread_id="t"))
        assert [(i.query, i.id) for i in kept if not is_statement(i)] == [(text, done.json()["interaction_id"])]


async def test_what_waits_goes_with_what_is_forgotten(own_settings: Path) -> None:
    async with opened(own_settings, ScriptedModels(remembering)) as services:
        waiting = await ask(Browser(services), ANN, "Remember that I play the cello")
        await services.forgetter.forget("ann", Selection(everything=True))
        path = f"/api/v1/me/turns/{waiting['turn_id']}/decisions"
        late = await Browser(services).http.post(path, json={"decisions": [{"type": "accept"}]}, headers=ANN)
        assert late.json()["error"]["name"] == "DecisionTooLate"


async def test_turns_that_wait_are_few_and_not_for_ever(own_settings: Path) -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    async with opened(own_settings, ScriptedModels(remembering)) as services:
        turns = Turns(PersonaAgent.over(services), clock=lambda: now)
        names = []
        for _ in range(MAX_WAITING + 1):
            question = Question(text="Remember that I play the cello", context=Context(user_id="ann"))
            names += [event.turn_id async for event in turns.ask("ann", question) if hasattr(event, "turn_id")]
            now += timedelta(seconds=1)
        with pytest.raises(DecisionTooLate):  # the oldest made room
            await anext(turns.decide("ann", names[0], [{"type": "accept"}]))
        now += timedelta(seconds=601)
        with pytest.raises(DecisionTooLate):
            await anext(turns.decide("ann", names[-1], [{"type": "accept"}]))


async def test_whoever_stops_listening_stops_the_run_and_nothing_is_kept(own_settings: Path) -> None:
    async with opened(own_settings, ScriptedModels("An answer.", latency=30), concurrent_turns=1) as services:
        turns = Turns(PersonaAgent.over(services))
        events = turns.ask("ann", Question(text="Which film?", context=Context(user_id="ann")))
        first = asyncio.ensure_future(anext(events))
        for _ in range(1_000):
            if services.models.calls:  # type: ignore[attr-defined]
                break
            await asyncio.sleep(0.02)
        assert services.models.calls  # type: ignore[attr-defined]
        first.cancel()
        await asyncio.wait([first])
        await events.aclose()
        assert await services.episodic.count("ann") == 0
        services.limiter.begin_turn("ann", "the only one at once")  # it is over for the limits too


async def test_turns_at_once_and_a_minute_are_limited_for_each_user(own_settings: Path) -> None:
    async with opened(own_settings, ScriptedModels("ok"), turns_per_minute=2) as services:
        browser = Browser(services)
        for _ in range(2):
            await ask(browser, ANN, "x")
        refused = await browser.http.post("/api/v1/me/turns", json={"text": "x"}, headers=ANN)
        assert (refused.status_code, refused.json()["error"]["name"]) == (429, "TooManyTurns")
        assert int(refused.headers["retry-after"]) > 0
        await ask(browser, BOB, "x")


async def test_users_at_once_each_get_their_own_answer_and_memory(own_settings: Path) -> None:
    def echo(messages: list[BaseMessage], _: list[Any]) -> str:
        return f"You said {messages[-1].text.splitlines()[-1]}"

    async with opened(own_settings, ScriptedModels(echo, latency=0.01), concurrent_turns=0) as services:
        browser = Browser(services)

        async def talk(name: str) -> None:
            user, thread = {"X-User-Id": name}, "one thread for all"
            for n in range(5):
                text = f"{name} has secret {n}"
                told = (
                    await ask(browser, user, text, thread_id=thread)
                    if n % 2
                    else (await stream(browser, user, "/api/v1/me/turns", {"text": text, "thread_id": thread}))[-1][1]
                )
                assert told["answer"] == f"You said {text}"
                assert all(memory["query"].startswith(f"{name} has") for memory in told["recalled"])

        names = [f"user{n}" for n in range(8)]
        await asyncio.gather(*(talk(name) for name in names))
        for name in names:
            found = await services.episodic.newest(name, 50)
            assert sorted(one.query for one in found) == [f"{name} has secret {n}" for n in range(5)]
