"""Correct: replace a fact because the user said that it is wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pydantic import BaseModel, Field

from personaagent.tools.spec import ToolCall, ToolSpec

Correct = Callable[[str, str, str], Awaitable[str]]


class CorrectArgs(BaseModel):
    """Which fact, and what is true."""

    fact_id: str = Field(min_length=1, max_length=100, description="the fact's id, as the profile tool shows it")
    text: str = Field(min_length=1, max_length=300, description="what is true instead, in one sentence")


def correct_tool(correct: Correct) -> ToolSpec:
    """The tool over ``correct(user_id, fact_id, text) -> new fact id``, which raises UnknownFact."""

    async def run(call: ToolCall) -> str:
        fact_id = await correct(call.user_id, str(call.arguments["fact_id"]), str(call.arguments["text"]))
        return f"Corrected; the fact is now {fact_id}."

    return ToolSpec(
        name="correct",
        description="Replace a fact about the user by what is true. Only when the user says that it is wrong.",
        args=CorrectArgs,
        run=run,
        scopes=frozenset({"memory:write"}),
        side_effects=True,
        reads_user_data=True,
    )
