"""What the model baselines share: the same prompt, the same form of answer, the same way to show what is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from personaagent.errors import ModelOutputInvalid, ModelRefused
from personaagent.evals.systems import Answer, Bench
from personaagent.evals.tasks import Row
from personaagent.ports import Role
from personaagent.prompts import quote, render

MAX_WORDS = 128  # tokens of a free text answer unless the task says otherwise, and of a summary twice that


def turns(rows: Sequence[Row], choices: Sequence[str]) -> list[BaseMessage]:
    """Labelled rows as user and assistant turns, in the given order: the form that small models learn most from."""
    shown: list[BaseMessage] = []
    for row in rows:
        if row.truth and (not choices or row.truth in choices):
            shown += [HumanMessage(row.query), AIMessage(row.truth)]
    return shown


def told(rows: Sequence[Row], choices: Sequence[str]) -> list[str]:
    """Those of the rows that cannot be turns, as lines: what the user said, and the answer where it is known."""
    rest = [row for row in rows if not row.truth or (choices and row.truth not in choices)]
    return [f"- {row.query}{' → ' + row.truth if row.truth else ''}" for row in rest]


def messages(
    bench: Bench, row: Row, examples: Sequence[Row] = (), *, profile: str = "", notes: Sequence[str] = ()
) -> list[BaseMessage]:
    """The messages of one question: frame, profile, task and choices; then the examples; then the query."""
    choices = bench.task.answers(row)
    system = [render("frame"), render("task", instructions=bench.task.instructions)]
    if profile:
        system.insert(1, f"What is known of the user:\n{quote(profile, 'profile')}")
    if choices:
        system.append(render("answer_choice", choices="\n".join(f"- {choice}" for choice in choices)))
    lines = [*told(examples, choices), *notes]
    query = row.query
    if lines:
        query = f"What the user said before (data):\n{quote(chr(10).join(lines), 'memories')}\n\n{query}"
    return [SystemMessage("\n\n".join(system)), *turns(examples, choices), HumanMessage(query)]


async def ask(bench: Bench, row: Row, asked: Sequence[BaseMessage], tools: tuple[str, ...] = ()) -> Answer:
    """One model call: one of the choices by constrained output, or free text. What is unusable is an empty answer."""
    choices = bench.task.answers(row)
    try:
        if choices:
            return Answer(text=await bench.models.choose("agent", asked, choices), tools=tools)
        return Answer(text=await _text(bench, "agent", asked, bench.task.max_answer_tokens or MAX_WORDS), tools=tools)
    except (ModelOutputInvalid, ModelRefused) as error:
        return Answer(text="", tools=tools, error=str(error))


async def summarize(bench: Bench, instruction: str, lines: Sequence[str]) -> str:
    """A summary by the summarizer's model; empty where it gives none."""
    prompt = f"{instruction}\n\n{quote(chr(10).join(lines), 'history')}"
    with suppress(ModelOutputInvalid, ModelRefused):
        return await _text(bench, "summarizer", [HumanMessage(prompt)], 2 * MAX_WORDS)
    return ""


async def _text(bench: Bench, role: Role, asked: Sequence[BaseMessage], limit: int) -> str:
    chat = await bench.models.chat(role)
    reply = await chat.bind(max_tokens=limit).ainvoke(list(asked))
    return str(reply.text).strip()
