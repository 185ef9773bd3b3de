"""LangGraph's ``BaseStore`` over one user's memory: what an agent puts there becomes an episode like every other.

Namespaces begin with the user: their id, or ``owner_of(user_id)`` where the id has a character that LangGraph refuses
in a label (a period). Below it, ``turns`` are the user's interactions and ``facts`` what is known of them, both to
read; every other namespace is the agent's own.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
)

from personaagent.errors import ForeignNamespace, InvalidItem, SetupError, UnknownInteraction
from personaagent.inputs import check_user_id
from personaagent.library.agent import PersonaAgent
from personaagent.masking import deep
from personaagent.memory.forgetting import Selection
from personaagent.middleware.nodes import run_user, services_of
from personaagent.ownership import owner_of
from personaagent.ports import Where
from personaagent.types import Fact, Interaction, Recall

TURNS: Final = "turns"
FACTS: Final = "facts"
TASK: Final = "store"  # of the interactions that are items
ITEM_KEY: Final = "item"  # of their metadata
MAX_ITEM_CHARS: Final = 32_000  # as JSON
MAX_READ: Final = 1_000  # newest, or best, among which a search with a filter or without a query looks
_NAMESPACE: UUID = uuid5(NAMESPACE_URL, "personaagent/item")
_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$eq": operator.eq,
    "$ne": operator.ne,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
Path = tuple[str, ...]


class MemoryStore(BaseStore):
    """The store of whoever's run it is used in; ``user_id`` is for use outside of runs.

    All methods raise ForeignNamespace for a namespace that is not the user's own, InvalidUserId where nobody says who
    the user is, and StoreError. Items are found by meaning; ``index`` and ``ttl`` have no effect.
    """

    __slots__ = ("_services", "_user_id")

    def __init__(self, agent: PersonaAgent | None = None, *, user_id: str | None = None) -> None:
        self._services = services_of(agent)
        self._user_id = user_id

    def batch(self, ops: Iterable[Op]) -> list[Result]:  # noqa: ARG002  # the base class names it
        """Raise SetupError: memory is read and written asynchronously."""
        raise SetupError("this store is asynchronous: use aget, asearch, aput, adelete and alist_namespaces")

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out the operations, one after the other; none where one of them is of another user."""
        user_id, asked = self._user(), list(ops)
        for op in asked:
            _check_owner(user_id, op)
        return [await self._carry_out(user_id, op) for op in asked]

    def _user(self) -> str:
        here = run_user()
        if here is not None and self._user_id is not None and here != self._user_id:
            raise ForeignNamespace("this store is another user's than the run's: make one without user_id")
        return check_user_id(here if here is not None else self._user_id)

    async def _carry_out(self, user_id: str, op: Op) -> Result:
        match op:
            case GetOp():
                return await self._get(user_id, op.namespace, op.key)
            case PutOp():
                await self._put(user_id, op)
                return None
            case SearchOp():
                return await self._search(user_id, op)
            case ListNamespacesOp():
                return await self._namespaces(user_id, op)

    async def _get(self, user_id: str, namespace: Path, key: str) -> Item | None:
        if namespace[1:] == (FACTS,):
            found = [fact for fact in await self._services.semantic.history(user_id) if fact.id == key]
            return _fact_item(namespace[0], found[0]) if found else None
        try:
            known = await self._services.episodic.get(
                user_id, key if namespace[1:] == (TURNS,) else _id(user_id, namespace[1:], key)
            )
        except UnknownInteraction:
            return None
        item = _item(namespace[0], known)
        return item if item.namespace == namespace else None

    async def _put(self, user_id: str, op: PutOp) -> None:
        below = op.namespace[1:]
        if not below or below[0] in {TURNS, FACTS}:
            raise InvalidItem(
                f"nothing can be put into {op.namespace!r}: name one of your own below the user, for example "
                f"({op.namespace[0]!r}, 'notes')"
            )
        key = _id(user_id, below, op.key)
        if op.value is None:
            await self._services.forgetter.forget(user_id, Selection(ids=(key,)))
            return
        value, text = _checked(op)
        held = await self._get(user_id, op.namespace, op.key)
        if held is not None and held.value == value:
            return
        if held is not None:
            await self._services.forgetter.forget(user_id, Selection(ids=(key,)))
        await self._services.episodic.append(
            user_id,
            Interaction(
                id=key,
                user_id=user_id,
                query=text,
                created_at=datetime.now(UTC),
                task=TASK,
                metadata={ITEM_KEY: {"namespace": list(below), "key": op.key, "value": value}},
            ),
        )

    async def _search(self, user_id: str, op: SearchOp) -> list[SearchItem]:
        below, first, wanted = op.namespace_prefix[1:], op.namespace_prefix[0], op.offset + op.limit
        query = (op.query or "").strip()
        if below == (FACTS,):
            found = [_fact_item(first, fact) for fact in await self._facts(user_id, query)]
        else:
            where = Where(task=TASK) if below and below[0] != TURNS else Where()
            recalled = await self._recalled(user_id, query, MAX_READ if below or op.filter else wanted, where)
            found = [_item(first, recall.interaction, recall.score if query else None) for recall in recalled]
        prefix = op.namespace_prefix
        fitting = [item for item in found if item.namespace[: len(prefix)] == prefix and _passes(item.value, op.filter)]
        return fitting[op.offset : wanted]

    async def _facts(self, user_id: str, query: str) -> list[Fact]:
        semantic = self._services.semantic
        if query:
            return await semantic.search(user_id, query, MAX_READ)
        return [fact for fact in await semantic.history(user_id) if fact.status == "active"]

    async def _recalled(self, user_id: str, query: str, limit: int, where: Where) -> list[Recall]:
        episodic = self._services.episodic
        if query:
            return await episodic.search(user_id, query, limit, where)
        newest = await episodic.newest(user_id, limit, where)
        return [Recall(interaction=interaction, score=0.0) for interaction in reversed(newest)]

    async def _namespaces(self, user_id: str, op: ListNamespacesOp) -> list[Path]:
        label = next(iter(_labels(op)), user_id)
        kept = await self._services.episodic.newest(user_id, MAX_READ, Where(task=TASK))
        found = {(label, TURNS), (label, FACTS), *(_item(label, one).namespace for one in kept)}
        fitting = [path for path in found if all(_matches(path, wanted) for wanted in op.match_conditions or ())]
        cut = sorted({path[: op.max_depth] for path in fitting})
        return cut[op.offset : op.offset + op.limit]


def _labels(op: Op) -> Path:
    """The first labels that an operation names."""
    match op:
        case GetOp() | PutOp():
            return op.namespace[:1] or ("",)
        case SearchOp():
            return op.namespace_prefix[:1] or ("",)
        case ListNamespacesOp():
            prefixes = [c.path for c in op.match_conditions or () if c.match_type == "prefix"]
            return tuple(path[0] for path in prefixes if path and path[0] != "*")


def _check_owner(user_id: str, op: Op) -> None:
    own = {user_id, owner_of(user_id)}
    if not own.issuperset(_labels(op)):
        raise ForeignNamespace(
            "this namespace is not the user's own, and no other can be read or written here: begin it with the "
            f"user's id, or with {owner_of(user_id)!r}"
        )


def _checked(op: PutOp) -> tuple[dict[str, Any], str]:
    """The value as plain JSON, and its words; raises InvalidItem."""
    if deep(op.value):
        raise InvalidItem("the item is nested too deeply to be kept")
    try:
        plain = json.dumps(dict(op.value or {}), ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InvalidItem(f"the item is no JSON ({error}): put texts, numbers, lists and mappings") from error
    if len(plain) > MAX_ITEM_CHARS:
        raise InvalidItem(f"the item has {len(plain)} characters as JSON, {MAX_ITEM_CHARS} at most are kept: cut it")
    value: dict[str, Any] = json.loads(plain)
    text = "\n".join(_texts(value)).strip()
    if not text:
        raise InvalidItem("the item has no text by which it could be found: put one, for example {'text': '...'}")
    return value, text


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in _texts(one)]


def _id(user_id: str, below: Path, key: str) -> str:
    return str(uuid5(_NAMESPACE, json.dumps([user_id, below, key])))


def _item(first: str, kept: Interaction, score: float | None = None) -> SearchItem:
    put = kept.metadata.get(ITEM_KEY)
    if isinstance(put, Mapping):
        namespace, key, value = (first, *put["namespace"]), put["key"], dict(put["value"])
    else:
        namespace, key = (first, TURNS), kept.id
        value = {name: getattr(kept, name) for name in ("query", "response", "ground_truth", "task", "rating")}
    return SearchItem(namespace, key, value, kept.created_at, kept.labelled_at or kept.created_at, score)


def _fact_item(first: str, fact: Fact) -> SearchItem:
    value = {name: getattr(fact, name) for name in ("text", "confidence", "source", "status")}
    return SearchItem((first, FACTS), fact.id, value, fact.valid_from, fact.valid_to or fact.valid_from)


def _passes(value: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> bool:
    return all(_fits(value.get(name), asked) for name, asked in (wanted or {}).items())


def _fits(held: Any, asked: Any) -> bool:
    if not isinstance(asked, Mapping) or not asked or not all(str(name).startswith("$") for name in asked):
        return bool(held == asked)
    try:
        return all(_COMPARE[name](held, than) for name, than in asked.items())
    except KeyError as error:
        raise InvalidItem(f"a filter compares by {', '.join(_COMPARE)}, not by {error}") from error
    except TypeError:
        return False  # of different kinds


def _matches(path: Path, wanted: MatchCondition) -> bool:
    part = path[: len(wanted.path)] if wanted.match_type == "prefix" else path[-len(wanted.path) :]
    return len(part) == len(wanted.path) and all(w in ("*", p) for w, p in zip(wanted.path, part, strict=True))
