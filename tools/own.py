"""Tools of the caller's own: a plain Python function, sync or async, or a LangChain tool."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, PydanticUserError, create_model

from personaagent.errors import SetupError
from personaagent.text import one_line
from personaagent.tools.spec import ToolCall, ToolSpec

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

F = TypeVar("F", bound=Callable[..., Any])
OF_THE_USER = "user_id"  # a parameter of this name is filled in with whose turn it is; the model cannot set it
_READ_ONLY = "_personaagent_read_only"


def read_only(function: F) -> F:
    """Mark a function that changes nothing: it runs without the user's approval, and in simulations as well."""
    setattr(function, _READ_ONLY, True)
    return function


def own_tool(tool: object) -> ToolSpec:
    """The tool of what the caller handed in: a function with a docstring, a LangChain tool, or a ``ToolSpec``.

    A function that is not ``read_only`` has side effects: each call waits for the user's approval, and none is made
    in a simulation. A parameter ``user_id`` is filled in. Raises SetupError where it cannot be a tool.
    """
    from langchain_core.tools import BaseTool

    if isinstance(tool, ToolSpec):
        return tool
    if isinstance(tool, BaseTool):
        return _of_langchain(tool)
    if not callable(tool):
        raise SetupError(f"a tool is {type(tool).__name__}: give a function with a docstring")
    function: Any = tool
    name = getattr(function, "__name__", type(function).__name__)
    description = (inspect.getdoc(function) or "").split("\n\n")[0]
    if not description:
        raise SetupError(f"the tool {name} has no docstring: say in one what it does, the model chooses by it")
    for_user = OF_THE_USER in inspect.signature(function).parameters

    async def run(call: ToolCall) -> str:
        arguments = dict(call.arguments) | ({OF_THE_USER: call.user_id} if for_user else {})
        if inspect.iscoroutinefunction(function):
            return str(await function(**arguments))
        return str(await asyncio.to_thread(partial(function, **arguments)))

    changes = not getattr(function, _READ_ONLY, False)
    return ToolSpec(
        name=name, description=" ".join(description.split()), args=_arguments(function, name), run=run,
        side_effects=changes, reads_user_data=for_user,
    )  # fmt: skip


def _arguments(function: Callable[..., Any], name: str) -> type[BaseModel]:
    """A model of the function's parameters, those that the model may set."""
    fields: dict[str, Any] = {}
    try:
        hints = get_type_hints(function, include_extras=True)
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise TypeError(f"{parameter} cannot be given by name")
            if parameter.name != OF_THE_USER:
                default = ... if parameter.default is parameter.empty else parameter.default
                fields[parameter.name] = (hints[parameter.name], default)
        model = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
        model.model_json_schema()
    except KeyError as error:
        raise SetupError(f"the tool {name} has no type for its parameter {error}: annotate it") from error
    except (TypeError, NameError, PydanticUserError) as error:
        raise SetupError(f"the tool {name} cannot be described ({one_line(str(error), 200)})") from error
    return model


def _of_langchain(tool: BaseTool) -> ToolSpec:
    async def run(call: ToolCall) -> str:
        return str(await tool.ainvoke(dict(call.arguments)))

    schema: Any = tool.tool_call_schema
    reads = (tool.metadata or {}).get("readOnlyHint") is True
    return ToolSpec(name=tool.name, description=tool.description, args=schema, run=run, side_effects=not reads)
