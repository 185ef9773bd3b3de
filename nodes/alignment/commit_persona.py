"""Commit the incumbent as the next version when it is not the base, else leave the persona alone."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.errors import PersonaConflict
from personaagent.inputs import user_of
from personaagent.ports import PersonaStore
from personaagent.state import AlignmentState


async def commit_persona(state: AlignmentState, runtime: Runtime[Context], *, personas: PersonaStore) -> dict[str, Any]:
    """Return the committed version, or None, and the outcome in a line.

    Of two concurrent alignments one commits; the other stops here and changes nothing.
    """
    base, incumbent, user_id = state["base"], state["incumbent"], user_of(runtime)
    if base is None or incumbent.verdict is None:
        return {"committed": None, "outcome": _why_not(state)}
    try:
        committed = await personas.append(
            user_id,
            incumbent.sections,
            "aligned",
            expected_parent=base.version,
            proposer=incumbent.proposer,
            reason=incumbent.verdict.reason,
            loss_before=incumbent.verdict.loss_before,
            loss_after=incumbent.verdict.loss_after,
            aligned_through=state["judge"][-1].created_at,
        )
    except PersonaConflict as error:
        return {"committed": None, "outcome": f"no change: {error}"}
    return {
        "committed": committed,
        "outcome": f"version {committed.version} by {incumbent.proposer}: {incumbent.verdict.reason}",
    }


def _why_not(state: AlignmentState) -> str:
    reasons = [f"{c.proposer}: {c.verdict.reason}" for c in state["rejected"] if c.verdict]
    return "no change: " + ("; ".join(dict.fromkeys(reasons)) or "no candidate was proposed")
