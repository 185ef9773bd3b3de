"""Recall: what this user asked before, and what the user really wanted (paper, retrieval from personal memory)."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, Field

from personaagent.ports import EpisodicMemory, Where
from personaagent.tools.spec import ToolCall, ToolSpec
from personaagent.types import Recall


class RecallArgs(BaseModel):
    """What to look for; every filter narrows."""

    query: str = Field(min_length=1, max_length=2_000, description="what to look for, in the user's own words")
    k: int = Field(5, ge=1, le=20, description="how many memories")
    task: str | None = Field(None, description="only of this task")
    this_thread: bool = Field(False, description="only of this conversation")
    since: datetime | None = Field(None, description="ISO date, from then on")
    before: datetime | None = Field(None, description="ISO date, before then")


def recall_tool(memory: EpisodicMemory) -> ToolSpec:
    """The tool over this user's interactions; in simulation nothing from ``before`` on can be found."""

    async def run(call: ToolCall) -> str:
        args = RecallArgs.model_validate(call.arguments)
        cuts = [_utc(cut) for cut in (args.before, call.before) if cut is not None]
        where = Where(
            before=min(cuts, default=None),
            since=_utc(args.since) if args.since else None,
            task=args.task,
            thread_id=call.thread_id if args.this_thread else None,
            exclude=call.left,
        )
        found = await memory.search(call.user_id, args.query, args.k, where)
        return "\n".join(_line(recall) for recall in found) or "Nothing like that is remembered of this user."

    return ToolSpec(
        name="recall",
        description="Search the user's own past: what was asked, and what the user really answered or chose.",
        args=RecallArgs,
        run=run,
        scopes=frozenset({"memory:read"}),
        reads_user_data=True,
    )


def _line(recall: Recall) -> str:
    """One memory; the agent's own answer is never shown as the truth."""
    past = recall.interaction
    task = f" [{past.task}]" if past.task else ""
    truth = f" → the user: {past.ground_truth}" if past.ground_truth else " → not known what the user wanted"
    return f"- {past.created_at:%Y-%m-%d}{task} {past.query}{truth}"


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
