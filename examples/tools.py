"""The user's memory as tools of a LangChain agent: `python examples/tools.py` (needs langchain, and an endpoint)."""

import asyncio

from langchain.agents import create_agent

from personaagent import PersonaAgent
from personaagent.context import Context
from personaagent.middleware import persona_tools


async def main() -> None:
    async with PersonaAgent() as persona:
        agent = create_agent(
            await persona.services.models.chat("agent"),  # one that calls tools, which the embedded model cannot
            tools=persona_tools(persona),
            context_schema=Context,
        )
        for text in ("Remember that I keep bees.", "What do you know of me and insects?"):
            out = await agent.ainvoke({"messages": [("user", text)]}, context=Context(user_id="ann"))
            for message in out["messages"]:
                message.pretty_print()


asyncio.run(main())
