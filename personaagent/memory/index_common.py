"""What both vector indexes share: ids, payloads, checks, lexical signal and rank fusion, and how they are made anew.

Both adapters rank alike because fusion is done here: the dense and the lexical leg go to the engine in one batch, each
under the full filter of the user, and the ranks are fused by reciprocal rank. So the cosine is known as well, which an
engine's own fusion swallows, and no query without a filter exists.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import NAMESPACE_URL, uuid5

from personaagent.errors import EmbedderChanged, IndexUnavailable, InvalidVector
from personaagent.inputs import check_user_id
from personaagent.ledger.database import Meta
from personaagent.ledger.tables import to_micros
from personaagent.memory.indexer import Indexer, Progress
from personaagent.ports import Embedder, Hit, Point, VectorIndex, Vectors, Where
from personaagent.text import CJK, skeleton

if TYPE_CHECKING:
    import qdrant_edge


DENSE = "dense"
LEXICAL = "lexical"
INTERACTION = "interaction_id"  # the payload field of the interaction's own id
RRF_K = 60  # the usual damping: one first place weighs as much as two places around 60
MIN_DEPTH = 32  # candidates a leg: enough for a second opinion on k results, cheap to hand over

SHORTEST_CODE = 3  # characters; a shorter number counts things and names none
_LETTER = rf"[^\W_{CJK}\u0e00-\u0e7f]"  # or digit; scripts without spaces stand right beside a code
_CODE = re.compile(rf"{_LETTER}+(?:[-./:_#]+{_LETTER}+)*")  # 4242, A-17/3, 2026-03-12, 12:30
_SPACED = re.compile(r"\+?\d[\d()/.-]* [\d ()/.-]{3,}\d")  # +49 (151) 234 567

LONG = 10  # digits of a number that is found by its last ones too: +49 151 234567 is 0151 234567
TAIL = 8
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})[-/.年](\d\d?)[-/.月](\d\d?)(?!\d)")
_YEAR_LAST = re.compile(r"(?<!\d)(\d\d?)([-/.]) ?(\d\d?)[-/.] ?(\d{4})(?!\d)")
_OF = r"(?: of| de| del| di)? "
_DAY_NAMED = re.compile(rf"(?<!\d)(\d\d?)(?:st|nd|rd|th|\.|er)?{_OF}([^\W\d_]{{3,}})\.?,?{_OF}(\d{{4}})(?!\d)")
_MONTH_FIRST = re.compile(r"([^\W\d_]{3,})\.? (\d\d?)(?:st|nd|rd|th)?,? (\d{4})(?!\d)")
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan ene gen янв", "feb fev фев", "mar mrt maa мар", "apr avr abr апр", "may mai mei mag маи",
            "jun juin giu июн", "jul juil lug июл", "aug ago aou авг", "sep set сен", "oct okt ott out окт",
            "nov ноя", "dec dez dic дек",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip

Key = TypeVar("Key", str, int)  # what a leg knows a point by

_IDS = uuid5(NAMESPACE_URL, "personaagent:index")


def checked_vector(vector: Vectors, dim: int) -> list[float]:
    """The vector as floats, or InvalidVector; the embedded engine itself stores NaN without a word."""
    import numpy as np

    array = np.asarray(vector, dtype=np.float32)
    if array.shape != (dim,):
        raise InvalidVector(f"the vector has shape {array.shape}, the index has {dim} dimensions")
    if not np.isfinite(array).all():
        raise InvalidVector("the vector has numbers that are not finite: the embedding model is broken")
    return array.tolist()  # type: ignore[no-any-return]


def point_id(user_id: str, interaction_id: str) -> str:
    """The engine's id of a point: the same interaction id under two users gives two points."""
    return str(uuid5(uuid5(_IDS, user_id), interaction_id))


def payload_of(point: Point) -> dict[str, Any]:
    """What is kept beside the vectors: enough to filter by, nothing that the user said."""
    payload = {
        "user_id": check_user_id(point.user_id),
        INTERACTION: point.id,
        "created_at": to_micros(point.created_at),
        "task": point.task,
        "thread_id": point.thread_id,
    }
    return {key: value for key, value in payload.items() if value is not None}


def space_name(embedder: str, dim: int) -> str:
    """A name for the vector space that is a valid folder and collection name and differs if the embedder does."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", embedder)
    if slug != embedder:
        slug = f"{slug[:60]}-{sha256(embedder.encode()).hexdigest()[:8]}"
    return f"{slug}__{dim}"


def depth(k: int) -> int:
    """How many candidates a leg hands to fusion for k results."""
    return max(MIN_DEPTH, 2 * k)


def fused(legs: Sequence[Sequence[tuple[Key, float]]], k: int, limit: int) -> list[tuple[Key, float, float | None]]:
    """The best k as (id, score, cosine if known), by the sum of 1 / (60 + rank) over the legs.

    Ties go to the higher cosine, then to the lower id. A leg is (id, score), best first; the first leg is the dense
    one. Equal scores share a rank, and where a leg was cut at ``limit``, an id missing from it shares the last rank:
    else the engine's order of equals would decide.
    """
    cosine = dict(legs[0])
    score = dict.fromkeys((key for leg in legs for key, _ in leg), 0.0)
    for leg in legs:
        worth, last = _worth(leg)
        missing = last if len(leg) >= limit else 0.0
        for key in score:
            score[key] += worth.get(key, missing)
    best = sorted(score, key=lambda key: (-score[key], -cosine.get(key, -1.0), key))[:k]
    return [(key, score[key], cosine.get(key)) for key in best]


def _worth(leg: Sequence[tuple[Key, float]]) -> tuple[dict[Key, float], float]:
    """What each place of a leg is worth, and the last of them."""
    worths: dict[Key, float] = {}
    worth, tied = 0.0, float("inf")
    for place, (key, value) in enumerate(leg, start=1):
        if value < tied - 1e-6:
            worth, tied = 1.0 / (RRF_K + place), value
        worths[key] = worth
    return worths, worth


def owned(payload: Mapping[str, Any] | None, user_id: str) -> str | None:
    """The interaction's id if the payload is this user's, checked again after the engine's own filter."""
    if payload is None or payload.get("user_id") != user_id:
        return None
    found = payload.get(INTERACTION)
    return found if isinstance(found, str) else None


def document_terms(text: str) -> tuple[list[int], list[float]]:
    """Hashed terms of a stored text with their BM25 weights, without the inverse document frequency."""
    sparse = _bm25().embed_document(_utf8(text))
    terms = dict(zip(sparse.indices, sparse.values, strict=True))
    for term in code_terms(text)[0]:
        terms.setdefault(term, 1.0)
    return list(terms), list(terms.values())


def query_terms(text: str) -> tuple[list[int], list[float]]:
    """Hashed terms of a query, weight 1 each; empty for a text of nothing but stop words."""
    sparse = _bm25().embed_query(_utf8(text))
    return list(sparse.indices), list(sparse.values)


def code_terms(text: str) -> tuple[list[int], list[float]]:
    """Hashed terms of the numbers, dates, codes and telephone numbers in a text, which are no words to BM25, weight 1.

    A text that has one of them is found by it, however alike the others are. They are the same with other separators,
    with the digits of other scripts, a date in any notation, a telephone number with or without its country.
    Of a long number in parts the whole and its longest part count: area codes name nobody.
    """
    if not re.search(r"\d", text):
        return [], []
    text = _digits(text)
    found = set(_dates(text))
    for number in _SPACED.findall(text):
        text = text.replace(number, max(re.split(r"\D+", number), key=len) + " " + re.sub(r"\D", "", number))
    found |= {"".join(filter(str.isalnum, code)) for code in _CODE.findall(text)}
    found |= {re.sub(r"\D", "", code)[-TAIL:] for code in found if sum(map(str.isdigit, code)) >= LONG}
    codes = sorted(code.casefold() for code in found if len(code) >= SHORTEST_CODE and any(map(str.isdigit, code)))
    indices = sorted({int.from_bytes(sha256(f"code {code}".encode()).digest()[:4]) for code in codes})
    return indices, [1.0] * len(indices)


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _digits(text: str) -> str:
    """The text with its digits as ASCII has them."""
    if text.isascii():
        return text
    return "".join(
        c if (n := unicodedata.decimal(c, None)) is None else str(n) for c in unicodedata.normalize("NFKC", text)
    )


def _dates(text: str) -> list[str]:
    """The days that are named, as 20260312; one with strokes, which is read two ways, is both."""
    days = [(int(y), int(m), int(d)) for y, m, d in _YEAR_FIRST.findall(text)]
    for day, sign, month, year in _YEAR_LAST.findall(text):
        days += [(int(year), int(month), int(day))] + [(int(year), int(day), int(month))] * (sign == "/")
    plain = skeleton(text)
    named = _DAY_NAMED.findall(plain) + [(day, name, year) for name, day, year in _MONTH_FIRST.findall(plain)]
    days += [(int(year), _MONTHS.get(name[:4]) or _MONTHS.get(name[:3]) or 0, int(day)) for day, name, year in named]
    return [f"{year}{month:02}{day:02}" for year, month, day in days if 1 <= month <= 12 and 1 <= day <= 31]


def stem(word: str, language: str) -> int:
    """A word's stem in that language, hashed; 0 of a stop word, and of a number."""
    found = _bm25(language).embed_query(_utf8(word)).indices
    return int(found[0]) if found else 0


@cache
def _bm25(language: str = "english") -> qdrant_edge.Bm25:
    """Its stems and stop words, word boundaries of any script; the engine's own code, hashes stable by design."""
    import qdrant_edge

    kind = qdrant_edge.TokenizerType.Multilingual
    config = qdrant_edge.Bm25Config(tokenizer=kind, language=language, ascii_folding=True, avg_len=64)
    return qdrant_edge.Bm25(config)


T = TypeVar("T")

logger = logging.getLogger(__name__)


class CheckedIndex:
    """Implements ``ports.VectorIndex``: asks the ledger once which model the index holds, then hands everything on.

    Every method raises EmbedderChanged where it is another one; ``wipe`` makes room for the new one. An index that is
    not the one that the ledger was written to (its folder or a server's collection was lost, the ledger was brought to
    another machine) is filled from the ledger by itself: ``refill`` puts all of it into the outbox.
    """

    def __init__(
        self, index: RebuildableIndex, meta: Meta, embedder: Embedder, refill: Callable[[], Awaitable[object]]
    ) -> None:
        self._index = index
        self._meta = meta
        self._embedder = embedder
        self._refill = refill
        self._checked = False

    async def upsert(self, points: Sequence[Point]) -> None:
        """Write points; an existing id is replaced."""
        await self._checked_first(lambda: self._index.upsert(points))

    async def search(self, user_id: str, vector: Vectors, text: str, k: int, where: Where) -> list[Hit]:
        """Best k of this user's points."""
        return await self._checked_first(lambda: self._index.search(user_id, vector, text, k, where))

    async def delete(self, user_id: str, ids: Sequence[str]) -> None:
        """Remove these points of this user."""
        await self._checked_first(lambda: self._index.delete(user_id, ids))

    async def delete_user(self, user_id: str) -> None:
        """Remove every point of this user."""
        await self._checked_first(lambda: self._index.delete_user(user_id))

    async def count(self, user_id: str | None = None) -> int:
        """Number of points."""
        return await self._checked_first(lambda: self._index.count(user_id))

    async def wipe(self) -> None:
        """Remove every vector, of any embedding model."""
        await self._index.wipe()
        self._checked = False

    async def close(self) -> None:
        """Flush and release the index."""
        await self._index.close()

    async def _checked_first(self, call: Callable[[], Awaitable[T]]) -> T:
        await self.check()
        try:
            return await call()
        except IndexUnavailable:
            self._checked = False  # what answers next may be another one
            raise

    async def check(self) -> None:
        """See that the index is the one that the ledger was written to, and have it filled where it is not."""
        if self._checked:
            return
        await check_embedder(self._meta, self._embedder)
        held = await self._index.identity() or ""
        noted = await self._meta.get(IDENTITY_KEY)
        if held != (noted or ""):
            if noted is not None:
                logger.warning("the index is not the one that the ledger was written to: it is filled from the ledger")
            await self._refill()
            await self._meta.set(IDENTITY_KEY, held)  # last: after a crash before it, it is filled once more
        self._checked = True


IDENTITY_KEY = "index.identity"  # in the ledger's meta table: which index the ledger was last written to
SPACE_KEY = "index.embedder"  # in the ledger's meta table: "<name> <dim>"


class RebuildableIndex(VectorIndex, Protocol):
    """An index that can be emptied whatever it holds."""

    async def wipe(self) -> None:
        """Remove every vector, of any embedding model."""

    async def identity(self) -> str | None:
        """What tells this index from one that was made in its place; None where that cannot be told."""


async def check_embedder(meta: Meta, embedder: Embedder) -> None:
    """Raise EmbedderChanged when the ledger's index was made with another embedding model; note this one if none was.

    The embedded index marks its own folder as well; this catches a ledger whose index lives on a server, where
    another model's vectors lie in another collection and the search would silently find nothing.
    """
    found, ours = await meta.get(SPACE_KEY), _space(embedder)
    if found is None:
        await meta.set(SPACE_KEY, ours)
    elif found != ours:
        raise EmbedderChanged(
            f"the index was made with {found}, now set is {ours}: "
            "run `personaagent memory reindex`, or set the embedding model back"
        )


async def reindex(
    meta: Meta, indexer: Indexer, index: RebuildableIndex, embedder: Embedder, progress: Progress | None = None
) -> int:
    """Empty the index and fill it from the ledger; returns how many interactions were written.

    A crash leaves the work waiting in the outbox, and the next start carries on with it. Raises HomeInUse,
    IndexUnavailable and what the embedder raises.
    """
    await meta.set(SPACE_KEY, _space(embedder))
    return await indexer.rebuild(index.wipe, progress)


def _space(embedder: Embedder) -> str:
    return f"{embedder.name} {embedder.dim}"
