"""A turn that waits for a decision as bytes, so that another process can go on with it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from personaagent.errors import InputError
from personaagent.library.turn import Run, Turn
from personaagent.library.values import Approval
from personaagent.types import Usage

if TYPE_CHECKING:
    from personaagent.library.user import User


async def packed(turn: Turn, spent: Usage) -> bytes:
    """A turn of ``User.stream_after`` that waits, with its checkpoint and its cost; raises InputError for others."""
    run: Run = turn.__dict__["_run"]
    at: Any = {"configurable": {"thread_id": run.thread_id}}
    found = await run.saver.aget_tuple(at) if run.saver is not None else None
    if run.saver is None or found is None or not turn.approvals:
        raise InputError("only a turn that waits, and is kept nowhere else, can be packed")
    told = {
        "query": run.query,
        "context": {name: value for name, value in asdict(run.context).items() if name != "user_id"},
        "thread_id": run.thread_id,
        "forked": run.forked,
        "approvals": [asdict(one) for one in turn.approvals],
        "checkpoint": found.checkpoint,
        "metadata": found.metadata,
        "usage": asdict(spent),
        "writes": list(found.pending_writes or ()),
    }
    kind, data = run.user._agent.serializer().dumps_typed(told)
    return kind.encode() + b"\n" + data


async def unpacked(user: User, data: bytes) -> tuple[Turn, str, Usage]:
    """The turn of ``packed``, of this user, to be decided, its thread, and what it has cost."""
    agent = user._agent
    kind, _, packed_turn = data.partition(b"\n")
    told = agent.serializer().loads_typed((kind.decode(), packed_turn))
    saver = agent.new_saver()
    at: Any = {"configurable": {"thread_id": told["thread_id"], "checkpoint_ns": ""}}
    at = await saver.aput(at, told["checkpoint"], told["metadata"], told["checkpoint"]["channel_versions"])
    writes: defaultdict[str, list[tuple[str, Any]]] = defaultdict(list)
    for task, channel, value in told["writes"]:
        writes[task].append((channel, value))
    for task, written in writes.items():
        await saver.aput_writes(at, written, task)
    run = Run(
        user=user, query=told["query"], context=user._context(**told["context"]), thread_id=told["thread_id"],
        thread=None, saver=saver, forked=told["forked"],
    )  # fmt: skip
    approvals = tuple(Approval(**one) for one in told["approvals"])
    return Turn(query=run.query, approvals=approvals, run=run), run.thread_id, Usage(**told["usage"])
