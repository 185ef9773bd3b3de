"""The composition root: settings in, ports out. The only place that picks adapters; building it does no I/O."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache

from graph.toolbox import build_toolbox
from graph.watch import GraphName, Watch
from personaagent.context import Context
from personaagent.errors import PersonaConflict
from personaagent.foreground import Foreground
from personaagent.ledger.budget import Budget
from personaagent.ledger.candidates import Candidates
from personaagent.ledger.critiques import Critiques
from personaagent.ledger.database import database_from
from personaagent.ledger.facts import Facts
from personaagent.ledger.grants import Grants
from personaagent.ledger.interactions import Interactions
from personaagent.ledger.jobs import Jobs
from personaagent.ledger.meta import Meta
from personaagent.ledger.outbox import Outbox
from personaagent.ledger.users import Users
from personaagent.limits import Limiter
from personaagent.memory.consolidate import consolidate
from personaagent.memory.episodic import LedgerEpisodicMemory
from personaagent.memory.forgetting import Forgetter
from personaagent.memory.implicit import infer_by_model
from personaagent.memory.index_checked import CheckedIndex
from personaagent.memory.indexer import Indexer
from personaagent.memory.reindex import RebuildableIndex
from personaagent.memory.semantic import LedgerSemanticMemory
from personaagent.memory.spool import Spool
from personaagent.memory.statements import Statements
from personaagent.memory.statistics import describe
from personaagent.models.chat import ModelsFromSettings
from personaagent.models.embedder import embedder_from
from personaagent.persona.monitor import watch
from personaagent.persona.seed import seed_sections
from personaagent.persona.store import LedgerPersonaStore
from personaagent.persona.trigger import due
from personaagent.ports import Embedder, Models, Where
from personaagent.prompts.hub import set_up_hub
from personaagent.scheduling import QueueScheduler, Scheduler, ServerScheduler
from personaagent.settings import Settings
from personaagent.telemetry import metrics
from personaagent.telemetry.backlog import Backlog
from personaagent.tracing.client import set_up_tracing
from personaagent.types import Candidate, Critique, Persona, Section, Sections, UserProfile

HISTORY = 400  # newest labelled interactions that statistics are made of
WATCHED = 400  # newest answers that the monitor looks at
READ = 200  # new interactions that one refresh of the profile reads


class Services:
    """Everything that the graphs and front doors need, made from settings; adapters open themselves at first use."""

    def __init__(
        self, settings: Settings | None = None, *, models: Models | None = None, embedder: Embedder | None = None
    ) -> None:
        self.settings = settings or Settings()
        set_up_tracing(self.settings)
        set_up_hub(self.settings)
        self.models: Models = models or ModelsFromSettings(self.settings)
        self.embedder: Embedder = embedder or embedder_from(self.settings)
        self.database = database_from(self.settings)
        self.interactions = Interactions(self.database)
        self.facts = Facts(self.database)
        self.outbox = Outbox(self.database)
        self.jobs = Jobs(self.database)
        self.users = Users(self.database)
        self.grants = Grants(self.database)
        self.budget = Budget(self.database)
        self.candidates = Candidates(self.database)
        self.critiques = Critiques(self.database)
        self.meta = Meta(self.database)
        self.index = CheckedIndex(_index(self.settings, self.embedder), self.meta, self.embedder)
        self.indexer = Indexer(self.outbox, self.interactions, self.index, self.embedder)
        spool = Spool(self.settings.home / "spool")
        self.backlog = Backlog(self.jobs, self.outbox, spool)
        self.limiter = Limiter(self.settings)
        self.foreground = Foreground()
        self.episodic = LedgerEpisodicMemory(
            self.interactions,
            self.indexer,
            self.index,
            self.embedder,
            half_life_days=self.settings.recency_half_life_days,
            spool=spool,
            wait_for_index=False,
            landed=self._label_landed,
        )
        self.semantic = LedgerSemanticMemory(self.facts, self.embedder, token_budget=self.settings.profile_token_budget)
        self.personas = LedgerPersonaStore(self.database)
        self.forgetter = Forgetter(self.database, self.indexer, drain_spool=self.episodic.drain_spool)
        statements = Statements(self.episodic, self.facts, self.forgetter)
        self.actions = build_toolbox(self.settings, self.episodic, self.semantic, self.grants, statements)

    def watch(self, graph: GraphName) -> Watch:
        """What the nodes of that graph are added through: metrics, logs and limits."""
        return Watch(graph, self.limiter, on_langgraph_server, self.foreground, self.settings.prices)

    async def seed_persona(self, user_id: str) -> Persona:
        """The persona in force; version 0 is made from the profile where there is none."""
        current = await self.personas.current(user_id)
        if current is not None:
            return current
        profile = await self.semantic.profile(user_id)
        try:
            return await self.personas.append(
                user_id, seed_sections(profile), "seed", expected_parent=None, proposer="template"
            )
        except PersonaConflict:
            return await self.seed_persona(user_id)  # another turn of this user seeded it first

    async def seed_as_of(self, user_id: str, before: datetime) -> Sections:
        """What version 0 would have been at that moment: nothing in it stands on what came at or after it."""
        known = (await self.semantic.profile(user_id, before=before)).facts
        history = await self.interactions.newest(user_id, HISTORY, Where(labelled=True, before=before))
        seeded = seed_sections(UserProfile(user_id=user_id, facts=tuple(f for f in known if f.source != "statistics")))
        return {**seeded, Section.WHO: (*describe(history), *seeded.get(Section.WHO, ()))}

    async def refresh_profile(self, user_id: str) -> UserProfile:
        """Read what is new into semantic memory (paper, ``P^u = f_s(S_t, D^u)``); returns the profile as it is then."""
        through = await self.facts.through(user_id)
        new = await self.interactions.page(user_id, through, READ)
        history = await self.interactions.newest(user_id, HISTORY, Where(labelled=True))
        if history or new:
            operations, _ = await asyncio.gather(
                consolidate(self.models, user_id, new, await self.facts.holding(user_id), history),
                infer_by_model(self.models, self.episodic, user_id, new if self.settings.implicit_by_model else ()),
            )
            read = new[-1] if new else history[-1]
            await self.semantic.apply(user_id, operations, through=max(read.created_at, through or read.created_at))
        return await self.semantic.profile(user_id)

    async def note_label(self, user_id: str, context: Context, *, new: bool = True) -> bool:
        """Count a new label; when enough are new, an alignment is due, and is asked for in the background if wanted.

        One that is not ``new``, in a run carried out again, is not counted, but what is due is asked for again.
        """
        labels = await (self.users.add_label(user_id) if new else self.users.labels(user_id))
        wanted = due(labels, self.settings.align_after)
        if wanted and context.align == "background":
            await self._scheduler().schedule(user_id, context)
        return wanted

    async def schedule_owed(self, scheduler: Scheduler) -> int:
        """Ask once more for every alignment that is due: a server that was killed may have lost the run it had made.

        What waits in spool and outbox is caught up with before, so that feedback that waited counts.
        """
        await self.episodic.catch_up()
        owed = await self.users.owed(self.settings.align_after)
        for user_id in owed:
            await scheduler.schedule(user_id, Context(user_id=user_id))
        return len(owed)

    async def watch_persona(self, user_id: str) -> Persona | None:
        """Roll back the version in force where it does worse live than its parent; returns the new version or None."""
        current = await self.personas.current(user_id)
        if current is None or current.origin != "aligned" or current.parent is None:
            return None
        parent = await self.personas.get(user_id, current.parent)
        answered = await self.interactions.newest(user_id, WATCHED, Where(since=parent.created_at))
        found = watch(current, parent, answered)
        if not found.worse:
            return None
        try:
            rolled_back = await self.personas.append(
                user_id,
                parent.sections,
                "rollback",
                expected_parent=current.version,
                proposer="monitor",
                reason=f"rolled back by the monitor: {found.reason}",
                loss_before=found.after,
                loss_after=found.before,
            )
        except PersonaConflict:
            return None  # another version is in force by now, and this one is no longer in question
        metrics.alignments.labels("rolled_back").inc()
        return rolled_back

    async def approve_for_good(self, user_id: str, tool: str) -> None:
        """Note that a tool with side effects need not ask this user again."""
        await self.grants.put(user_id, tool, "approve")

    async def remaining_budget(self, user_id: str) -> int:
        """Model calls that alignment may still make for this user today (UTC); 0 when the tokens are spent."""
        calls, tokens = await self.budget.spent(user_id, datetime.now(UTC).date())
        if tokens >= self.settings.align_daily_tokens:
            return 0
        return max(0, self.settings.align_daily_calls - calls)

    async def account(
        self, user_id: str, calls: int, tokens: int, rejected: Sequence[Candidate], critiques: Sequence[Critique]
    ) -> None:
        """Book an alignment: what it cost, refused and criticised, and that labels are counted anew from here."""
        await self.budget.add(user_id, datetime.now(UTC).date(), calls, tokens)
        await self.candidates.save(user_id, rejected)
        await self.critiques.save(user_id, critiques)
        await self.users.aligned(user_id)

    async def close(self) -> None:
        """Flush and release what is open."""
        await self.indexer.close()
        await self.models.close()
        await self.index.close()
        await self.database.close()

    async def _label_landed(self, user_id: str) -> None:
        """Count a label that waited for the ledger; while a server starts, ``schedule_owed`` asks for what is due."""
        starting = "langgraph_api.server" in sys.modules and not on_langgraph_server()
        await self.note_label(user_id, Context(user_id=user_id, align="off" if starting else "background"))

    def _scheduler(self) -> Scheduler:
        if on_langgraph_server():
            return ServerScheduler(self.settings.align_delay_s)
        return QueueScheduler(self.jobs, self.settings.align_delay_s)


@cache
def default_services() -> Services:
    """The services of this process, from its environment; what langgraph.json's graphs run on."""
    return Services()


def on_langgraph_server() -> bool:
    """Whether this code runs inside LangGraph server, where background work is a run of the ``alignment`` graph."""
    from langgraph.config import get_config

    try:
        configurable = get_config().get("configurable", {})
    except RuntimeError:
        return False
    return "langgraph_request_id" in configurable or "graph_id" in configurable


def _index(settings: Settings, embedder: Embedder) -> RebuildableIndex:
    if settings.qdrant_url:
        from personaagent.memory.index_qdrant import QdrantIndex

        key = settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None
        return QdrantIndex(settings.qdrant_url, key, embedder.name, embedder.dim, settings.qdrant_timeout_s)
    from personaagent.memory.index_edge import EdgeIndex

    return EdgeIndex(settings.home / "index", embedder.name, embedder.dim)
