"""Profile: what is known about this user (paper, semantic memory)."""

from __future__ import annotations

from pydantic import BaseModel, Field

from personaagent.ports import SemanticMemory
from personaagent.tools.spec import ToolCall, ToolSpec


class ProfileArgs(BaseModel):
    """What to look up."""

    query: str = Field("", max_length=2_000, description="what to know about the user; empty: everything")
    k: int = Field(8, ge=1, le=30, description="how many facts")


def profile_tool(memory: SemanticMemory) -> ToolSpec:
    """The tool over this user's facts; in simulation only facts that held before ``before``."""

    async def run(call: ToolCall) -> str:
        query, k = str(call.arguments["query"]).strip(), int(call.arguments["k"])
        if query:
            facts = await memory.search(call.user_id, query, k, before=call.before)
        else:
            facts = list((await memory.profile(call.user_id, before=call.before)).facts[:k])
        lines = [f"- {fact.text} (id {fact.id}, since {fact.valid_from:%Y-%m-%d})" for fact in facts]
        return "\n".join(lines) or "Nothing is known about this user yet."

    return ToolSpec(
        name="profile",
        description="Look up what is known about the user: interests, habits, preferences, with the ids of the facts.",
        args=ProfileArgs,
        run=run,
        scopes=frozenset({"memory:read"}),
        reads_user_data=True,
    )
