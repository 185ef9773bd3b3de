"""What the models in use can do, for ``personaagent doctor --endpoint``: tried now, kept, and read by every turn."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from personaagent.app.doctor import BETTER, SETUP, Check, models_in_use
from personaagent.errors import PersonaAgentError
from personaagent.models.chat import ModelsFromSettings

if TYPE_CHECKING:
    from personaagent.models.card import Card
    from personaagent.ports import Role
    from personaagent.settings import Settings

SECONDS = 8.0  # that all of it may take; the program itself needs two
_TOOLS = {
    "well": "calls tools well: they are offered in every turn",
    "badly": "calls tools badly: they are offered only where a question plainly needs one",
    "none": "takes no tools: none are offered",
}


async def endpoint(settings: Settings) -> list[Check]:
    """The cards of all models in use, a line a finding; a failure is one too."""
    models = ModelsFromSettings(settings.model_copy(update={"model_retries": 0, "model_timeout_s": SECONDS}))
    try:
        shared = models_in_use(models)
        found = await asyncio.gather(*(_card(models, name, roles, len(shared)) for name, roles in shared.items()))
        return [check for checks in found for check in checks]
    finally:
        await models.close()


async def _card(models: ModelsFromSettings, name: str, roles: list[Role], count: int) -> list[Check]:
    where = f"{models.where()} {name}" + (f" ({', '.join(roles)})" if count > 1 else "")
    try:
        card = await models.look_at(roles[0], SECONDS)
    except PersonaAgentError as error:
        mend = SETUP if models.embedded else "check OPENAI_BASE_URL, OPENAI_API_KEY and PERSONAAGENT_MODEL"
        return [Check(name="endpoint", status="fail", detail=str(error), mend=mend)]
    return [Check(name="endpoint", status="ok", detail=where), *_lines(card, embedded=models.embedded)]


def _lines(card: Card, *, embedded: bool) -> list[Check]:
    left_out = {
        "system": ("system role", "is refused: what it would say stands before the question"),
        "temperature": ("temperature", "is refused: the model's own is used"),
        "stream_options": ("usage of streams", "is not told: tokens are estimated"),
        "max_completion_tokens": ("max_completion_tokens", "is refused: max_tokens is sent"),
    }
    size = f"{card.context:,} tokens, from the {card.context_from}" if card.context else ""
    speed = f"{card.tokens_per_s:g} tokens a second" if card.tokens_per_s else ""
    lines = [
        _line("context", size, f"not told; {card.window:,} tokens are counted on", "set PERSONAAGENT_MODEL_CONTEXT"),
        _line("speed", speed, "not measured"),
        *(
            _yes(title, None if card.thinks is None else parameter not in card.refused, "taken", refused)
            for parameter, (title, refused) in left_out.items()
        ),
        _yes("thinking", card.thinks, "thinks before it answers, which is kept out of answers", "none in its answers"),
        _yes(
            "log-probabilities", card.logprobs, "told: choices are weighed with them", "not told: one answer is asked"
        ),
        _yes("json_schema", card.schema, "held", "not held: the form is asked for in words as well"),
    ]
    use = (
        "the embedded model is offered no tools" if embedded else _TOOLS.get(card.tools or "", "not found out in time")
    )
    fine = card.tools == "well" and not embedded
    return [*lines, Check(name="tools", status="ok" if fine else "warn", detail=use, mend=BETTER if embedded else "")]


def _line(name: str, found: str, otherwise: str, mend: str = "") -> Check:
    if found:
        return Check(name=name, status="ok", detail=found)
    return Check(name=name, status="warn", detail=otherwise, mend=mend)


def _yes(name: str, value: bool | None, yes: str, no: str) -> Check:
    if value is None:
        return Check(name=name, status="warn", detail="not found out in time")
    return Check(name=name, status="ok" if value or name == "thinking" else "warn", detail=yes if value else no)
