"""PersonaAgent through its real graphs, whole or without one of its parts (paper, main table and ablations)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from langchain_core.messages import HumanMessage

from personaagent.context import Context
from personaagent.errors import ModelOutputInvalid, ModelRefused
from personaagent.evals.metrics import untouched
from personaagent.evals.systems import Answer, Bench, Portrait
from personaagent.evals.tasks import Row, Task
from personaagent.graph.agent import build_agent
from personaagent.graph.alignment import build_alignment
from personaagent.graph.feedback import build_feedback
from personaagent.graph.services import Services
from personaagent.memory.semantic import LedgerSemanticMemory
from personaagent.persona.seed import Seeds
from personaagent.persona.shape import to_text
from personaagent.tools.presets import GENERAL_TOOLS, MEMORY_TOOLS, WIKIPEDIA_ONLY
from personaagent.types import Fact, Interaction, Persona, UserProfile

PAGES = Path(__file__).parents[1] / "data" / "wikipedia"


def open_services(bench: Bench) -> Services:
    """Services on the bench's models, with all data in the bench's folder whatever the environment says."""
    local: dict[str, Any] = {"home": bench.home, "database_url": None, "qdrant_url": None, "qdrant_api_key": None}
    if bench.settings.wikipedia_pages is None:
        local["wikipedia_pages"] = PAGES  # the live one answers otherwise every day
    # an evaluation must not stop half way because a day's budget is spent
    budget = {"align_daily_calls": 10**9, "align_daily_tokens": 10**12, "align_seconds": 0, "align_calls": 0}
    if bench.task.edited:
        # the form of answers is at stake, not what the user asks about
        budget |= {"align_readings": 0, "align_answer_tokens": bench.task.max_answer_tokens or 512}
    settings = bench.settings.model_copy(update=local | budget)
    return Services(settings, models=bench.models, embedder=bench.embedder)


def key_of(row: Row) -> str:
    """The interaction id of a row."""
    return str(uuid5(NAMESPACE_URL, f"personaagent/evals/{row.id}"))


def interaction(task: Task, row: Row, created_at: datetime) -> Interaction:
    """The row as an interaction of the user, labelled where its truth is known."""
    return Interaction(
        id=key_of(row),
        user_id=row.user_id,
        query=row.query,
        created_at=created_at,
        task=task.name if row.truth else None,
        response=row.response or None,
        choices=task.answers(row) if row.truth else (),
        ground_truth=row.truth or None,
        truth_source="imported" if row.truth else None,
        truth_confidence=1.0 if row.truth else None,
        metadata={"instructions": task.instructions} if row.truth else {},
    )


def as_interactions(task: Task, history: Sequence[Row]) -> list[Interaction]:
    """The history as interactions that end now.

    Turns of the agent are dated now, so a history of years ago would look stale beside them: it is moved as a whole.
    """
    if not history:
        return []
    shift = datetime.now(UTC) - timedelta(minutes=1) - history[-1].created_at
    return [interaction(task, row, row.created_at + shift) for row in history]


LABELS_AN_ALIGNMENT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Which parts are on, and how far alignment goes.

    ``alignment`` aligns on the history; ``persona`` off answers without one; ``memory`` off neither recalls nor shows
    the profile; ``action`` off binds no tool; ``own_tools`` off leaves Wikipedia as the only tool, ``wikipedia`` off
    those over the user's memories; ``gate`` off commits unjudged, as the paper does. ``realign`` aligns
    again after that many new truths (0: once, on the history; of edits after every third answer and the last).
    ``closed`` off leaves the form of the answer to the model. ``live`` lets the agent answer unlabelled turns of the
    history instead of importing them.
    """

    memory: bool = True
    persona: bool = True
    alignment: bool = True
    action: bool = True
    own_tools: bool = True
    wikipedia: bool = True
    gate: bool = True
    batch: int = 3
    judge: int = 6
    epochs: int = 3
    candidates: int = 2
    realign: int = 0
    closed: bool = True
    live: bool = True


def tools_of(parts: Parts) -> list[str]:
    """The tools that a run asks for: by default those of ReAct; the ones with side effects or a live network never."""
    own = MEMORY_TOOLS if parts.memory and parts.own_tools else ()
    general = (GENERAL_TOOLS if parts.own_tools else WIKIPEDIA_ONLY) if parts.wikipedia else ()
    return [*own, *general] if parts.action else []


class PersonaAgent:
    """The agent as its users meet it: history is imported, turns go through the graph, truths come as feedback."""

    def __init__(self, bench: Bench, parts: Parts) -> None:
        self._parts = parts
        self._task = bench.task
        self._k = bench.recall_k if parts.memory else 0
        self._tools = [] if bench.task.edited else tools_of(parts)
        self._services = open_services(bench)
        # what answers and simulates may lack a part that preparation still needs
        seen = ablated(self._services, memory=parts.memory, persona=parts.persona)
        self._agent = build_agent(seen).compile()
        self._alignment = build_alignment(seen).compile()
        self._feedback = build_feedback(self._services).compile()
        self._turns: dict[str, str] = {}
        self._fresh: dict[str, int] = {}  # truths since the last alignment
        self._portraits: dict[str, tuple[str, str]] = {}  # seed, outcome
        self._aligned_after: dict[str, int] = {}  # edits before the first aligned version

    async def prepare(self, user_id: str, history: Sequence[Row]) -> None:
        """Import the history, make profile and seed, and align on the history's end.

        A history of edits is lived through: the user edits answer after answer, and alignment runs in between, until it
        has changed the persona, and at the end.
        """
        services = self._services
        if self._task.edited:
            await self._edited(user_id, history)
            return
        told = [row for row in history if row.truth or not self._parts.live]
        await services.episodic.append_many(user_id, as_interactions(self._task, told))
        for row in history:
            if row not in told:
                await self._turn(row, Context(user_id=user_id, recall_k=self._k, tools=self._tools, align="off"))
        await services.reader.refresh(user_id)
        if not self._parts.persona:
            return
        seed = await services.seeds.persona(user_id)
        self._portraits[user_id] = (to_text(seed.sections, evidence=False), "")
        await self._align(user_id)

    async def answer(self, row: Row) -> Answer:
        """One turn of the graph; a form that the model cannot keep to is an empty answer."""
        try:
            result = await self._turn(row, self._context(row.user_id, row))
        except (ModelOutputInvalid, ModelRefused) as error:
            return Answer(text="", error=str(error))
        self._turns[row.id] = result["interaction_id"]
        said = await self._services.episodic.get(row.user_id, result["interaction_id"])
        return Answer(
            text=str(result["answer"]),
            tools=tuple(trace.name for trace in said.tools),
            error="; ".join(result.get("degraded") or ()) or None,
            probabilities=result.get("probabilities") or None,
        )

    async def learn(self, row: Row) -> None:
        """Feed the truth back as the user's choice; a row answered before an interruption is imported with it."""
        if row.id in self._turns:
            label: Any = {"interaction_id": self._turns.pop(row.id), "ground_truth": row.truth, "source": "choice"}
            await self._feedback.ainvoke(label, context=self._context(row.user_id))
        else:
            await self._services.episodic.append_many(row.user_id, as_interactions(self._task, [row]))
        self._fresh[row.user_id] = self._fresh.get(row.user_id, 0) + 1
        if self._parts.realign and self._fresh[row.user_id] >= self._parts.realign:
            await self._align(row.user_id)

    async def portrait(self, user_id: str) -> Portrait:
        """The persona in force, the seed it came from, and what became of the alignment."""
        persona = await self._services.personas.current(user_id)
        seed, outcome = self._portraits.get(user_id, ("", ""))
        return Portrait(
            persona=to_text(persona.sections, evidence=False) if persona else "",
            seed=seed,
            outcome=outcome,
            aligned_after=self._aligned_after.get(user_id),
        )

    async def close(self) -> None:
        """Flush and release the services; the models are the runner's."""
        await self._services.index.close()
        await self._services.database.close()

    async def _edited(self, user_id: str, history: Sequence[Row]) -> None:
        """Answers that were given, each with the user's edit of it, or a thumb up where there was nothing to edit."""
        services = self._services
        if self._parts.persona:
            seed = await services.seeds.persona(user_id)
            self._portraits[user_id] = (to_text(seed.sections, evidence=False), "")
        edits = 0
        for count, (row, told) in enumerate(zip(history, as_interactions(self._task, history), strict=True), start=1):
            # the answer counts as the seed's own, so that it need not be simulated again
            given = replace(told, ground_truth=None, truth_source=None, truth_confidence=None, persona_version=0)
            await services.episodic.append(user_id, given)
            feedback: Any = {"interaction_id": told.id, "ground_truth": row.truth, "source": "edit"}
            if untouched(row.response, row.truth):
                feedback = {"interaction_id": told.id, "rating": 5}
            else:
                edits += 1
            await self._feedback.ainvoke(feedback, context=self._context(user_id))
            due = count % (self._parts.realign or LABELS_AN_ALIGNMENT) == 0 and user_id not in self._aligned_after
            if due or count == len(history):
                # the history's answers were given without memories, and so are those that they are compared with
                await self._align(user_id, replace(self._context(user_id), recall_k=0))
                versions = await services.personas.history(user_id)
                if any(version.origin == "aligned" for version in versions):
                    self._aligned_after.setdefault(user_id, edits)
        if not (self._parts.alignment and self._parts.persona):
            await services.reader.refresh(user_id)  # as every alignment does: the profile is no part of it

    async def _turn(self, row: Row, context: Context) -> dict[str, Any]:
        message: Any = {"messages": [HumanMessage(self._query(row), id=key_of(row))]}
        config: Any = {"configurable": {"thread_id": key_of(row)}}
        result: dict[str, Any] = await self._agent.ainvoke(message, config, context=context)
        return result

    def _query(self, row: Row) -> str:
        choices = self._task.answers(row) if row.truth else ()
        if self._parts.closed or not choices:
            return row.query
        return "\n".join([row.query, "Answer with exactly one of these:", *(f"- {choice}" for choice in choices)])

    async def _align(self, user_id: str, context: Context | None = None) -> None:
        if self._parts.alignment and self._parts.persona:
            self._fresh[user_id] = 0
            result = await self._alignment.ainvoke({}, context=context or self._context(user_id))
            self._portraits[user_id] = (self._portraits[user_id][0], str(result["outcome"]))

    def _context(self, user_id: str, row: Row | None = None) -> Context:
        parts = self._parts
        choices = self._task.answers(row) if row else self._task.choices
        return Context(
            user_id=user_id,
            # a question with choices of its own draws on what was said anywhere, not in this task alone
            task=None if row and row.choices else self._task.name,
            instructions=self._task.instructions,
            choices=list(choices) if parts.closed and choices else None,
            tools=self._tools,
            recall_k=self._k,
            align="off",
            align_batch=parts.batch,
            align_judge=parts.judge,
            align_epochs=parts.epochs,
            align_candidates=parts.candidates,
            align_gate=parts.gate,
        )


class _NoFacts(LedgerSemanticMemory):
    """Semantic memory that takes facts in and shows none."""

    async def profile(self, user_id: str, *, before: datetime | None = None) -> UserProfile:  # noqa: ARG002
        """Nothing is known."""
        return UserProfile(user_id=user_id)

    async def search(self, user_id: str, query: str, k: int, *, before: datetime | None = None) -> list[Fact]:  # noqa: ARG002
        """Nothing is found."""
        return []


class _NoPersona(Seeds):
    """Every user has an empty persona."""

    async def persona(self, user_id: str) -> Persona:
        """A persona without a clause; it is not stored."""
        return Persona(user_id=user_id, version=0, sections={}, origin="seed", created_at=datetime.now(UTC))


def ablated(services: Services, *, memory: bool, persona: bool) -> Services:
    """The same services to answer with, without the profile's facts and without a persona where these are off."""
    seen = copy.copy(services)
    if not memory:
        seen.semantic = _NoFacts(services.facts, services.embedder)
    seen.seeds = (Seeds if persona else _NoPersona)(seen.personas, seen.semantic, seen.episodic)
    return seen
