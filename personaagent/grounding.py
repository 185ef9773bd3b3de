"""Whether an answer drew on what a tool brought back: a plain rule over shared words, not an opinion of a model.

Compared are distinctive terms: words of three letters or more and numbers, without function words and without what the
user's message already said. A call counts as

- used, where the answer shares a number with its result, or two words, or all the terms that the answer has;
- not used, where it brought no result, or where a free-text answer shares no term with it;
- unknown (None), where the answer has no distinctive term, or shares a single one of several.

For an answer out of a closed space a result that says it is used; all else is unknown: evidence need not name a label.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from langchain_core.messages import AnyMessage, ToolMessage

from personaagent.text import skeleton
from personaagent.turn import turn_start
from personaagent.types import ToolTrace

READ_CHARS = 20_000  # of the answer and of each result
_TERM = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]{3,}")
_FENCE_LINES = re.compile(r"^</?data\b.*>$", re.MULTILINE)
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "all and any are but can did for had has her him his how its may new not now one our out see she the too two "
        "was who why yes you "
        "about after also answer because been before being between could does each from have here into just like more "
        "most much only other over page same should some such than that their them then there these they this those "
        "very want were what when where which while will with would your",
    )
)


def mark_used(
    traces: Sequence[ToolTrace], messages: Sequence[AnyMessage], answer: str, choices: Sequence[str] = ()
) -> tuple[ToolTrace, ...]:
    """The traces of a turn, each with ``used`` set by the rule; ``messages`` is the conversation that they belong to.

    A result is read from its tool message, or from the trace's beginning of it where there is none.
    """
    start = turn_start(messages)
    results = [str(message.text) for message in messages[start:] if isinstance(message, ToolMessage)]
    if len(results) != len(traces):
        results = [trace.brief for trace in traces]
    said = _terms(messages[start].text)
    closed = answer in choices
    given = _terms(answer) if closed else _terms(answer) - said
    return tuple(
        replace(trace, used=_drew_on(given, _terms(_FENCE_LINES.sub("", result)), closed=closed))
        if trace.outcome == "ok"
        else replace(trace, used=False)
        for trace, result in zip(traces, results, strict=True)
    )


def _drew_on(given: set[str], found: set[str], *, closed: bool) -> bool | None:
    if not given:
        return None
    shared = given & found
    if closed:
        return True if shared == given else None
    if len(shared) >= 2 or shared == given or any(term[0].isdigit() for term in shared):
        return True
    return None if shared else False


def _terms(text: str) -> set[str]:
    return {term.rstrip(".,") for term in _TERM.findall(skeleton(text[:READ_CHARS]))} - _COMMON
