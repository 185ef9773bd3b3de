"""Remember: keep a fact because the user asked for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pydantic import BaseModel, Field

from personaagent.tools.spec import ToolCall, ToolSpec

Remember = Callable[[str, str], Awaitable[str]]


class RememberArgs(BaseModel):
    """What to keep."""

    text: str = Field(min_length=1, max_length=300, description="one statement about the user, in one sentence")


def remember_tool(remember: Remember) -> ToolSpec:
    """The tool over ``remember(user_id, text) -> fact id``, which stores a fact of source "user"."""

    async def run(call: ToolCall) -> str:
        fact_id = await remember(call.user_id, str(call.arguments["text"]))
        return f"Remembered as {fact_id}."

    return ToolSpec(
        name="remember",
        description="Keep a fact about the user. Only when the user asks you to remember it.",
        args=RememberArgs,
        run=run,
        scopes=frozenset({"memory:write"}),
        side_effects=True,
        reads_user_data=True,
    )
