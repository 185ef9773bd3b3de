"""The systems that are no agent: floors without a model, and the paper's baselines with one or a few calls."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from langchain_core.messages import HumanMessage

from personaagent.errors import ModelOutputInvalid, ModelRefused
from personaagent.evals.systems import Answer, Bench, Portrait, Remembering
from personaagent.evals.systems.prompting import ask, messages, summarize
from personaagent.evals.tasks import Row
from personaagent.ports import Embedder, Vectors
from personaagent.prompts import quote


class Nearest:
    """Rows and their vectors, a user at a time; the search is exact."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._rows: dict[str, list[Row]] = {}
        self._vectors: dict[str, Vectors] = {}

    async def add(self, user_id: str, rows: Sequence[Row]) -> None:
        """Take in more of this user's rows."""
        if rows:
            vectors = await self._embedder.embed([row.query for row in rows])
            known = self._vectors.get(user_id)
            self._vectors[user_id] = vectors if known is None else np.concatenate([known, vectors])
            self._rows.setdefault(user_id, []).extend(rows)

    async def find(self, user_id: str, query: str, k: int) -> list[tuple[Row, float]]:
        """The k rows most similar to the query with their cosine similarity, best first; of equals the newer one."""
        rows = self._rows.get(user_id, [])
        if not rows or k < 1:
            return []
        wanted = (await self._embedder.embed([query]))[0]
        scores = self._vectors[user_id] @ wanted
        best = sorted(range(len(rows)), key=lambda place: (-float(scores[place]), -place))[:k]
        return [(rows[place], float(scores[place])) for place in best]


def majority(labels: Sequence[str]) -> str:
    """The most frequent of the labels, oldest first; of equals the newer one; empty without any."""
    return Counter(reversed(labels)).most_common(1)[0][0] if labels else ""


class Majority(Remembering):
    """Answers the user's most frequent label so far; it reads no query."""

    async def answer(self, row: Row) -> Answer:
        """The most frequent label."""
        return Answer(text=majority([past.truth for past in self.seen[row.user_id] if past.truth]))


class LastLabel(Remembering):
    """Answers what the user answered last; it reads no query."""

    async def answer(self, row: Row) -> Answer:
        """The newest label; empty without any."""
        return Answer(text=next((past.truth for past in reversed(self.seen[row.user_id]) if past.truth), ""))


class NearestNeighbour(Remembering):
    """A vote of the ``votes`` nearest labelled rows, each weighing its similarity; one by default."""

    def __init__(self, bench: Bench, votes: int = 1) -> None:
        super().__init__(bench)
        self.votes = votes
        self.nearest = Nearest(bench.embedder)

    async def prepare(self, user_id: str, history: Sequence[Row]) -> None:
        """Embed the labelled history."""
        await super().prepare(user_id, history)
        await self.nearest.add(user_id, [row for row in history if row.truth])

    async def answer(self, row: Row) -> Answer:
        """The label with the most weight.

        Where nothing is labelled and the choices are the row's own (preference following), the choice that is most
        similar to anything that the user said; without history it is empty.
        """
        weights: dict[str, float] = defaultdict(float)
        for past, score in await self.nearest.find(row.user_id, row.query, self.votes):
            weights[past.truth] += score
        if not weights and row.choices and self.seen[row.user_id]:
            said = await self.bench.embedder.embed([past.query for past in self.seen[row.user_id]])
            offered = await self.bench.embedder.embed(row.choices)
            weights.update(zip(row.choices, (offered @ said.T).max(axis=1).tolist(), strict=True))
        return Answer(text=max(weights, key=weights.__getitem__) if weights else "")

    async def learn(self, row: Row) -> None:
        """Embed one more."""
        await super().learn(row)
        await self.nearest.add(row.user_id, [row])


WIDTH = 0.1  # of cosine similarity, over which a vote's weight falls to 37 %


class WeightedVote(NearestNeighbour):
    """The ``votes`` nearest labelled rows vote, each with the weight exp(similarity / ``WIDTH``)."""

    def __init__(self, bench: Bench, votes: int = 16) -> None:
        super().__init__(bench, votes)

    async def answer(self, row: Row) -> Answer:
        """The label with the most weight and the labels' shares; ``NearestNeighbour`` where nothing is labelled."""
        weights: dict[str, float] = defaultdict(float)
        for past, score in await self.nearest.find(row.user_id, row.query, self.votes):
            weights[past.truth] += math.exp(score / WIDTH)
        if not weights:
            return await super().answer(row)
        whole = sum(weights.values())
        shares = {label: weight / whole for label, weight in weights.items()}
        return Answer(text=max(shares, key=shares.__getitem__), probabilities=shares)


class NoPersonalization(Remembering):
    """The model alone (paper, "Non-Personalized"): one call a query, with the choices and without any history."""

    async def answer(self, row: Row) -> Answer:
        """What the model says to the query alone."""
        return await ask(self.bench, row, messages(self.bench, row))


class InContext(Remembering):
    """In-context learning (paper, "ICL"): the newest ``recall_k`` interactions come first, whatever they are about."""

    async def answer(self, row: Row) -> Answer:
        """What the model says after the newest examples, oldest first."""
        newest = self.seen[row.user_id][-self.bench.recall_k :] if self.bench.recall_k else []
        return await ask(self.bench, row, messages(self.bench, row, newest))


class Retrieval(Remembering):
    """Retrieval-augmented (paper, "RAG"): the ``recall_k`` most similar interactions come first, the best last."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.nearest = Nearest(bench.embedder)

    async def prepare(self, user_id: str, history: Sequence[Row]) -> None:
        """Embed the history."""
        await super().prepare(user_id, history)
        await self.nearest.add(user_id, history)

    async def answer(self, row: Row) -> Answer:
        """What the model says after the recalled examples."""
        return await ask(self.bench, row, messages(self.bench, row, await self.recalled(row)))

    async def recalled(self, row: Row) -> list[Row]:
        """The most similar interactions, the best last."""
        found = await self.nearest.find(row.user_id, row.query, self.bench.recall_k)
        return [past for past, _ in reversed(found)]

    async def learn(self, row: Row) -> None:
        """Embed one more."""
        await super().learn(row)
        await self.nearest.add(row.user_id, [row])


READ = 40  # newest interactions that the profile is made of
LINE = 200
INSTRUCTION = (
    "Below is what one user wrote or was asked, each with the user's own answer. In at most five short sentences, "
    "describe this user: what they are occupied with, how they tend to answer, and what would help to predict it."
)


class ProfileAugmented(Retrieval):
    """Profile-augmented generation (paper, "PAG"): RAG with a profile that a model wrote before the first query."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._profiles: dict[str, str] = {}

    async def prepare(self, user_id: str, history: Sequence[Row]) -> None:
        """Embed the history and have it summarised: one model call a user."""
        await super().prepare(user_id, history)
        if history:
            self._profiles[user_id] = await summarize(self.bench, INSTRUCTION, lines(history[-READ:]))

    async def answer(self, row: Row) -> Answer:
        """What the model says, knowing the profile and the recalled examples."""
        profile = self._profiles.get(row.user_id, "")
        return await ask(self.bench, row, messages(self.bench, row, await self.recalled(row), profile=profile))

    async def portrait(self, user_id: str) -> Portrait:
        """The profile."""
        return Portrait(persona=self._profiles.get(user_id, ""))


def lines(rows: Sequence[Row]) -> list[str]:
    """Interactions for a summary, one a line, each cut short."""
    return [f"- {' '.join(row.query.split())[:LINE]}{' → ' + row.truth if row.truth else ''}" for row in rows]


READ_EDITS = 900  # characters of an answer and of its edit that the model is shown
TOKENS = 30  # of a preference
LISTED = 5
PROMPT = (
    "Here is an answer, and what one user made of it.\n\n{before}\n\n{after}\n\n"
    "What does this user change about length, form and tone? Reply with one short phrase that begins with "
    '"The user prefers" and does not name the topic.'
)


class Preferences(Retrieval):
    """One model call an edit, one a query, with up to ``LISTED`` preferences in the system prompt."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._read: dict[str, str] = {}  # row → preference

    async def prepare(self, user_id: str, history: Sequence[Row]) -> None:
        """Read a preference from every edit; an answer that was left as it is tells none."""
        await super().prepare(user_id, history)
        for row in history:
            if row.response and row.response.split() != row.truth.split():
                self._read[row.id] = await self._preference(row)

    async def answer(self, row: Row) -> Answer:
        """What the model says, knowing what the user preferred at similar questions."""
        found = await self.nearest.find(row.user_id, row.query, LISTED)
        listed = dict.fromkeys(filter(None, (self._read.get(past.id, "") for past, _ in found)))
        profile = "\n".join(f"- {line}" for line in listed)
        return await ask(self.bench, row, messages(self.bench, row, profile=profile))

    async def portrait(self, user_id: str) -> Portrait:
        """Every preference, each once."""
        lines = dict.fromkeys(self._read.get(row.id, "") for row in self.seen[user_id])
        return Portrait(persona="\n".join(filter(None, lines)))

    async def _preference(self, row: Row) -> str:
        prompt = PROMPT.format(
            before=quote(row.response[:READ_EDITS], "before"), after=quote(row.truth[:READ_EDITS], "after")
        )
        with suppress(ModelOutputInvalid, ModelRefused):
            chat = await self.bench.models.chat("critic")
            reply = await chat.bind(max_tokens=TOKENS).ainvoke([HumanMessage(prompt)])
            return " ".join(str(reply.text).split())
        return ""


STRENGTH = 50.0  # interactions after which an unused memory has faded to 37 %
CANDIDATES = 32  # most similar memories that retention chooses among
BLOCK, BLOCKS = 10, 3  # newest interactions a summary, and summaries a user
EVENTS = "Summarise in at most two short sentences what this user did and decided in these interactions."
PORTRAIT = "From these summaries describe in at most three short sentences who this user is and how they decide."


class MemoryBank(Retrieval):
    """RAG over fading memories, with a portrait made of summaries: up to four model calls a user, one a query."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._portraits: dict[str, str] = {}
        self._strength: dict[str, float] = {}
        self._touched: dict[str, int] = {}

    async def prepare(self, user_id: str, history: Sequence[Row]) -> None:
        """Embed the history, note its age, and summarise it by blocks."""
        await super().prepare(user_id, history)
        for place, row in enumerate(history):
            self._touched[row.id] = place
        newest = history[-BLOCK * BLOCKS :]
        blocks = [newest[start : start + BLOCK] for start in range(0, len(newest), BLOCK)]
        events = [await summarize(self.bench, EVENTS, lines(block)) for block in blocks]
        told = [event for event in events if event]
        if told:
            self._portraits[user_id] = await summarize(self.bench, PORTRAIT, told)

    async def answer(self, row: Row) -> Answer:
        """What the model says, knowing the portrait and the memories that have not faded."""
        profile = self._portraits.get(row.user_id, "")
        return await ask(self.bench, row, messages(self.bench, row, await self.recalled(row), profile=profile))

    async def recalled(self, row: Row) -> list[Row]:
        """The memories that fit best and have faded least, the best last; each is refreshed by it."""
        now = len(self.seen[row.user_id])
        found = await self.nearest.find(row.user_id, row.query, CANDIDATES)
        found.sort(key=lambda item: -item[1] * self._retention(item[0].id, now))
        best = [past for past, _ in found[: self.bench.recall_k]]
        for past in best:
            self._strength[past.id] = self._strength.get(past.id, STRENGTH) + STRENGTH
            self._touched[past.id] = now
        return best[::-1]

    async def learn(self, row: Row) -> None:
        """Remember one more, as fresh as can be."""
        self._touched[row.id] = len(self.seen[row.user_id])
        await super().learn(row)

    async def portrait(self, user_id: str) -> Portrait:
        """The portrait."""
        return Portrait(persona=self._portraits.get(user_id, ""))

    def _retention(self, row_id: str, now: int) -> float:
        return math.exp(-(now - self._touched[row_id]) / self._strength.get(row_id, STRENGTH))
