"""Feedback from a door that is no graph client: the command line, the page, the JSON routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from personaagent.graph.services import Services


async def give_feedback(
    services: Services,
    user_id: str,
    interaction_id: str,
    given: Mapping[str, Any],
    align: Literal["background", "now", "off"] = "background",
) -> dict[str, Any]:
    """Run the feedback graph; ``given`` has the fields of ``FeedbackInput``. Returns its output."""
    from personaagent.context import Context
    from personaagent.graph.feedback import build_feedback

    told: Any = {**given, "interaction_id": interaction_id}
    context = Context(user_id=user_id, align=align)
    result: dict[str, Any] = await build_feedback(services).compile().ainvoke(told, context=context)
    return result
