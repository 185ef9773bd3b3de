"""A log line says what was worked on and for whom, without saying who that is."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from structlog.contextvars import get_contextvars

from personaagent.context import Context
from personaagent.foreground import Foreground
from personaagent.graph.watch import Watch
from personaagent.limits import Limiter
from personaagent.settings import Settings
from personaagent.telemetry import bound, hashed_user, set_up_logs

ROOT = Path(__file__).resolve().parents[2]
log = logging.getLogger("personaagent.somewhere")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    made = io.StringIO()
    set_up_logs(Settings(), stream=made)
    yield made
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_what_is_bound_and_only_while_it_is(stream: io.StringIO) -> None:
    with bound(graph="agent", node="reason", persona_version=None):
        log.info("inside %d", 1)
    log.warning("outside")
    inside, outside = lines(stream)
    assert (inside["event"], inside["level"], inside["graph"], inside["node"]) == (
        "inside 1", "info", "agent", "reason",
    )  # fmt: skip
    assert "persona_version" not in inside
    assert "graph" not in outside
    assert outside["logger"] == "personaagent.somewhere"
    assert get_contextvars() == {}


def test_a_traceback_stays_in_its_line(stream: io.StringIO) -> None:
    try:
        raise ValueError("boom")
    except ValueError:
        log.exception("it failed")
    (line,) = lines(stream)
    assert "ValueError: boom" in line["exception"]


def test_a_terminal_gets_lines_for_people() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    root, made = logging.getLogger(), Terminal()
    handlers, level = root.handlers[:], root.level
    try:
        set_up_logs(Settings(), stream=made)
        log.info("hello")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    assert "hello" in made.getvalue()
    assert not made.getvalue().startswith("{")


async def test_what_a_node_logs_carries_graph_node_and_hashed_user(stream: io.StringIO) -> None:
    class Run:
        server_info = None
        context = Context(user_id="margaret")

    async def reason(state: Any, runtime: Any) -> dict[str, Any]:
        log.info("thinking")
        return {}

    watched = Watch("agent", Limiter(Settings()), lambda: False, Foreground())("reason", reason)
    state = {"messages": [HumanMessage("a secret question", id="m")], "persona_version": 7}
    await watched(state, runtime=Run(), config={"configurable": {"langgraph_request_id": "r-1"}})
    (line,) = lines(stream)
    assert (line["graph"], line["node"], line["persona_version"], line["request_id"]) == ("agent", "reason", 7, "r-1")
    assert line["user"] == hashed_user("margaret")
    assert "margaret" not in stream.getvalue()
    assert "secret" not in stream.getvalue()


def test_a_user_is_the_same_where_the_salt_is_and_another_elsewhere() -> None:
    code = (
        "from personaagent.settings import Settings\n"
        "from personaagent.telemetry import hashed_user, set_up_logs\n"
        "set_up_logs(Settings(log_salt={salt!r})); print(hashed_user('ann'), hashed_user('bob'))"
    )

    def told(salt: str | None) -> list[str]:
        command = [sys.executable, "-c", code.format(salt=salt)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()

    one, again, other, unset = told("s1"), told("s1"), told("s2"), told(None)
    assert one == again
    assert len({*one, *other, *unset}) == 6


def test_under_langgraph_server_its_handlers_stay_and_learn_what_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kept(logging.Handler):
        records: list[logging.LogRecord] = []  # noqa: RUF012

        def emit(self, record: logging.LogRecord) -> None:
            self.records.append(record)

    root, kept = logging.getLogger(), Kept()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setitem(sys.modules, "langgraph_api.logging", sys)
    try:
        root.handlers[:] = [kept]
        set_up_logs(Settings())
        set_up_logs(Settings())
        assert root.handlers == [kept]
        assert len(kept.filters) == 1
        with bound(graph="agent"):
            log.error("hello")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    assert kept.records[0].__dict__["graph"] == "agent"
