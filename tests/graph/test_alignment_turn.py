"""A taste that turns: one user labels articles "keep" or "skip" by topic, and half way all topics get the other label.

Each article is answered before its label comes; after every two labels the persona is aligned. Graphs, gate, monitor
and ledger are real; the model is a reader of what it is shown (``drift_reader``). Probes see the persona alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage

from drift_reader import Reader, read
from graph_house import Build
from personaagent.context import Context
from personaagent.graph.agent import build_agent
from personaagent.graph.feedback import build_feedback
from personaagent.graph.services import Services
from personaagent.persona.render import system_prompt
from personaagent.persona.shape import token_count
from personaagent.types import Persona

TOPICS = {"politics": "the senate and the president vote", "women": "an actress and a singer speak"}
LABELS = ("keep", "skip")
ROWS, PROBES = ([(topic, f"{TOPICS[topic]}, report {n}") for n in range(first, first + count)
                 for topic in [list(TOPICS)[n // 2 % 2]]] for first, count in ((0, 80), (100, 8)))  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One alignment: the persona's tokens, and shares of answers and of probes by either rule that are right."""

    turned: bool
    tokens: int
    live: float
    old: float
    new: float


def label_of(topic: str, *, turned: bool) -> str:
    return LABELS[(topic == "politics") == turned]


async def drift(services: Services) -> list[Step]:
    agent, feedback = build_agent(services).compile(), build_feedback(services).compile()
    context = Context(
        user_id="turncoat", task="shelf", choices=list(LABELS), align="now", align_epochs=2, align_candidates=2,
        align_judge=6,
    )  # fmt: skip
    steps: list[Step] = []
    right: list[bool] = []
    for number, (topic, query) in enumerate(ROWS):
        turned = number >= len(ROWS) / 2
        message: Any = {"messages": [HumanMessage(query, id=f"r{number}")]}
        config: Any = {"configurable": {"thread_id": f"r{number}"}}
        said = await agent.ainvoke(message, config, context=replace(context, align="off"))
        truth = label_of(topic, turned=turned)
        right.append(said["answer"] == truth)
        label: Any = {"interaction_id": said["interaction_id"], "ground_truth": truth, "source": "choice"}
        if (await feedback.ainvoke(label, context=replace(context, recall_k=0)))["due"]:
            persona = await services.seeds.persona("turncoat")
            old, new = (agreement(persona, turned=after) for after in (False, True))
            steps.append(Step(turned, token_count(persona.sections), sum(right) / len(right), old, new))
            right = []
    return steps


def agreement(persona: Persona, *, turned: bool) -> float:
    system = SystemMessage(system_prompt(persona, [], instructions=None, choices=LABELS, tools=[], personalize=True))
    return sum(
        read([system, HumanMessage(query)], LABELS) == label_of(topic, turned=turned) for topic, query in PROBES
    ) / len(PROBES)


def new_for_good_after(steps: Sequence[Step]) -> int:
    """The alignment after the turn from which on the persona is never again behind the old rule."""
    after = [step for step in steps if step.turned]
    return max((number for number, step in enumerate(after, 1) if step.new <= step.old), default=0) + 1


async def test_the_persona_follows_a_taste_that_turns_and_does_not_grow(build: Build) -> None:
    services = build(Reader(), align_after=2, align_daily_calls=10**6, align_daily_tokens=10**9)
    steps = await drift(services)
    assert len(steps) == 40
    # a second candidate on one version needs 8 labels won and a third 10, half of those since the turn judge,
    # and the version of the old taste is taken back first: 34 labels
    assert new_for_good_after(steps) <= 17
    assert steps[-1].new == 1.0
    assert [step.live for step in steps[-3:]] == [1.0, 1.0, 1.0]
    assert steps[-1].tokens <= steps[19].tokens + 120
    assert max(step.tokens for step in steps) < 300
