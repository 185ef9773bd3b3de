"""Persona and memory for LangChain's ``create_agent``: `python examples/create_agent.py` (needs langchain)."""

import asyncio

from langchain.agents import create_agent

from personaagent import PersonaAgent
from personaagent.context import Context
from personaagent.middleware import PersonaMiddleware


async def main() -> None:
    async with PersonaAgent() as persona:
        agent = create_agent(
            await persona.services.models.chat("agent"),  # or any chat model of LangChain
            system_prompt="You help in a cookery shop.",
            middleware=[PersonaMiddleware(persona)],
            context_schema=Context,
        )
        for text in ("I am vegetarian.", "What shall I cook tonight?"):
            out = await agent.ainvoke({"messages": [("user", text)]}, context=Context(user_id="ann"))
            print(out["messages"][-1].text, [memory["query"] for memory in out["recalled"]])
        print(await persona.user("ann").feedback(out["interaction_id"], ground_truth="Lentil soup."))


asyncio.run(main())
