"""After the load: everything that was acknowledged is there exactly once, and nothing is at anybody else's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from personaagent.evals.perf.load_endpoint import CANARY
from personaagent.evals.perf.load_user import User
from personaagent.graph.services import Services
from personaagent.memory.portability import export_user
from personaagent.settings import Settings


@dataclass
class Findings:
    """What the ledger holds of the users, and every promise that is broken."""

    interactions: int = 0
    labels: int = 0
    unacknowledged: int = 0  # kept, but the client never heard of it
    versions: int = 0  # of personas
    facts: int = 0
    broken: list[str] = field(default_factory=list)


async def check(settings: Settings, users: Sequence[User]) -> Findings:
    """Read the ledger and the index of a stopped server, and hold them against what the users remember."""
    services, found = Services(settings), Findings()
    try:
        drained = await services.indexer.flush()
        if drained:
            found.broken.append(f"{drained} changes were still to be indexed when the server had stopped")
        for user in users:
            await _check_user(services, user, found)
    finally:
        await services.close()
    return found


async def _check_user(services: Services, user: User, found: Findings) -> None:
    rows = await services.interactions.newest(user.user_id, 10 * user.sent + 100)
    kept = {row.id: row for row in rows}
    lost = [key for key, query in user.asked.items() if key not in kept or kept[key].query != query]
    found.broken += [f"{user.user_id}: {key} was acknowledged and is not there as it was asked" for key in lost]
    for key in user.labelled.keys() & kept.keys():
        if (truth := user.labelled[key]) != (has := kept[key].ground_truth):
            found.broken.append(f"{user.user_id}: {key} is labelled {has!r} instead of {truth!r}")
    times = Counter(row.query for row in rows)
    found.broken += [f"{user.user_id}: {query!r} is there twice" for query in times if times[query] > 1]
    indexed = await services.index.count(user.user_id)
    if indexed != len(rows):
        found.broken.append(f"{user.user_id}: {indexed} interactions are indexed, {len(rows)} are in the ledger")
    document = json.dumps(await export_user(services.database, user.user_id))
    rejected = str(await services.candidates.newest(user.user_id, 1_000))
    foreign = set(CANARY.findall(document + rejected)) - {user.canary}
    if foreign:
        found.broken.append(f"{user.user_id}: {sorted(foreign)} of others is kept here")
    found.interactions += len(rows)
    found.unacknowledged += len(kept.keys() - user.asked.keys())
    found.labels += len(rows) - [row.ground_truth for row in rows].count(None)
    found.versions += len(await services.personas.history(user.user_id))
    found.facts += len(await services.facts.history(user.user_id))
