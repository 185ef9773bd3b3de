"""Think one step under the persona: call tools or answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage
from langchain_core.runnables.config import ensure_config, var_child_runnable_config
from langgraph.constants import TAG_NOSTREAM
from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.conversation import Room, build_messages, small_messages
from personaagent.errors import ContextTooLong, ModelOutputInvalid
from personaagent.head import PRIOR, Weights, answer_of, combine, to_keep
from personaagent.inputs import user_of
from personaagent.labels.loss import answer_from_text
from personaagent.models.card import Card
from personaagent.models.replies import loop_start, names_in, spoken, whole_sentences
from personaagent.persona.keeping import keeper
from personaagent.persona.render import stated
from personaagent.ports import Models, Role, Where
from personaagent.state import RespondState
from personaagent.tools.forget import NAME as FORGET
from personaagent.tools.forget import matter_of
from personaagent.tools.need import offered
from personaagent.tools.registry import ActionSpaces
from personaagent.tools.space import ActionSpace
from personaagent.tools.talk import Said, ask_with_tools, nothing_new, plain_talk, told_to_finish
from personaagent.turn import BREAKS_OFF, BROKEN_OFF, personalized, query_of, turn_start

Weigh = Callable[[str, Where], Awaitable[Weights]]  # of the user, by their labels that are left
_Ask = Callable[..., Awaitable[dict[str, Any]]]  # for an answer, from the number of steps
Retrieve = Callable[[RespondState, Runtime[Context]], Awaitable[dict[str, Any]]]
Reason = Retrieve
NO_ANSWER = "I could not work out an answer to this. Please ask again, or ask in other words."
BY_RULE = "forget-what-was-said"  # the id of a call that no model made
NOT_FORGOTTEN = "Nothing was forgotten."
LESS = 0.6  # of the context, where the endpoint said that it was too much
LOOPED = "the small embedded model began to repeat itself, and its answer ends before that"
NO_LOOPS = {"repeat_penalty": 1.1, "repeat_last_n": 256, "dry_multiplier": 0.8}  # llama.cpp's samplers


async def reason(
    state: RespondState,
    runtime: Runtime[Context],
    *,
    models: Models,
    actions: ActionSpaces,
    weigh: Weigh,
    max_steps: int,
    embedded_tokens: int,
    retrieve: Retrieve,
) -> dict[str, Any]:
    """Return the model's next message; with it ``answer`` once the turn is answered (paper, ``a_t ~ pi_P``).

    One model call where no tool is needed. In a closed answer space the answer is the likeliest choice by the answer
    head (``personaagent.head``), with ``probabilities`` of all choices. A model that answers nothing degrades the turn.
    The last step binds no tool, and so does the one after results that say nothing new. Where the endpoint says that
    it is too much it is asked once more with less, and the turn says so. Raises ModelUnreachable, ModelDenied,
    QueryTooLong.

    A message that is nothing but a wish to forget what was said of a matter is answered without a model: the tool is
    called, which asks the user, and the answer says what became of it.

    What was looked up is in no checkpoint: where an approval, a restart or a replay lies between, it is looked up anew.
    """
    if told := await _forgetting(state, runtime, actions):
        return told
    role: Role = "simulator" if state.get("before") else "agent"
    found = {} if "recalled" in state or state.get("before") else await retrieve(state, runtime)
    known: Any = {**state, **found}
    step = partial(
        _step, known, runtime, role, models=models, actions=actions, weigh=weigh, max_steps=max_steps,
        embedded_tokens=embedded_tokens,
    )  # fmt: skip
    card = await models.card(role)
    room = partial(Room, known=card.context is not None, answer=state.get("answer_tokens"))
    try:
        return found | await step(room=partial(room, context=card.window), card=card)
    except ContextTooLong as error:
        less = int(LESS * min(card.window, (await models.card(role)).window))
        told = await step(room=partial(room, context=less, known=error.limit is not None), card=card)
        note = "context: it was too much for the model, which was asked again with less of what is remembered and said"
        return found | told | {"degraded": [*told.get("degraded", known.get("degraded", [])), note]}


async def _forgetting(state: RespondState, runtime: Runtime[Context], actions: ActionSpaces) -> dict[str, Any]:
    """The call that a wish to forget a matter asks for, then the answer; nothing for any other message."""
    exchange = state["messages"][turn_start(state["messages"]) :]
    about = "" if state.get("before") or runtime.context.choices else matter_of(exchange[0].text)
    if not about or not personalized(state, runtime.context):
        return {}
    if len(exchange) == 1:
        space = await actions.of(user_of(runtime), state.get("persona"), runtime.context.tools, recent=True)
        if space.get(FORGET) is None:
            return {}
        call = ToolCall(name=FORGET, args={"about": about}, id=BY_RULE)
        return {"messages": [AIMessage("", tool_calls=[call])], "steps": 1}
    done = exchange[-1]
    if not isinstance(done, ToolMessage) or done.tool_call_id != BY_RULE:
        return {}
    trace = state["trace"][-1]
    told = trace.brief.removeprefix(f"{FORGET} failed: ")
    answer = NOT_FORGOTTEN if trace.outcome == "rejected" else told[:1].upper() + told[1:]
    return {"messages": [AIMessage(answer)], "answer": answer, "steps": 1}


async def _step(
    state: RespondState,
    runtime: Runtime[Context],
    role: Role,
    *,
    models: Models,
    actions: ActionSpaces,
    weigh: Weigh,
    max_steps: int,
    embedded_tokens: int,
    room: Callable[..., Room],
    card: Card,
) -> dict[str, Any]:
    """One step within that room."""
    context = runtime.context
    choices = list(context.choices or ())
    steps = state.get("steps", 0) + 1
    exchange = state["messages"][turn_start(state["messages"]) :]
    last = steps >= max_steps or nothing_new(exchange)
    personal, user_id = personalized(state, context), user_of(runtime)
    space = None
    if models.tool_calling:
        granted = await actions.of(user_id, state.get("persona"), context.tools, personal=personal, recent=True)
        space = offered(granted, card.tools, exchange)
    tools = space.names if space else ()
    left = room(tools=len(tools))
    build = partial(
        build_messages,
        state,
        instructions=context.instructions,
        choices=choices,
        tools=tools,
        personalize=personal,
        room=left,
    )
    choose = partial(_choose, models, role, build, state, context, weigh)
    open_space = space if tools and not last else None
    if choices and open_space is None:
        return await choose(steps)
    if models.embedded and space is None:
        messages = small_messages(state, instructions=context.instructions, personalize=personal, room=left)
        return await _small_answer(models, role, messages, state, steps, embedded_tokens)
    messages = build()
    state = _noted(state, left.left_out)
    if open_space is None:
        return await _answer(models, role, _closing(messages, exchange, tools), state, steps, known=space)
    said = await ask_with_tools(
        models, role, messages, open_space, trace=state.get("trace", []), steps=steps, max_steps=max_steps
    )
    finish = partial(_answer, models, role, told_to_finish(messages), state, known=open_space)
    return await _heard(said, state, choices, choose, finish)


async def _heard(said: Said, state: RespondState, choices: Sequence[str], choose: _Ask, finish: _Ask) -> dict[str, Any]:
    """What a step with tools comes to: calls to carry out, one of the choices, or an answer in free text."""
    reply = said.reply
    if reply is not None and reply.tool_calls:
        return {"messages": [reply], "steps": said.steps}
    if choices:
        named = answer_from_text(reply.text, choices) if reply is not None else None
        return await choose(said.steps if named else said.steps + 1, named=named)
    if reply is None:
        return await finish(said.steps + 1)
    return _text(reply, state, said.steps)


async def _answer(
    models: Models,
    role: Role,
    messages: Sequence[BaseMessage],
    state: RespondState,
    steps: int,
    *,
    known: ActionSpace | None,
) -> dict[str, Any]:
    """An answer in free text, without tools; a call of one that the model knows is no answer."""
    chat: Any = await models.chat(role)
    if (limit := state.get("answer_tokens")) is not None:
        chat = chat.bind(max_tokens=limit)
    reply = await chat.ainvoke(list(messages))
    names = names_in(None, messages) | (known.parameters if known else {})
    if names and not spoken(reply.text, names).strip():
        # a call where an answer was wanted: asked once more, as if the results were part of the question
        reply, steps = await chat.ainvoke(plain_talk(messages)), steps + 1
    if names and (said := spoken(reply.text, names)) != reply.text:
        reply = reply.model_copy(update={"content": said})
    return _text(reply, state, steps)


async def _small_answer(
    models: Models,
    role: Role,
    messages: Sequence[BaseMessage],
    state: RespondState,
    steps: int,
    tokens: int,
) -> dict[str, Any]:
    """An answer in free text by the small embedded model: bounded, whole sentences, and never a loop."""
    chat: Any = await models.chat(role)
    limit = min(tokens, state.get("answer_tokens") or tokens)
    reply = await chat.bind(max_tokens=limit, extra_body=NO_LOOPS).ainvoke(list(messages))
    loop = loop_start(reply.text)
    cut = loop is not None or reply.response_metadata.get("finish_reason") == "length"
    reply.content = whole_sentences(reply.text, loop) if cut else reply.text
    said = _text(reply, state, steps)
    if loop is not None and said["answer"]:
        said["degraded"] = [*state.get("degraded", []), f"model: {LOOPED}"]
    return said


async def _choose(
    models: Models,
    role: Role,
    build: Callable[..., list[BaseMessage]],
    state: RespondState,
    context: Context,
    weigh: Weigh,
    steps: int,
    *,
    named: str | None = None,
) -> dict[str, Any]:
    """One of the choices: the model's probabilities, or the one that it ``named``, weighed with the memories' vote.

    Examples are shown only where the endpoint tells no probabilities.
    """
    choices = list(context.choices or ())
    try:
        told = {named: 1.0} if named else await models.probabilities(role, build(tools=()), choices)
        told = told or {await models.choose(role, build(tools=(), examples=context.recall_k), choices): 1.0}
    except ModelOutputInvalid as error:
        return _unanswered(state, steps, str(error))
    votes = state.get("vote", {})
    past = Where(task=context.task, before=state.get("before"))
    weights = await weigh(context.user_id, past) if votes else PRIOR
    probabilities = combine(told, votes, choices, weights)
    answer = answer_of(probabilities)
    return {
        "messages": [AIMessage(answer)],
        "answer": answer,
        "steps": steps,
        "predicted": to_keep(told, votes),
        "probabilities": probabilities,
    }


def _text(reply: AIMessage, state: RespondState, steps: int) -> dict[str, Any]:
    if not reply.text.strip():
        return _unanswered(state, steps, "the model answered nothing")
    reply.tool_calls, reply.invalid_tool_calls = [], []
    told: dict[str, Any] = {"messages": [reply], "answer": reply.text.strip(), "steps": steps}
    notes = list(state.get("degraded", []))
    if reply.response_metadata.get("finish_reason") in BREAKS_OFF and "answer_tokens" not in state:
        notes.append(BROKEN_OFF)
    return told | ({"degraded": notes} if notes else {})


def _noted(state: RespondState, left_out: Sequence[str]) -> RespondState:
    """The state, with a word on what found no room."""
    if not left_out:
        return state
    note = f"context: no room for {', '.join(dict.fromkeys(left_out))}"
    return {**state, "degraded": [*state.get("degraded", []), note]}


def _closing(messages: list[BaseMessage], exchange: Sequence[BaseMessage], tools: Sequence[str]) -> list[BaseMessage]:
    """The messages of a call that binds no tool, with the word that it is the last where there are or were tools."""
    used = tools or any(isinstance(message, ToolMessage) for message in exchange)
    return told_to_finish(messages) if used else messages


def _unanswered(state: RespondState, steps: int, why: str) -> dict[str, Any]:
    return {
        "messages": [AIMessage(NO_ANSWER)],
        "answer": "",
        "steps": steps,
        "degraded": [*state.get("degraded", []), f"model: {why}"],
    }


async def stated_form(state: RespondState, runtime: Runtime[Context], *, reason: Reason) -> dict[str, Any]:
    """Return what ``reason`` returns, an answer in free text as the persona and the pins want it.

    Only what a machine can do is done (``persona.keeping``), after the model wrote. An answer that may be changed is
    streamed as a whole. Raises what ``reason`` raises.
    """
    context, query = runtime.context, query_of(state["messages"])
    free = not context.choices and personalized(state, context)
    clauses = stated(state.get("persona"), state.get("pins", [])) if free else []
    keep = keeper(clauses, query)
    if keep is None:
        return await reason(state, runtime)
    with unstreamed():
        said = await reason(state, runtime)
    answer = said.get("answer")
    if not answer or (formed := keep(answer)) == answer:
        return said
    reply = said["messages"][-1].model_copy(update={"content": formed})
    return said | {"messages": [*said["messages"][:-1], reply], "answer": formed}


@contextmanager
def unstreamed() -> Iterator[None]:
    """Within it no model's words are streamed by LangGraph as they come: the node's message is, when it is done."""
    config = ensure_config()
    token = var_child_runnable_config.set({**config, "tags": [*(config.get("tags") or ()), TAG_NOSTREAM]})
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)
