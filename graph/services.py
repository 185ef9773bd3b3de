"""The composition root: settings in, ports out. The only place that picks adapters; building it does no I/O."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache, cached_property
from secrets import token_hex
from typing import TYPE_CHECKING

from personaagent.context import Context
from personaagent.errors import SetupError
from personaagent.foreground import Foreground
from personaagent.head import Weighing
from personaagent.inputs import check_user_id
from personaagent.ledger.candidates import Candidates, Challengers, Critiques
from personaagent.ledger.database import Meta, database_from
from personaagent.ledger.facts import Facts
from personaagent.ledger.interactions import Interactions
from personaagent.ledger.queues import Jobs, Outbox
from personaagent.ledger.turns import Known, Turns
from personaagent.ledger.users import Budget, Grants, Users
from personaagent.ledger.waiting import WaitingTurns
from personaagent.limits import Limiter
from personaagent.memory.earnest import tells
from personaagent.memory.episodic import LedgerEpisodicMemory
from personaagent.memory.forgetting import Forgetter
from personaagent.memory.index_common import CheckedIndex, RebuildableIndex
from personaagent.memory.indexer import Indexer
from personaagent.memory.semantic import LedgerSemanticMemory
from personaagent.memory.spool import Spool
from personaagent.memory.statements import Statements
from personaagent.models.embedder import embedder_from
from personaagent.ownership import alignment_thread
from personaagent.persona.seed import Seeds
from personaagent.persona.store import LedgerPersonaStore
from personaagent.ports import Answer, Embedder, Models
from personaagent.prompts import set_up_hub
from personaagent.scheduling import QueueScheduler, Scheduler, ServerScheduler, due
from personaagent.settings import Settings
from personaagent.tools.spec import ToolSpec
from personaagent.tracing import set_up_if_wanted
from personaagent.types import Candidate, Critique, Path, UserProfile

if TYPE_CHECKING:
    from personaagent.graph.watch import GraphName, Watch
    from personaagent.memory.backlog import Backlog
    from personaagent.memory.reading import Reader
    from personaagent.persona.monitor import Monitor
    from personaagent.persona.proposers import Proposer
    from personaagent.tools.registry import ActionSpaces

READ_AFTER = 12  # turns without a label after which they are read all the same


class Services:
    """Everything that the graphs and front doors need, made from settings; adapters open themselves at first use."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        models: Models | None = None,
        embedder: Embedder | None = None,
        tools: Sequence[ToolSpec] = (),
        answer: Answer | None = None,
        proposers: Sequence[Proposer] = (),
        default_proposers: bool = True,
    ) -> None:
        """``tools`` and ``proposers`` come beside the default ones, the latter in their place if so wanted.

        ``answer`` answers in place of the models (``nodes.own_answer``).
        """
        self.answer = answer
        self.proposers, self.default_proposers = tuple(proposers), default_proposers
        self.settings = settings or Settings()
        if self.settings.align_by == "worker" and self.settings.qdrant_url is None:
            raise SetupError(
                "PERSONAAGENT_ALIGN_BY=worker needs QDRANT_URL: the embedded index is one process's at a time"
            )
        set_up_if_wanted(self.settings)
        set_up_hub(self.settings)
        self._models, self._tools = models, tools
        self.embedder: Embedder = embedder or embedder_from(self.settings)
        self.database = database_from(self.settings)
        self.interactions = Interactions(self.database)
        self.facts = Facts(self.database)
        self.outbox = Outbox(self.database)
        self.jobs = Jobs(self.database)
        self.users = Users(self.database)
        self.grants = Grants(self.database)
        self.turns = Turns(self.database, self.grants)
        self.budget = Budget(self.database, self.settings.align_daily_calls, self.settings.align_daily_tokens)
        self.candidates = Candidates(self.database)
        self.challengers = Challengers(self.database)
        self.critiques = Critiques(self.database)
        self.waiting = WaitingTurns(self.database)
        self.meta = Meta(self.database)
        self._salt: str | None = None
        self.index = CheckedIndex(_index(self.settings, self.embedder), self.meta, self.embedder, self.outbox.refill)
        self.indexer = Indexer(self.outbox, self.interactions, self.index, self.embedder, before=self.index.check)
        self._spool = Spool(self.settings.home / "spool")
        self.limiter = Limiter(self.settings)
        self.foreground = Foreground()
        self.episodic = LedgerEpisodicMemory(
            self.interactions,
            self.indexer,
            self.index,
            self.embedder,
            half_life_days=self.settings.recency_half_life_days,
            spool=self._spool,
            wait_for_index=False,
            landed=self._label_landed,
        )
        self.weighing = Weighing(self.interactions)
        self.semantic = LedgerSemanticMemory(self.facts, self.embedder, token_budget=self.settings.profile_token_budget)
        self.personas = LedgerPersonaStore(self.database)
        self.forgetter = Forgetter(
            self.database, self.indexer, drain_spool=self.episodic.drain_spool, search=self.episodic.search
        )
        self.seeds = Seeds(self.personas, self.semantic, self.episodic)
        self.statements = Statements(self.episodic, self.facts, self.forgetter)

    @property
    def models(self) -> Models:
        """The chat models: those handed in, else those of the settings, made when they are first asked for."""
        if self._models is None:
            from personaagent.models.chat import ModelsFromSettings  # and LangChain, which no data command needs

            self._models = ModelsFromSettings(self.settings)
        return self._models

    @cached_property
    def reader(self) -> Reader:
        """What makes facts of interactions."""
        from personaagent.memory.reading import Reader  # and LangChain

        settings = self.settings
        return Reader(
            self.interactions, self.facts, self.episodic, self.semantic, self.budget, lambda: self.models,
            readings=settings.align_readings, implicit_by_model=settings.implicit_by_model,
        )  # fmt: skip

    @cached_property
    def backlog(self) -> Backlog:
        """What says how much waits."""
        from personaagent.memory.backlog import Backlog  # and Prometheus' client

        return Backlog(self.jobs, self.outbox, self._spool)

    @cached_property
    def monitor(self) -> Monitor:
        """What takes back a version that does worse live."""
        from personaagent.persona.monitor import Monitor  # and NumPy

        return Monitor(self.personas, self.episodic)

    @cached_property
    def actions(self) -> ActionSpaces:
        """The tools, and which of them a user's agent has."""
        from personaagent.graph.toolbox import build_toolbox

        return build_toolbox(self.settings, self.episodic, self.semantic, self.grants, self.statements, self._tools)

    def watch(self, graph: GraphName) -> Watch:
        """What the nodes of that graph are added through: metrics, logs and limits."""
        from personaagent.graph.watch import Watch  # and LangGraph, which no data command needs

        return Watch(graph, self.limiter, on_langgraph_server, self.foreground, self.settings.prices)

    async def alignment_thread(self, user_id: str) -> str:
        """The thread of a LangGraph server in which the user's background alignments run; told by no name alone."""
        if self._salt is None:
            self._salt = await self.meta.once("thread_salt", token_hex(32))
        return alignment_thread(user_id, self._salt)

    async def begin_turn(
        self, user_id: str, turn_id: str, thread_id: str | None, path: Path | None
    ) -> tuple[Known, UserProfile]:
        """All that a turn needs to know of its user, read in one trip, and the profile that follows from it."""
        known = await self.turns.begin(check_user_id(user_id), turn_id, thread_id, path)
        return known, self.semantic.profile_of(user_id, known.facts, known.through)

    async def note_turn(self, user_id: str, context: Context, unread: int, message: str) -> None:
        """Ask for what waits to be read, in the background: at once where the message tells of the user.

        All else is read after every ``READ_AFTER`` turns that nothing else read.
        """
        if self.models.embedded or context.align != "background" or not unread:
            return
        if unread % READ_AFTER == 0:
            await self._scheduler().schedule(user_id, context)
        elif tells(message):
            await self._scheduler().read(user_id)

    async def end_conversation(self, user_id: str) -> None:
        """Ask for what was said in it and not read yet to be read, in the background."""
        if not self.models.embedded and await self.interactions.waiting(user_id):
            await self._scheduler().read(user_id)

    async def note_label(self, user_id: str, context: Context, *, new: bool = True) -> bool:
        """Count a new label; when enough are new, an alignment is due, and is asked for in the background if wanted.

        One that is not ``new``, in a run carried out again, is not counted, but what is due is asked for again.
        """
        labels = await (self.users.add_label(user_id) if new else self.users.labels(user_id))
        wanted = due(labels, self.settings.align_after)
        if wanted and context.align == "background":
            await self._scheduler().schedule(user_id, context)
        return wanted

    async def schedule_owed(self, scheduler: Scheduler | None = None) -> int:
        """Ask once more for every alignment that is due: a server that was killed may have lost the run it had made.

        What waits in spool and outbox is caught up with before, so that feedback that waited counts.
        """
        await self.episodic.catch_up()
        owed = await self.users.owed(self.settings.align_after)
        scheduler = scheduler or self._scheduler()
        for user_id in owed:
            await scheduler.schedule(user_id, Context(user_id=user_id))
        return len(owed)

    async def approve_for_good(self, user_id: str, tool: str) -> None:
        """Note that a tool with side effects need not ask this user again."""
        await self.grants.put(user_id, tool, "approve")

    async def account(self, user_id: str, rejected: Sequence[Candidate], critiques: Sequence[Critique]) -> None:
        """Keep what an alignment refused and criticised; labels are counted anew from here."""
        await self.candidates.save(user_id, rejected)
        await self.critiques.save(user_id, critiques)
        await self.users.aligned(user_id)

    async def close(self) -> None:
        """Flush and release what is open."""
        await self.indexer.close()
        if self._models is not None:
            await self._models.close()
        await self.index.close()
        await self.database.close()

    async def _label_landed(self, user_id: str) -> None:
        """Count a label that waited for the ledger; while a server starts, ``schedule_owed`` asks for what is due."""
        starting = "langgraph_api.server" in sys.modules and not on_langgraph_server()
        await self.note_label(user_id, Context(user_id=user_id, align="off" if starting else "background"))

    def _scheduler(self) -> Scheduler:
        served = on_langgraph_server() or "langgraph_api.server" in sys.modules  # a run, or our own routes beside them
        if served and self.settings.align_by == "server":
            return ServerScheduler(self.settings.align_delay_s, self.alignment_thread)
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
