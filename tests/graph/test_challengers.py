"""Evidence that accumulates: challengers, budgets, interrupted runs, and what the outcome says of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import BaseMessage

from graph_house import Build, past
from personaagent.context import Context
from personaagent.errors import ModelOutputInvalid
from personaagent.graph.alignment import build_alignment
from personaagent.graph.services import Services
from personaagent.memory.forgetting import Selection
from personaagent.persona.seed import seed_sections
from personaagent.ports import Role
from personaagent.types import Section, UserProfile
from scripted import ScriptedModels

CHOICES, WISH = ("jazz", "rock"), "Always says rock."


def persuadable(**fields: Any) -> ScriptedModels:
    """Says jazz until the persona has the editor's wish in it; then rock, but to no question with "stay" in it."""

    def choose(_role: Role, messages: list[BaseMessage], _choices: list[str]) -> str:
        return "rock" if WISH in messages[0].text and "stay" not in messages[-1].text else "jazz"

    def structured(role: Role, _messages: list[BaseMessage], _schema: dict[str, Any]) -> dict[str, Any] | Exception:
        if role == "critic":
            said = {"persona_change": "Say that the user wants rock.", "tool_use": "", "about_user": "Likes rock."}
            return {**said, "verdicts": ["yes"] * 6}
        if role == "editor":
            seed = seed_sections(UserProfile(user_id="ann"))
            told: dict[str, Any] = {
                s.value: [{"text": clause.text, "evidence": []} for clause in seed.get(s, ())] for s in Section
            }
            told["answering"].append({"text": WISH, "evidence": [1]})
            return {"sections": told}
        return ModelOutputInvalid("not asked here")

    return ScriptedModels(choose=choose, structured=structured, tool_calling=False, **fields)


async def fill(services: Services, rows: range, stay: tuple[int, ...] = ()) -> None:
    told = [
        past("ann", n, "rock", query=f"{'stay' if n in stay else 'question'} {n}", task="music", choices=CHOICES)
        for n in rows
    ]
    await services.episodic.append_many("ann", told)


async def align(services: Services, **context: Any) -> dict[str, Any]:
    told = Context(user_id="ann", **{"align_epochs": 1, "recall_k": 0, **context})
    out: dict[str, Any] = await build_alignment(services).compile().ainvoke({}, context=told)
    return out


async def challenged(build: Build, **settings: Any) -> Services:
    """Twelve labels, of which one that judges stays wrong: the gradient is ahead, and not proven."""
    services = build(persuadable(), **settings)
    await fill(services, range(12), stay=(8, 9))
    return services


async def test_what_is_ahead_is_kept_and_committed_by_later_labels_without_a_new_proposal(build: Build) -> None:
    services = await challenged(build)
    out = await align(services)
    assert out["committed"] is None
    assert out["outcome"].startswith("No change yet: ")
    assert out["outcome"].endswith("more labelled answers could prove what is ahead")
    (one,) = [c for c in await services.challengers.of("ann") if c.proposer == "gradient"]
    assert "ann-11" in one.judged
    assert not {f"ann-{n}" for n in range(4)} & set(one.judged)  # what taught it does not judge it
    await fill(services, range(12, 16))
    models: Any = services.models
    models.calls.clear()
    out = await align(services)
    assert (out["committed"].version, out["committed"].proposer) == (1, "gradient")
    assert models.calls_of("editor") == models.calls_of("critic") == []
    judged = out["outcome"].rsplit("(", 1)[1]
    assert judged == "10 of 12 judged answers closer to yours)"
    assert await services.challengers.of("ann") == []


async def test_no_label_judges_a_challenger_twice(build: Build) -> None:
    services = await challenged(build)
    await align(services)
    before = await services.challengers.of("ann")
    await align(services)
    after = {c.id: c for c in await services.challengers.of("ann")}
    assert [after[c.id].evidence for c in before if c.id in after] == [c.evidence for c in before if c.id in after]
    assert after


async def test_another_version_in_force_drops_the_challengers(build: Build) -> None:
    services = await challenged(build)
    await align(services)
    base = await services.personas.current("ann")
    assert base is not None
    assert await services.challengers.of("ann")
    await services.personas.append("ann", base.sections, "manual", expected_parent=base.version)
    assert await services.challengers.of("ann") == []


@pytest.mark.parametrize("everything", [False, True])
async def test_forgetting_what_judged_a_challenger_drops_it(build: Build, everything: bool) -> None:
    services = await challenged(build)
    await align(services)
    count = len(await services.challengers.of("ann"))
    chosen = Selection(everything=True) if everything else Selection(ids=("ann-11",))
    assert (await services.forgetter.forget("ann", chosen)).challengers == count > 0
    assert await services.challengers.of("ann") == []


async def test_nothing_is_proposed_before_it_could_win_and_the_outcome_says_what_lacks(build: Build) -> None:
    models = persuadable()
    services = build(models)
    await fill(services, range(7))
    out = await align(services)
    assert out["outcome"] == "No change yet: a proof needs 2 more labelled answers (you have 7)"
    assert models.calls_of("simulator") == models.calls_of("critic") == models.calls_of("editor") == []
    assert (await services.budget.spent("ann", out["base"].created_at.date()))[0] == out["calls"]


@pytest.mark.parametrize(("untouched", "lacking"), [(range(5, 11), 3), (range(12), None)])
async def test_answers_that_were_left_as_they_were_prove_nothing(
    build: Build, untouched: range, lacking: int | None
) -> None:
    services = build(persuadable())
    base = await services.seeds.persona("ann")
    rows = [replace(past("ann", n, "an answer"), persona_version=base.version, task="notes") for n in range(12)]
    said = [replace(one, response="an answer" if n in untouched else "longer") for n, one in enumerate(rows)]
    await services.episodic.append_many("ann", said)
    out = await align(services)
    if lacking:
        assert out["outcome"] == f"No change yet: a proof needs {lacking} more labelled answers (you have 12)"
        models: Any = services.models
        assert models.calls_of("simulator") == models.calls_of("editor") == []
    else:
        assert "nothing can win" in out["outcome"]


async def test_a_budget_ends_the_judging_and_the_next_alignment_goes_on(build: Build) -> None:
    services = build(persuadable(), align_calls=22)
    await fill(services, range(12))
    out = await align(services)
    assert out["committed"] is None
    assert "stopped (22 model calls an alignment)" in out["outcome"]
    assert out["calls"] <= 22 + 1  # and the facts
    kept = {c.id: len(c.judged) for c in await services.challengers.of("ann")}
    assert kept
    out = await align(services)
    assert out["committed"].proposer == "gradient"


async def test_an_interrupted_alignment_keeps_its_evidence_and_books_what_it_spent(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = build(persuadable())
    await fill(services, range(24), stay=tuple(range(12, 24, 3)))
    keep, kept = services.challengers.replace, asyncio.Event()

    async def keep_and_wait(*given: Any) -> None:
        await keep(*given)
        kept.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(services.challengers, "replace", keep_and_wait)
    running = asyncio.ensure_future(align(services))
    await kept.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await services.challengers.of("ann")
    assert (await services.personas.current("ann")).version == 0  # type: ignore[union-attr]
    assert await services.budget.remaining("ann") < services.settings.align_daily_calls
    monkeypatch.undo()
    assert (await align(services))["committed"] is not None


async def test_an_answer_that_was_really_given_needs_no_simulation(build: Build) -> None:
    services = build(ScriptedModels("short", tool_calling=False))
    base = await services.seeds.persona("ann")
    rows = [
        replace(past("ann", n, f"no, {n}"), response="a long answer", persona_version=base.version) for n in range(12)
    ]
    await services.episodic.append_many("ann", rows)
    out = await align(services)
    models: Any = services.models
    judged = [c for c in out["rejected"] if c.verdict and c.verdict.loss_before is not None]
    assert len(models.calls_of("simulator")) == sum(c.verdict.wins + c.verdict.losses + c.verdict.ties for c in judged)


async def test_statements_are_no_questions_and_count_nowhere(build: Build) -> None:
    services = build(persuadable())
    await fill(services, range(5))
    said = [replace(past("ann", n, "yes"), metadata={"statement": True}) for n in range(5, 12)]
    await services.episodic.append_many("ann", said)
    assert "(you have 5)" in (await align(services))["outcome"]


async def test_progress_is_streamed(build: Build) -> None:
    services = build(persuadable())
    await fill(services, range(12))
    graph = build_alignment(services).compile()
    told: Any = Context(user_id="ann", align_epochs=1, recall_k=0)
    events = [part async for part in graph.astream({}, context=told, stream_mode="custom")]
    assert all(set(event) == {"step", "done", "total", "seconds"} for event in events)
    steps = {event["step"] for event in events}
    assert {"simulate", "critique", "judge: candidate 1 of 2"} <= steps
    assert all(0 < event["done"] <= event["total"] for event in events)
