"""Commit the incumbent as the next version when it is not the base, else leave the persona alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime
from langgraph.types import interrupt

from personaagent.context import Context
from personaagent.errors import InvalidPersona, PersonaConflict
from personaagent.inputs import user_of
from personaagent.persona.edit import diff_lines, read_edit
from personaagent.persona.gate import unbeatable
from personaagent.persona.shape import to_text
from personaagent.ports import PersonaStore
from personaagent.state import AlignmentState
from personaagent.types import Candidate, Persona, Sections, Verdict
from tools.approval import parse_decisions


async def commit_persona(
    state: AlignmentState,
    runtime: Runtime[Context],
    config: RunnableConfig,
    *,
    personas: PersonaStore,
    ask: bool = False,
    token_budget: int = 600,
) -> dict[str, Any]:
    """Return the committed version, or None, and the outcome in a line.

    Of two concurrent alignments one commits; the other stops here and changes nothing. With ``ask`` the graph is
    interrupted with version, text, diff, verdict and proposer; the answer approves, rejects or edits
    (``tools.approval``; edited: ``persona``, the whole text), and an unclear one rejects. In a run without a
    thread nobody can be asked, and nothing is committed.
    """
    base, incumbent, user_id = state["base"], state["incumbent"], user_of(runtime)
    if base is None or incumbent.verdict is None:
        return {"committed": None, "outcome": _why_not(state) + _taken_back(base)}
    edited, refusal = _ask(base, incumbent, incumbent.verdict, config, token_budget) if ask else (None, None)
    if refusal:
        refused = replace(incumbent, verdict=replace(incumbent.verdict, accepted=False, reason=refusal))
        return {
            "committed": None,
            "rejected": [*state["rejected"], refused],
            "outcome": f"no change: {refusal}",
        }
    try:
        committed = await personas.append(
            user_id,
            edited or incumbent.sections,
            "manual" if edited else "aligned",  # what nobody judged is not called aligned
            expected_parent=base.version,
            proposer="user" if edited else incumbent.proposer,
            reason=f"edited on approval: {incumbent.verdict.reason}" if edited else incumbent.verdict.reason,
            loss_before=None if edited else incumbent.verdict.loss_before,
            loss_after=None if edited else incumbent.verdict.loss_after,
            aligned_through=state["judge"][-1].created_at,
        )
    except PersonaConflict as error:
        return {"committed": None, "outcome": f"no change: {error}"}
    return {
        "committed": committed,
        "outcome": f"version {committed.version} by {committed.proposer}: {committed.reason}" + _taken_back(base),
    }


def _ask(
    base: Persona, incumbent: Candidate, verdict: Verdict, config: RunnableConfig, token_budget: int
) -> tuple[Sections | None, str | None]:
    """The sections that the answer puts in the candidate's place, and why the version is not wanted; None for each.

    An edit that breaks a rule of the persona's shape is asked about again, with what is wrong with it.
    """
    if "thread_id" not in config.get("configurable", {}):
        return None, "nobody could be asked to approve it: the run has no thread"
    question = {
        "action": "commit_persona",
        "version": base.version + 1,
        "persona": to_text(incumbent.sections),
        "diff": diff_lines(base.sections, incumbent.sections),
        "verdict": verdict.reason,
        "proposer": incumbent.proposer,
    }
    known = {i for sections in (base.sections, incumbent.sections) for cs in sections.values() for c in cs
             for i in c.evidence}  # fmt: skip
    while True:
        (decision,) = parse_decisions(interrupt(question), 1)
        if decision.verb == "approve":
            return None, None
        if decision.verb == "reject":
            return None, f"the edit was not approved. {decision.message}".strip()
        try:
            text = str((decision.arguments or {}).get("persona", ""))
            return read_edit(text, base.sections, budget_tokens=token_budget, known_ids=known), None
        except InvalidPersona as error:
            question = question | {"error": str(error)}


def _taken_back(base: Persona | None) -> str:
    """What to add to the outcome where the monitor had rolled back the version before this alignment."""
    if base is None or base.origin != "rollback" or base.proposer != "monitor":
        return ""
    return f" (version {base.version}: {base.reason})"


def _why_not(state: AlignmentState) -> str:
    if unbeatable(state["judged"]):
        return f"no change: the incumbent is right on all {len(state['judged'])} judging interactions, nothing can win"
    reasons = [f"{c.proposer}: {c.verdict.reason}" for c in state["rejected"] if c.verdict]
    return "no change: " + ("; ".join(dict.fromkeys(reasons)) or "no candidate was proposed")
