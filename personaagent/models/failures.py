"""What goes wrong at an endpoint, as the project's own errors: which endpoint, which model, and what to set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import openai

from personaagent.errors import (
    ContextTooLong,
    ModelDenied,
    ModelError,
    ModelOutputInvalid,
    ModelRefused,
    ModelUnreachable,
)
from personaagent.models.card import refusal
from personaagent.text import one_line

_TOOLS = re.compile(r"\bnot support (?:tool|function)", re.IGNORECASE)  # Ollama's words among others
_REFUSING = frozenset({400, 404, 413, 422, 500, 501})
_FIXED = re.compile(r"requires? --|role|template|context|exceeds?|not support", re.IGNORECASE)  # no trying again mends
_TOO_SLOW = "{where} did not answer in time with {model}: try again or raise PERSONAAGENT_MODEL_TIMEOUT_S"
_MEANINGS: tuple[tuple[tuple[type[openai.OpenAIError], ...], type[ModelError], str], ...] = (  # the first that fits
    (
        (openai.AuthenticationError, openai.PermissionDeniedError),
        ModelDenied,
        "{where} refuses the key for {model} ({status}): check OPENAI_API_KEY",
    ),
    ((openai.APITimeoutError,), ModelUnreachable, _TOO_SLOW),
    ((openai.APIConnectionError,), ModelUnreachable, "{where} cannot be reached ({root}): check OPENAI_BASE_URL"),
    (
        (openai.NotFoundError,),
        ModelUnreachable,
        "{where} has no model {model} (404): check PERSONAAGENT_MODEL and OPENAI_BASE_URL",
    ),
    (
        (openai.RateLimitError,),
        ModelUnreachable,
        "{where} has no capacity or quota left for {model} ({said}): try again later",
    ),
    (
        (openai.InternalServerError,),
        ModelUnreachable,
        "{where} fails with {model} ({status}, {said}): try again later",
    ),
    ((openai.APIStatusError,), ModelRefused, "{where} refuses the request to {model} ({status}, {said})"),
    (
        (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError),
        ModelOutputInvalid,
        "the answer of {model} at {where} breaks off ({said})",
    ),
    (
        (openai.APIResponseValidationError,),
        ModelOutputInvalid,
        "{where} did not return a chat completion of {model}: check OPENAI_BASE_URL",
    ),
    ((openai.OpenAIError,), ModelError, "{where} failed with {model} ({said})"),
)


@contextmanager
def translated(where: str, model: str) -> Iterator[None]:
    """Raise what the client libraries raise inside as a ModelError of one line; cancellation passes through."""
    try:
        yield
    except ModelError:
        raise
    except openai.OpenAIError as error:
        raise _of_client(error, where, model) from error
    except TimeoutError as error:  # langchain-openai's, for a stream that stalls
        raise ModelUnreachable(_TOO_SLOW.format(where=where, model=model)) from error
    except UnicodeEncodeError as error:
        raise ModelDenied(f"{where} was not asked: OPENAI_API_KEY has characters that no key has") from error
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # what langchain-openai makes of a body that is no chat completion
        raise ModelOutputInvalid(
            f"{where} did not return a chat completion of {model} ({one_line(str(error), 120)}): "
            "check OPENAI_BASE_URL, it mostly ends in /v1"
        ) from error


def _of_client(error: openai.OpenAIError, where: str, model: str) -> ModelError:
    body = getattr(error, "body", None)
    about = body if isinstance(body, dict) else {}
    said = one_line(str(about.get("message") or getattr(error, "message", error)), 200)
    status = getattr(error, "status_code", 0)
    if status in _REFUSING or (status >= 500 and _FIXED.search(said)):
        mend = ": PERSONAAGENT_TOOL_CALLING=off does without tools" if _TOOLS.search(said) else ""
        found = refusal(
            f"{where} refuses the request to {model} ({status}, {said}){mend}",
            body or getattr(error, "message", error),
            about.get("param"),
        )
        if found.parameter or isinstance(found, ContextTooLong) or status in (400, 413, 422):
            return found
    raised, told = next((raised, told) for kinds, raised, told in _MEANINGS if isinstance(error, kinds))
    return raised(told.format(where=where, model=model, status=status, said=said, root=_root(error)))


def _root(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return one_line(str(error) or type(error).__name__, 120)
