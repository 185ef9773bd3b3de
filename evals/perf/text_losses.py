"""``python -m evals.perf.text_losses``: how often a loss of free text puts two answers in the right order.

``evals/data/text_triples.jsonl`` has questions, what was wanted, a better and a worse answer, of many kinds (verbose,
list or prose, another language, units or address, a wrong fact in the right form). Measured are similarity of wording,
the plain loss and ``TextLoss``, without a language model. The weights of ``TextLoss`` were chosen on the first, third,
fifth … of them; the others are held out.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import combinations

from personaagent.labels.loss import TextLoss, loss, similarity
from personaagent.models.embedder import MiniLMEmbedder
from personaagent.ports import Embedder


def agreement(losses: Sequence[Sequence[float]]) -> float:
    """The share of pairs in the right order, of losses given best answer first; a tie counts a half."""
    pairs = [pair for one in losses for pair in combinations(one, 2)]
    return sum(1.0 if better < worse else 0.5 if better == worse else 0.0 for better, worse in pairs) / len(pairs)


def text_triples() -> list[Mapping[str, str]]:
    """The triples with kind, query, wanted, better and worse, in the order of the file."""
    return [
        json.loads(row) for row in files("evals").joinpath("data/text_triples.jsonl").read_text("utf-8").splitlines()
    ]


async def measure_texts(embedder: Embedder, made: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """The agreement of each loss on those triples, of the tuning half and the one held out."""
    graded = TextLoss(embedder)
    told: dict[str, float] = {"triples": len(made)}
    for half, rows in (("tuning", made[::2]), ("held_out", made[1::2])):
        answers = [(row, [row["better"], row["worse"]]) for row in rows]
        told[f"similarity_{half}"] = agreement(
            [[1 - similarity(row["wanted"], a) for a in two] for row, two in answers]
        )
        told[f"plain_{half}"] = agreement([[loss(row["wanted"], a) for a in two] for row, two in answers])
        losses = [[await graded(row["query"], row["wanted"], a) for a in two] for row, two in answers]
        told[f"text_loss_{half}"] = agreement(losses)
        wrong = Counter(row["kind"] for row, (better, worse) in zip(rows, losses, strict=True) if better >= worse)
        told |= {f"wrong_{half}_{kind}": count for kind, count in sorted(wrong.items())}
    return {name: round(value, 3) for name, value in told.items()}


def main() -> None:
    """Run and print."""
    for name, value in asyncio.run(measure_texts(MiniLMEmbedder(), text_triples())).items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
