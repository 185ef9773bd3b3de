"""ReAct: thoughts and tool calls in turn, without a persona and without memories put in front (paper, baseline).

It has the very tools that PersonaAgent has. Its steps are JSON objects of a fixed schema, so that it also runs on
models that know no tool calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from personaagent.errors import ModelOutputInvalid, ModelRefused
from personaagent.evals.systems import Answer, Bench, Portrait
from personaagent.evals.systems.persona_agent import as_interactions, open_services
from personaagent.evals.systems.prompting import ask, messages
from personaagent.evals.tasks import Row
from personaagent.tools.presets import GENERAL_TOOLS, MEMORY_TOOLS

TOOLS = (*MEMORY_TOOLS, *GENERAL_TOOLS)
STEPS = 3
HOW = (
    "Before you answer, you may use tools. Reply with one JSON object: a short `thought`, the `tool` to call "
    "(or `none` to answer now) and its `input`, a few words. The tools:\n{tools}"
)


class ReAct:
    """At most ``steps`` tool calls a query, each a model call, and one more for the answer."""

    def __init__(self, bench: Bench, steps: int = STEPS) -> None:
        self._bench = bench
        self._steps = steps
        self._services = open_services(bench)

    async def prepare(self, user_id: str, history: Sequence[Row]) -> None:
        """Put the history where the recall tool finds it."""
        await self._services.episodic.append_many(user_id, as_interactions(self._bench.task, history))

    async def answer(self, row: Row) -> Answer:
        """Think and act, then answer."""
        actions = self._services.actions
        space = await actions.of(row.user_id, None, TOOLS)
        how = HOW.format(tools="\n".join(f"- {name}: {text}" for name, text in space.describe()))
        asked = messages(self._bench, row)
        thinking: list[BaseMessage] = [*asked[:-1], HumanMessage(f"{asked[-1].text}\n\n{how}")]
        observed: list[str] = []
        called: list[str] = []
        for _ in range(self._steps):
            try:
                step = await self._bench.models.structured("agent", thinking, _schema(space.names))
            except (ModelOutputInvalid, ModelRefused):
                break  # it cannot think in this form: it answers on what it has
            if step["tool"] == "none":
                break
            spec = space.get(step["tool"])
            text, trace = await actions.execute(
                space, row.user_id, {"name": step["tool"], "args": _arguments(spec.schema if spec else {}, step)}
            )
            called.append(trace.name)
            if text in observed:
                break  # the same again teaches nothing
            observed.append(text)
            thinking += [AIMessage(f"{step['thought']} → {trace.name}({step['input']})"), HumanMessage(text)]
        return await ask(self._bench, row, messages(self._bench, row, notes=observed), tools=tuple(called))

    async def learn(self, row: Row) -> None:
        """Put one more where the recall tool finds it."""
        await self._services.episodic.append_many(row.user_id, as_interactions(self._bench.task, [row]))

    async def portrait(self, user_id: str) -> Portrait:  # noqa: ARG002
        """There is none."""
        return Portrait()

    async def close(self) -> None:
        """Flush and release the services; the models are the runner's."""
        await self._services.index.close()
        await self._services.database.close()


def _schema(names: Sequence[str]) -> dict[str, Any]:
    return {
        "title": "Step",
        "type": "object",
        "properties": {
            "thought": {"type": "string", "maxLength": 200},
            "tool": {"type": "string", "enum": [*names, "none"]},
            "input": {"type": "string", "maxLength": 120},
        },
        "required": ["thought", "tool", "input"],
        "additionalProperties": False,
    }


def _arguments(schema: dict[str, Any], step: dict[str, Any]) -> dict[str, Any]:
    """The step's input under the tool's first argument: all of these tools need one text at most."""
    name = next(iter(schema.get("required") or schema.get("properties") or ()), None)
    return {name: step["input"]} if name else {}
