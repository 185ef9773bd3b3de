"""The front door of the library: ``async with PersonaAgent("data") as agent: await agent.user("ann").ask("…")``."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakValueDictionary

from personaagent.errors import SetupError
from personaagent.inputs import check_user_id
from personaagent.library.user import User

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    from personaagent.graph.services import Services
    from personaagent.library.worker import Done
    from personaagent.ports import Embedder
    from personaagent.settings import Settings

MEMORY = ":memory:"  # the home of an agent that leaves nothing


class PersonaAgent:
    """An agent for any number of users, each with memory and a persona of their own. Making it does no I/O.

    ``home`` is the data folder; with ``":memory:"`` nothing stays when the agent is closed, and no database is asked
    that settings name. ``settings`` come from the environment where none are given. Threads of conversation
    live in ``checkpointer``, by default in this object. Own parts take the place of those that settings name:
    ``model`` (a LangChain chat model or "provider:model"), ``embedder`` (LangChain ``Embeddings``), ``tools`` (Python
    functions, beside the default ones; see ``tools.own``), ``answer`` (an agent that answers under the persona; see
    ``nodes.own_answer``), ``proposers`` (of clauses for the persona, tried before the default ones, or in their place
    without ``default_proposers``; see ``persona.proposers.own``). With ``background`` the alignments that feedback
    brings about are carried out while the agent is open; else they wait for ``User.align`` or ``personaagent worker``.
    """

    def __init__(
        self,
        home: str | Path | None = None,
        *,
        settings: Settings | None = None,
        model: object | None = None,
        embedder: object | None = None,
        tools: Sequence[object] = (),
        answer: Any = None,
        proposers: Sequence[object] = (),
        default_proposers: bool = True,
        checkpointer: BaseCheckpointSaver[Any] | None = None,
        background: bool = False,
    ) -> None:
        self._home = home
        self._settings = settings
        self._model = model
        self._embedder = embedder
        self._tools = tools
        self._answer = answer
        self._proposers, self._default_proposers = proposers, default_proposers
        self._given_checkpointer = checkpointer
        self._background_wanted = background
        self._services: Services | None = None
        self._folder: TemporaryDirectory[str] | None = None
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._threads: defaultdict[str, set[str]] = defaultdict(set)  # of each user, named ones
        self._stale: defaultdict[str, set[str]] = defaultdict(set)  # of each user, that say what was forgotten
        self._on_done: Callable[[Done], None] = lambda _: None
        self._working: asyncio.Task[None] | None = None
        self._wanted = False
        self._live = 0

    @classmethod
    def over(cls, services: Services, **how: Any) -> PersonaAgent:
        """An agent over services that are there already; closing it closes them."""
        agent = cls(settings=services.settings, **how)
        agent._take(services)
        return agent

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Put the parts together. Raises SetupError where a setting or a part that was handed in cannot be used."""
        if self._services is None:
            embedder = None
            if self._embedder is not None:
                from personaagent.models.own import own_embedder

                embedder = await own_embedder(self._embedder)
            self._take(await asyncio.to_thread(self._made, embedder))
        if self._background_wanted:
            self.start_background()

    async def close(self) -> None:
        """Give background work back, flush and release what is open."""
        await self.stop_background()
        if self._services is not None:
            await self._services.close()
        if self._folder is not None:
            await asyncio.to_thread(self._folder.cleanup)

    def user(self, user_id: str) -> User:
        """One user's agent. Raises InvalidUserId."""
        return User(self, check_user_id(user_id))

    @property
    def services(self) -> Services:
        """The parts underneath, for a front door. Raises SetupError before ``open``."""
        if self._services is None:
            raise SetupError("the agent is not open: use `async with PersonaAgent(...) as agent`, or await open()")
        return self._services

    # --- background work

    def start_background(self, on_done: Callable[[Done], None] | None = None) -> None:
        """Carry out alignments as they fall due; ``on_done`` hears of each."""
        self._on_done = on_done or self._on_done
        self._wanted = True
        self._work()

    async def stop_background(self) -> None:
        """Stop; what is unfinished goes back to the queue."""
        self._wanted = False
        await self._rest()

    def _work(self) -> None:
        from personaagent.library.worker import Worker

        if self._wanted and (self._working is None or self._working.done()):
            self._working = asyncio.create_task(Worker(self.services).forever(self._tell))

    def _tell(self, done: Done) -> None:
        self._on_done(done)

    async def _rest(self) -> None:
        if self._working is not None:
            self._working.cancel()
            with suppress(asyncio.CancelledError):
                await self._working
            self._working = None

    # --- threads

    @asynccontextmanager
    async def live(self, user_id: str, thread_id: str, *, named: bool) -> AsyncIterator[Any]:
        """Yield the graph of turns while a turn of that thread runs: one at a time in a thread.

        A background alignment makes room where both would share the one embedded model.
        """
        lock = self._locks.setdefault((user_id, thread_id), asyncio.Lock())
        async with lock:
            if named:
                self._threads[user_id].add(thread_id)
            self._live += 1
            try:
                if self.services.models.embedded:
                    await self._rest()
                yield self._agent_graph
            finally:
                self._live -= 1
                if not self._live:
                    self._work()

    async def drop_threads(self, user_id: str, thread_ids: Iterable[str], *, everything: bool = False) -> None:
        """Delete what is kept of these threads' conversations; ``everything``: of all of this user's."""
        mine = self._threads[user_id]
        for thread_id in {*thread_ids, *(mine if everything else ())}:
            await self._checkpointer.adelete_thread(thread_id)
            mine.discard(thread_id)
            self._stale[user_id].discard(thread_id)

    async def drop_stale(self, user_id: str, but: str) -> None:
        """Delete the threads that say what a tool made forgotten, ``but`` that in which it did: there the turn has."""
        await self.drop_threads(user_id, self._stale.pop(user_id, set()) - {but})

    # --- parts

    def _take(self, services: Services) -> None:
        self._services = services
        services.forgetter.on_threads = lambda user_id, threads: self._stale[user_id].update(threads)

    def _made(self, embedder: Embedder | None) -> Services:
        from personaagent.graph.services import Services
        from personaagent.models.own import own_models
        from personaagent.persona.proposers.own import own_proposers
        from personaagent.tools.own import own_tool

        settings = self._settled()
        models = None if self._model is None else own_models(self._model, settings)
        return Services(
            settings,
            models=models,
            embedder=embedder,
            tools=[own_tool(tool) for tool in self._tools],
            answer=self._answer,
            proposers=own_proposers(self._proposers),
            default_proposers=self._default_proposers,
        )

    def _settled(self) -> Settings:
        from pydantic import ValidationError

        from personaagent.settings import Settings

        home: dict[str, Any] = {} if self._home is None else {"home": Path(self._home).expanduser()}
        if self._home == MEMORY:
            self._folder = TemporaryDirectory(prefix="personaagent-", ignore_cleanup_errors=True)
            home = {"home": Path(self._folder.name), "database_url": None, "qdrant_url": None}
        if self._settings is not None:
            return self._settings.model_copy(update=home)
        try:
            return Settings(**home)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise SetupError(f"a setting cannot be read ({wrong}): correct the environment or .env") from error

    @cached_property
    def _checkpointer(self) -> BaseCheckpointSaver[Any]:
        return self._given_checkpointer if self._given_checkpointer is not None else self.new_saver()

    def new_saver(self) -> BaseCheckpointSaver[Any]:
        """A store of checkpoints in memory, which takes the state of a turn."""
        from langgraph.checkpoint.memory import InMemorySaver

        return InMemorySaver(serde=self.serializer())

    @staticmethod
    def serializer() -> JsonPlusSerializer:
        """What a ``checkpointer`` of one's own is given as ``serde``: it knows what the state of a turn is made of."""
        from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

        from personaagent.state import STATE_TYPES

        return JsonPlusSerializer(allowed_msgpack_modules=STATE_TYPES)

    @cached_property
    def _agent_graph(self) -> Any:
        from personaagent.graph.agent import build_agent

        return build_agent(self.services).compile(checkpointer=self._checkpointer)

    @cached_property
    def feedback_graph(self) -> Any:
        """The compiled graph that takes in feedback."""
        from personaagent.graph.feedback import build_feedback

        return build_feedback(self.services).compile()
