"""LangGraph's store over the user's memory: `python examples/store.py`."""

import asyncio

from langgraph.graph import MessagesState, StateGraph
from langgraph.runtime import Runtime

from personaagent import PersonaAgent
from personaagent.context import Context
from personaagent.middleware import MemoryStore


async def note(state: MessagesState, runtime: Runtime[Context]) -> dict:
    mine = (runtime.context.user_id, "notes")
    await runtime.store.aput(mine, state["messages"][-1].id, {"text": state["messages"][-1].text})
    found = await runtime.store.asearch(mine, query="insects", limit=1)
    return {"messages": [("ai", f"Noted. On insects: {found[0].value['text']}")]}


async def main() -> None:
    async with PersonaAgent() as agent:
        builder = StateGraph(MessagesState, context_schema=Context).add_node(note).set_entry_point("note")
        graph = builder.compile(store=MemoryStore(agent))
        for text in ("I keep bees.", "My train leaves at nine."):
            out = await graph.ainvoke({"messages": [("user", text)]}, context=Context(user_id="ann"))
            print(out["messages"][-1].text)


asyncio.run(main())
