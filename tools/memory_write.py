"""Remember and correct: what the user asks to have kept or put right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pydantic import BaseModel, Field

from personaagent.tools.spec import ToolCall, ToolSpec

Remember = Callable[[str, str], Awaitable[str]]
Correct = Callable[[str, str, str], Awaitable[str]]


class RememberArgs(BaseModel):
    """What to keep."""

    text: str = Field(min_length=1, max_length=300, description="one statement about the user, in one sentence")


class CorrectArgs(BaseModel):
    """Which fact, and what is true."""

    fact_id: str = Field(min_length=1, max_length=100, description="the fact's id, as the profile tool shows it")
    text: str = Field(min_length=1, max_length=300, description="what is true instead, in one sentence")


def remember_tool(remember: Remember) -> ToolSpec:
    """The tool over ``remember(user_id, text) -> fact id``, which stores a fact of source "user"."""

    async def run(call: ToolCall) -> str:
        return f"Remembered as {await remember(call.user_id, str(call.arguments['text']))}."

    description = "Keep a fact about the user. Only when the user asks you to remember it."
    return _writing("remember", description, RememberArgs, run)


def correct_tool(correct: Correct) -> ToolSpec:
    """The tool over ``correct(user_id, fact_id, text) -> new fact id``, which raises UnknownFact."""

    async def run(call: ToolCall) -> str:
        fact_id = await correct(call.user_id, str(call.arguments["fact_id"]), str(call.arguments["text"]))
        return f"Corrected; the fact is now {fact_id}."

    description = "Replace a fact about the user by what is true. Only when the user says that it is wrong."
    return _writing("correct", description, CorrectArgs, run)


def _writing(name: str, description: str, args: type[BaseModel], run: Callable[[ToolCall], Awaitable[str]]) -> ToolSpec:
    scopes = frozenset({"memory:write"})
    return ToolSpec(
        name=name, description=description, args=args, run=run, scopes=scopes, side_effects=True, reads_user_data=True
    )
