"""One alignment, told step by step while it runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from personaagent.context import Context
from personaagent.graph.alignment import build_alignment
from personaagent.types import Candidate, Persona, Simulation

if TYPE_CHECKING:
    from personaagent.graph.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """What became of an alignment and what it cost."""

    outcome: str
    base: Persona | None
    committed: Persona | None
    reason: str = ""  # what the gate said of each candidate
    rejected: tuple[Candidate, ...] = ()
    calls: int = 0
    tokens: int = 0
    seconds: float = 0.0

    @property
    def version(self) -> int | None:
        """The version that was committed; None: no change."""
        return self.committed.version if self.committed else None

    def __str__(self) -> str:
        return f"{self.outcome} ({self.calls} calls, {self.tokens} tokens, {self.seconds:.1f} s)"

    @property
    def told(self) -> dict[str, Any]:
        """The result for machines: versions instead of personas, reasons instead of candidates."""
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "base": self.base.version if self.base else None,
            "committed": self.committed.version if self.committed else None,
            "proposer": self.committed.proposer if self.committed else None,
            "rejected": [{"proposer": c.proposer, "reason": c.verdict.reason} for c in self.rejected if c.verdict],
            "calls": self.calls,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 2),
        }


STOPPED = "stopped: what was judged so far is kept, and the next alignment goes on with it"


async def align(
    services: Services,
    context: Context,
    told: Callable[[str], None] = lambda _: None,
    moved: Callable[[str, int, int], None] = lambda _step, _done, _total: None,
) -> Aligned:
    """Align this user's persona now; ``told`` gets a line for each step, ``moved`` its progress (step, done, in all).

    Cancelled (Ctrl-C) it says that it goes on next time: evidence is kept after every round.
    """
    graph = build_alignment(services).compile()
    began = time.perf_counter()
    result: dict[str, Any] = {}
    # at first the epoch that runs is the one after those that are done
    epoch = 1
    parts: Any = graph.astream({}, context=context, stream_mode=["updates", "values", "custom"])
    try:
        async for mode, part in parts:
            if mode == "values":
                result = part
            elif mode == "custom":
                moved(part["step"], part["done"], part["total"])
            else:
                for node, update in part.items():
                    for line in _lines(node, update or {}, epoch):
                        told(line)
                    epoch += node == "judge_candidate"
    except asyncio.CancelledError:
        told(STOPPED)
        raise
    return Aligned(
        outcome=result.get("outcome", ""),
        base=result.get("base"),
        committed=result.get("committed"),
        reason=result.get("reason", ""),
        rejected=tuple(result.get("rejected", ())),
        calls=result.get("calls", 0),
        tokens=result.get("tokens", 0),
        seconds=time.perf_counter() - began,
    )


def _lines(node: str, update: dict[str, Any], epoch: int) -> list[str]:
    here = f"epoch {epoch}"
    match node:
        case "sample_turns":
            return [f"{len(update['teach'])} interactions teach, {len(update['judge'])} newer ones judge"]
        case "judge_challengers" if update.get("pace"):
            left = len(update["challengers"])
            return [f"challengers judged by the labels that came since: {left} still ahead"]
        case "simulate" if update:
            taught, judged = update["simulations"], update["judged"]
            return [f"{here}: simulated again, wrong {_wrong(taught)} that teach and {_wrong(judged)} that judge"]
        case "critique" if update:
            failed = sum(bool(loss.error) for loss in update["losses"])
            return [f"{here}: {len(update['losses'])} critiques" + (f", {failed} failed" if failed else "")]
        case "edit_persona":
            names = ", ".join(candidate.proposer for candidate in update["candidates"])
            return [f"{here}: candidates: {names or 'none'}"]
        case "judge_candidate" if update.get("incumbent"):
            incumbent: Candidate = update["incumbent"]
            return [f"{here}: {incumbent.proposer} accepted: {_reason(incumbent)}"]
        case "judge_candidate":
            return [f"{here}: no candidate accepted"]
    return []


def _wrong(simulations: Sequence[Simulation]) -> str:
    return f"{sum(1 for simulation in simulations if simulation.loss > 0)} of {len(simulations)}"


def _reason(candidate: Candidate) -> str:
    return candidate.verdict.reason if candidate.verdict else ""
