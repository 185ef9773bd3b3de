"""The plainest LangGraph agent: one model node, one tool node, ``ChatOpenAI``; what ours is measured beside.

It imports nothing of this project, so that its memory and its time are its own.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from langchain_core.messages import SystemMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from pydantic import SecretStr


@tool
async def recall(query: str, k: int = 5) -> str:
    """Look up what the user said before: the k memories that fit the query best."""
    return f"{k} memories of {query}: tea with soup, coffee with cake."


@cache
def _model() -> Any:
    from langchain_openai import ChatOpenAI

    url = os.environ["OPENAI_BASE_URL"]
    chat = ChatOpenAI(model="gpt-4o-mini", base_url=url, api_key=SecretStr("none"), temperature=0)
    return chat.bind_tools([recall])


async def _reason(state: MessagesState) -> dict[str, Any]:
    said = await _model().ainvoke([SystemMessage("You are a helpful assistant."), *state["messages"]])
    return {"messages": [said]}


_builder = StateGraph(MessagesState)
_builder.add_node("reason", _reason)
_builder.add_node("tools", ToolNode([recall]))
_builder.add_edge(START, "reason")
_builder.add_conditional_edges("reason", tools_condition)
_builder.add_edge("tools", "reason")
graph = _builder.compile(name="agent")
