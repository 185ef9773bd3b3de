"""Named failures as a person reads them: a heading, what happened, what to do, and the status of the answer."""

from __future__ import annotations

from dataclasses import dataclass

from personaagent.errors import (
    BudgetSpent,
    ConflictError,
    FeedbackWaits,
    IdentityUnavailable,
    InputError,
    ModelError,
    NotSignedIn,
    PersonaAgentError,
    RequestTooLarge,
    SetupError,
    StoreError,
    TooManyRequests,
    UnknownFact,
    UnknownInteraction,
    UnknownPin,
    UnknownVersion,
)

_OPERATOR = "This is for whoever runs this service. Nothing of yours was changed."
# the first that fits; a message of the last four may name files and addresses, which are the operator's
_TOLD: tuple[tuple[tuple[type[PersonaAgentError], ...], int, str, str | None], ...] = (
    (
        (UnknownInteraction, UnknownFact, UnknownPin, UnknownVersion),
        404,
        "This is not here",
        "It may have been forgotten.",
    ),
    ((RequestTooLarge,), 413, "That was too much at once", None),
    ((InputError,), 400, "That could not be done", None),
    ((ConflictError,), 409, "Something changed meanwhile", None),
    ((NotSignedIn,), 403, "You are not signed in", None),
    ((TooManyRequests, BudgetSpent), 429, "A little slower, please", None),
    ((ModelError,), 503, "The model does not answer", "The model cannot be reached now. Try again in a while."),
    ((FeedbackWaits,), 503, "The memory does not answer", None),
    ((StoreError,), 503, "The memory does not answer", "What is kept of you cannot be read now. Try again in a while."),
    ((IdentityUnavailable, SetupError, PersonaAgentError), 503, "Not available at present", _OPERATOR),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What is shown instead of a view."""

    status: int
    heading: str
    text: str
    retry_after_s: int = 0


def refusal_of(error: PersonaAgentError) -> Refusal:
    """How a named failure is told."""
    wait = error.retry_after_s if isinstance(error, TooManyRequests) else 0
    for kinds, status, heading, text in _TOLD:
        if isinstance(error, kinds):
            return Refusal(status=status, heading=heading, text=text or _sentence(str(error)), retry_after_s=wait)
    return Refusal(status=500, heading="Not available at present", text=_OPERATOR)


def _sentence(message: str) -> str:
    """A one-line message of ours as a sentence."""
    return message[:1].upper() + message[1:].rstrip(".") + "."
