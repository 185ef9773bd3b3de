"""What goes wrong at an endpoint, as the project's own errors: which endpoint, which model, and what to set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import openai

from personaagent.errors import ModelDenied, ModelError, ModelOutputInvalid, ModelRefused, ModelUnreachable
from personaagent.text import one_line


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
        raise ModelUnreachable(_too_slow(where, model)) from error
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
    text = body.get("message") if isinstance(body, dict) else None
    said = one_line(str(text or getattr(error, "message", error)), 200)
    match error:
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return ModelDenied(f"{where} refuses the key for {model} ({error.status_code}): check OPENAI_API_KEY")
        case openai.APITimeoutError():
            return ModelUnreachable(_too_slow(where, model))
        case openai.APIConnectionError():
            return ModelUnreachable(f"{where} cannot be reached ({_root(error)}): check OPENAI_BASE_URL")
        case openai.NotFoundError():
            return ModelUnreachable(f"{where} has no model {model} (404): check PERSONAAGENT_MODEL and OPENAI_BASE_URL")
        case openai.RateLimitError():
            return ModelUnreachable(f"{where} has no capacity or quota left for {model} ({said}): try again later")
        case openai.APIStatusError(status_code=status) if status >= 500:
            return ModelUnreachable(f"{where} fails with {model} ({status}, {said}): try again later")
        case openai.APIStatusError(status_code=status):
            return ModelRefused(f"{where} refuses the request to {model} ({status}, {said})")
        case openai.LengthFinishReasonError() | openai.ContentFilterFinishReasonError():
            return ModelOutputInvalid(f"the answer of {model} at {where} breaks off ({said})")
        case openai.APIResponseValidationError():
            return ModelOutputInvalid(f"{where} did not return a chat completion of {model}: check OPENAI_BASE_URL")
        case _:
            return ModelError(f"{where} failed with {model} ({said})")


def _too_slow(where: str, model: str) -> str:
    return f"{where} did not answer in time with {model}: try again or raise PERSONAAGENT_MODEL_TIMEOUT_S"


def _root(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return one_line(str(error) or type(error).__name__, 120)
