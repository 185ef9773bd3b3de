"""Everything that one user can do with their agent: the use cases, each of them once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import NAMESPACE_URL, uuid4, uuid5

from personaagent.errors import InputError, InvalidContext, InvalidLabel, UnknownInteraction, UnknownPin
from personaagent.inputs import check_query
from personaagent.library.turn import Event, Run, Turn, finished
from personaagent.library.values import (
    FeedbackTaken,
    ImportTaken,
    Memories,
    PersonaDiff,
    PersonaView,
    Rejected,
    Rows,
    ToolAccess,
    Why,
)

if TYPE_CHECKING:
    from langchain_core.messages import AnyMessage, HumanMessage

    from personaagent.context import Context
    from personaagent.graph.services import Services
    from personaagent.library.agent import PersonaAgent
    from personaagent.library.aligning import Aligned
    from personaagent.memory.forgetting import ForgetPreview, ForgetReport, Selection
    from personaagent.memory.portability import UserDocument
    from personaagent.persona.standing_wishes import Heeded
    from personaagent.ports import Where
    from personaagent.types import Fact, Interaction, Persona, Pin, Recall

Align = Literal["background", "now", "off"]
EVIDENCE = 10_000  # newest interactions that a written clause's evidence is looked up in
_THREADS = uuid5(NAMESPACE_URL, "personaagent/thread")


class User:
    """One user's agent, of ``PersonaAgent.user``. It reaches this user's data and nobody else's.

    Any method may raise StoreError where what is kept cannot be used now.
    """

    def __init__(self, agent: PersonaAgent, user_id: str) -> None:
        self._agent = agent
        self.id = user_id

    def __repr__(self) -> str:
        return f"User({self.id!r})"

    @property
    def _services(self) -> Services:
        return self._agent.services

    # --- conversation

    async def ask(self, query: str, *, thread: str | None = None, **how: Any) -> Turn:
        """Answer a message of at most ``Settings.max_query_chars`` characters, under the user's persona.

        With a ``thread``, any name of the user's own, the conversation of that name goes on; several go on side by
        side. Without one the message stands alone. ``how`` has the fields of ``Context``: ``task``, ``instructions``,
        ``choices`` (the closed answer space), ``tools`` (names), ``recall_k``, ``personalize``, ``align``. A turn with
        ``approvals`` waits for a decision. Raises EmptyQuery, QueryTooLong, InvalidContext, ModelError.
        """
        return await finished(self.stream(query, thread=thread, **how))

    def stream(self, query: str, *, thread: str | None = None, **how: Any) -> AsyncIterator[Event]:
        """As ``ask``: yields ``Token`` and ``ToolStep`` as they come, and the finished ``Turn`` at last.

        In a closed answer space there are no tokens.
        """
        from langchain_core.messages import HumanMessage

        thread_id = str(uuid4()) if thread is None else self.thread_id(thread)
        run = Run(user=self, query=query, context=self._context(**how), thread_id=thread_id, thread=thread)
        return self._events(run, {"messages": [HumanMessage(query, id=str(uuid4()))]})

    def stream_after(
        self,
        query: str | HumanMessage,
        earlier: Sequence[AnyMessage],
        *,
        thread_id: str,
        context: Context,
        forked: bool = False,
    ) -> AsyncIterator[Event]:
        """As ``stream``, for a front door that knows what was said ``earlier``: this object keeps nothing of it.

        ``thread_id`` is the one that the memory of the turn carries; ``forked``: nothing that the thread had is part of
        the conversation any more. A message with the id of a former one takes its place.
        """
        from langchain_core.messages import HumanMessage

        asked = query if isinstance(query, HumanMessage) else HumanMessage(query)
        asked = asked if asked.id else asked.model_copy(update={"id": str(uuid4())})
        run = Run(
            user=self, query=asked.text, context=context, thread_id=thread_id, thread=None,
            saver=self._agent.new_saver(), forked=forked,
        )  # fmt: skip
        return self._events(run, {"messages": [*earlier, asked]})

    def thread_id(self, thread: str) -> str:
        """The id under which a thread of this name is kept: another user's thread of the same name has another."""
        return str(uuid5(_THREADS, f"{len(self.id)}:{self.id}{thread}"))

    async def feedback(self, interaction_id: str, *, align: Align = "background", **said: Any) -> FeedbackTaken:
        """Take in what the user says of a remembered answer, in the fields of ``FeedbackInput``.

        ``align``: what happens when enough labels are new. Raises InvalidLabel, UnknownInteraction; then nothing
        is kept.
        """
        if not interaction_id:
            raise InvalidLabel("this answer is not remembered, so nothing can be said of it: ask with personalization")
        given: Any = {**said, "interaction_id": interaction_id}
        result = await self._agent.feedback_graph.ainvoke(given, context=self._context(align=align))
        return FeedbackTaken(
            interaction=result["interaction"],
            understood=tuple(result["understood"]),
            alignment_due=result["due"],
            outcome=result.get("outcome") or "",
            committed=result.get("committed"),
            rolled_back=result.get("rolled_back"),
        )

    async def wish(self, text: str) -> Heeded:
        """Keep a lasting wish of at most 200 characters ("Always answer in French"), or take one back.

        Raises InvalidPersona.
        """
        from personaagent.persona.standing_wishes import StandingWishes

        services = self._services
        return await StandingWishes(services.personas, services.episodic, services.models).state(self.id, text)

    async def align(
        self,
        *,
        on_line: Callable[[str], None] = lambda _: None,
        on_step: Callable[[str, int, int], None] = lambda _step, _done, _total: None,
        **how: Any,
    ) -> Aligned:
        """Align the persona on the latest labelled interactions, now (paper, test-time preference alignment).

        ``on_line`` gets a line for each step, ``on_step`` its progress (step, done, in all); ``how`` has the fields
        ``align_*`` of ``Context``. Raises AlignmentRunning where another one of this user is under way, ModelError.
        """
        from personaagent.library.aligning import align

        return await align(self._services, self._context(**how), on_line, on_step)

    # --- persona

    async def persona(self, version: int | None = None) -> PersonaView:
        """The version in force, as it would begin where there is none yet, or another one. Raises UnknownVersion."""
        services = self._services
        persona = await self._version(version)
        pins = tuple(await services.personas.pins(self.id))
        return PersonaView(persona=persona, pins=pins, personalized=await services.users.personalize(self.id))

    async def history(self) -> Rows[Persona]:
        """All versions, oldest first."""
        return Rows(await self._services.personas.history(self.id))

    async def diff(self, before: int | None = None, after: int | None = None) -> PersonaDiff:
        """What changed between two versions; by default between the one in force and its parent.

        Raises UnknownVersion.
        """
        new = await self._version(after)
        parent = new.parent if new.parent is not None else new.version
        wanted = parent if before is None else before
        old = new if wanted == new.version else await self._services.personas.get(self.id, wanted)
        return PersonaDiff(before=old, after=new)

    async def why(self, version: int | None = None) -> Why:
        """Why a version, by default the one in force, came about. Raises UnknownVersion."""
        services = self._services
        persona = await self._version(version)
        critiques = [one for one in await services.critiques.history(self.id) if one.version == persona.version]
        about = await services.interactions.get_many(self.id, [one.interaction_id for one in critiques])
        queries = {key: interaction.query for key, interaction in about.items()}
        return Why(persona=persona, critiques=tuple(critiques), queries=queries)

    async def candidates(self, limit: int = 20) -> Rows[Rejected]:
        """What alignments proposed and the gate turned down, newest first."""
        return Rows(
            Rejected(at=at, run=c.run, epoch=c.epoch, proposer=c.proposer, sections=c.sections, verdict=c.verdict)
            for at, c in await self._services.candidates.dated(self.id, limit)
        )

    async def edit_persona(self, text: str, *, expected_parent: int | None = None) -> Persona:
        """Put a text of the user's own in force as the next version; returns the version in force.

        The text has the form of ``PersonaView.text``: ``## section`` and ``- clause``. Raises InvalidPersona, and
        PersonaConflict where ``expected_parent`` is no longer in force.
        """
        from personaagent.persona.edit import read_edit

        services = self._services
        current = await services.seeds.persona(self.id)
        known = {i.id for i in await services.episodic.newest(self.id, EVIDENCE)}
        budget = services.settings.persona_token_budget
        sections = read_edit(text, current.sections, budget_tokens=budget, known_ids=known)
        if sections == current.sections:
            return current
        parent = current.version if expected_parent is None else expected_parent
        return await services.personas.append(
            self.id, sections, "manual", expected_parent=parent, proposer="user", reason="edited by hand"
        )

    async def roll_back(self, version: int, reason: str = "") -> Persona:
        """Put an old version back in force, as a new version that copies it. Raises UnknownVersion."""
        reason = reason or f"rolled back to version {version}"
        return await self._services.personas.rollback(self.id, version, reason=reason)

    async def pins(self) -> Rows[Pin]:
        """The user's own instructions and wishes, oldest first."""
        return Rows(await self._services.personas.pins(self.id))

    async def pin(self, text: str) -> Pin:
        """Add an instruction that alignment may never touch. Raises InvalidPersona (empty, over 500 characters)."""
        return await self._services.personas.pin(self.id, text)

    async def unpin(self, pin_id: str) -> Pin:
        """Remove an instruction; returns it. Raises UnknownPin."""
        for pin in await self._services.personas.pins(self.id):
            if pin.id == pin_id:
                await self._services.personas.unpin(self.id, pin_id)
                return pin
        raise UnknownPin(f"there is no pinned instruction {pin_id!r}: `personaagent persona pins` lists them")

    async def reword_pin(self, pin_id: str, text: str) -> None:
        """Put an instruction in other words. Raises UnknownPin, InvalidPersona."""
        await self._services.personas.reword(self.id, pin_id, text)

    async def personalized(self) -> bool:
        """Whether the user's agent uses and keeps what is known of them."""
        return await self._services.users.personalize(self.id)

    async def personalize(self, on: bool) -> None:
        """Switch personalization on or off."""
        await self._services.users.set_personalize(self.id, on)

    # --- memory

    async def memories(
        self,
        *,
        limit: int = 20,
        task: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
        thread: str | None = None,
    ) -> Memories:
        """The newest interactions, oldest first, ``since`` inclusive and ``before`` exclusive."""
        where = self._where(task, since, before, thread)
        episodic = self._services.episodic
        newest = tuple(await episodic.newest(self.id, limit, where))
        return Memories(count=await episodic.count(self.id, where), interactions=newest)

    async def memory(self, interaction_id: str) -> Interaction:
        """One interaction. Raises UnknownInteraction."""
        return await self._services.episodic.get(self.id, interaction_id)

    async def search(
        self,
        query: str,
        *,
        limit: int = 5,
        task: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> Rows[Recall]:
        """The memories that fit the query best, best first. Raises EmptyQuery, QueryTooLong."""
        services = self._services
        query = check_query(query, services.settings.max_query_chars)
        return Rows(await services.episodic.search(self.id, query, limit, self._where(task, since, before)))

    async def facts(self, *, past: bool = False) -> Rows[Fact]:
        """What is held to be true of the user; ``past``: also what no longer is."""
        known = await self._services.semantic.history(self.id)
        return Rows(fact for fact in known if past or fact.status == "active")

    async def remember(self, text: str) -> str:
        """Keep a fact in the user's own words; returns its id. Raises InvalidFact."""
        return await self._services.statements.remember(self.id, text)

    async def correct_fact(self, fact_id: str, text: str) -> str:
        """Put a fact in the place of another, which stays in the history; returns its id.

        Raises UnknownFact, InvalidFact.
        """
        return await self._services.statements.correct(self.id, fact_id, text)

    async def forget_fact(self, fact_id: str) -> int:
        """Delete a fact for good; returns how many records went. Raises UnknownFact."""
        return await self._services.statements.forget(self.id, fact_id)

    async def preview_forget(
        self, *ids: str, everything: bool = False, about: str | None = None, **where: Any
    ) -> ForgetPreview:
        """What ``forget`` would take; nothing is changed. Raises UnknownInteraction, InputError."""
        return await self._services.forgetter.preview(self.id, self._selection(ids, everything, about, where))

    async def forget(self, *ids: str, everything: bool = False, about: str | None = None, **where: Any) -> ForgetReport:
        """Forget interactions by id, by ``task``, ``since``, ``before`` and ``thread``, or everything, for good.

        ``about`` ("my divorce") takes what was said of a matter: interactions, and facts and clauses, that have all of
        its words, in any of their forms; look at ``preview_forget`` first.

        Goes with them whatever stood on them: facts, clauses, vectors, threads of conversation. Raises InputError
        where nothing, or everything and a part, is selected; UnknownInteraction where none of the ids is known.
        """
        selection = self._selection(ids, everything, about, where)
        report = await self._services.forgetter.forget(self.id, selection)
        await self._agent.drop_threads(self.id, report.threads, everything=everything)
        if report.unknown and not report.interactions:
            raise UnknownInteraction(
                f"this user has no interaction {report.unknown[0]!r}: `personaagent memory list` shows the ids"
            )
        return report

    async def export(self) -> dict[str, Any]:
        """Everything that is kept of the user, as one JSON document."""
        from personaagent.memory.portability import export_user

        return await export_user(self._services.database, self.id)

    async def restore(
        self, document: Mapping[str, Any], *, on_step: Callable[[int, int], None] = lambda _done, _total: None
    ) -> UserDocument:
        """Take in what ``export`` gave, under this user's id; returns what was written.

        Raises InputError and its kinds, ConflictError; then nothing is written.
        """
        from personaagent.memory.portability import import_user

        services = self._services
        budget = services.settings.persona_token_budget
        return await import_user(services.database, services.indexer, self.id, document, on_step, token_budget=budget)

    async def import_file(
        self,
        path: str | Path,
        *,
        since: datetime | None = None,
        on_step: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> ImportTaken:
        """Import a history: ChatGPT's or Claude's export, CSV, JSON lines. The same file again adds nothing.

        Raises BadRow where the file cannot be read; bad rows of it are reported and the good ones stay.
        """
        from personaagent.memory.importing import import_file

        services = self._services
        report = await import_file(services.episodic, self.id, Path(path), since=_utc(since), progress=on_step)
        if report.new:
            await services.reader.refresh(self.id)
        return ImportTaken(
            found=report.found,
            read=report.read,
            new=report.new,
            bad=report.bad,
            facts=(await services.semantic.profile(self.id)).facts,
            unread=0 if services.models.embedded else await services.interactions.waiting(self.id),
        )

    # --- tools

    async def tools(self) -> Rows[ToolAccess]:
        """Every tool there is for the user, and whether the agent may use it."""
        services = self._services
        granted = (await services.actions.of(self.id)).names
        approved = await services.grants.approved(self.id)
        return Rows(
            ToolAccess(
                name=spec.name,
                granted=spec.name in granted,
                asks_first=spec.side_effects and not spec.in_any(approved),
                side_effects=spec.side_effects,
                reads_user_data=spec.reads_user_data,
                scopes=spec.scopes,
                description=spec.description,
            )
            for spec in await services.actions.all(self.id)
        )

    async def grant(self, tool: str, *, always: bool = False) -> bool:
        """Let the agent use a tool (again); ``always``: without asking before side effects.

        Returns whether it is granted now: the deployment may not offer it. Raises UnknownTool.
        """
        services = self._services
        await services.actions.spec(self.id, tool)
        # where the user never named what is allowed all is, and a first name would take away the others
        listed = await services.grants.allowed(self.id) is not None
        if tool in await services.grants.denied(self.id):
            await services.grants.clear(self.id, tool)
        if listed:
            await services.grants.put(self.id, tool, "allow")
        if always:
            await services.grants.put(self.id, tool, "approve")
        return tool in (await services.actions.of(self.id)).names

    async def revoke(self, tool: str) -> bool:
        """Take a tool away; it wins over every grant. Returns whether it is granted now. Raises UnknownTool."""
        services = self._services
        await services.actions.spec(self.id, tool)
        await services.grants.clear(self.id, tool)
        await services.grants.put(self.id, tool, "deny")
        return tool in (await services.actions.of(self.id)).names

    # --- inside

    async def _version(self, version: int | None) -> Persona:
        services = self._services
        return await (services.seeds.to_read(self.id) if version is None else services.personas.get(self.id, version))

    def _context(self, **how: Any) -> Context:
        from personaagent.context import Context

        try:
            return Context(**{**how, "user_id": self.id})
        except TypeError as error:
            raise InvalidContext(f"{error}: give the fields of personaagent.context.Context") from error

    def _where(
        self,
        task: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
        thread: str | None = None,
    ) -> Where:
        from personaagent.ports import Where

        thread_id = None if thread is None else self.thread_id(thread)
        return Where(task=task, since=_utc(since), before=_utc(before), thread_id=thread_id)

    def _selection(
        self, ids: Sequence[str], everything: bool, about: str | None, where: Mapping[str, Any]
    ) -> Selection:
        from personaagent.memory.forgetting import Selection

        where = {name: value for name, value in where.items() if value is not None}
        if everything and (ids or about is not None or where):
            raise InputError("everything is not a part: choose one of the two")
        try:
            narrowed = self._where(**where) if where else None
        except TypeError as error:
            raise InputError(f"{error}: memories are chosen by id, task, since, before and thread") from error
        return Selection(ids=tuple(ids), where=narrowed, everything=everything, about=about or "")

    def _resume(self, run: Run, decisions: Sequence[Mapping[str, Any]]) -> AsyncIterator[Event]:
        from langgraph.types import Command

        return self._events(run, Command(resume=list(decisions)))

    async def _events(self, run: Run, message: Any) -> AsyncIterator[Event]:
        from personaagent.library.streaming import TurnReader
        from personaagent.turn import FORKED_KEY

        async with self._agent.live(self.id, run.thread_id, named=run.thread is not None) as shared:
            turn: Turn | None = None
            graph = shared if run.saver is None else shared.copy({"checkpointer": run.saver})
            try:
                config: Any = {"configurable": {"thread_id": run.thread_id}}
                if run.forked:
                    config["metadata"] = {FORKED_KEY: True}
                before = {} if isinstance(message, dict) else (await graph.aget_state(config)).values
                reader = TurnReader(dict(before), shown=not run.context.choices)
                parts: Any = graph.astream(
                    message, config, context=run.context, stream_mode=["messages", "updates"], durability="exit"
                )
                async for mode, part in parts:
                    for event in reader.read(mode, part):
                        yield event
                if (rest := reader.unstreamed()) is not None:
                    yield rest
                turn = reader.turn(run)
            finally:
                if run.saver is None and run.thread is None and not (turn and turn.approvals):
                    await self._agent.drop_threads(self.id, [run.thread_id])
                await self._agent.drop_stale(self.id, run.thread_id)
        yield turn


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=moment.tzinfo or UTC)
