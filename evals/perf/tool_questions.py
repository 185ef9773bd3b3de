"""Twenty questions with tools on: ``python -m personaagent.evals.perf.tool_questions``.

Sixteen need no tool, four do. The endpoint is that of the settings. Told are the model calls and the wall time of each
question, whether a call was shown as its answer, and the same with ``PERSONAAGENT_TOOL_CALLING=off``, in alternation,
so that both have the same luck on a shared machine. What it costs to find out how the model calls tools is told apart:
it is paid once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from statistics import mean, median
from typing import Any

from langchain_core.messages import HumanMessage

from personaagent.context import Context
from personaagent.graph.agent import build_agent
from personaagent.graph.services import Services
from personaagent.models.meter import metering
from personaagent.models.replies import calls_of, is_call_alone
from personaagent.settings import Settings

PLAIN = (
    "What is the capital of Portugal?", "Suggest a name for a grey cat.", "Is a tomato a fruit?",
    "How do I boil an egg?", "What is the opposite of generous?", "Say good morning in French.",
    "Which planet is the largest?", "Give me one tip for better sleep.", "What colour do blue and yellow make?",
    "Who wrote Hamlet?", "What rhymes with moon?", "How many days has a week?", "What is a haiku?",
    "Is the sun a star?", "Name one use of baking soda.", "What should I wear when it rains?",
)  # fmt: skip
NEEDING = (
    ("What is 48217 * 9133?", "440365861"),
    ("Compute 987654 / 321 with the calculator, to two decimals.", "3076.80"),
    ("What day is it today?", time.strftime("%d")),
    ("What is 17 % of 4350?", "739.5"),
)


async def main(limit: int | None) -> None:
    """Ask, and print a line a question and a summary in JSON."""
    asked = [(text, None) for text in PLAIN][:limit] + list(NEEDING)[:limit]
    with tempfile.TemporaryDirectory() as home:
        modes = {mode: Services(Settings(home=Path(home) / mode, tool_calling=mode)) for mode in ("auto", "off")}
        began = time.monotonic()
        card = await modes["auto"].models.card("agent")
        print(
            json.dumps({"tools": card.tools, "context": card.context, "found_out_s": round(time.monotonic() - began)})
        )
        rows: list[dict[str, Any]] = []
        try:
            for number, (text, wanted) in enumerate(asked):
                for mode in sorted(modes, reverse=bool(number % 2)):
                    rows.append({"mode": mode, "needs": wanted is not None, **await _one(modes[mode], text, wanted)})
                    print(json.dumps(rows[-1]), flush=True)
        finally:
            for services in modes.values():
                await services.models.close()
                await services.close()
    print(json.dumps({mode: _summary([row for row in rows if row["mode"] == mode]) for mode in modes}, indent=1))


async def _one(services: Services, text: str, wanted: str | None) -> dict[str, Any]:
    context = Context(user_id="ann", align="off")
    began = time.monotonic()
    with metering() as meter:
        out = await build_agent(services).compile().ainvoke({"messages": [HumanMessage(text)]}, context=context)
    shown = out["messages"][-1].text
    names = (await services.actions.of("ann", None)).names
    return {
        "question": text,
        "calls": meter.total.calls,
        "seconds": round(time.monotonic() - began, 1),
        "tools": [message.name for message in out["messages"] if message.type == "tool"],
        "call_shown": bool(calls_of(shown, names)) or is_call_alone(shown),
        "right": None if wanted is None else wanted in out["answer"].replace(",", ""),
        "answer": out["answer"][:80],
    }


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    plain = [row for row in rows if not row["needs"]]
    return {
        "calls_a_plain_question": round(mean(row["calls"] for row in plain), 2),
        "calls_shown_as_answers": sum(row["call_shown"] for row in rows),
        "median_s_plain": median(row["seconds"] for row in plain),
        "median_s_all": median(row["seconds"] for row in rows),
        "right_of_those_that_need_a_tool": sum(bool(row["right"]) for row in rows),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--limit", type=int, help="questions of each kind")
    asyncio.run(main(parser.parse_args().limit))
