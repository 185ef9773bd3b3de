"""The geometry of the learned personas (paper, analysis): overlap of their words, and a map of their embeddings."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from personaagent.ports import Vectors

_WORD = re.compile(r"\w{3,}")


def jaccard(texts: Sequence[str]) -> list[list[float]]:
    """The share of words that two personas have in common, for all pairs; 1 for two empty ones."""
    words = [set(_WORD.findall(text.lower())) for text in texts]
    return [[len(a & b) / len(a | b) if a | b else 1.0 for b in words] for a in words]


def plane(vectors: Vectors) -> NDArray[np.float64]:
    """The two principal components of the vectors, shape (n, 2); with a fixed sign, so that a map stays the same."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    found = np.zeros((len(vectors), 2))
    for place, axis in enumerate(axes[:2]):
        sign = 1.0 if axis[int(np.argmax(np.abs(axis)))] >= 0 else -1.0
        found[:, place] = centred @ axis * sign
    return found
