"""Alignment: honest simulation, the gate, compare-and-swap, and what it costs."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from langchain_core.messages import BaseMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from graph_house import Build, past
from personaagent.context import Context
from personaagent.errors import AlignmentRunning, ModelOutputInvalid, ModelUnreachable, PersonaConflict
from personaagent.graph.alignment import build_alignment
from personaagent.graph.services import Services
from personaagent.limits import Limiter
from personaagent.persona.seed import seed_sections
from personaagent.ports import Role
from personaagent.types import FactOperation, Section, UserProfile
from scripted import ScriptedModels

CHOICES = ("jazz", "rock")
OVERLONG = {"sections": {"who": [{"text": "x" * 5_000, "evidence": []}]}}


async def align(services: Services, **context: Any) -> dict[str, Any]:
    """Align without recall: what is held against each other is the persona alone, not the memories' vote."""
    given = Context(**{"user_id": "ann", "recall_k": 0, **context})
    return await build_alignment(services).compile().ainvoke({}, context=given)


def edited(text: str, evidence: tuple[int, ...] = (1,)) -> dict[str, Any]:
    """What an editor answers: the seed, and one clause more."""
    seed = seed_sections(UserProfile(user_id="ann"))
    sections: dict[str, Any] = {
        section.value: [{"text": clause.text, "evidence": []} for clause in seed.get(section, ())]
        for section in Section
    }
    sections["answering"].append({"text": text, "evidence": list(evidence)})
    return {"sections": sections}


def persuadable(wish: str = "Always says rock.", only: str = "", **fields: Any) -> ScriptedModels:
    """A model that says jazz until the persona has the editor's wish in it; only to questions that match ``only``."""

    def choose(role: Role, messages: list[BaseMessage], choices: list[str]) -> str:
        return "rock" if wish in messages[0].text and re.search(only, messages[-1].text) else "jazz"

    def structured(role: Role, messages: list[BaseMessage], schema: dict[str, Any]) -> dict[str, Any] | Exception:
        if role == "critic":
            said = {"persona_change": "Say that the user wants rock.", "tool_use": "", "about_user": "Likes rock."}
            return {**said, "verdicts": ["yes"] * 6}
        if role == "editor":
            return edited(wish)
        return ModelOutputInvalid("not asked here")

    return ScriptedModels(choose=choose, structured=structured, tool_calling=False, **fields)


async def fill(services: Services, truths: list[str], user_id: str = "ann") -> None:
    rows = [past(user_id, n, truth, task="music", choices=CHOICES) for n, truth in enumerate(truths)]
    await services.episodic.append_many(user_id, rows)


async def test_a_candidate_that_wins_on_newer_interactions_is_committed_with_its_evidence(build: Build) -> None:
    services = build(persuadable())
    await fill(services, ["rock"] * 12)
    out = await align(services, align_epochs=1)
    version = out["committed"]
    assert (version.version, version.parent, version.origin, version.proposer) == (1, 0, "aligned", "gradient")
    assert (version.loss_before, version.loss_after) == (1.0, 0.0)
    assert set(version.evidence) <= {f"ann-{n}" for n in range(4)}
    assert version.aligned_through == (await services.episodic.get("ann", "ann-11")).created_at
    assert (await services.personas.current("ann")) == version
    assert out["calls"] > 0
    assert out["tokens"] > 0


async def test_a_candidate_that_does_not_win_changes_nothing_and_says_why(build: Build) -> None:
    services = build(persuadable(only="question 1[89] "))
    await fill(services, ["rock"] * 18 + ["jazz"] * 2)
    out = await align(services, align_epochs=1)
    assert out["committed"] is None
    assert "No change" in out["outcome"]
    assert (await services.personas.current("ann")).version == 0  # type: ignore[union-attr]
    kept = await services.candidates.newest("ann", 5)
    assert any("that were right" in c.verdict.reason for c in kept if c.verdict)
    assert {c.epoch for c in kept} == {1}
    assert len({c.run for c in kept}) == 1
    assert None not in {c.run for c in kept}


async def test_without_the_gate_the_same_candidate_would_have_been_taken(build: Build) -> None:
    services = build(persuadable())
    await fill(services, ["rock"] * 3 + ["jazz"] * 6)
    out = await align(services, align_epochs=1, align_gate=False)
    assert out["committed"].proposer == "gradient"


async def test_an_incumbent_that_is_right_on_every_judging_interaction_ends_the_alignment_at_once(build: Build) -> None:
    models = persuadable()
    services = build(models)
    await fill(services, ["rock"] * 3 + ["jazz"] * 9)
    out = await align(services)
    assert out["committed"] is None
    assert "right in all 6 judging interactions, nothing can win" in out["outcome"]
    assert len(models.calls_of("simulator")) == 9
    assert models.calls_of("critic") == models.calls_of("editor") == []


async def test_a_candidate_that_is_tried_later_must_be_surer(build: Build) -> None:
    out = {}
    for user, failing in (("ann", 0), ("bob", 1)):
        models = persuadable()
        services = build(models, gate_confidence=0.95)
        await fill(services, ["rock"] * 11, user)
        models.fail("editor", ModelOutputInvalid("truncated"), times=9 * failing)
        out[user] = await align(services, user_id=user, align_epochs=1)
    assert out["ann"]["committed"].proposer == "gradient"  # eight of eight, tried second
    assert out["bob"]["committed"] is None


async def test_no_ground_truth_of_the_batch_or_of_later_interactions_is_reachable(build: Build) -> None:
    models = ScriptedModels("I do not know.")
    services = build(models)
    rows = [past("ann", n, f"CANARY-{n}-", query=f"the same question {n % 3}") for n in range(16)]
    await services.episodic.append_many("ann", rows)
    for n in (2, 5, 15):  # facts from before the batch, from inside it, and from its end
        fact = FactOperation(kind="add", text=f"FACT-CANARY-{n}-", evidence=(f"ann-{n}",), confidence=0.9)
        await services.semantic.apply("ann", [fact], through=rows[-1].created_at)
    await align(services, align_batch=3, align_judge=4, align_epochs=1, recall_k=4)
    simulated = "\n".join(call.text for call in models.calls_of("simulator"))
    assert "CANARY-4-" in simulated  # the past before the batch is there
    assert "FACT-CANARY-2-" in simulated
    for hidden in range(5, 16):
        assert f"CANARY-{hidden}-" not in simulated
    assert models.calls_of("agent") == []


async def test_simulation_writes_nothing_back(build: Build) -> None:
    services = build(persuadable())
    await fill(services, ["rock"] * 12)
    await align(services)
    assert await services.episodic.count("ann") == 12


async def test_an_editor_that_fails_is_refused_and_the_model_free_proposer_stands_in(build: Build) -> None:
    models = persuadable()
    services = build(models)
    await fill(services, ["rock"] * 12)
    models.fail("editor", ModelOutputInvalid("truncated"), times=9)
    out = await align(services, align_epochs=1)
    proposers = {candidate.proposer for candidate in out["rejected"]}
    assert "histogram" in proposers
    assert any("truncated" in c.verdict.reason for c in out["rejected"] if c.proposer == "gradient")
    assert out["committed"] is None


@pytest.mark.parametrize("answer", [{}, {"sections": {}}, {"sections": "all of it"}, OVERLONG])
async def test_an_empty_or_broken_rewrite_is_never_committed(build: Build, answer: dict[str, Any]) -> None:
    def structured(role: Role, messages: list[BaseMessage], schema: dict[str, Any]) -> dict[str, Any]:
        return answer if role == "editor" else {"persona_change": "change it", "tool_use": "", "about_user": ""}

    services = build(ScriptedModels(structured=structured, tool_calling=False))
    await fill(services, ["rock"] * 12)
    out = await align(services, align_epochs=1, align_gate=False)
    assert out["committed"] is None


async def test_of_two_alignments_at_once_one_commits_and_the_other_stops(build: Build) -> None:
    services = build(persuadable(latency=0.01))
    await fill(services, ["rock"] * 12)

    async def in_another_process() -> dict[str, Any]:
        services.limiter = Limiter(services.settings)  # which alone holds a second alignment of a user back
        return await align(services, align_epochs=1)

    outs = await asyncio.gather(*(in_another_process() for _ in range(4)))
    assert len([out for out in outs if out["committed"]]) == 1
    assert [p.version for p in await services.personas.history("ann")] == [0, 1]
    assert all("No change" in out["outcome"] for out in outs if not out["committed"])


async def test_a_second_alignment_of_a_user_is_refused_while_one_is_under_way(build: Build) -> None:
    services = build(persuadable(latency=0.01))
    await fill(services, ["rock"] * 12)
    outs = await asyncio.gather(*(align(services, align_epochs=1) for _ in range(4)), return_exceptions=True)
    assert len([out for out in outs if isinstance(out, AlignmentRunning)]) == 3
    assert len([out for out in outs if isinstance(out, dict) and out["committed"]]) == 1
    assert not services.limiter.aligning("ann")
    assert (await align(services, align_epochs=1))["outcome"], "the next one runs"


async def test_one_wrong_critic_does_not_stop_the_others(build: Build) -> None:
    models = persuadable()
    models.fail("critic", ModelUnreachable("down"))
    services = build(models)
    await fill(services, ["rock"] * 12)
    assert (await align(services, align_epochs=1))["committed"] is not None


async def test_with_one_label_there_is_nothing_to_align_on(build: Build) -> None:
    services = build(persuadable())
    await fill(services, ["rock"])
    out = await align(services)
    assert out["committed"] is None
    assert "at least 2" in out["outcome"]


async def test_a_spent_budget_makes_alignment_wait(build: Build) -> None:
    services = build(persuadable(), align_daily_calls=5)
    await fill(services, ["rock"] * 12)
    assert (await align(services, align_epochs=1))["calls"] > 5
    out = await align(services, align_epochs=1)
    assert out["calls"] == 0
    assert "budget" in out["outcome"]


async def test_labels_of_a_clock_that_was_ahead_keep_no_later_ones_out(build: Build) -> None:
    services = build(persuadable())
    later = datetime.now(UTC) + timedelta(days=1_800)
    rows = [past("ann", n, "jazz", task="music", choices=CHOICES) for n in range(100, 109)]
    dated = [replace(row, created_at=later + timedelta(hours=n)) for n, row in enumerate(rows)]
    await services.episodic.append_many("ann", dated)
    await fill(services, ["rock"] * 12)
    committed = (await align(services))["committed"]
    assert committed is not None
    assert committed.aligned_through < datetime.now(UTC)


async def test_alignment_reads_one_user_only(build: Build) -> None:
    models = persuadable()
    services = build(models)
    await fill(services, ["rock"] * 12)
    await services.episodic.append_many(
        "bob", [past("bob", n, "jazz", query=f"BOB-{n}", task="music", choices=CHOICES) for n in range(9)]
    )
    await align(services)
    assert not [call for call in models.calls if "BOB-" in call.text]
    assert await services.personas.current("bob") is None


async def test_the_profile_follows_the_labels(build: Build) -> None:
    services = build(persuadable())
    await fill(services, ["rock"] * 12)
    await align(services, align_epochs=1)
    assert "rock" in (await services.semantic.profile("ann")).text


async def test_a_stale_parent_is_refused(build: Build) -> None:
    services = build(persuadable())
    seed = await services.seeds.persona("ann")
    await services.personas.append("ann", seed.sections, "manual", expected_parent=0)
    with pytest.raises(PersonaConflict):
        await services.personas.append("ann", seed.sections, "manual", expected_parent=0)


async def test_a_gain_on_implicit_truth_is_not_committed_where_explicit_truth_contradicts_it(build: Build) -> None:
    services = build(persuadable())
    guess: dict[str, Any] = {"truth_source": "implicit", "truth_confidence": 0.8}
    said = [("rock", {})] * 3 + [("rock", guess)] * 20 + [("jazz", {})]
    await services.episodic.append_many(
        "ann",
        [
            replace(past("ann", n, truth, task="music", choices=CHOICES), **fields)
            for n, (truth, fields) in enumerate(said)
        ],
    )
    out = await align(services, align_epochs=1)
    assert out["committed"] is None
    assert "explicit" in out["outcome"]


GUESSED: dict[str, Any] = {"truth_source": "implicit", "truth_confidence": 0.8}


@pytest.mark.parametrize("explicit", [(0,), (0, 1), (14, 16)])
async def test_implicit_truth_alone_does_not_commit_what_older_explicit_truth_contradicts(
    build: Build, explicit: tuple[int, ...]
) -> None:
    services = build(persuadable())
    rows = [past("ann", n, "jazz" if n in explicit else "rock", task="music", choices=CHOICES) for n in range(24)]
    await services.episodic.append_many(
        "ann", [row if n in explicit else replace(row, **GUESSED) for n, row in enumerate(rows)]
    )
    out = await align(services, align_epochs=1)
    assert out["committed"] is None
    assert "explicit" in out["outcome"]


async def test_where_nothing_explicit_was_ever_said_implicit_truth_may_teach(build: Build) -> None:
    services = build(persuadable())
    rows = [past("ann", n, "rock", task="music", choices=CHOICES) for n in range(16)]
    await services.episodic.append_many("ann", [replace(row, **GUESSED) for row in rows])
    assert (await align(services, align_epochs=1))["committed"].proposer == "gradient"


async def test_an_older_witness_is_simulated_without_a_view_of_itself_and_teaches_nobody(build: Build) -> None:
    models = ScriptedModels("I do not know.")
    services = build(models)
    rows = [past("ann", n, f"CANARY-{n}-", query=f"the same question {n % 3}") for n in range(14)]
    await services.episodic.append_many("ann", [rows[0], rows[1], *(replace(r, **GUESSED) for r in rows[2:])])
    await align(services, align_batch=3, align_judge=3, align_epochs=1, recall_k=4)
    witness = [c.text for c in models.calls_of("simulator") if c.messages[-1].text.endswith("the same question 1")]
    assert any("CANARY-" in text for text in witness)
    assert any("CANARY-0-" in text and "CANARY-1-" not in text for text in witness)
    assert not [call for call in models.calls if call.role in {"critic", "editor"} and "CANARY-1-" in call.text]


async def test_a_model_reads_past_reactions_in_the_background_where_it_is_wanted(build: Build) -> None:
    def structured(role: Role, messages: list[BaseMessage], schema: dict[str, Any]) -> dict[str, Any]:
        if schema["title"] == "Reaction":
            return {"reaction": "correction", "wanted": "rock"}
        return {}

    for wanted, truth in ((False, None), (True, "rock")):
        user = f"ann {wanted}"
        models = ScriptedModels(structured=structured, tool_calling=False)
        services = build(models, implicit_by_model=wanted)
        asked = [
            replace(
                past(user, n, ""), ground_truth=None, truth_source=None, choices=CHOICES, response="jazz", thread_id="t"
            )
            for n in range(2)
        ]
        await services.episodic.append_many(user, asked)
        out = await align(services, user_id=user)
        first, last = [await services.episodic.get(user, i.id) for i in asked]
        assert (first.ground_truth, last.ground_truth) == (truth, None)
        assert first.truth_source == ("implicit" if truth else None)
        assert out["calls"] == len(models.calls) == 1 + wanted


async def asked_to_approve(services: Services) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """An alignment that waits for approval: its graph, how to call it again, and what it asks."""
    graph = build_alignment(services).compile(checkpointer=InMemorySaver())
    run: dict[str, Any] = {
        "context": Context(user_id="ann", recall_k=0, align_epochs=1),
        "config": {"configurable": {"thread_id": "t"}},
    }
    waiting = await graph.ainvoke({}, **run)
    return graph, run, waiting["__interrupt__"][0].value


@pytest.mark.parametrize("answer", ["approve", True, {"type": "accept"}])
async def test_an_edit_that_has_to_be_approved_waits_and_is_committed_on_approval(build: Build, answer: Any) -> None:
    services = build(persuadable(), approve_edits=True)
    await fill(services, ["rock"] * 12)
    graph, run, question = await asked_to_approve(services)
    assert (question["version"], question["proposer"]) == (1, "gradient")
    assert "+ - Always says rock." in question["diff"].splitlines()
    assert "won" in question["verdict"]
    assert (await services.personas.current("ann")).version == 0  # type: ignore[union-attr]
    out = await graph.ainvoke(Command(resume=answer), **run)
    assert out["committed"].version == 1


@pytest.mark.parametrize("answer", ["reject", {"type": "reject", "message": "I hate rock."}, "perhaps"])
async def test_an_edit_that_is_not_approved_changes_nothing_and_is_kept_with_its_reason(
    build: Build, answer: Any
) -> None:
    services = build(persuadable(), approve_edits=True)
    await fill(services, ["rock"] * 12)
    graph, run, _ = await asked_to_approve(services)
    out = await graph.ainvoke(Command(resume=answer), **run)
    assert out["committed"] is None
    assert "not approved" in out["outcome"]
    assert [p.version for p in await services.personas.history("ann")] == [0]
    kept = await services.candidates.newest("ann", 5)
    assert any("not approved" in c.verdict.reason for c in kept if c.verdict)


async def test_without_a_thread_nobody_can_approve_and_nothing_is_committed(build: Build) -> None:
    services = build(persuadable(), approve_edits=True)
    await fill(services, ["rock"] * 12)
    out = await align(services, align_epochs=1)
    assert out["committed"] is None
    assert "no thread" in out["outcome"]


async def test_free_text_is_graded_by_meaning_form_and_wording_without_a_model_call(build: Build) -> None:
    models = ScriptedModels("an answer", tool_calling=False)
    services = build(models)
    await services.episodic.append_many("ann", [past("ann", n, f"something else {n // 3}") for n in range(9)])
    out = await align(services, align_epochs=1, align_candidates=1)
    assert out["calls"] == len(models.calls)
    assert all(0 < simulation.loss < 1 for simulation in out.get("judged", []))


@pytest.mark.parametrize("better", [False, True])
async def test_the_outcome_says_that_the_version_before_was_rolled_back(build: Build, better: bool) -> None:
    services = build(persuadable())
    await fill(services, ["rock"] * 3 + ["rock" if better else "jazz"] * 9)
    base = await services.seeds.persona("ann")
    await services.personas.append(
        "ann",
        base.sections,
        "rollback",
        expected_parent=base.version,
        proposer="monitor",
        reason="rolled back by the monitor: live loss 0.10 → 0.90",
    )
    out = await align(services, align_epochs=1)
    assert (out["committed"] is not None) is better
    assert "(version 1: rolled back by the monitor: live loss 0.10 → 0.90)" in out["outcome"]


async def test_no_epoch_begins_that_the_budget_could_not_end(build: Build) -> None:
    services = build(persuadable(), align_calls=25)
    await fill(services, ["rock", "jazz"] * 12)
    out = await align(services, align_epochs=3, align_candidates=1)
    judged = [c for c in out["rejected"] if c.verdict and not c.verdict.reason.startswith("refused")]
    assert [(c.epoch, c.proposer) for c in judged] == [(1, "examples")]
    assert out["outcome"] == "No change: one attempt, nothing better found"  # all labels judged: nothing was stopped


async def test_the_proposers_take_turns_over_the_epochs(build: Build) -> None:
    services = build(persuadable())
    await fill(services, ["rock", "jazz"] * 12)
    out = await align(services, align_epochs=3, align_candidates=1)
    judged = [c for c in out["rejected"] if c.verdict and not c.verdict.reason.startswith("refused")]
    assert [(c.epoch, c.proposer) for c in judged] == [(1, "examples"), (2, "gradient")]  # what costs calls comes later
    texts = [[clause.text for clauses in c.sections.values() for clause in clauses] for c in judged]
    assert len({tuple(one) for one in texts}) == len(texts)
