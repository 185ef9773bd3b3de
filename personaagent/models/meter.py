"""What model calls cost, counted for whoever asks: ``with metering() as meter: ...; meter.total``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from personaagent import telemetry
from personaagent.errors import ModelError
from personaagent.models.tokens import CHARS_A_TOKEN, count_tokens
from personaagent.ports import Role
from personaagent.types import Usage


@dataclass(slots=True)
class Meter:
    """Usage so far, by role. ``estimated`` says that some tokens were counted by length, not by the endpoint."""

    by_role: dict[Role, Usage] = field(default_factory=dict)
    estimated: bool = False

    @property
    def total(self) -> Usage:
        """The usage of all roles together."""
        return sum(self.by_role.values(), Usage())

    def add(self, role: Role, usage: Usage) -> None:
        """Count this on the role."""
        self.by_role[role] = self.by_role.get(role, Usage()) + usage


_active: ContextVar[tuple[Meter, ...]] = ContextVar("active_meters", default=())


@contextmanager
def metering() -> Iterator[Meter]:
    """Count every model call of this context and of the tasks started in it; an outer meter counts them too."""
    meter = Meter()
    token = _active.set((*_active.get(), meter))
    try:
        yield meter
    finally:
        _active.reset(token)


@dataclass(slots=True)
class Call:
    """One running call. Give it the reply, or the reply's chunks one by one, as they come."""

    text_length: int = 0
    usage: Usage = field(default_factory=Usage)

    def received(self, message: BaseMessage) -> None:
        """Take note of a reply or of a part of it."""
        self.text_length += len(message.text) + sum(
            len(str(call)) for call in (message.tool_calls if isinstance(message, AIMessage) else ())
        )
        if isinstance(message, AIMessage) and message.usage_metadata:
            reported = message.usage_metadata
            self.usage += Usage(input_tokens=reported["input_tokens"], output_tokens=reported["output_tokens"])


def booked(spent: Mapping[str, Any], meter: Meter) -> dict[str, int]:
    """The ``calls`` and ``tokens`` of a state, with what the meter counted on top."""
    usage = meter.total
    return {
        "calls": spent["calls"] + usage.calls,
        "tokens": spent["tokens"] + usage.input_tokens + usage.output_tokens,
    }


@contextmanager
def counting(role: Role, messages: Sequence[BaseMessage]) -> Iterator[Call]:
    """Count one call of the role on every active meter, also when it fails or is cancelled.

    Where the endpoint reports no tokens they are estimated, from what was sent and from what came back until then;
    a call that failed before anything came back has none.
    """
    meters = _active.get()
    call = Call()
    for meter in meters:
        meter.add(role, Usage(calls=1))
    failed, began = False, perf_counter()
    try:
        yield call
    except ModelError:
        failed = True
        raise
    finally:
        usage, estimated = (Usage(), False) if failed and not call.text_length else _settled(call, messages)
        telemetry.model_called(role, perf_counter() - began, usage, failed=failed)
        for meter in meters:
            meter.add(role, usage)
            meter.estimated = meter.estimated or estimated


def _settled(call: Call, messages: Sequence[BaseMessage]) -> tuple[Usage, bool]:
    if call.usage.input_tokens or call.usage.output_tokens:
        return call.usage, False
    sent = sum(count_tokens(message.text) for message in messages)
    return Usage(input_tokens=sent, output_tokens=-(-call.text_length // CHARS_A_TOKEN)), True
