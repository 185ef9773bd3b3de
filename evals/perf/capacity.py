"""What so many users need: ``python -m evals.perf.capacity [--postgres URL]``, in docs/capacity.md with its formulas.

It measures the unit costs (``capacity_costs``), then does arithmetic. What is neither measured nor a setting is an
assumption, is a field of ``Assumptions``, and can be changed by a flag of that name.
"""

from __future__ import annotations

import argparse
import asyncio
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import partial

from personaagent.evals.perf.capacity_costs import Costs, Profile, measure
from personaagent.models.embedder import MiniLMEmbedder

USERS = (10**4, 10**6, 10**8)
# docs/alignment.md, Speed: `python -m evals.perf.alignment_bench`, an epoch: 3 teach, 6 judge, 2 candidates
ALIGNMENT_CALLS, ALIGNMENT_TOKENS = 26, 11_280
QUANTIZED_B = {"none": 0.0, "int8": 1.0, "binary": 1 / 8}  # bytes a dimension of the copy that is kept in RAM
DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What a deployment knows better."""

    dims: int = MiniLMEmbedder.dim
    active: float = 0.1  # users that come on a day
    turns: float = 5.0  # of an active user on a day
    labels_a_turn: float = 0.6  # turns that the user says something about
    align_after: int = 3  # the setting: labels after which alignment is due
    epochs: float = 1.0  # of an alignment; the run's `align_epochs` (3) is the most
    peak: float = 3.0  # the busiest hour against the mean
    embeddings_a_turn: float = 2.0  # the query, and the memory of the turn
    turn_cpu_ms: float = 33.0  # of our own code without the embedding: `evals.perf.turn_overhead`, 46 less 13
    overhead_b: float = 200.0  # Qdrant's own of a point: id, version, five payload indexes
    links_b: float = 128.0  # HNSW: 2 x payload_m links of 4 B; none are built for users below full_scan_threshold
    disk_factor: float = 1.5  # segments that are being merged, write-ahead log
    replicas: int = 2
    node_ram_gb: float = 64.0
    node_disk_gb: float = 2_000.0
    fill: float = 0.75  # of a node's RAM and disk that may be used
    ledger_factor: float = 1.3  # free space and dead rows, against a freshly filled table


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """One way to keep the vectors: bytes of RAM and disk of one replica, and Qdrant nodes for all of them."""

    kept: str
    ram_b: float
    disk_b: float
    nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What so many users need; bytes, tokens and calls a day, cores at the peak."""

    users: int
    memories: int
    ledger_b: float
    vectors: tuple[Vectors, ...]
    turns_a_second: float  # at the peak
    embedder_cores: float
    turn_cores: float
    alignments_a_day: float
    calls_a_day: float
    tokens_a_day: float


def plan(users: int, costs: Costs, profile: Profile, given: Assumptions) -> Plan:
    """The arithmetic, without I/O. The ledger is Postgres where that was measured, else SQLite."""
    turns = users * given.active * given.turns
    peak = turns / DAY_S * given.peak
    alignments = turns * given.labels_a_turn / given.align_after
    memories = users * profile.interactions
    return Plan(
        users=users,
        memories=memories,
        ledger_b=users * (costs.postgres_b or costs.sqlite_b) * given.ledger_factor,
        vectors=tuple(_vectors(kept, memories, costs, given) for kept in (*QUANTIZED_B, "on disk, int8")),
        turns_a_second=peak,
        embedder_cores=peak * given.embeddings_a_turn * costs.embed_cpu_ms / 1000,
        turn_cores=peak * given.turn_cpu_ms / 1000,
        alignments_a_day=alignments,
        calls_a_day=alignments * given.epochs * ALIGNMENT_CALLS,
        tokens_a_day=alignments * given.epochs * ALIGNMENT_TOKENS,
    )


def _vectors(kept: str, memories: int, costs: Costs, given: Assumptions) -> Vectors:
    """``on disk, int8``: everything on disk, and in the page cache what the users of the day touch."""
    full, lexical = given.dims * 4.0, costs.terms * 8  # a term: 4 B of index, 4 B of weight
    cold = kept.startswith("on disk")
    quantized = given.dims * QUANTIZED_B["int8" if cold else kept]
    beside = lexical + given.links_b + given.overhead_b
    hot = quantized or full
    ram = memories * (hot + beside) * (given.active if cold else 1)
    disk = memories * (full + quantized + 2 * lexical + costs.payload_b + given.links_b + given.overhead_b)
    disk *= given.disk_factor
    usable_ram, usable_disk = given.node_ram_gb * 1e9 * given.fill, given.node_disk_gb * 1e9 * given.fill
    wanted = max(math.ceil(ram * given.replicas / usable_ram), math.ceil(disk * given.replicas / usable_disk))
    return Vectors(kept=kept, ram_b=ram, disk_b=disk, nodes=max(wanted, given.replicas))


def table(plans: list[Plan]) -> str:
    """The plans as a markdown table, a column each."""

    def row(name: str, cell: Callable[[Plan], str]) -> str:
        return f"| {name} | {' | '.join(map(cell, plans))} |"

    def stored(n: int, plan: Plan) -> str:
        return f"{_bytes(plan.vectors[n].ram_b)} / {_bytes(plan.vectors[n].disk_b)} / {plan.vectors[n].nodes:,}"

    return "\n".join(
        [
            "| |" + " |" * len(plans),
            "|---|" + "---|" * len(plans),
            row("users", lambda p: f"{p.users:,}"),
            row("memories", lambda p: f"{p.memories:,}"),
            row("ledger", lambda p: _bytes(p.ledger_b)),
            *(
                row(f"vectors, {v.kept}: RAM / disk a replica / nodes", partial(stored, n))
                for n, v in enumerate(plans[0].vectors)
            ),
            row("turns a second at the peak", lambda p: f"{p.turns_a_second:,.1f}"),
            row("cores that embed, at the peak", lambda p: f"{p.embedder_cores:,.1f}"),
            row("cores of our other code, at the peak", lambda p: f"{p.turn_cores:,.1f}"),
            row("alignments a day", lambda p: f"{p.alignments_a_day:,.0f}"),
            row("model calls of alignment a day", lambda p: f"{p.calls_a_day:,.0f}"),
            row("tokens of alignment a day", lambda p: f"{p.tokens_a_day / 1e6:,.1f} M"),
        ]
    )


def _bytes(count: float) -> str:
    unit, size = next((u, s) for u, s in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("B", 1)) if count >= s or s == 1)
    return f"{count / size:,.1f} {unit}"


def _flags(parser: argparse.ArgumentParser, kind: type[Assumptions] | type[Profile]) -> None:
    for field in fields(kind):
        default = field.default
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(default), default=default)


async def main() -> None:
    """Measure, then print costs, assumptions and plan."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measured-users", type=int, default=10, help="users that the ledger is filled with")
    parser.add_argument("--postgres", help="URL of an empty database; it is left filled")
    _flags(parser, Profile)
    _flags(parser, Assumptions)
    told = vars(parser.parse_args())
    profile = Profile(**{f.name: told[f.name] for f in fields(Profile)})
    given = Assumptions(**{f.name: told[f.name] for f in fields(Assumptions)})
    costs = await measure(profile, told["measured_users"], told["postgres"])
    for title, values in (("measured", costs), ("a user", profile), ("assumed", given)):
        shown = (f"{k} {'not measured' if v is None else f'{v:,.4g}' if v < 1000 else f'{v:,.0f}'}" for k, v in
                 asdict(values).items())  # fmt: skip
        print(f"{title}: {', '.join(shown)}\n")
    print(table([plan(users, costs, profile, given) for users in USERS]))


if __name__ == "__main__":
    asyncio.run(main())
