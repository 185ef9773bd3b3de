"""Judging several candidates on the same interactions, round by round, within a budget (best-arm racing)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from personaagent.context import Context
from personaagent.models.meter import Meter, metering
from personaagent.pace import Allowance, Pace, Room, elapsed
from personaagent.persona.gate import Evidence, Standing, behind, best_case, evidence_json, evidence_of, to_win
from personaagent.scheduling import rounds
from personaagent.simulation import Shared, Simulator
from personaagent.turn import EXAMPLES_KEY
from personaagent.types import Candidate, Challenger, Interaction, Persona, Sections, Simulation

KEPT = 2  # challengers of a user
Keep = Callable[[str, int, Sequence[Challenger]], Awaitable[None]]  # of user, base version and challengers
Told = Callable[[Mapping[str, Any]], None]  # progress: {step, done, total, seconds}


@dataclass(slots=True)
class Runner:
    """A candidate in the race, and what it showed so far."""

    candidate: Candidate
    evidence: Evidence
    judged: tuple[str, ...] = ()
    called: frozenset[str] = frozenset()  # older interactions that taught nobody either
    id: str = field(default_factory=lambda: uuid4().hex)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    standing: Standing = "open"
    why: str = ""
    losses: dict[str, float] = field(default_factory=dict)  # in this race, by interaction

    def may_be_judged_by(self, label: Interaction) -> bool:
        """Whether the interaction neither judged nor taught it."""
        since = self.evidence.since
        taught = since is not None and label.created_at < datetime.fromisoformat(since) and label.id not in self.called
        return label.id not in self.judged and not taught


def runner_of(challenger: Challenger) -> Runner:
    """The challenger back in the race."""
    return Runner(
        candidate=Candidate(proposer=challenger.proposer, sections=challenger.sections, reason=challenger.reason),
        evidence=evidence_of(challenger.evidence),
        judged=challenger.judged,
        id=challenger.id,
        created_at=challenger.created_at,
    )


def challengers_of(runners: Sequence[Runner], user_id: str, base_version: int) -> list[Challenger]:
    """The best ``KEPT`` of those that are ahead and still open."""
    ahead = [r for r in runners if r.standing == "open" and r.evidence.ahead]
    return [
        Challenger(
            id=r.id,
            user_id=user_id,
            base_version=base_version,
            proposer=r.candidate.proposer,
            sections=r.candidate.sections,
            reason=r.candidate.reason,
            evidence=evidence_json(r.evidence),
            judged=r.judged,
            created_at=r.created_at,
        )
        for r in sorted(ahead, key=lambda r: -r.evidence.wealth * r.evidence.alpha)[:KEPT]
    ]


@dataclass(slots=True, kw_only=True)
class Course:
    """What is raced on: the incumbent, the labels in their order, and what is known of the incumbent's answers.

    Without ``before`` each interaction sees all of memory before itself; ``first`` is the size of the first round.
    """

    user_id: str
    context: Context
    base: Persona
    incumbent: Sections
    labels: Sequence[Interaction]
    before: datetime | None
    first: int
    pace: Pace
    calls: int
    others: Sequence[Runner] = ()  # challengers that do not race, but share the places
    known: dict[str, Simulation] = field(default_factory=dict)  # the incumbent's answers, by interaction
    stopped: str = ""  # what budget ended it, in words; empty: none
    meter: Meter = field(default_factory=Meter)


class Race:
    """Judges candidates in growing rounds; those that are futile or beaten are out, and one proof ends it.

    After each round what is ahead is kept as challengers, so that whatever ends the race, nothing is judged twice.
    """

    def __init__(self, simulator: Simulator, allowance: Allowance, keep: Keep, margin: float) -> None:
        self._simulator = simulator
        self._allowance = allowance
        self._keep = keep
        self._margin = margin

    async def run(self, course: Course, runners: Sequence[Runner], told: Told) -> None:
        """Carry the race out; standings, evidence, ``known``, ``pace`` and ``stopped`` say what came of it."""
        done, labels = 0, course.labels
        for end in rounds(course.first, len(labels)) if labels else []:
            while done < end:
                running = [r for r in runners if r.standing == "open"]
                if not running or any(r.standing == "proven" for r in runners):
                    return
                fitting = await self._fitting(course, running, labels[done:end])
                if not fitting:
                    return
                await self._round(course, running, fitting, told)
                done += len(fitting)
                self._judge(course, runners, labels[done:])
                kept = challengers_of([*course.others, *runners], course.user_id, course.base.version)
                await self._keep(course.user_id, course.base.version, kept)

    async def answered(
        self, course: Course, interactions: Sequence[Interaction], told: Told, step: str, shared: Shared | None = None
    ) -> list[Simulation]:
        """The incumbent's answers, in order; those that are known or were really given under it need no call."""
        missing = [i for i in interactions if i.id not in course.known]
        live = [i for i in missing if lived(i, course.base)]
        for past in live:
            course.known[past.id] = await self._simulator.recorded(past)
        rest = [i for i in missing if i.id not in course.known]
        await self._simulate(
            course, course.incumbent, rest, course.before, course.known, told, step, shared or Shared()
        )
        return [course.known[i.id] for i in interactions]

    async def tried(
        self,
        course: Course,
        sections: Sections,
        interactions: Sequence[Interaction],
        told: Told,
        step: str,
        shared: Shared,
    ) -> dict[str, Simulation]:
        """The answers under these sections, by interaction.

        What the incumbent answered live it answered with all memory before it, and so do other sections.
        """
        answers: dict[str, Simulation] = {}
        for before, some in (
            (None, [i for i in interactions if lived(i, course.base)]),
            (course.before, [i for i in interactions if not lived(i, course.base)]),
        ):
            await self._simulate(course, sections, some, before, answers, told, step, shared)
        return answers

    async def room(self, course: Course) -> Room:
        """How many simulations still fit."""
        return await self._allowance.room(course.user_id, course.pace, course.calls + course.meter.total.calls)

    async def _fitting(
        self, course: Course, running: Sequence[Runner], labels: Sequence[Interaction]
    ) -> Sequence[Interaction]:
        """As many of the labels as the budget has room for; none, and why, where it has none."""
        room = await self.room(course)
        cost, count = 0, 0
        for label in labels:
            cost += sum(1 for r in running if r.may_be_judged_by(label))
            cost += not (label.id in course.known or lived(label, course.base))
            if cost > room.simulations:
                break
            count += 1
        if not count:
            course.stopped = room.bound
        return labels[:count]

    async def _round(
        self, course: Course, running: Sequence[Runner], labels: Sequence[Interaction], told: Told
    ) -> None:
        shared = Shared()
        mine = {r.id: [i for i in labels if r.may_be_judged_by(i)] for r in running}
        asked = [i for i in labels if any(i in some for some in mine.values())]
        await self.answered(course, asked, told, "judge: the version in force", shared)
        new: dict[str, dict[str, Simulation]] = {}
        for at, runner in enumerate(running, start=1):
            step = f"judge: candidate {at} of {len(running)}"
            sections = runner.candidate.sections
            new[runner.id] = await self.tried(course, sections, mine[runner.id], told, step, shared)
        for runner in running:
            for label in mine[runner.id]:
                after = new[runner.id][label.id]
                runner.evidence = runner.evidence.observe(course.known[label.id], after, belief(label))
                runner.losses[label.id] = after.loss
            runner.judged = (*runner.judged, *(i.id for i in mine[runner.id]))

    async def _simulate(
        self,
        course: Course,
        sections: Sections,
        interactions: Sequence[Interaction],
        before: datetime | None,
        into: dict[str, Simulation],
        told: Told,
        step: str,
        shared: Shared,
    ) -> None:
        if not interactions:
            return
        began, total, done = time.perf_counter(), len(interactions), 0

        def one() -> None:
            nonlocal done
            done += 1
            told({"step": step, "done": done, "total": total, "seconds": elapsed(course.pace)})

        with metering() as meter:
            try:
                answers = await self._simulator.simulate(
                    course.user_id, course.context, sections, interactions, before=before, shared=shared, told=one
                )
            finally:  # what was spent is spent, also where it is interrupted
                await asyncio.shield(self._allowance.book(course.user_id, meter))
        into.update((answer.interaction_id, answer) for answer in answers)
        course.pace = course.pace.after(total, time.perf_counter() - began, meter)
        for role, usage in meter.by_role.items():
            course.meter.add(role, usage)

    def _judge(self, course: Course, runners: Sequence[Runner], left: Sequence[Interaction]) -> None:
        for runner in runners:
            if runner.standing == "open":
                runner.standing, runner.why = runner.evidence.judge(self._margin)
        open_ones = sorted((r for r in runners if r.standing == "open"), key=lambda r: -r.evidence.wealth)
        for runner in open_ones:
            gains = [to_win(course.known.get(i.id), belief(i)) for i in left if runner.may_be_judged_by(i)]
            hopeless = best_case(runner.evidence, gains) < 1 / runner.evidence.alpha
            if hopeless and not runner.evidence.ahead:
                runner.standing, runner.why = "dropped", "what is left to judge by cannot prove it"
        for runner in open_ones[1:]:
            if runner.standing == "open" and behind(runner.losses, open_ones[0].losses):
                runner.standing, runner.why = "dropped", f"behind {open_ones[0].candidate.proposer}"


def lived(label: Interaction, base: Persona) -> bool:
    """Whether the version in force itself answered it live, without edited answers as examples: it is not simulated."""
    alone = bool(label.response) and not label.choices and not label.metadata.get(EXAMPLES_KEY)
    return alone and label.persona_version == base.version


def belief(label: Interaction) -> float | None:
    """How far an implicit label is to be believed; None: the user said it."""
    return (label.truth_confidence or 1.0) if label.truth_source == "implicit" else None


def settled(runner: Runner, margin: float, **noted: Any) -> Candidate:
    """The candidate with the verdict that the race came to."""
    verdict = runner.evidence.verdict(margin)
    if runner.standing != "proven" and runner.why and runner.why not in verdict.reason:
        verdict = replace(verdict, accepted=False, reason=f"{runner.why}; {verdict.reason}")
    return replace(runner.candidate, verdict=verdict, **noted)
