"""Forgetting that forgets: the interactions, what was derived from them, and a report of what went and what remains.

All that the ledger has of it goes in one transaction, with the work that it makes for the index and the mark that the
files are to be cleaned: a kill leaves all of it or nothing, and the next process does the rest. What waits in the spool
is brought into the ledger before. Nothing can be derived from it afterwards: facts are only taken on evidence that is
there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete

from personaagent.errors import InputError, PersonaAgentError, StoreError, UnknownInteraction
from personaagent.inputs import check_user_id
from personaagent.labels.statistics import STATISTICS, statistic_facts
from personaagent.ledger.candidates import Candidates, Challengers, Critiques
from personaagent.ledger.database import Database
from personaagent.ledger.facts import Facts
from personaagent.ledger.interactions import Interactions
from personaagent.ledger.queues import Jobs
from personaagent.ledger.tables import facts as facts_table
from personaagent.ledger.users import Grants, Users
from personaagent.ledger.waiting import WaitingTurns
from personaagent.memory.about import About, echoed, said
from personaagent.memory.indexer import Indexer
from personaagent.persona.store import LedgerPersonaStore, without_evidence
from personaagent.ports import Where
from personaagent.text import one_line
from personaagent.turn import RUN_KEY
from personaagent.types import Interaction, Recall, Sections, clauses_of

PAGE = 1_000
FIRST = 5  # memories that are shown before they are forgotten
LINE_CHARS = 160  # of each
NEAR = 0.45  # the cosine from which another memory is shown beside those that are chosen by words


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to forget: these ids, all that ``where`` leaves (a task, a time range, a thread), or everything.

    ``about`` names a matter in words ("my divorce"): of what ``where`` leaves, what has all of them, and the facts and
    clauses that have them.
    """

    ids: tuple[str, ...] = ()
    where: Where | None = None
    everything: bool = False
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetReport:
    """What went, by id where it has one, and what the caller still has to see to."""

    user_id: str
    interactions: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()  # ids asked for that this user does not have
    facts_deleted: tuple[str, ...] = ()
    facts_trimmed: tuple[str, ...] = ()  # still stand on other interactions
    personas_deleted: int = 0
    persona_rebuilt: int | None = None  # the new version, where clauses lost all they stood on
    candidates: int = 0
    challengers: int = 0
    critiques: int = 0
    jobs: int = 0
    pins: int = 0
    index_pending: int = 0  # index work that waits because the index does not answer
    threads: tuple[str, ...] = ()  # threads of conversation whose checkpoints may hold copies
    remains: tuple[str, ...] = field(default=())  # in words

    def __str__(self) -> str:
        lines = [
            f"{len(self.interactions)} interactions forgotten",
            f"facts: {len(self.facts_deleted)} gone, {len(self.facts_trimmed)} trimmed",
            f"persona: {self._persona()}",
            f"candidates {self.candidates + self.challengers}, critiques {self.critiques}, "
            f"jobs {self.jobs}, pins {self.pins}",
        ]
        return "\n".join(
            [*lines, *(f"unknown: {i}" for i in self.unknown), *(f"still there: {r}" for r in self.remains)]
        )

    def _persona(self) -> str:
        if self.personas_deleted:
            return f"{self.personas_deleted} versions gone"
        return "unchanged" if self.persona_rebuilt is None else f"rebuilt as version {self.persona_rebuilt}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetPreview:
    """What forgetting a selection would take."""

    memories: int
    oldest: datetime | None
    newest: datetime | None
    facts: tuple[str, ...]  # their texts: nothing else carries them
    trimmed: int  # facts that still stand on other memories
    clauses: tuple[str, ...]  # sentences of the persona in force
    versions: int = 0
    pins: int = 0  # all of them, or the wishes that were said there
    first: tuple[str, ...] = ()  # what was said in the newest of them, each on a line
    near: tuple[str, ...] = ()  # what was said that means something alike, and stays

    def __bool__(self) -> bool:
        """Whether anything would go."""
        return bool(self.memories or self.facts or self.clauses or self.versions or self.pins)

    def __str__(self) -> str:
        lines = [f"{self.memories} interaction{'s' * (self.memories != 1)} would be forgotten"]
        lines += [f"{self.pins} pins, {self.versions} versions"] if self.pins or self.versions else []
        told = {"said": self.first, "fact": self.facts, "persona": self.clauses, "stays, though near": self.near}
        return "\n".join([*lines, *(f"{name}: {text}" for name, texts in told.items() for text in texts)])


class Forgetter:
    """Forgets for one user at a time, over every store that holds something of them."""

    def __init__(
        self,
        database: Database,
        indexer: Indexer,
        *,
        drain_spool: Callable[[], Awaitable[object]] | None = None,
        search: Callable[[str, str, int], Awaitable[Sequence[Recall]]] | None = None,
    ) -> None:
        self._database = database
        self._interactions = Interactions(database)
        self._facts = Facts(database)
        self._personas = LedgerPersonaStore(database)
        self._candidates = Candidates(database)
        self._challengers = Challengers(database)
        self._critiques = Critiques(database)
        self._jobs = Jobs(database)
        self._waiting = WaitingTurns(database)
        self._grants = Grants(database)
        self._users = Users(database)
        self._indexer = indexer
        self._drain_spool = drain_spool
        self._search = search
        self.on_threads: Callable[[str, Sequence[str]], None] = lambda _user, _threads: None  # that may hold copies

    async def forget(self, user_id: str, selection: Selection) -> ForgetReport:
        """Forget the selection. Unknown ids are reported, not an error.

        Raises InputError when nothing is selected; LedgerUnavailable, and then nothing is forgotten.
        """
        check_user_id(user_id)
        chosen_by = selection.everything, selection.ids, selection.about, selection.where not in {None, Where()}
        if not any(chosen_by):
            raise InputError("nothing is selected: name ids, a task, a time range or a matter, or say everything")
        if self._drain_spool is not None:
            await self._drain_spool()
        chosen = await self.chosen(user_id, selection)
        everything = selection.everything
        report = await (self._everything(user_id, chosen) if everything else self._some(user_id, selection, chosen))
        self.on_threads(user_id, report.threads)
        return await self._finish(report, _threads(i for i in chosen if RUN_KEY in i.metadata))

    async def _some(self, user_id: str, selection: Selection, chosen: Sequence[Interaction]) -> ForgetReport:
        found = {interaction.id for interaction in chosen}
        ids = found | set(selection.ids)  # unknown ids as well: something may still name them
        matter = _matter(selection)
        named = [fact.id for fact in await self._facts.history(user_id) if fact.text in matter]
        counted = any(interaction.ground_truth is not None for interaction in chosen)
        wishes = sum(pin.said_in in ids for pin in await self._personas.pins(user_id))
        async with self._database.together(user_id):
            gone, trimmed = await self._facts.drop_evidence(user_id, ids)
            gone += [key for key in named if key not in gone and await self._facts.delete(user_id, key)]
            challengers = await self._challengers.drop_evidence(user_id, ids, matter)
            rebuilt = await self._personas.drop_evidence(user_id, ids, matter)
            candidates = await self._candidates.drop_evidence(user_id, ids, matter)
            critiques = await self._critiques.drop_evidence(user_id, ids)
            if counted:
                await self._drop_statistics(user_id)
            await self._waiting.delete_user(user_id)  # what waits has words of its conversation
            await self._interactions.delete(user_id, sorted(found))
            await self._database.owe_scrub()
        if counted:
            await self._count_anew(user_id)
        return ForgetReport(
            user_id=user_id,
            interactions=tuple(sorted(found)),
            unknown=tuple(i for i in dict.fromkeys(selection.ids) if i not in found),
            facts_deleted=tuple(gone),
            facts_trimmed=tuple(trimmed),
            persona_rebuilt=None if rebuilt is None else rebuilt.version,
            candidates=candidates,
            challengers=challengers,
            critiques=critiques,
            pins=wishes,
            threads=_threads(chosen),
        )

    async def _everything(self, user_id: str, chosen: Sequence[Interaction]) -> ForgetReport:
        facts = await self._facts.history(user_id)
        pins = await self._personas.pins(user_id)
        async with self._database.together(user_id):
            jobs = await self._jobs.delete_user(user_id)
            candidates = await self._candidates.delete_user(user_id)
            challengers = await self._challengers.delete_user(user_id)
            critiques = await self._critiques.delete_user(user_id)
            personas = await self._personas.delete_user(user_id)
            await self._facts.delete_user(user_id)
            await self._waiting.delete_user(user_id)
            await self._interactions.delete_user(user_id)
            await self._grants.clear(user_id)
            await self._users.delete_user(user_id)
            await self._database.owe_scrub()
        return ForgetReport(
            user_id=user_id,
            interactions=tuple(sorted(interaction.id for interaction in chosen)),
            facts_deleted=tuple(fact.id for fact in facts),
            personas_deleted=personas,
            candidates=candidates,
            challengers=challengers,
            critiques=critiques,
            jobs=jobs,
            pins=len(pins),
            threads=_threads(chosen),
        )

    async def _finish(self, report: ForgetReport, served: Sequence[str]) -> ForgetReport:
        """Carry the work out on the index as well, and say what is left; ``served``: threads of a LangGraph server."""
        remains = []
        try:
            await self._indexer.flush(report.user_id)
        except PersonaAgentError as error:
            remains.append(f"vectors, until the index answers ({error})")
        pending = await self._indexer.depth(report.user_id)
        if (waits := await self._database.scrub()) is not None:
            remains.append(f"words in the unused parts of the ledger's files, which are cleaned soon ({waits})")
        if served:
            remains.append(f"checkpoints of {len(served)} threads on the LangGraph server: delete the threads")
        return replace(report, index_pending=pending, remains=tuple(remains))

    async def preview(self, user_id: str, selection: Selection) -> ForgetPreview:
        """What ``forget`` would take; nothing is changed. Raises UnknownInteraction where no chosen id is there."""
        chosen = await self.chosen(user_id, selection)
        if selection.ids and not chosen:
            raise UnknownInteraction("this memory is not here")
        ids = {interaction.id for interaction in chosen}
        times = [interaction.created_at for interaction in chosen]
        shown = sorted(chosen, key=_newest_said(selection))[:FIRST]
        return ForgetPreview(
            memories=len(chosen),
            oldest=min(times, default=None),
            newest=max(times, default=None),
            first=tuple(one_line(interaction.query, LINE_CHARS) for interaction in shown),
            near=await self._near(user_id, selection, ids),
            **await self._derived(user_id, selection, ids),
        )

    async def _derived(self, user_id: str, selection: Selection, ids: Collection[str]) -> dict[str, Any]:
        """The fields of the preview that tell what was derived from these interactions."""
        persona = await self._personas.current(user_id)
        before: Sections = persona.sections if persona else {}
        touched = gone = await self._facts.history(user_id)
        versions = await self._personas.history(user_id)
        clauses = [clause.text for clause in clauses_of(before)]
        pins = await self._personas.pins(user_id)
        if not selection.everything:
            matter = _matter(selection)
            touched = [fact for fact in touched if not set(fact.evidence).isdisjoint(ids) or fact.text in matter]
            gone = [fact for fact in touched if set(fact.evidence) <= set(ids) or fact.text in matter]
            versions, clauses = [], _falling(before, ids, matter)
            pins = [pin for pin in pins if pin.said_in in ids]
        return {
            "facts": tuple(fact.text for fact in gone),
            "trimmed": len(touched) - len(gone),
            "clauses": tuple(clauses),
            "versions": len(versions),
            "pins": len(pins),
        }

    async def _near(self, user_id: str, selection: Selection, ids: Collection[str]) -> tuple[str, ...]:
        """What was said that is near to the matter in meaning alone; none where the index does not answer."""
        if not selection.about or self._search is None:
            return ()
        try:
            found = await self._search(user_id, selection.about, FIRST)
        except StoreError:
            return ()
        alike = [r for r in found if r.interaction.id not in ids and (r.similarity or 0) >= NEAR]
        return tuple(one_line(recall.interaction.query, LINE_CHARS) for recall in alike)

    async def chosen(self, user_id: str, selection: Selection) -> list[Interaction]:
        """The user's interactions that ``forget`` would take with that selection; nothing is changed."""
        if selection.everything:
            selection = Selection(where=Where(abandoned=None))
        found = list((await self._interactions.get_many(user_id, list(selection.ids))).values())
        where = selection.where or (Where() if selection.about else None)
        where = where and replace(where, abandoned=None)
        about = About(selection.about) if selection.about else None
        rows: list[Interaction] = []
        while where is not None:
            page = await self._interactions.newest(user_id, PAGE, where)
            rows += page if about is None else await asyncio.to_thread(_telling, page, about)
            where = replace(where, before=page[0].created_at) if len(page) == PAGE else None
        found += rows if about is None else _since_said(rows, about)
        return list({interaction.id: interaction for interaction in found}.values())

    async def _drop_statistics(self, user_id: str) -> None:
        """Delete what counts interactions without naming them, with its history."""
        mine = facts_table.c.user_id == user_id, facts_table.c.source == STATISTICS
        async with self._database.write(user_id) as connection:
            await connection.execute(delete(facts_table).where(*mine))

    async def _count_anew(self, user_id: str) -> None:
        """Make the statistics of what is left; after a crash the next refresh of the profile makes them."""
        await self._drop_statistics(user_id)
        through = await self._facts.through(user_id)
        if through is not None:
            history = await self._interactions.newest(user_id, PAGE, Where(labelled=True))
            await self._facts.apply(user_id, statistic_facts(history, []), through=through)


def _matter(selection: Selection) -> Container[str]:
    """What facts and clauses are to have; nothing does where only a part of the memories is chosen by it."""
    return About(selection.about) if selection.about and selection.where in {None, Where()} else ()


def _telling(page: Sequence[Interaction], about: About) -> list[Interaction]:
    return [i for i in page if said(i) in about or echoed(i) in about]


def _since_said(rows: Sequence[Interaction], about: About) -> list[Interaction]:
    """Those in which the user says it; an answer that does repeats the user only where they have said it by then."""
    own = {i.id for i in rows if said(i) in about}
    first = min((i.created_at for i in rows if i.id in own), default=None)
    return [i for i in rows if i.id in own or (first is not None and i.created_at > first)]


def _newest_said(selection: Selection) -> Callable[[Interaction], tuple[bool, float]]:
    """The order in which memories are shown: what the user said before what only repeats it, the newest first."""
    about: Container[str] = About(selection.about) if selection.about else ()
    return lambda interaction: (said(interaction) not in about, -interaction.created_at.timestamp())


def _falling(sections: Sections, ids: Collection[str], matter: Container[str]) -> list[str]:
    """The texts of the clauses that go with these interactions."""
    left, _ = without_evidence(sections, ids, matter)
    texts = {clause.text for clause in clauses_of(left)}
    return [clause.text for clause in clauses_of(sections) if clause.text not in texts]


def _threads(interactions: Iterable[Interaction]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(i.thread_id for i in interactions if i.thread_id is not None))
