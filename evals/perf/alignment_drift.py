"""``python -m evals.perf.alignment_drift``: 100 alignments of one user whose taste turns round half way.

One user gets the articles of the news sample, labelled "keep" or "skip" by a rule over their categories; half way the
rule turns, and every category gets the other label. Each article is answered live before its label comes; after every
``--every`` labels the persona is aligned. Everything is real (graphs, gate, monitor, ledger, index, MiniLM) but the
model, which is a reader of what it is shown (``drift_reader``). Each article is shown with its section, as a feed does
("Section: politics"): the rule is about sections, and from the words of headlines alone 90 labels foretell it for no
more than 67 to 75 % of the probes, whatever is written down of them; ``--bare`` hides the section. After each alignment
the persona alone, without memory, answers probes: articles that the user never labels, so what the persona says is
measured apart from what memory gives.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage

from personaagent.context import Context
from personaagent.evals.perf.drift_reader import Reader, read
from personaagent.evals.tasks import Row, news
from personaagent.graph.agent import build_agent
from personaagent.graph.feedback import build_feedback
from personaagent.graph.services import Services
from personaagent.persona.render import system_prompt
from personaagent.persona.shape import to_text, token_count
from personaagent.settings import Settings
from personaagent.types import Persona

USER, TASK = "turncoat", "shelf"
LABELS = ("keep", "skip")
BLOCK = 10  # alignments a row of the table
KEPT = frozenset({"politics", "world news"})  # before the turn; the others after it: about half of the articles each


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One alignment: what it took, what the persona is then, and how the live answers before it were."""

    number: int
    turned: bool
    seconds: float
    tokens: int  # of the persona
    clauses: int
    live: float  # share of the live answers right since the last alignment
    old: float  # share of the probes that the persona alone answers by the rule from before the turn
    new: float  # and by the rule from after it
    proposer: str | None  # of the version that was committed
    rolled_back: bool
    outcome: str  # of the alignment
    text: str  # of the persona


def label_of(category: str, *, turned: bool) -> str:
    """The rule; after the turn every article has the other label."""
    return LABELS[(category in KEPT) == turned]


async def drift(services: Services, rows: Sequence[Row], probes: Sequence[Row], *, noise: float,
                rng: random.Random, epochs: int, candidates: int, judge: int) -> list[Step]:  # fmt: skip
    """Answer, label and align through all rows; the rule turns after the first half of them."""
    agent, feedback = build_agent(services).compile(), build_feedback(services).compile()
    context = Context(
        user_id=USER,
        task=TASK,
        choices=list(LABELS),
        align="now",
        align_epochs=epochs,
        align_candidates=candidates,
        align_judge=judge,
    )
    steps: list[Step] = []
    right: list[bool] = []
    rolled_back = False
    for number, row in enumerate(rows):
        turned = number >= len(rows) / 2
        truth = label_of(row.truth, turned=turned)
        message: Any = {"messages": [HumanMessage(row.query, id=row.id)]}
        config: Any = {"configurable": {"thread_id": row.id}}
        said = await agent.ainvoke(message, config, context=replace(context, align="off"))
        right.append(said["answer"] == truth)
        given = rng.choice([x for x in LABELS if x != truth]) if rng.random() < noise else truth
        told: Any = {"interaction_id": said["interaction_id"], "ground_truth": given, "source": "choice"}
        began = time.perf_counter()
        out = await feedback.ainvoke(told, context=replace(context, recall_k=0))
        seconds = time.perf_counter() - began
        rolled_back = rolled_back or out.get("rolled_back") is not None
        if not out["due"]:
            continue
        persona = await services.seeds.persona(USER)
        committed: Persona | None = out.get("committed")
        steps.append(
            Step(
                number=len(steps) + 1,
                turned=turned,
                seconds=round(seconds, 3),
                tokens=token_count(persona.sections),
                clauses=sum(map(len, persona.sections.values())),
                live=round(sum(right) / len(right), 3),
                old=_agreement(persona, probes, turned=False),
                new=_agreement(persona, probes, turned=True),
                proposer=committed.proposer if committed else None,
                rolled_back=rolled_back,
                outcome=out.get("outcome") or "",
                text=to_text(persona.sections, evidence=False),
            )
        )
        right, rolled_back = [], False
    return steps


def summary(steps: Sequence[Step]) -> dict[str, Any]:
    """The figures in one: how soon the persona turned, whether it grew, and what it was right in."""
    before, after = ([s for s in steps if s.turned is side] for side in (False, True))
    ahead = [s.number - before[-1].number for s in after if s.new > s.old]
    # the persona has turned for good when it never goes back behind the old rule
    last = max((s.number - before[-1].number for s in after if s.new <= s.old), default=0)
    half = len(after) // 2
    return {
        "alignments": len(steps),
        "committed": sum(s.proposer is not None for s in steps),
        "rolled_back": sum(s.rolled_back for s in steps),
        "by_proposer": dict(Counter(s.proposer for s in steps if s.proposer)),
        "persona_new_after": next(iter(ahead), None),
        "persona_new_for_good_after": last + 1 if last < len(after) else None,
        "live_last_half_before": _mean("live", before[len(before) // 2 :]),
        "live_first_half_after": _mean("live", after[:half]),
        "live_last_half_after": _mean("live", after[half:]),
        "probes_at_turn": before[-1].old,
        "probes_at_end": after[-1].new,
        "tokens_first_half": _mean("tokens", before),
        "tokens_second_half": _mean("tokens", after),
        "tokens_most": max(s.tokens for s in steps),
        "seconds_first_half": _mean("seconds", before),
        "seconds_second_half": _mean("seconds", after),
    }


def table(steps: Sequence[Step]) -> str:
    """Ten alignments a row, as Markdown."""
    lines = [
        "| alignments | persona, tokens | clauses | s an alignment | committed | taken back | live right "
        "| probes, old rule | probes, new rule |",
        "|" + "---|" * 9,
    ]
    for at in range(0, len(steps), BLOCK):
        block = steps[at : at + BLOCK]
        lines.append(
            f"| {block[0].number}-{block[-1].number} | {_mean('tokens', block):.0f} "
            f"| {_mean('clauses', block):.0f} | {_mean('seconds', block):.2f} "
            f"| {sum(s.proposer is not None for s in block)} | {sum(s.rolled_back for s in block)} "
            f"| {_mean('live', block):.0%} | {block[-1].old:.0%} | {block[-1].new:.0%} |"
        )
    return "\n".join(lines)


def _agreement(persona: Persona, probes: Sequence[Row], *, turned: bool) -> float:
    """The share of the probes that the reader answers by the rule with nothing but the persona before it."""
    system = SystemMessage(system_prompt(persona, [], instructions=None, choices=LABELS, tools=[], personalize=True))
    hits = [
        read([system, HumanMessage(probe.query)], LABELS) == label_of(probe.truth, turned=turned) for probe in probes
    ]
    return round(sum(hits) / len(hits), 3)


def _mean(name: str, steps: Sequence[Step]) -> float:
    return round(sum(float(getattr(step, name)) for step in steps) / max(1, len(steps)), 3)


async def _run(options: argparse.Namespace) -> list[Step]:
    rng = random.Random(options.seed)
    rows = sorted((row for user in news.task().users.values() for row in user), key=lambda row: row.id)
    rng.shuffle(rows)
    if not options.bare:
        rows = [replace(row, query=f"Section: {row.truth}\n{row.query}") for row in rows]
    wanted = options.alignments * options.every
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(
            home=Path(home), align_after=options.every, align_daily_calls=10**9, align_daily_tokens=10**12
        )
        services = Services(settings, models=Reader())
        try:
            return await drift(
                services,
                rows[:wanted],
                rows[wanted:],
                noise=options.noise,
                rng=rng,
                epochs=options.epochs,
                candidates=options.candidates,
                judge=options.judge,
            )
        finally:
            await services.close()


def main() -> None:
    """Run, print, and write every alignment where wanted."""
    parser = argparse.ArgumentParser(prog="python -m evals.perf.alignment_drift", description=__doc__)
    parser.add_argument("--alignments", type=int, default=100)
    parser.add_argument("--every", type=int, default=2, help="labels between two alignments")
    parser.add_argument("--noise", type=float, default=0.0, help="share of the labels that are wrong")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--candidates", type=int, default=2)
    parser.add_argument("--judge", type=int, default=6, help="labels that judge")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bare", action="store_true", help="articles without their section")
    parser.add_argument("--show", action="store_true", help="print the personas at the turn and at the end")
    parser.add_argument("--json", type=Path, help="file for every alignment and the summary")
    options = parser.parse_args()
    steps = asyncio.run(_run(options))
    if options.show:
        print(next(s.text for s in reversed(steps) if not s.turned), steps[-1].text, sep="\n\n---\n\n", end="\n\n")
    print(table(steps))
    print()
    for name, value in summary(steps).items():
        print(f"{name}: {value}")
    if options.json:
        told = {"summary": summary(steps), "alignments": [asdict(step) for step in steps]}
        options.json.write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
