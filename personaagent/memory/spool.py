"""Where interactions wait while the ledger itself is down: one durable file each, in the order in which they came.

A file an interaction rather than one growing file: a rename is atomic, so a crash leaves no half-written one, and
processes that share the folder cannot cut each other's lines or remove what another one is about to append.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from personaagent.errors import HomeNotWritable
from personaagent.types import Interaction

_CODEC: TypeAdapter[Interaction] = TypeAdapter(Interaction)

logger = logging.getLogger(__name__)


class Spool:
    """Interactions on their way to the ledger, in ``folder`` (made at first use)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counter = itertools.count()

    async def add(self, interaction: Interaction) -> None:
        """Keep the interaction; it is on disk when this returns. Raises HomeNotWritable."""
        await asyncio.to_thread(self._add, interaction)

    async def depth(self) -> int:
        """How many interactions wait."""
        return len(await asyncio.to_thread(self._files))

    async def drain(self, store: Callable[[Interaction], Awaitable[object]]) -> int:
        """Hand every waiting interaction to ``store``, oldest first; each file goes once ``store`` has returned.

        ``store`` must take the same interaction twice without harm: a crash in between, or another process that
        drains the same folder, repeats it. What ``store`` raises ends the draining; the rest waits on.
        """
        done = 0
        for path in await asyncio.to_thread(self._files):
            interaction = await asyncio.to_thread(self._read, path)
            if interaction is not None:
                await store(interaction)
                await asyncio.to_thread(path.unlink, True)
                done += 1
        return done

    async def drop(self, unwanted: Callable[[Interaction], bool]) -> list[str]:
        """Remove waiting interactions that are to be forgotten; returns their ids."""
        gone: list[str] = []
        for path in await asyncio.to_thread(self._files):
            interaction = await asyncio.to_thread(self._read, path)
            if interaction is not None and unwanted(interaction):
                await asyncio.to_thread(path.unlink, True)
                gone.append(interaction.id)
        return gone

    def _add(self, interaction: Interaction) -> None:
        name = f"{time.time_ns():020d}-{next(self._counter):06d}-{os.getpid()}"
        temporary = self._folder / f"{name}.part"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(_CODEC.dump_json(interaction))
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(self._folder / f"{name}.json")
            _sync_folder(self._folder)
        except OSError as error:
            raise HomeNotWritable(
                f"{self._folder} cannot be written ({error.strerror}), and the ledger does not answer: "
                "the interaction could not be kept; mend either and send it again"
            ) from error

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.json")) if self._folder.is_dir() else []

    def _read(self, path: Path) -> Interaction | None:
        try:
            return _CODEC.validate_json(path.read_bytes())
        except FileNotFoundError:
            return None  # another process has drained it
        except (OSError, ValidationError) as error:
            logger.error("%s cannot be read and stays where it is: %s", path, str(error).splitlines()[0])
            return None


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # Windows keeps names durable by itself and cannot open a folder
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
