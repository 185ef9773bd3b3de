"""Structured logs: a line an event, JSON where no person watches, with what is being worked on bound to it.

``bound`` binds the graph, the node, the hashed user and the persona's version to every line that is logged meanwhile.
What a user or a model wrote is never bound. LangGraph server has logging of its own: there only the binding is added.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final, TextIO

import structlog
from structlog.contextvars import bind_contextvars, get_contextvars, reset_contextvars

from personaagent.settings import Settings

CHATTY: Final = ("httpx", "httpcore", "openai", "qdrant_client", "alembic")  # a line a request, or a step
HASH_CHARS: Final = 16
_SERVER_LOGGING: Final = "langgraph_api.logging"
_process_salt: Final = secrets.token_bytes(32)
_salt: list[bytes] = []  # the salt of the settings, once a front door has read them


def set_up_logs(settings: Settings, *, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send the process's logs to ``stream`` (stderr), as JSON unless it is a terminal; call it once, at a front door.

    Under LangGraph server, which formats logs itself, its records get what is bound and nothing else changes.
    """
    use_salt(settings)
    if _SERVER_LOGGING in sys.modules:
        for handler in logging.getLogger().handlers:
            if not any(isinstance(known, _Binding) for known in handler.filters):
                handler.addFilter(_Binding())
        return
    out = stream or sys.stderr
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Any = structlog.dev.ConsoleRenderer() if out.isatty() else structlog.processors.JSONRenderer()
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))


def use_salt(settings: Settings) -> None:
    """Hash with the salt of the settings from now on, where they have one."""
    if settings.log_salt is not None:
        _salt[:] = [settings.log_salt.get_secret_value().encode()]
        hashed_user.cache_clear()


@contextmanager
def bound(**values: str | int | None) -> Iterator[None]:
    """Bind these values to what is logged meanwhile in this context; None binds nothing."""
    tokens = bind_contextvars(**{name: value for name, value in values.items() if value is not None})
    try:
        yield
    finally:
        reset_contextvars(**tokens)


@lru_cache(maxsize=4096)
def hashed_user(user_id: str) -> str:
    """The user as logs and traces know them: the same in a process, and in processes that share ``log_salt``."""
    return keyed_hash(user_id)


def keyed_hash(text: str) -> str:
    """The text's HMAC under the salt, 16 hexadecimal digits: equal for equal texts, and no more to be learned of it."""
    key = _salt[0] if _salt else _process_salt
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:HASH_CHARS]


class _Binding(logging.Filter):
    """Gives a record of the server's logging what is bound here; its formatter writes such extra fields out."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in get_contextvars().items():
            if name not in record.__dict__:
                record.__dict__[name] = value
        return True
