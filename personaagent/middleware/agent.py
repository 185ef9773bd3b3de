"""Middleware for LangChain's ``create_agent``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, NotRequired

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain.agents.middleware.types import OmitFromSchema
from langchain_core.messages import AIMessage, SystemMessage
from langgraph.config import get_config
from langgraph.runtime import Runtime

from personaagent.library.agent import PersonaAgent
from personaagent.middleware.nodes import PersonaNodes, Shown, remembering
from personaagent.nodes.reason import unstreamed

_told = OmitFromSchema(input=True, output=False)
_kept = OmitFromSchema(input=True, output=True)


class PersonaAgentState(AgentState[Any]):
    """What the agent's state holds besides its messages: see ``PersonaState``."""

    interaction_id: NotRequired[Annotated[str, _told]]
    persona_version: NotRequired[Annotated[int | None, _told]]
    recalled: NotRequired[Annotated[list[dict[str, Any]], _told]]
    noted: NotRequired[Annotated[list[str], _told]]
    degraded: NotRequired[Annotated[list[str], _told]]
    persona_shown: NotRequired[Annotated[Shown, _kept]]


class PersonaMiddleware(AgentMiddleware[PersonaAgentState, Any, Any]):
    """Persona and memory before every model call, the turn written back after the answer.

    The agent's output has ``interaction_id`` for feedback, ``recalled``, ``persona_version``, ``noted`` and
    ``degraded``. The agent is called asynchronously (``ainvoke``, ``astream``), with the user in its context. Raises
    what ``PersonaNodes.before`` does.
    """

    state_schema = PersonaAgentState

    def __init__(self, agent: PersonaAgent | None = None) -> None:
        self._nodes = PersonaNodes(agent)
        self.tools = []

    async def abefore_agent(self, state: PersonaAgentState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Load what is known of the user."""
        return await self._nodes.before(state, runtime, get_config())

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Show it to the model: your system prompt, then the persona; memories in the newest question.

        The answer is kept to the form that the persona states; where there is one, it is streamed as a whole.
        """
        state: Any = request.state
        own = request.system_message
        persona = state["persona_shown"]["persona"]
        content: Any = persona
        if own is not None and isinstance(own.content, str):
            content = f"{own.content}\n\n{persona}"
        elif own is not None:
            content = [*own.content, {"type": "text", "text": persona}]
        shown = request.override(system_message=SystemMessage(content), messages=remembering(request.messages, state))
        keep = self._nodes.in_form(state)
        if keep is None:
            return await handler(shown)
        with unstreamed():
            response = await handler(shown)
        last = response.result[-1] if response.result else None
        if isinstance(last, AIMessage) and isinstance(last.content, str) and not last.tool_calls:
            response.result[-1] = last.model_copy(update={"content": keep(last.content)})
        return response

    async def aafter_agent(self, state: PersonaAgentState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Keep the turn."""
        return await self._nodes.after(state, runtime, get_config())
