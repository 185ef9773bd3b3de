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
from personaagent.persona.gate import evidence_of, labels_needed, to_win
from personaagent.persona.shape import to_text
from personaagent.ports import PersonaStore
from personaagent.state import AlignmentState
from personaagent.tools.approval import parse_decisions
from personaagent.types import Candidate, Persona, Sections, Verdict, clauses_of
from personaagent.types import evidence_of as clause_evidence

SHOWN_CHARS = 120  # of a clause in the outcome


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
    verdict = incumbent.verdict
    if base is None or verdict is None:
        return {"committed": None, "outcome": unchanged(state) + _taken_back(base), "reason": _reasons(state)}
    edited, refusal = _ask(base, incumbent, verdict, config, token_budget) if ask else (None, None)
    if refusal:
        refused = replace(incumbent, verdict=replace(verdict, accepted=False, reason=refusal))
        return {
            "committed": None,
            "rejected": [*state["rejected"], refused],
            "outcome": f"No change: {refusal}",
            "reason": verdict.reason,
        }
    origin: dict[str, Any] = {
        "origin": "aligned",
        "proposer": incumbent.proposer,
        "reason": verdict.reason,
        "loss_before": verdict.loss_before,
        "loss_after": verdict.loss_after,
    }
    if edited:  # what nobody judged is not called aligned
        origin = {"origin": "manual", "proposer": "user", "reason": f"edited on approval: {verdict.reason}"}
    try:
        committed = await personas.append(
            user_id,
            edited or incumbent.sections,
            expected_parent=base.version,
            aligned_through=max(i.created_at for i in state["judge"]),
            **origin,
        )
    except PersonaConflict as error:
        return {"committed": None, "outcome": f"No change: {error}", "reason": verdict.reason}
    return {
        "committed": committed,
        "challengers": [],
        "outcome": _told(committed, base, None if edited else verdict) + _taken_back(base),
        "reason": f"by {committed.proposer}: {committed.reason}",
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
    known = {*clause_evidence(base.sections), *clause_evidence(incumbent.sections)}
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


def _told(committed: Persona, base: Persona, verdict: Verdict | None) -> str:
    """The new version in a sentence: what it says now, and how many judged answers speak for it."""
    old, new = ([clause.text for clause in clauses_of(one.sections)] for one in (base, committed))
    added, gone = [text for text in new if text not in old], [text for text in old if text not in new]
    said = _short(added[0]) if added else f"without: {_short(gone[0])}" if gone else "worded anew"
    more = f" (and {len(added) - 1} more)" if len(added) > 1 else ""
    judged = verdict.wins + verdict.losses + verdict.ties if verdict else 0
    proof = f" ({verdict.wins} of {judged} judged answers closer to yours)" if verdict and judged else ""
    return f"Version {committed.version}: {said}{more}{proof}"


def unchanged(state: AlignmentState) -> str:
    """Why there is no new version, and what it takes, in a sentence."""
    if not state["judge"]:
        return state["outcome"]
    if state["stopped"]:
        done = max((len(one.judged) for one in state["challengers"]), default=0)
        total = max(done, len(state["judge"]))
        goes_on = "; goes on with the next label" if state["challengers"] else ""
        return f"No change yet: stopped ({state['stopped']}) with {done} of {total} labels judged{goes_on}"
    if state["challengers"]:
        lacking = min(labels_needed(evidence_of(one.evidence)) for one in state["challengers"])
        return f"No change yet: {_labels(max(1, lacking))} could prove what is ahead"
    if state["needed"]:
        have = len(state["teach"]) + len(state["judge"])
        return f"No change yet: a proof needs {_labels(state['needed'])} (you have {have})"
    if state["judged"] and not any(to_win(simulation) for simulation in state["judged"]):
        return f"No change: the answers were right in all {len(state['judged'])} judging interactions, nothing can win"
    return _tried(state)


def _tried(state: AlignmentState) -> str:
    judged = [c for c in state["rejected"] if c.verdict and c.verdict.wins + c.verdict.losses + c.verdict.ties]
    if not judged:
        return "No change: nothing was proposed that could be judged"
    one = "one attempt" if len(judged) == 1 else f"{len(judged)} attempts"
    against = next((c for c in judged if c.verdict and "explicit truth" in c.verdict.reason), None)
    return f"No change: {one}, nothing better found" + ("; explicit truth contradicts it" if against else "")


def _reasons(state: AlignmentState) -> str:
    reasons = [f"{c.proposer}: {c.verdict.reason}" for c in state["rejected"] if c.verdict]
    waiting = [f"{one.proposer}: ahead, judged by {len(one.judged)}" for one in state["challengers"]]
    speed = [f"endpoint: {state['pace'].told}"] if state["pace"].told else []
    return "; ".join(dict.fromkeys([*waiting, *reasons, *speed])) or "no candidate was proposed"


def _labels(count: int) -> str:
    return "1 more labelled answer" if count == 1 else f"{count} more labelled answers"


def _short(text: str) -> str:
    return text.rstrip(".") if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS].rsplit(" ", 1)[0] + " …"
