"""Feedback: what the user really wanted becomes ground truth, and brings about alignments in time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from graph_house import Build, past
from personaagent.context import Context
from personaagent.errors import InvalidLabel, UnknownInteraction
from personaagent.graph.agent import build_agent
from personaagent.graph.feedback import build_feedback
from personaagent.graph.services import Services
from personaagent.scheduling import ALIGNMENT
from personaagent.types import Clause, Interaction, Persona, PersonaOrigin, Section
from scripted import ScriptedModels


async def feed(services: Services, user_id: str = "ann", align: Any = "background", **given: Any) -> dict[str, Any]:
    graph = build_feedback(services).compile()
    return await graph.ainvoke(given, context=Context(user_id=user_id, align=align))  # type: ignore[arg-type]


async def answered(services: Services, text: str = "Which film?") -> str:
    agent = build_agent(services).compile()
    out = await agent.ainvoke({"messages": [HumanMessage(text)]}, context=Context(user_id="ann"))
    return str(out["interaction_id"])


async def test_a_correction_becomes_the_ground_truth_and_the_answer_stays_beside_it(build: Build) -> None:
    services = build(ScriptedModels(agent="Alien"))
    key = await answered(services)
    out = await feed(services, interaction_id=key, ground_truth="Solaris")
    labelled = out["interaction"]
    assert (labelled.response, labelled.ground_truth, labelled.truth_source) == ("Alien", "Solaris", "correction")
    (recall,) = await services.episodic.search("ann", "Which film?", 1)
    assert recall.interaction.ground_truth == "Solaris"


async def test_a_good_rating_accepts_the_answer_and_a_bad_one_labels_nothing(build: Build) -> None:
    services = build(ScriptedModels(agent="Alien"))
    key = await answered(services)
    assert (await feed(services, interaction_id=key, rating=1))["interaction"].ground_truth is None
    assert (await feed(services, interaction_id=key, rating=5))["interaction"].ground_truth == "Alien"


@pytest.mark.parametrize(
    "given", [{}, {"ground_truth": "  "}, {"rating": 9}, {"ground_truth": "x", "source": "hearsay"}]
)
async def test_feedback_that_says_nothing_is_refused(build: Build, given: dict[str, Any]) -> None:
    services = build(ScriptedModels())
    key = await answered(services)
    with pytest.raises(InvalidLabel):
        await feed(services, interaction_id=key, **given)
    assert (await services.episodic.get("ann", key)).ground_truth is None


async def test_an_unknown_interaction_and_another_users_are_the_same_to_a_stranger(build: Build) -> None:
    services = build(ScriptedModels())
    key = await answered(services)
    for user, wanted in (("ann", "no-such-id"), ("bob", key)):
        with pytest.raises(UnknownInteraction):
            await feed(services, user_id=user, interaction_id=wanted, ground_truth="x")
    assert (await services.episodic.get("ann", key)).ground_truth is None


async def test_enough_new_labels_enqueue_one_alignment_and_never_run_it_inline(build: Build) -> None:
    models = ScriptedModels()
    services = build(models, align_after=2, align_delay_s=0)
    await services.episodic.append_many("ann", [past("ann", n, "x") for n in range(3)])
    assert not (await feed(services, interaction_id="ann-0", ground_truth="a"))["due"]
    assert await services.jobs.depth("ann") == 0
    for n in (1, 2):
        out = await feed(services, interaction_id=f"ann-{n}", ground_truth="a")
        assert out["due"]
        assert "outcome" not in out
    (job,) = await services.jobs.pending("ann")
    assert job.kind == ALIGNMENT
    assert job.payload["user_id"] == "ann"
    assert models.calls == []


async def test_alignment_at_once_runs_inside_the_feedback_graph(build: Build) -> None:
    services = build(ScriptedModels(tool_calling=False), align_after=1)
    await services.episodic.append_many("ann", [past("ann", n, "x") for n in range(4)])
    out = await feed(services, align="now", interaction_id="ann-3", ground_truth="y")
    assert out["outcome"].startswith("No change")
    assert not (await feed(services, align="off", interaction_id="ann-3", ground_truth="z")).get("outcome")


async def test_a_label_given_while_an_alignment_is_under_way_stays_due(build: Build) -> None:
    services = build(ScriptedModels(tool_calling=False), align_after=1)
    await services.episodic.append_many("ann", [past("ann", n, "x") for n in range(4)])
    services.limiter.begin_alignment("ann")
    out = await feed(services, align="now", interaction_id="ann-3", ground_truth="y")
    assert out["due"] and not out.get("outcome")
    assert (await services.episodic.get("ann", "ann-3")).ground_truth == "y"
    assert await services.users.labels("ann") == 1
    services.limiter.end_alignment("ann")
    assert (await feed(services, align="now", interaction_id="ann-2", ground_truth="y"))["outcome"]


async def test_labels_are_counted_anew_after_an_alignment(build: Build) -> None:
    services = build(ScriptedModels(tool_calling=False), align_after=2)
    await services.episodic.append_many("ann", [past("ann", n, "x") for n in range(4)])
    due = [(await feed(services, align="now", interaction_id=f"ann-{n}", ground_truth="y"))["due"] for n in range(4)]
    assert due == [False, True, False, True]


async def answered_under(services: Services, version: int, truths: str) -> list[str]:
    """Interactions that were answered with "a" under this version, and what the user wanted of each."""
    keys = [f"{version}-{n}" for n in range(len(truths))]
    for key in keys:
        now = datetime.now(UTC)
        asked = Interaction(
            id=key, user_id="ann", query=f"which of the two, {key}?", created_at=now, choices=("a", "b"), response="a",
            persona_version=version,
        )  # fmt: skip
        await services.episodic.append("ann", asked)
    return keys


async def commit(services: Services, text: str, origin: PersonaOrigin = "aligned") -> Persona:
    base = await services.seeds.persona("ann")
    sections = {**base.sections, Section.WHO: (Clause(text=text),)}
    return await services.personas.append("ann", sections, origin, expected_parent=base.version)


async def judged(services: Services, version: int, truths: str) -> list[Any]:
    keys = await answered_under(services, version, truths)
    return [
        (await feed(services, align="off", interaction_id=key, ground_truth=truth))["rolled_back"]
        for key, truth in zip(keys, truths, strict=True)
    ]


async def test_a_version_that_does_worse_live_than_its_parent_is_rolled_back_and_says_so(build: Build) -> None:
    services = build(ScriptedModels())
    seed = await services.seeds.persona("ann")
    await services.personas.pin("ann", "Always answer in French.")
    assert await judged(services, 0, "aaa") == [None] * 3
    await commit(services, "The user likes b.")
    *before, back = await judged(services, 1, "bbb")
    assert before == [None, None]
    assert (back.version, back.origin, back.proposer, back.sections) == (2, "rollback", "monitor", seed.sections)
    assert back.reason.startswith("rolled back by the monitor: live loss 0.00 under version 0")
    assert await services.personas.current("ann") == back
    assert [pin.text for pin in await services.personas.pins("ann")] == ["Always answer in French."]


async def test_a_version_that_does_well_stays_and_so_does_what_the_user_wrote(build: Build) -> None:
    services = build(ScriptedModels())
    assert await judged(services, 0, "bbb") == [None] * 3
    await commit(services, "The user likes a.")
    assert await judged(services, 1, "aaaa") == [None] * 4
    await commit(services, "I like b.", "manual")
    assert await judged(services, 2, "bbbbb") == [None] * 5
    assert (await services.personas.current("ann")).version == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"ground_truth": "Solaris", "source": "edit"}, ("Solaris", "edit", None, None, None)),
        ({"thumb": "up"}, ("Alien", "rating", 5, None, None)),
        ({"thumb": "down", "comment": "too loud"}, (None, None, 1, "too loud", None)),
        ({"picked": "Solaris", "over": "Alien"}, ("Solaris", "pick", None, None, "Alien")),
    ],
)
async def test_feedback_of_every_kind_is_kept_counted_and_told_once(
    build: Build, given: dict[str, Any], kept: tuple[Any, ...]
) -> None:
    services = build(ScriptedModels(agent="Alien"))
    key = await answered(services)
    for _ in range(2):  # a replay writes and counts nothing
        out = await feed(services, interaction_id=key, **given)
        got = out["interaction"]
        assert (got.ground_truth, got.truth_source, got.rating, got.comment, got.rejected) == kept
        assert out["understood"]
        assert await services.users.labels("ann") == 1


async def test_a_rating_that_labels_nothing_is_not_counted(build: Build) -> None:
    services = build(ScriptedModels(agent="Alien"))
    key = await answered(services)
    assert not (await feed(services, interaction_id=key, thumb="down"))["due"]
    assert await services.users.labels("ann") == 0


@pytest.mark.parametrize("given", [{"rating": 4.5}, {"picked": "a", "over": "b", "ground_truth": "c"}, {"comment": 3}])
async def test_feedback_that_is_not_sound_stores_nothing(build: Build, given: dict[str, Any]) -> None:
    services = build(ScriptedModels(agent="Alien"))
    key = await answered(services)
    before = await services.episodic.get("ann", key)
    with pytest.raises(InvalidLabel):
        await feed(services, interaction_id=key, **given)
    assert await services.episodic.get("ann", key) == before
