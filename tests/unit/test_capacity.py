"""The arithmetic of the capacity plan."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from personaagent.context import Context
from personaagent.evals.perf.capacity import ALIGNMENT_CALLS, ALIGNMENT_TOKENS, USERS, Assumptions, plan, table
from personaagent.evals.perf.capacity_costs import Costs, Profile, memories
from personaagent.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
COSTS = Costs(
    text_chars=100, sqlite_b=1_000, postgres_b=2_000, edge_b=3_000, payload_b=100, terms=10, embed_ms=20,
    embed_cpu_ms=10,
)  # fmt: skip
GIVEN = Assumptions(
    dims=100, active=0.1, turns=5, labels_a_turn=0.6, align_after=3, epochs=2, peak=4, embeddings_a_turn=2,
    turn_cpu_ms=20, overhead_b=60, links_b=60, disk_factor=2, replicas=2, node_ram_gb=0.004, node_disk_gb=1, fill=0.5,
    ledger_factor=1.5,
)  # fmt: skip
MADE = plan(864_000, COSTS, Profile(interactions=10), GIVEN)


def test_the_ledger_is_what_a_user_weighs_on_postgres_or_where_it_was_not_measured_on_sqlite() -> None:
    assert MADE.ledger_b == 864_000 * 2_000 * 1.5
    alone = Costs(**{**{f: getattr(COSTS, f) for f in Costs.__slots__}, "postgres_b": None})
    assert plan(10, alone, Profile(), GIVEN).ledger_b == 10 * 1_000 * 1.5


def test_ram_holds_the_smallest_copy_and_disk_holds_every_copy() -> None:
    none, whole, bits, cold = MADE.vectors
    beside = 10 * 8 + 60 + 60
    memories_in_all = 8_640_000
    assert none.ram_b == memories_in_all * (400 + beside)
    assert whole.ram_b == memories_in_all * (100 + beside)
    assert bits.ram_b == memories_in_all * (12.5 + beside)
    assert cold.ram_b == pytest.approx(whole.ram_b * 0.1)
    assert none.disk_b == memories_in_all * (400 + 2 * 80 + 100 + 120) * 2
    assert whole.disk_b - none.disk_b == memories_in_all * 100 * 2


def test_nodes_follow_from_what_is_scarcer_and_never_fall_below_the_replicas() -> None:
    none = MADE.vectors[0]
    assert none.nodes == -(-none.ram_b * 2 // 0.002e9)  # RAM is scarce here
    assert {v.nodes for v in plan(1, COSTS, Profile(), GIVEN).vectors} == {2}
    wide = plan(864_000, COSTS, Profile(interactions=10), Assumptions(node_ram_gb=10**6, node_disk_gb=1, fill=0.5))
    assert wide.vectors[0].nodes == -(-wide.vectors[0].disk_b * 2 // 0.5e9)


def test_cores_and_tokens_follow_from_the_turns_of_a_day() -> None:
    assert MADE.turns_a_second == pytest.approx(20)  # 86,400 active users, 5 turns each, 4 times the mean
    assert MADE.embedder_cores == pytest.approx(20 * 2 * 0.010)
    assert MADE.turn_cores == pytest.approx(20 * 0.020)
    assert MADE.alignments_a_day == pytest.approx(432_000 * 0.6 / 3)
    assert MADE.calls_a_day == pytest.approx(86_400 * 2 * ALIGNMENT_CALLS)
    assert MADE.tokens_a_day == pytest.approx(86_400 * 2 * ALIGNMENT_TOKENS)


def test_the_costs_of_an_alignment_are_those_that_the_document_shows_for_the_defaults() -> None:
    told = Context(user_id="ann")
    row = rf"^\| {told.align_batch} \| {told.align_judge} \| {told.align_candidates} \|.*\| (\d+) \| (\d+) \|$"
    shown = re.search(row, (ROOT / "docs/alignment.md").read_text(), re.M)
    assert shown is not None and (int(shown[1]), int(shown[2])) == (ALIGNMENT_CALLS, ALIGNMENT_TOKENS)
    assert Assumptions().align_after == Settings().align_after


def test_the_table_has_a_column_for_each_number_of_users() -> None:
    lines = table([plan(users, COSTS, Profile(), GIVEN) for users in USERS]).splitlines()
    assert {line.count("|") for line in lines} == {len(USERS) + 2}
    assert lines[2] == "| users | 10,000 | 1,000,000 | 100,000,000 |"


def test_memories_are_in_order_labelled_and_their_own_users() -> None:
    made = memories([{"title": "a", "text": "b", "category": "c"}], "ann", 3)
    assert len({i.id for i in made}) == 3 and {i.user_id for i in made} == {"ann"}
    assert made == sorted(made, key=lambda i: i.created_at)
