"""What quantization loses: ``python -m evals.perf.quantization``, recall@10 of MiniLM vectors in numpy, not in Qdrant.

Every text of ``personaagent/samples/news.jsonl`` asks for its ten nearest others. int8 is scalar, with the range of the
0.99 quantile; binary is the sign. With rescoring the ``oversampling`` x 10 best are ranked again by the full vectors.
"""

from __future__ import annotations

import asyncio

import numpy as np

from personaagent.models.embedder import MiniLMEmbedder
from personaagent.ports import Vectors
from personaagent.samples import news

K = 10


def int8(vectors: Vectors) -> Vectors:
    """The vectors as an int8 copy gives them back."""
    bound = float(np.quantile(np.abs(vectors), 0.99))
    return np.asarray(np.clip(np.rint(vectors / bound * 127), -127, 127) * (bound / 127), np.float32)


def binary(vectors: Vectors) -> Vectors:
    """One bit a dimension; the product of two is the number of equal signs, less that of the others."""
    return np.where(vectors > 0, 1.0, -1.0).astype(np.float32)


def recall(full: Vectors, copy: Vectors, oversampling: float = 0.0) -> float:
    """Mean share of the true ten nearest that the copy finds, rescored where ``oversampling`` is at least 1."""
    true, rough = full @ full.T, copy @ copy.T
    found = 0
    for n in range(len(full)):
        true[n, n] = rough[n, n] = -np.inf
        best = set(np.argsort(-true[n], kind="stable")[:K].tolist())
        near = np.argsort(-rough[n], kind="stable")
        if oversampling:
            near = near[: int(K * oversampling)]
            near = near[np.argsort(-true[n][near], kind="stable")]
        found += len(best & set(near[:K].tolist()))
    return found / (K * len(full))


async def main() -> None:
    """Print the table."""
    rows = list(news())
    texts = list(dict.fromkeys(f"{row['title']}\n{row['text']}" for row in rows))
    full = await MiniLMEmbedder().embed(texts)
    print(f"{len(texts)} texts\n\n| copy | recall@{K} | rescored, 2 x | rescored, 4 x |\n|---|---|---|---|")
    for name, copy in (("int8", int8(full)), ("binary", binary(full))):
        told = " | ".join(f"{recall(full, copy, times):.3f}" for times in (0, 2, 4))
        print(f"| {name} | {told} |")


if __name__ == "__main__":
    asyncio.run(main())
