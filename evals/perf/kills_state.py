"""What was acknowledged before a kill, what a next start finds, and the promises between the two."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SETTLE_S = 60.0


@dataclass
class Kept:
    """What one user was told to be kept or forgotten; what was under way when the kill came may be either."""

    asked: dict[str, str] = field(default_factory=dict)  # interaction → query
    labels: dict[str, str] = field(default_factory=dict)  # interaction → truth
    queries: set[str] = field(default_factory=set)  # of imported rows
    gone: set[str] = field(default_factory=set)  # interactions that are forgotten
    ids: set[str] = field(default_factory=set)  # of all that was there when it was looked at last
    texts: dict[str, str] = field(default_factory=dict)  # their queries
    versions: list[Any] = field(default_factory=list)  # of the persona, as seen last
    importing: set[str] = field(default_factory=set)
    forgetting: set[str] = field(default_factory=set)
    labelling: dict[str, str] = field(default_factory=dict)

    def imported(self) -> None:
        """The import that was under way is acknowledged."""
        self.queries |= self.importing

    def forgotten(self) -> None:
        """The forgetting that was under way is acknowledged."""
        self.gone |= self.forgetting
        self._drop()
        self.forgetting = set()

    def _half_forgotten(self, there: Set[str]) -> list[str]:
        """What a forgetting that was under way left half done; it is settled with that."""
        broken = []
        if left := self.forgetting & there:
            if left != self.forgetting & (self.ids | self.asked.keys()):
                broken.append(f"half of a forgetting happened: {sorted(left)}")
        elif self.forgetting:
            self.gone |= self.forgetting
            self._drop()
        self.forgetting = set()
        return broken

    def against(self, found: dict[str, Any]) -> list[str]:
        """Every promise that what was found breaks; what was under way is settled by it."""
        rows = {row["id"]: row for row in found["rows"]}
        broken = [*found["problems"], *self._half_forgotten(rows.keys())]
        broken += [f"{key} was kept and is not there" for key in self.asked.keys() - rows.keys()]
        broken += [f"{key} was forgotten and is there" for key in self.gone & rows.keys()]
        texts = Counter(row["query"] for row in rows.values())
        broken += [f"{text!r} was imported and is not there" for text in self.queries - texts.keys()]
        broken += [f"{text!r} is there {times} times" for text, times in texts.items() if times > 1]
        for key in self.labels.keys() & rows.keys():
            if rows[key]["truth"] != self.labels[key]:
                broken.append(f"the label of {key} is {rows[key]['truth']!r}")
        if found["index"] != len(rows):
            broken.append(f"{found['index']} are indexed, {len(rows)} are in the ledger")
        if found["versions"][: len(self.versions)] != self.versions:
            broken.append(f"the persona's versions were {self.versions} and are {found['versions']}")
        self.versions = found["versions"]
        self.ids, self.texts = set(rows), {key: row["query"] for key, row in rows.items()}
        return broken

    def _drop(self) -> None:
        for key in self.forgetting:
            self.asked.pop(key, None)
            self.labels.pop(key, None)
            self.queries.discard(self.texts.get(key, ""))


async def kept(home: Path, user: str) -> dict[str, Any]:
    """What a next start finds of the user, when what waits for the index has had its time."""
    from personaagent.errors import PersonaAgentError
    from personaagent.graph.services import Services
    from personaagent.ports import Where
    from personaagent.settings import Settings

    services, problems = Services(Settings(home=home)), []
    try:
        rows = await services.episodic.newest(user, 100_000, Where())
        until = time.monotonic() + SETTLE_S
        while (left := await services.indexer.flush()) and time.monotonic() < until:
            continue
        if left:
            problems.append(f"{left} changes wait for the index")
        if rows and not await services.episodic.search(user, rows[-1].query, 3):
            problems.append("a search finds nothing")
        versions = [[p.version, p.parent] for p in await services.personas.history(user)]
        index = await services.index.count(user)
    except PersonaAgentError as error:
        return {"rows": [], "index": 0, "versions": [], "problems": [f"{type(error).__name__}: {error}"]}
    finally:
        await services.close()
    with sqlite3.connect(home / "ledger.sqlite") as plain:
        if (said := plain.execute("PRAGMA integrity_check").fetchone()) != ("ok",):
            problems.append(f"the ledger is damaged: {said}")
    return {
        "rows": [{"id": row.id, "query": row.query, "truth": row.ground_truth} for row in rows],
        "index": index,
        "versions": sorted(versions),
        "problems": problems,
    }


def old_ledger(home: Path, user: str, count: int) -> None:
    """Write a ledger of the first schema with so many interactions."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from sqlalchemy import JSON, MetaData, Table, create_engine

    from personaagent.ledger.migrate import _scripts

    scripts = _scripts()
    engine = create_engine(f"sqlite:///{home / 'ledger.sqlite'}")
    with engine.begin() as connection:
        context = MigrationContext.configure(
            connection, opts={"fn": lambda revision, _: scripts._upgrade_revs("0001", revision)}
        )
        with Operations.context(context):
            context.run_migrations()
        table = Table("interactions", MetaData(), autoload_with=connection)
        empty = {
            column.name: ({} if column.name == "metadata" else []) if isinstance(column.type, JSON) else ""
            for column in table.columns
            if not column.nullable and column.server_default is None
        }
        for n in range(count):
            told = {"user_id": user, "id": f"old-{n}", "created_at": 1_700_000_000_000_000 + n, "query": f"old {n}"}
            connection.execute(table.insert().values(**(empty | told)))
    engine.dispose()
