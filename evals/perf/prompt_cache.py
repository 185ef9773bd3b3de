"""``python -m evals.perf.prompt_cache``: how much of the prompt the model's server had read before, over ten turns.

One user talks in one thread to an agent of LangChain's ``create_agent`` with ``PersonaMiddleware``, over memories that
were there before; each turn recalls others. The share is the server's own count (``cached_tokens`` of llama.cpp and of
OpenAI), and ``--beside`` runs the same turns with the memories in the system message, as many agents have them. The
endpoint is OPENAI_BASE_URL, or the embedded model, which is llama.cpp too.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver

from personaagent import PersonaAgent
from personaagent.context import Context
from personaagent.middleware import PersonaMiddleware
from personaagent.types import Interaction

ME = "ann"
BEFORE = (
    ("Which cheese do I like?", "Hard goat's cheese."),
    ("What can I not eat?", "Nuts."),
    ("How many people do I cook for?", "Four, two of them children."),
    ("Which oven do I have?", "A small gas oven without a fan."),
    ("When do I shop?", "On Saturday, at the market."),
    ("Which soup did we like?", "The lentil soup with lemon."),
    ("What do the children refuse?", "Mushrooms."),
    ("What do I drink with dinner?", "Water, or dry white wine."),
)
ASKED = (
    "What shall I cook tonight?",
    "And a soup before it?",
    "Which wine goes with it?",
    "Will the children eat that?",
    "How hot should the oven be?",
    "What do I buy on Saturday?",
    "Which cheese comes after it?",
    "Is there anything in it that I cannot eat?",
    "What can I prepare in the morning?",
    "And what do I do with the rest?",
)


async def turns(home: Path, tokens: int, *, beside: bool) -> list[tuple[int, int]]:
    """Prompt tokens and those of them that were cached, turn by turn."""
    from langchain.agents import create_agent
    from langchain.agents.middleware import ModelRequest, wrap_model_call

    @wrap_model_call
    async def memories_first(request: ModelRequest[Any], handler: Any) -> Any:
        """What is recalled moves from the newest question into the system message."""
        shown = request.state["persona_shown"]["memories"]  # type: ignore[typeddict-item]
        messages = list(request.messages)
        asked = messages[-1]
        if shown and isinstance(asked, HumanMessage):
            messages[-1] = HumanMessage(asked.text.removesuffix(shown).strip())
        system = SystemMessage(f"{request.system_prompt}\n\n{shown}")
        return await handler(request.override(system_message=system, messages=messages))

    async with PersonaAgent(home) as persona:
        start = datetime.now(UTC) - timedelta(days=30)
        told = [
            Interaction(id=f"past-{n}", user_id=ME, query=query, ground_truth=truth, truth_source="correction",
                        truth_confidence=1.0, created_at=start + timedelta(days=n))
            for n, (query, truth) in enumerate(BEFORE)
        ]  # fmt: skip
        await persona.services.episodic.append_many(ME, told)
        model = (await persona.services.models.chat("agent")).model_copy(update={"max_tokens": tokens})
        middleware: list[Any] = [PersonaMiddleware(persona), *([memories_first] if beside else [])]
        agent = create_agent(
            model,
            system_prompt="You help in a cookery shop. Answer in one sentence.",
            middleware=middleware,
            context_schema=Context,
            checkpointer=InMemorySaver(),
        )
        found = []
        for text in ASKED:
            asked: Any = {"messages": [HumanMessage(text)]}
            out = await agent.ainvoke(asked, {"configurable": {"thread_id": "t"}}, context=Context(user_id=ME))
            answer = out["messages"][-1]
            assert isinstance(answer, AIMessage)
            assert answer.usage_metadata
            cached = answer.usage_metadata.get("input_token_details", {}).get("cache_read") or 0
            found.append((answer.usage_metadata["input_tokens"], cached))
        return found


def report(name: str, found: list[tuple[int, int]]) -> None:
    """One line a turn, and one for all."""
    print(name)
    for turn, (tokens, cached) in enumerate(found, 1):
        print(f"  turn {turn:2}: {cached:5} of {tokens:5} prompt tokens were cached ({cached / tokens:.0%})")
    tokens, cached = sum(t for t, _ in found), sum(c for _, c in found)
    print(f"  in all:  {cached:5} of {tokens:5} ({cached / tokens:.0%})")


async def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=40, help="longest answer")
    parser.add_argument("--beside", action="store_true", help="also with the memories in the system message")
    asked = parser.parse_args()
    for beside in (False, True) if asked.beside else (False,):
        with tempfile.TemporaryDirectory() as home:
            found = await turns(Path(home), asked.tokens, beside=beside)
        report("memories in the system message" if beside else "PersonaMiddleware", found)


if __name__ == "__main__":
    asyncio.run(main())
