"""What Studio reads and does, over the SDK: descriptions, editable prompts, approval of an edit, time travel."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graph_house import past
from personaagent.context import Context
from personaagent.graph.alignment import build_alignment
from personaagent.graph.services import Services
from personaagent.persona.seed import seed_sections
from personaagent.settings import Settings
from personaagent.types import Interaction, Section, UserProfile
from scripted import HashEmbedder, ScriptedModels
from server_house import client_of, langgraph_dev
from stub_endpoint import endpoint, obliging

WISH = "Always says rock."
MAX_BYTES = 64 * 1024
ANSWERS = ("approve", "reject", "edit")


def edited() -> dict[str, Any]:
    """What the editor answers: the seed, and one clause more."""
    seed = seed_sections(UserProfile(user_id="ann"))
    sections: dict[str, Any] = {s.value: [{"text": c.text, "evidence": []} for c in seed.get(s, ())] for s in Section}
    sections["answering"].append({"text": WISH, "evidence": [1]})
    return {"sections": sections}


def persuadable(body: dict[str, Any]) -> dict[str, Any]:
    """Say jazz until the persona has the editor's wish in it."""
    told = json.dumps(body.get("response_format", {}))
    if "persona_change" in told:
        return {"content": json.dumps({"persona_change": "Say rock.", "tool_use": "", "about_user": "Likes rock."})}
    if "verdicts" in told:
        return {"content": json.dumps({"verdicts": ["yes"] * 3})}
    if "evidence" in told:
        return {"content": json.dumps(edited())}
    if '"jazz"' in told:
        schema = body["response_format"]["json_schema"]["schema"]
        answer = "rock" if WISH in body["messages"][0]["content"] else "jazz"
        wrapped = dict.fromkeys(schema.get("properties", {}), answer)
        return {"content": json.dumps(wrapped or answer)}
    return obliging(body)


async def fill(home: Path) -> None:
    """Labelled interactions of each user who will be asked: three teach, eight judge the gradient's candidate too."""
    services = Services(Settings(home=home), models=ScriptedModels(), embedder=HashEmbedder())
    for user in ANSWERS:
        rows = [past(f"user-{user}", n, "rock", task="music", choices=("jazz", "rock")) for n in range(11)]
        await services.interactions.append_many(f"user-{user}", rows)
    await services.database.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    home = tmp_path_factory.mktemp("home")
    asyncio.run(fill(home))
    with (
        endpoint(persuadable) as (base_url, _),
        langgraph_dev(home, base_url, PERSONAAGENT_APPROVE_EDITS="true") as url,
    ):
        yield url, home


def count(home: Path, table: str, user_id: str) -> int:
    with sqlite3.connect(home / "ledger.sqlite") as ledger:
        (rows,) = ledger.execute(f"SELECT count(*) FROM {table} WHERE user_id = ?", (user_id,)).fetchone()  # noqa: S608
    return int(rows)


@pytest.mark.server
async def test_every_node_and_field_is_described_and_only_the_instructions_are_an_editable_prompt(
    server: tuple[str, Path],
) -> None:
    client = client_of(server[0], "ann")
    for assistant in await client.assistants.search():
        graph = await client.assistants.get_graph(assistant["assistant_id"])
        for node in graph["nodes"]:
            described = str((node.get("metadata") or {}).get("description", ""))
            assert described or node["id"] in {"__start__", "__end__"}, node
        schemas = await client.assistants.get_schemas(assistant["assistant_id"])
        for part in ("input_schema", "output_schema", "context_schema"):
            fields = (schemas[part] or {}).get("properties", {})  # type: ignore[literal-required]
            assert all(field.get("description") for field in fields.values()), (assistant["graph_id"], part)
        prompts = {k: v["langgraph_nodes"] for k, v in fields.items() if v.get("langgraph_type") == "prompt"}
        assert prompts == {"instructions": ["reason"]}


@pytest.mark.server
@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_person_approves_rejects_or_edits_a_version_and_replay_commits_no_second(
    server: tuple[str, Path], answer: str
) -> None:
    url, home = server
    user = f"user-{answer}"
    client = client_of(url, user)
    context = {"user_id": user, "choices": ["jazz", "rock"], "task": "music", "align": "off", "align_epochs": 1}
    context["recall_k"] = 0  # the persona alone decides, not the vote of labelled memories
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "alignment", input={}, context=context)
    waiting = await client.threads.get_state(thread)
    (asked,) = waiting["tasks"][0]["interrupts"]
    assert f"+ - {WISH}" in asked["value"]["diff"]
    resume: Any = answer
    if answer == "edit":
        bad: Any = {"type": "edit", "args": {"persona": "## answering\n- " + "x" * 400}}
        await client.runs.wait(thread, "alignment", command={"resume": bad}, context=context)
        (again,) = (await client.threads.get_state(thread))["tasks"][0]["interrupts"]
        assert "300" in again["value"]["error"]
        resume = {"type": "edit", "args": {"persona": asked["value"]["persona"].replace(WISH, "Mostly says rock.")}}
    out: Any = await client.runs.wait(thread, "alignment", command={"resume": resume}, context=context)
    versions = count(home, "personas", user)
    assert versions == (1 if answer == "reject" else 2)
    if answer == "edit":
        assert (out["committed"]["origin"], out["committed"]["proposer"]) == ("manual", "user")
        assert "Mostly says rock." in json.dumps(out["committed"])
    history = await client.threads.get_history(thread)
    before = next(state for state in history if state["next"] == ["commit_persona"])
    await client.runs.wait(thread, "alignment", input=None, checkpoint=before["checkpoint"], context=context)
    await client.runs.wait(thread, "alignment", command={"resume": "approve"}, context=context)
    assert count(home, "personas", user) == 2


@pytest.mark.server
async def test_replay_and_fork_of_a_turn_write_one_interaction(server: tuple[str, Path]) -> None:
    url, home = server
    client, context = client_of(url, "traveller"), {"user_id": "traveller"}
    thread = (await client.threads.create())["thread_id"]
    message = {"messages": [{"role": "user", "content": "once"}]}
    await client.runs.wait(thread, "agent", input=message, context=context)
    history = await client.threads.get_history(thread)
    before = next(state for state in history if state["next"] == ["write_memory"])
    await client.runs.wait(thread, "agent", input=None, checkpoint=before["checkpoint"], context=context)
    forked: Any = await client.threads.update_state(
        thread, {"answer": "another answer"}, checkpoint=before["checkpoint"], as_node="reason"
    )
    await client.runs.wait(thread, "agent", input=None, checkpoint=forked["checkpoint"], context=context)
    assert count(home, "interactions", "traveller") == 1


@pytest.mark.server
async def test_replay_of_feedback_labels_and_counts_once(server: tuple[str, Path]) -> None:
    url, home = server
    client, context = client_of(url, "judge"), {"user_id": "judge"}
    message = {"messages": [{"role": "user", "content": "Which film?"}]}
    turn: Any = await client.runs.wait(None, "agent", input=message, context=context)
    thread = (await client.threads.create())["thread_id"]
    given = {"interaction_id": turn["interaction_id"], "ground_truth": "Solaris"}
    first: Any = await client.runs.wait(thread, "feedback", input=given, context=context)
    points = await client.threads.get_history(thread)
    assert len(points) >= 3
    for point in points:
        again: Any = await client.runs.wait(
            thread, "feedback", input=None, checkpoint=point["checkpoint"], context=context
        )
        assert again["interaction"]["labelled_at"] == first["interaction"]["labelled_at"]
    with sqlite3.connect(home / "ledger.sqlite") as ledger:
        counted = ledger.execute("SELECT new_labels FROM users WHERE user_id = 'judge'").fetchone()
        labelled = ledger.execute("SELECT labelled_at FROM interactions WHERE user_id = 'judge'").fetchall()
    assert (counted, len(labelled)) == ((1,), 1)


async def test_every_state_update_of_a_large_alignment_is_small_and_has_no_vectors(tmp_path: Path) -> None:
    def structured(role: str, messages: Any, schema: Any) -> Any:
        return json.loads(persuadable({"messages": [], "response_format": schema})["content"])

    services = Services(
        Settings(home=tmp_path),
        models=ScriptedModels("jazz", choose=lambda *_: "jazz", structured=structured, tool_calling=False),
        embedder=HashEmbedder(),
    )
    rows: list[Interaction] = [past("ann", n, "rock", task="music", choices=("jazz", "rock")) for n in range(60)]
    await services.episodic.append_many("ann", rows)
    seen: dict[str, int] = {}
    context = Context(user_id="ann", align_batch=32, align_epochs=1)
    async for update in build_alignment(services).compile().astream({}, context=context, stream_mode="updates"):
        text = json.dumps(update, default=lambda value: getattr(value, "__dict__", None) or str(value))
        assert "vector" not in text
        assert "embedding" not in text
        for node in update:
            seen[node] = max(seen.get(node, 0), len(text))
    await services.close()
    assert {"sample_turns", "simulate", "critique", "edit_persona", "judge_candidate"} <= seen.keys()
    assert max(seen.values()) < MAX_BYTES, seen
