"""A user's feedback as LangSmith feedback on the run that it is about; sent in the background, and never in the way."""

from __future__ import annotations

import logging
import threading
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Final
from uuid import UUID, uuid5

from langsmith.utils import LangSmithError, LangSmithWarning, get_tracer_project

from personaagent.labels.loss import loss
from personaagent.tracing.client import RedactingClient, tracing_client
from personaagent.tracing.redaction import Redaction
from personaagent.tracing.runs import TRACE_KEY
from personaagent.types import Interaction

log = logging.getLogger(__name__)

SHOWN: Final = ("correction", "edit", "pick")  # sources of truths that the user wrote or chose
MAX_WAITING: Final = 1_000
ATTEMPTS: Final = 3  # a run that LangSmith has not taken in yet is asked for again
_NAMESPACE: Final = UUID("f4e5f4b8-4a52-4c0c-9d5b-5a0e4b7f8a11")
_waiting = threading.BoundedSemaphore(MAX_WAITING)
_sender = ThreadPoolExecutor(max_workers=1, thread_name_prefix="langsmith-feedback")


def report(interaction: Interaction) -> Future[None] | None:
    """Send what is known of how the user took this turn; None when there is nothing to send, or nowhere to.

    ``user_truth`` is how near the answer came (1: what they wanted), ``rating`` their own 1 to 5, ``comment``
    their words. The same feedback again replaces itself. Never raises.
    """
    client = tracing_client()
    run_id = interaction.metadata.get(TRACE_KEY)
    if client is None or not run_id:
        return None
    scores = _scores(interaction, client)
    if not scores:
        return None
    if not _waiting.acquire(blocking=False):
        log.warning("feedback was not sent to LangSmith: %d wait already", MAX_WAITING)
        return None
    return _sender.submit(_send, client, str(run_id), interaction.id, scores)


def _scores(interaction: Interaction, client: RedactingClient) -> list[dict[str, Any]]:
    scores: list[dict[str, Any]] = []
    redaction = Redaction(client.content, [interaction.user_id])
    if interaction.ground_truth is not None and interaction.response is not None:
        wanted = redaction.text(interaction.ground_truth)
        scores.append(
            {
                "key": "user_truth",
                "score": 1.0 - loss(interaction.ground_truth, interaction.response, interaction.choices),
                "correction": {"answer": wanted} if interaction.truth_source in SHOWN else None,
                "source_info": {"source": interaction.truth_source, "confidence": interaction.truth_confidence},
            }
        )
    if interaction.rating is not None:
        scores.append({"key": "rating", "score": float(interaction.rating)})
    if interaction.comment is not None:
        scores.append({"key": "comment", "comment": redaction.text(interaction.comment)})
    return scores


@lru_cache(maxsize=4)
def _project(client: RedactingClient) -> UUID | None:
    """The id of the project that traces go to, which newer deployments find a run by; None where it is not told."""
    try:
        return UUID(str(client.read_project(project_name=get_tracer_project()).id))
    except LangSmithError:
        return None


def _send(client: RedactingClient, run_id: str, interaction_id: str, scores: list[dict[str, Any]]) -> None:
    try:
        for score in scores:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", LangSmithWarning)
                client.create_feedback(
                    run_id,
                    trace_id=run_id,
                    session_id=_project(client),
                    feedback_id=uuid5(_NAMESPACE, f"{interaction_id}/{score['key']}"),
                    stop_after_attempt=ATTEMPTS,
                    **score,
                )
    except Exception as error:
        # whatever LangSmith or the network answers: the label is in the ledger, which is what counts
        log.warning("feedback on run %s was not sent to LangSmith: %s", run_id, type(error).__name__)
    finally:
        _waiting.release()
