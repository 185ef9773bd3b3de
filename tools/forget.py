"""Forget: delete what the user asked to have forgotten."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pydantic import BaseModel, Field

from personaagent.tools.spec import ToolCall, ToolSpec

Forget = Callable[[str, str], Awaitable[int]]


class ForgetArgs(BaseModel):
    """Which fact."""

    fact_id: str = Field(min_length=1, max_length=100, description="the fact's id, as the profile tool shows it")


def forget_tool(forget: Forget) -> ToolSpec:
    """The tool over ``forget(user_id, fact_id) -> number of forgotten records``, which raises UnknownFact."""

    async def run(call: ToolCall) -> str:
        count = await forget(call.user_id, str(call.arguments["fact_id"]))
        return f"Forgotten: {count} {'record' if count == 1 else 'records'}."

    return ToolSpec(
        name="forget",
        description="Delete a fact about the user for good. Only when the user asks you to forget it.",
        args=ForgetArgs,
        run=run,
        scopes=frozenset({"memory:write"}),
        side_effects=True,
        reads_user_data=True,
    )
