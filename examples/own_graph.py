"""Persona and memory around a model node of your own: `python examples/own_graph.py`."""

import asyncio

from langgraph.graph import StateGraph

from personaagent import PersonaAgent
from personaagent.context import Context
from personaagent.middleware import PersonaNodes, PersonaState


async def main() -> None:
    async with PersonaAgent() as agent:
        persona, model = PersonaNodes(agent), await agent.services.models.chat("agent")

        async def answer(state: PersonaState) -> dict:
            return {"messages": [await model.ainvoke(persona.messages(state, "You help in a cookery shop."))]}

        builder = StateGraph(PersonaState, context_schema=Context)
        builder.add_sequence([("before", persona.before), ("answer", answer), ("after", persona.after)])
        graph = builder.set_entry_point("before").compile()
        for text in ("I am vegetarian.", "What shall I cook tonight?"):
            out = await graph.ainvoke({"messages": [("user", text)]}, context=Context(user_id="ann"))
            print(out["messages"][-1].text, [memory["query"] for memory in out["recalled"]])
        print(await agent.user("ann").feedback(out["interaction_id"], ground_truth="Lentil soup."))


asyncio.run(main())
