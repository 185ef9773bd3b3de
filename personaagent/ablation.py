"""What of a proven candidate earns its place: each clause that a model wrote is left out once, and judged without.

A candidate is proven as a whole, so a clause that does nothing, or that somebody else had a model write, would be
committed beside the one that helps. What it says is not read here: it stays only where answers get worse without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from personaagent.memory.earnest import parts
from personaagent.persona.constraint import constraints_of
from personaagent.persona.edit import without
from personaagent.persona.gate import TIE, Evidence
from personaagent.persona.proposers.comments import KIND as COMMENTS
from personaagent.racing import Course, Race, Runner, Told, belief
from personaagent.simulation import Shared
from personaagent.text import one_line
from personaagent.types import Clause, Interaction, Section, Sections, Simulation, clauses_of

PART = 0.1  # of the candidate's gain in loss, that may be lost by all clauses left out together
PLAIN = 0.5  # of it, at which no further label is needed to see that a clause is wanted
CHUNK = 3  # labels simulated before looking at it
SHOWN_CHARS = 80


async def leave_out(
    race: Race, course: Course, runners: Sequence[Runner], labels: Sequence[Interaction], margin: float, told: Told
) -> None:
    """Take from each proven runner the model-written clauses without which the labels are answered as well.

    ``labels`` are looked through for those that judged it. Its evidence is then that of what is left, which may be no
    proof any more. Where the budget has no room, or a simulation fails, the runner is open again and ``course.stopped``
    says why: nothing is committed that was not judged clause by clause.
    """
    for runner in runners:
        if runner.standing == "proven" and _written(runner.candidate.sections, course.incumbent):
            await _Ablation(race, course, runner, labels, told).run(margin)


class _Ablation:
    def __init__(self, race: Race, course: Course, runner: Runner, labels: Sequence[Interaction], told: Told) -> None:
        self._race, self._course, self._runner, self._told = race, course, runner, told
        self._labels = [i for i in labels if i.id in runner.judged]
        self._shared = Shared()
        self._with: dict[str, float] = {}  # losses of the whole candidate
        self._old: dict[str, Simulation] = {}  # the incumbent's answers
        self._gained: float | None = None
        self._left: Sections = runner.candidate.sections
        self._after: dict[str, Simulation] = {}  # the answers under what is left
        self._dropped: list[Clause] = []

    async def run(self, margin: float) -> None:
        base = self._course.incumbent
        self._gained = await self._gain()
        await self._consider([clause for _, clause in _written(self._left, base)])
        pieces = _pieces(self._left, base)
        self._left = _split(self._left, pieces)
        await self._consider([part for found in pieces.values() for part in found])
        self._left = _joined(self._left, pieces)
        self._settle(margin)

    async def _consider(self, clauses: Sequence[Clause]) -> None:
        """Leave out each of them without which nothing is lost, longest first, until the budget ends it."""
        for clause in sorted(clauses, key=lambda c: -len(c.text)):
            trial = without(self._left, self._course.incumbent, [clause])
            if self._gained is None or _texts(trial) == _texts(self._course.incumbent):
                continue
            answers = await self._answers(trial, self._gained)
            if answers is None:
                self._gained = None  # no room, or no answer: what is left was not judged
            elif self._rise(answers) <= PART * self._gained:
                self._left, self._after = trial, answers
                self._dropped.append(clause)

    async def _gain(self) -> float | None:
        """What the whole candidate gains on the labels; None where that could not be seen."""
        missing = [i for i in self._labels if i.id not in self._runner.losses]
        unknown = [i for i in self._labels if i.id not in self._course.known]
        if not await self._room(len(missing) + len(unknown)):
            return None
        olds = await self._race.answered(self._course, self._labels, self._told, "clause by clause", self._shared)
        found = await self._simulated(self._runner.candidate.sections, missing)
        if any(one.error is not None for one in found.values()):
            self._stop("a simulation failed")
            return None
        self._old = {one.interaction_id: one for one in olds if one.error is None}
        self._with = self._runner.losses | {name: one.loss for name, one in found.items()}
        self._labels = sorted((i for i in self._labels if i.id in self._old), key=self._won, reverse=True)
        return sum(self._won(i) for i in self._labels)

    async def _answers(self, trial: Sections, gain: float) -> dict[str, Simulation] | None:
        """The answers without a clause, to as many labels as it takes; None where they cannot be had."""
        answers: dict[str, Simulation] = {}
        for start in range(0, len(self._labels), CHUNK):
            chunk = self._labels[start : start + CHUNK]
            if not await self._room(len(chunk)):
                return None
            answers |= await self._simulated(trial, chunk)
            if any(one.error is not None for one in answers.values()):
                self._stop("a simulation failed")
                return None
            if self._rise(answers) > PLAIN * gain:
                break
        return answers

    async def _simulated(self, sections: Sections, labels: Sequence[Interaction]) -> dict[str, Simulation]:
        return await self._race.tried(self._course, sections, labels, self._told, "clause by clause", self._shared)

    async def _room(self, simulations: int) -> bool:
        room = await self._race.room(self._course)
        if room.simulations < simulations:
            self._stop(room.bound)
        return room.simulations >= simulations

    def _stop(self, why: str) -> None:
        self._course.stopped = why

    def _won(self, label: Interaction) -> float:
        return _weighed(label, self._old[label.id].loss - self._with[label.id])

    def _rise(self, answers: dict[str, Simulation]) -> float:
        return sum(_weighed(i, answers[i.id].loss - self._with[i.id]) for i in self._labels if i.id in answers)

    def _settle(self, margin: float) -> None:
        runner = self._runner
        if self._dropped:
            evidence = Evidence(alpha=runner.evidence.alpha, since=runner.evidence.since)
            for label in sorted(self._labels, key=lambda i: i.created_at):
                evidence = evidence.observe(self._old[label.id], self._after[label.id], belief(label))
            shown = "; ".join(f'"{one_line(clause.text, SHOWN_CHARS)}"' for clause in self._dropped)
            reason = f"{runner.candidate.reason}; left out, as nothing is lost without: {shown}".lstrip("; ")
            runner.candidate = replace(runner.candidate, sections=self._left, reason=reason)
            runner.evidence, runner.losses = evidence, {name: one.loss for name, one in self._after.items()}
            runner.standing, runner.why = evidence.judge(margin)
        if self._gained is None:
            runner.standing, runner.why = "open", "not judged clause by clause yet"


def _weighed(label: Interaction, difference: float) -> float:
    doubt = belief(label)
    return 0.0 if abs(difference) <= TIE else difference * (1.0 if doubt is None else min(1.0, max(0.0, doubt)))


def _written(sections: Sections, base: Sections) -> list[tuple[Section, Clause]]:
    """The clauses that are not in ``base`` and have a model's words; those of counting proposers are not among them."""
    known = _texts(base)
    return [
        (section, clause)
        for section, clauses in sections.items()
        for clause in clauses
        if clause.text not in known
        and (clause.kind is None or (clause.kind == COMMENTS and not constraints_of(clause.text)))
    ]


def _pieces(sections: Sections, base: Sections) -> dict[tuple[Section, Clause], tuple[Clause, ...]]:
    """The written clauses that say several things, each part as a clause of its own."""
    said = {(section, clause): parts(clause.text) for section, clause in _written(sections, base)}
    return {key: tuple(replace(key[1], text=text) for text in texts) for key, texts in said.items() if len(texts) > 1}


def _split(sections: Sections, pieces: dict[tuple[Section, Clause], tuple[Clause, ...]]) -> Sections:
    return {
        section: tuple(part for clause in clauses for part in pieces.get((section, clause), (clause,)))
        for section, clauses in sections.items()
    }


def _joined(sections: Sections, pieces: dict[tuple[Section, Clause], tuple[Clause, ...]]) -> Sections:
    """The sections with the clauses of which nothing was left out as they were written."""
    left = {section: list(clauses) for section, clauses in sections.items()}
    for (section, clause), found in pieces.items():
        if all(part in left.get(section, []) for part in found):
            at = left[section].index(found[0])
            left[section][at : at + len(found)] = [clause]
    return {section: tuple(clauses) for section, clauses in left.items() if clauses}


def _texts(sections: Sections) -> list[str]:
    return [clause.text for clause in clauses_of(sections)]
