"""Which tools a question is asked with, of a model that calls tools badly: those that it cannot be answered without.

What is remembered of the user stands in the prompt already. A tool too many costs such a model its answer, and one too
few an answer without evidence, so the rules look for what plainly asks for a tool.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from langchain_core.messages import AnyMessage, ToolMessage

from personaagent.models.card import ToolUse
from personaagent.tools.space import ActionSpace

NEVER: Final = frozenset({"recall", "profile"})  # what they give is in the prompt
_NEEDED: Final = {
    "calculator": r"\d\s*(?:[-+*/\u00d7÷^]|\*\*|x|plus|minus|times|mal|fois|por|乘|加)\s*\(?\d|\d\s*%|"
    r"\d.*\b(?:percent|prozent|square root|wurzel|divided|multiplied|geteilt)\b"
    r"|\b(?:sqrt|calculat\w+|berechne\w*)\b.*\d",
    "current_time": r"\bwhat (?:time|date|day)\b.*\b(?:is it|today|now)\b|\bwhat(?:'s| is) (?:the (?:time|date)|today)"
    r"|\bwie ?viel uhr\b|\bwie spät\b|\bwelche[rsn]? (?:tag|datum)\b|\bquelle (?:heure|date)\b|\bqué (?:hora|día)\b"
    r"|几点|几号|何時|何日",
    "page": r"https?://|\bwww\.",
    "wikipedia": r"\bwikip[eé]dia\b|\blook (?:it |this |that )?up\b|\bnachschlagen\b|\bschlag\b.*\bnach\b|维基|ウィキ",
    "web_search": r"\b(?:search|google|look)\b.*\b(?:web|online|internet|for)\b|\bsuche?\b.*\b(?:netz|internet|web)\b"
    r"|\blatest news\b|\bcherche\b|\bbusca\b|搜索|検索",
    "remember": r"\bremember (?:that|this|:)|\b(?:note|keep in mind) that\b|\bmerk\w* dir\b"
    r"|\bsouviens-toi\b|\brecuerda que\b|记住|覚えて",
    "correct": r"\bcorrect\b|\bno longer\b|\bnot any ?more\b|\bnicht mehr\b|\bne .* plus\b|\bya no\b|更正|訂正",
    "forget": r"\bforget\b|\bdelete what\b|\bvergiss\b|\boublie\b|\bolvida\b|忘",
}  # fmt: skip
_PATTERNS: Final = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _NEEDED.items()}


def offered(space: ActionSpace, use: ToolUse | None, exchange: Sequence[AnyMessage]) -> ActionSpace:
    """The part of the space that a model is offered in a turn (its messages, the question first).

    One that calls them badly has one step for it: with a result before it, it answers.
    """
    if use == "none" or (use == "badly" and any(isinstance(message, ToolMessage) for message in exchange)):
        return ActionSpace()
    if use != "badly":
        return space
    return ActionSpace(tuple(s for s in space.specs if _needed(s.name, exchange[0].text)), space.guidance)


def _needed(name: str, question: str) -> bool:
    if name in NEVER:
        return False
    if name in _PATTERNS:
        return _PATTERNS[name].search(question) is not None
    asked = set(re.findall(r"\w{4,}", question.lower()))
    return any(word in asked or f"{word}s" in asked for word in re.findall(r"[a-z0-9]{4,}", name.lower()))
