"""The user's memory as LangChain tools, for ``create_agent`` and for any ``ToolNode``."""

from __future__ import annotations

from langchain_core.tools import BaseTool, ToolException, tool

from personaagent.inputs import check_user_id
from personaagent.library.agent import PersonaAgent
from personaagent.middleware.nodes import run_user, services_of
from personaagent.prompts import quote


def persona_tools(agent: PersonaAgent | None = None) -> list[BaseTool]:
    """``recall`` and ``remember`` over the memory of the run's user, whom no argument names.

    What the user has denied their agent (``personaagent tools``) is refused here too. Calling ``remember`` changes what
    is known of the user: let them confirm it (``HumanInTheLoopMiddleware``) where your model is not to be trusted with
    it. A failure is told to the model as the tool's answer.
    """
    ours = services_of(agent)

    async def run(name: str, arguments: dict[str, object]) -> str:
        user_id = check_user_id(run_user())
        space = await ours.actions.of(user_id, None, [name])
        text, trace = await ours.actions.execute(space, user_id, {"name": name, "args": arguments}, approved=True)
        if trace.outcome != "ok":
            raise ToolException(text)
        return text

    @tool
    async def recall(query: str, k: int = 5) -> str:
        """Search what is known of the user, and their own past: what was asked, and what they really answered or chose.

        Args:
            query: what to look for, in the user's own words
            k: how many memories, 1 to 20
        """
        found = await run("recall", {"query": query, "k": k})
        facts = await ours.semantic.search(check_user_id(run_user()), query, k)
        known = quote("\n".join(f"- {fact.text}" for fact in facts), "facts")
        return f"{known}\n{found}" if facts else found

    @tool
    async def remember(text: str) -> str:
        """Keep a fact about the user. Only when the user asks you to remember it.

        Args:
            text: one statement about the user, in one sentence
        """
        return await run("remember", {"text": text})

    recall.handle_tool_error = remember.handle_tool_error = True
    return [recall, remember]
