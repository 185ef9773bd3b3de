from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from personaagent.tools.spec import ToolCall, ToolSpec, brief_schema


class Arguments(BaseModel):
    query: Annotated[str, Field(min_length=1, max_length=20, description="what to look for")]
    task: Annotated[str | None, Field(description="only of this task")] = None
    k: int = 5


async def run(call: ToolCall) -> str:
    return str(call.arguments)


SPEC = ToolSpec(name="search", description="Search.", args=Arguments, run=run)


def test_what_a_model_reads_every_turn_is_brief() -> None:
    brief = brief_schema(SPEC.schema)
    assert brief["properties"] == {
        "query": {"description": "what to look for", "type": "string"},
        "task": {"description": "only of this task", "type": "string"},
        "k": {"default": 5, "type": "integer"},
    }
    assert brief["required"] == ["query"]
    assert len(str(brief)) < len(str(SPEC.schema))


def test_arguments_are_checked_against_the_whole_schema() -> None:
    assert SPEC.check({"query": "x", "task": None}) == {"query": "x", "task": None, "k": 5}


def test_a_choice_between_kinds_and_an_odd_field_stay_as_they_are() -> None:
    odd = {"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "integer"}]}, "b": True}}
    assert brief_schema(odd) == odd
