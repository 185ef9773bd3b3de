"""What the load showed: errors, times, where the time of a turn went, memory, and what was lost or doubled."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import linear_regression, mean

from personaagent.evals.perf.load_endpoint import CANARY
from personaagent.evals.perf.load_server import Server
from personaagent.evals.perf.load_user import Tally, User
from personaagent.graph.services import Services
from personaagent.memory.portability import export_user
from personaagent.settings import Settings

_LABELLED = re.compile(r'(\w+)="([^"]*)"')
SETTLED = 0.5  # memory is judged over this last share of a process's life
MB_A_MINUTE = 5.0  # growth beyond it is not flat


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One histogram: its labels, how many observations, mean and the bound of the bucket of the 95th percentile."""

    labels: Mapping[str, str]
    count: int
    mean_ms: float
    p95_ms: float


def parts(totals: Mapping[str, float], name: str) -> list[Part]:
    """The series of a histogram of seconds, the largest sum first."""
    found: list[tuple[float, Part]] = []
    for key, count in totals.items():
        if key.startswith(f"{name}_count") and count:
            inner = key.removeprefix(f"{name}_count").strip("{}")
            total = totals[key.replace("_count", "_sum", 1)]
            labels = dict(_LABELLED.findall(inner))
            p95 = _bound(totals, name, labels, 0.95 * count)
            part = Part(labels=labels, count=int(count), mean_ms=1e3 * total / count, p95_ms=1e3 * p95)
            found.append((total, part))
    return [part for _, part in sorted(found, key=lambda row: -row[0])]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the values lies; 0 when there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def growth(memory: Sequence[tuple[float, int, float]]) -> float:
    """MB a minute that the longest-lived process grew by at the end of its life."""
    lives: dict[int, list[tuple[float, float]]] = {}
    for at, process, resident in memory:
        lives.setdefault(process, []).append((at, resident))
    longest = max(lives.values(), key=len, default=[])
    settled = longest[int(len(longest) * (1 - SETTLED)) :]
    if len(settled) < 3:
        return 0.0
    slope = linear_regression([at for at, _ in settled], [resident for _, resident in settled]).slope
    return slope * 60


def told(tally: Tally, server: Server, endpoint: Mapping[str, int], found: Findings, seconds: float) -> str:
    """The report as plain text."""
    totals, turns = server.totals, tally.counts["turns"]
    lines = [
        f"{turns} turns and {tally.counts['labels']} labels in {seconds:.0f} s: {turns / seconds:.1f} turns a second",
        f"failed requests {tally.counts['failed requests']}, sent again with success {tally.counts['sent again']}, "
        f"given up {sum(n for name, n in tally.counts.items() if name.endswith('given up'))}, "
        f"degraded turns {tally.counts['degraded']}",
        *(f"  {times} x {what}" for what, times in tally.failures.most_common(8)),
    ]
    for name, times in (("turn", tally.turns), ("feedback", tally.feedback)):
        shown = ", ".join(f"p{round(100 * s)} {1e3 * percentile(times, s):.0f} ms" for s in (0.5, 0.95, 0.99))
        lines.append(f"{name}, as the client sees it: {shown}")
    lines += ["", *_overhead(totals, tally), "", f"{'graph':<11}{'node':<17}{'n':>7}{'mean ms':>10}{'p95 ms <=':>11}"]
    for part in parts(totals, "personaagent_node_seconds"):
        where = f"{part.labels['graph']:<11}{part.labels['node']:<17}"
        lines.append(f"{where}{part.count:>7}{part.mean_ms:>10.1f}{part.p95_ms:>11.0f}")
    lines += [
        f"{'model':<11}{p.labels['role']:<17}{p.count:>7}{p.mean_ms:>10.1f}{p.p95_ms:>11.0f}"
        for p in parts(totals, "personaagent_model_seconds")
    ]
    lines += ["", *_counters(totals), "", *_memory(server.memory)]
    crossed = endpoint.get("crossed", 0)
    lines += [
        "",
        f"model calls at the endpoint: {endpoint.get('calls', 0)}, made to fail {endpoint.get('failed', 0)}, "
        f"that showed two users' words {crossed}",
        f"in the ledger: {found.interactions} interactions ({found.unacknowledged} never acknowledged), {found.labels} "
        f"labels, {found.versions} persona versions, {found.facts} facts",
        f"leaks seen by clients: {len(tally.leaks)}; broken promises: {len(found.broken)}",
        *tally.leaks[:10],
        *found.broken[:20],
    ]
    return "\n".join(lines)


def _overhead(totals: Mapping[str, float], tally: Tally) -> list[str]:
    """Where a turn's time goes, in the mean: the model, our nodes, and everything around them."""
    live = [p for p in parts(totals, "personaagent_node_seconds") if p.labels["graph"] == "agent"]
    agent = [p for p in parts(totals, "personaagent_model_seconds") if p.labels["role"] == "agent"]
    began = max((p.count for p in live if p.labels["node"] == "load_persona"), default=0)
    if not began or not tally.turns:
        return []
    nodes = sum(p.count * p.mean_ms for p in live) / began
    model = sum(p.count * p.mean_ms for p in agent) / began
    whole = 1e3 * mean(tally.turns)
    return [
        f"a turn in the mean: {whole:.0f} ms = model {model:.0f} + our nodes without it {nodes - model:.0f} + "
        f"server, queue and transport {whole - nodes:.0f}"
    ]


def _counters(totals: Mapping[str, float]) -> list[str]:
    shown = ("alignments", "degraded_turns", "errors", "tool_calls", "tokens", "refused")
    lines = []
    for name in shown:
        prefix = f"personaagent_{name}_total"
        found = [
            f"{' '.join(value for _, value in _LABELLED.findall(key))} {int(count)}"
            for key, count in sorted(totals.items())
            if key.startswith(prefix) and count
        ]
        lines.append(f"{name}: {', '.join(found) or 'none'}")
    return lines


def _memory(memory: Sequence[tuple[float, int, float]]) -> list[str]:
    if not memory:
        return []
    step = max(1, len(memory) // 10)
    shown = ", ".join(f"{at:.0f} s {resident:.0f}" for at, _, resident in [*memory[::step], memory[-1]])
    return [f"memory of the server process in MB: {shown}", f"growth at the end: {growth(memory):+.1f} MB a minute"]


def _bound(totals: Mapping[str, float], name: str, labels: Mapping[str, str], wanted: float) -> float:
    """The upper bound of the first bucket that holds so many observations."""
    bounds: list[tuple[float, float]] = []
    for key, count in totals.items():
        if key.startswith(f"{name}_bucket"):
            told_labels = dict(_LABELLED.findall(key))
            bound = told_labels.pop("le")
            if told_labels == labels:
                bounds.append((float(bound.replace("+Inf", "inf")), count))
    return next((bound for bound, count in sorted(bounds) if count >= wanted), float("inf"))


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
