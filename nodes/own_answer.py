"""Answer by an agent of the caller's own, under the persona and with what was recalled."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable
from langgraph.pregel import Pregel
from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.conversation import build_messages
from personaagent.errors import OwnAnswerFailed, PersonaAgentError
from personaagent.labels.loss import answer_from_text
from personaagent.models.meter import counting
from personaagent.ports import Answer
from personaagent.state import RespondState
from personaagent.text import one_line
from personaagent.turn import personalized

UNUSABLE = "My answer was none of the choices. Please ask again."


async def own_answer(state: RespondState, runtime: Runtime[Context], *, answer: Answer) -> dict[str, Any]:
    """Return the answer of ``answer``: a coroutine function of (system prompt, messages), or a LangChain runnable.

    A runnable gets the messages with the system prompt first; a compiled graph gets them as ``{"messages": [...]}``.
    A function with a parameter ``simulated`` is told whether alignment only asks how it would answer: then it must
    change nothing. In a closed answer space an answer that names no choice degrades the turn. Raises OwnAnswerFailed.
    """
    context, simulated = runtime.context, bool(state.get("before"))
    choices = list(context.choices or ())
    messages = build_messages(
        state,
        instructions=context.instructions,
        choices=choices,
        tools=(),
        personalize=personalized(state, context),
        examples=context.recall_k,
    )
    try:
        with counting("simulator" if simulated else "agent", messages) as call:
            text = _text(await _ask(answer, messages, simulated))
            call.received(AIMessage(text))
    except PersonaAgentError:
        raise
    except Exception as error:
        raise OwnAnswerFailed(f"your agent failed ({type(error).__name__}: {one_line(str(error), 200)})") from error
    named = answer_from_text(text, choices) if choices else text.strip()
    if not named:
        why = "it named none of the choices" if choices else "it answered nothing"
        return {
            "messages": [AIMessage(UNUSABLE)],
            "answer": "",
            "steps": 1,
            "degraded": [*state.get("degraded", []), f"model: {why}"],
        }
    found: dict[str, Any] = {"messages": [AIMessage(named)], "answer": named, "steps": 1}
    return found | ({"probabilities": {c: float(c == named) for c in choices}} if choices else {})


async def _ask(answer: Answer, messages: Sequence[BaseMessage], simulated: bool) -> object:
    if isinstance(answer, Pregel):
        return await answer.ainvoke({"messages": list(messages)})
    if isinstance(answer, Runnable):
        return await answer.ainvoke(list(messages))
    known = {"simulated": simulated} if "simulated" in inspect.signature(answer).parameters else {}
    said: object = await answer(messages[0].text, list(messages[1:]), **known)
    return said


def _text(said: object) -> str:
    """The text of a string, of a message, or of the last message of a state."""
    if isinstance(said, dict) and isinstance(said.get("messages"), list) and said["messages"]:
        said = said["messages"][-1]
    if isinstance(said, BaseMessage):
        return said.text
    if isinstance(said, str):
        return said
    raise OwnAnswerFailed(f"your agent returned {type(said).__name__}: return a text or a message")
