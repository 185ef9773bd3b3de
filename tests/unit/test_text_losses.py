"""How often a loss of free text puts two answers in the right order, by wording, form and ``TextLoss``.

``evals/data/text_triples.jsonl`` has questions, what was wanted, a better and a worse answer, of many kinds (verbose,
list or prose, another language, units or address, a wrong fact in the right form). The weights of ``TextLoss`` were
chosen on the first, third, fifth … of them; the others are held out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from personaagent.labels.loss import TextLoss, similarity
from personaagent.models.embedder import MiniLMEmbedder

TRIPLES = Path(__file__).resolve().parents[2] / "evals/data/text_triples.jsonl"


def agreement(losses: Sequence[Sequence[float]]) -> float:
    """The share of pairs in the right order, of losses given best answer first; a tie counts a half."""
    pairs = [pair for one in losses for pair in combinations(one, 2)]
    return sum(1.0 if better < worse else 0.5 if better == worse else 0.0 for better, worse in pairs) / len(pairs)


async def by_text_loss(rows: Sequence[Mapping[str, str]]) -> float:
    graded = TextLoss(MiniLMEmbedder())
    return agreement(
        [[await graded(row["query"], row["wanted"], row[name]) for name in ("better", "worse")] for row in rows]
    )


async def test_the_loss_of_texts_puts_most_held_out_answers_in_order() -> None:
    made = [json.loads(row) for row in TRIPLES.read_text("utf-8").splitlines()]
    assert len(made) >= 60
    held_out = made[1::2]
    by_wording = agreement(
        [[1 - similarity(row["wanted"], row[name]) for name in ("better", "worse")] for row in held_out]
    )
    assert await by_text_loss(held_out) >= 0.85 > by_wording
    trades = [row for row in made if row["kind"] == "trade"]  # right in the wrong form against wrong in the right one
    assert await by_text_loss(trades[::2]) >= 0.5
