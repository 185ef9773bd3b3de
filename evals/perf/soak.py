"""A soak: many users at once append, search, label and forget while the memory is closed and opened again.

``python -m evals.perf.soak --users 200 --interactions 50000 --seed 1``. Afterwards a checker proves that every
acknowledged write is there exactly once, every forgotten one is in no
table, index, persona, outbox, spool, export or file, and that no result ever crossed users.
Exits non-zero with what was found. The seed is printed, and makes the same plan of actions again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from personaagent.errors import IndexUnavailable
from personaagent.evals.perf.memory_bench import WORDS, RandomEmbedder
from personaagent.inputs import Feedback
from personaagent.ledger.candidates import Candidates
from personaagent.ledger.database import Database, sqlite_url
from personaagent.ledger.facts import Facts
from personaagent.ledger.interactions import Interactions
from personaagent.ledger.queues import Outbox
from personaagent.memory.episodic import LedgerEpisodicMemory
from personaagent.memory.forgetting import Forgetter, Selection
from personaagent.memory.index_edge import EdgeIndex
from personaagent.memory.indexer import Indexer
from personaagent.memory.portability import export_user
from personaagent.memory.spool import Spool
from personaagent.persona.store import LedgerPersonaStore
from personaagent.ports import Point
from personaagent.types import Clause, FactOperation, Interaction, Section

START = datetime(2025, 1, 1, tzinfo=UTC)
AT_ONCE = 16  # users who act at the same time
_WORD = re.compile(rb"w[0-9a-f]{8,15}")
FAULTS = 0.02  # of the writes to the index fail


class FlakyIndex(EdgeIndex):
    """The embedded index, with a write in fifty that fails."""

    rng = random.Random(0)

    async def upsert(self, points: Sequence[Point]) -> None:
        """Write points, or fail."""
        if self.rng.random() < FAULTS:
            raise IndexUnavailable("a fault of the soak")
        await super().upsert(points)


class House:
    """One opening of the memory."""

    def __init__(self, home: Path) -> None:
        self.database = Database(sqlite_url(home))
        embedder = RandomEmbedder()
        self.interactions = Interactions(self.database)
        self.outbox = Outbox(self.database)
        self.facts = Facts(self.database)
        self.personas = LedgerPersonaStore(self.database)
        self.index = FlakyIndex(home / "index", embedder.name, embedder.dim)
        self.indexer = Indexer(self.outbox, self.interactions, self.index, embedder, backoff_s=[0.05])
        self.spool = Spool(home / "spool")
        self.memory = LedgerEpisodicMemory(self.interactions, self.indexer, self.index, embedder, spool=self.spool)
        self.forgetter = Forgetter(self.database, self.indexer, drain_spool=self.memory.drain_spool)

    async def close(self) -> None:
        """Release everything."""
        await self.indexer.close()
        await self.index.close()
        await self.database.close()


@dataclass
class Account:
    """What one user was told: the acknowledged state that must be found in the end."""

    user_id: str
    kept: dict[str, str | None] = field(default_factory=dict)  # id → ground truth
    words: dict[str, str] = field(default_factory=dict)  # id → a word that only this interaction has
    forgotten: dict[str, str] = field(default_factory=dict)
    count: int = 0


@dataclass
class Tally:
    """What was done, and every broken promise."""

    done: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def count(self, what: str) -> None:
        """Count an action."""
        self.done[what] = self.done.get(what, 0) + 1


async def live(house: House, account: Account, actions: int, rng: random.Random, tally: Tally) -> None:
    """So many actions of one user."""
    for _ in range(actions):
        dice = rng.random()
        known = list(account.kept)
        if dice < 0.70 or not known:
            await _append(house, account, rng)
            tally.count("append")
        elif dice < 0.85:
            tally.count("search")
            query = f"{rng.choice(list(account.words.values()))} {rng.choice(WORDS)}"
            for recall in await _searched(house, account, query, tally):
                if recall.user_id != account.user_id or recall.id not in account.kept:
                    tally.broken.append(f"{account.user_id} was shown {recall.id} of {recall.user_id}")
        elif dice < 0.95:
            tally.count("label")
            key = rng.choice(known)
            account.kept[key] = (
                await house.memory.feedback(
                    account.user_id, key, Feedback(ground_truth=f"t{rng.random()}", source="correction")
                )
            ).ground_truth
        elif dice < 0.98:
            tally.count("forget")
            await _forget(house, account, rng.sample(known, min(len(known), rng.randint(1, 3))))
        else:
            tally.count("derive")
            await _derive(house, account, rng.sample(known, min(len(known), 3)))


async def _searched(house: House, account: Account, query: str, tally: Tally) -> list[Interaction]:
    try:
        return [recall.interaction for recall in await house.memory.search(account.user_id, query, 8)]
    except IndexUnavailable:
        tally.count("search while the index was down")
        return []


async def _append(house: House, account: Account, rng: random.Random) -> None:
    key, word = str(UUID(int=rng.getrandbits(128))), f"w{rng.getrandbits(60):x}"
    account.count += 1
    given = Interaction(
        id=key,
        user_id=account.user_id,
        query=f"{word} {' '.join(rng.choices(WORDS, k=8))}",
        created_at=START + timedelta(seconds=account.count // 2),  # every second one at the same moment
    )
    for _ in range(rng.choice((1, 1, 1, 2))):  # a retry now and then
        await house.memory.append(account.user_id, given)
    account.kept[key], account.words[key] = None, word


async def _derive(house: House, account: Account, keys: list[str]) -> None:
    """A fact and a persona clause that tell the interactions' words."""
    text = "Says " + " ".join(account.words[key] for key in keys)
    operation = FactOperation(kind="add", text=text, evidence=tuple(keys))
    await house.facts.apply(account.user_id, [operation], through=START)
    current = await house.personas.current(account.user_id)
    sections = {Section.WHO: tuple(Clause(text=f"Says {account.words[key]}", evidence=(key,)) for key in keys)}
    await house.personas.append(
        account.user_id, sections, "aligned", expected_parent=None if current is None else current.version
    )


async def _forget(house: House, account: Account, keys: list[str]) -> None:
    # a fact that names several words stands until all its evidence is gone: forget its evidence as a whole
    facts = await house.facts.history(account.user_id)
    reached = -1
    while reached < len(keys):  # until no fact that is touched has other evidence
        reached = len(keys)
        for fact in facts:
            if set(fact.evidence) & set(keys):
                keys = list(dict.fromkeys([*keys, *fact.evidence]))
    await house.forgetter.forget(account.user_id, Selection(ids=tuple(keys)))
    for key in keys:
        account.kept.pop(key, None)
        account.forgotten[key] = account.words.pop(key)


async def check(house: House, accounts: list[Account], tally: Tally) -> None:
    """Hold everything that was acknowledged against everything that is there."""
    while await house.indexer.depth():
        try:
            await house.indexer.flush()
        except IndexUnavailable:
            continue  # a fault of the soak
    if waiting := await house.outbox.depth() + await house.spool.depth():
        tally.broken.append(f"{waiting} pieces of work still wait in outbox and spool")
    for account in accounts:
        tally.broken += [f"{account.user_id}: {flaw}" for flaw in await _against(house, account)]


async def _against(house: House, account: Account) -> list[str]:
    """What is not as this account was told."""
    user, broken = account.user_id, []
    there = await house.interactions.newest(user, account.count + 1)
    if {i.id: i.ground_truth for i in there} != account.kept or len(there) != len(account.kept):
        broken.append(f"the ledger has {len(there)} of {len(account.kept)}, or other labels")
    if (indexed := await house.index.count(user)) != len(account.kept):
        broken.append(f"the index has {indexed} of {len(account.kept)}")
    for key, word in list(account.words.items())[:20]:
        best = await house.memory.search(user, word, 1)
        if [recall.interaction.id for recall in best] != [key]:
            broken.append(f"{key} is not found by its own word")
    rejected = await Candidates(house.database).newest(user, 1_000)
    versions = await house.personas.history(user)
    everything = json.dumps(await export_user(house.database, user)) + str(rejected) + str(versions)
    for key, word in account.forgotten.items():
        if word in everything or f'"id": "{key}"' in everything:
            broken.append(f"forgotten {key} is still in the export")
    return broken


def on_disk(home: Path, accounts: list[Account]) -> list[str]:
    """The forgotten words that some file of the data folder still has."""
    found: dict[bytes, str] = {}
    for path in home.rglob("*"):
        if path.is_file():
            found |= dict.fromkeys(_WORD.findall(path.read_bytes()), path.name)
    gone = [word for account in accounts for word in account.forgotten.values()]
    return [f"{word} is on disk, in {found[word.encode()]}" for word in gone if word.encode() in found]


async def main(users: int, interactions: int, restarts: int, seed: int, home: Path) -> int:
    """Run the soak; returns the process's exit code."""
    print(f"soak: {users} users, {interactions:,} interactions, {restarts} restarts, seed {seed}", flush=True)
    FlakyIndex.rng = random.Random(seed)
    rngs = {n: random.Random(f"{seed}-{n}") for n in range(users)}
    accounts = [Account(user_id=f"user {n}") for n in range(users)]
    tally, started = Tally(), time.perf_counter()
    each = max(1, round(interactions / 0.70 / users / (restarts + 1)))
    for round_ in range(restarts + 1):
        house, gate = House(home), asyncio.Semaphore(AT_ONCE)

        async def guarded(n: int, house: House = house, gate: asyncio.Semaphore = gate) -> None:
            async with gate:
                await live(house, accounts[n], each, rngs[n], tally)

        await asyncio.gather(*(guarded(n) for n in range(users)))
        await house.close()
        print(f"  round {round_ + 1}: {tally.done} in {time.perf_counter() - started:.0f} s", flush=True)
    house = House(home)
    await check(house, accounts, tally)
    await house.close()
    tally.broken += await asyncio.to_thread(on_disk, home, accounts)
    kept, gone = sum(len(a.kept) for a in accounts), sum(len(a.forgotten) for a in accounts)
    print(f"checked {kept:,} kept and {gone:,} forgotten interactions: {len(tally.broken)} broken promises")
    print("\n".join(tally.broken[:20]))
    return 1 if tally.broken else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--interactions", type=int, default=50_000)
    parser.add_argument("--restarts", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)  # every fault of the soak warns
    with tempfile.TemporaryDirectory() as folder:
        code = asyncio.run(main(given.users, given.interactions, given.restarts, given.seed, Path(folder)))
    sys.exit(code)
