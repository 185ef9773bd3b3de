"""Where interactions and feedback wait while the ledger itself is down: one durable file each, in their order.

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
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from personaagent.errors import HomeNotWritable, InputError
from personaagent.inputs import Feedback
from personaagent.ledger.interactions import Interactions
from personaagent.types import Interaction

DRAFT_S = 600  # nobody takes that long to write one file
LOST_S = 30 * 86_400  # how long it is told that feedback found no place


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingFeedback(Feedback):
    """Feedback on an interaction; given at that time."""

    user_id: str
    interaction_id: str
    given_at: datetime


Waiting = Interaction | WaitingFeedback
_CODEC: TypeAdapter[Waiting] = TypeAdapter(Waiting)

logger = logging.getLogger(__name__)


class Spool:
    """Interactions and feedback on their way to the ledger, in ``folder`` (made at first use)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counter = itertools.count()

    async def add(self, waiting: Waiting) -> None:
        """Keep it; it is on disk when this returns. Raises HomeNotWritable."""
        await asyncio.to_thread(self._add, waiting)

    async def depth(self) -> int:
        """How many pieces wait."""
        return len(await asyncio.to_thread(self._files))

    async def oldest(self) -> datetime | None:
        """Since when the oldest piece waits, or None."""
        files = await asyncio.to_thread(self._files)
        return next((moment for path in files if (moment := _moment(path))), None)

    async def lost(self) -> list[datetime]:
        """When that was given which had no place in the ledger, oldest first, for thirty days; no more is kept."""
        return [moment for name in await asyncio.to_thread(self._files, ".lost") if (moment := _moment(name))]

    async def drain(self, store: Callable[[Waiting], Awaitable[bool | None]]) -> int:
        """Hand everything that waits to ``store``, oldest first; each file goes once ``store`` has returned.

        Where it returns None the piece has no place there, and that there was one is kept (``lost``).
        ``store`` must take the same piece twice without harm: a crash in between, or another process that drains the
        same folder, repeats it. What ``store`` raises ends the draining; the rest waits on.
        """
        done = 0
        await asyncio.to_thread(self._remove_drafts)
        for path in await asyncio.to_thread(self._files):
            waiting = await asyncio.to_thread(self._read, path)
            if waiting is not None:
                if await store(waiting) is None:
                    await asyncio.to_thread(path.with_suffix(".lost").touch)
                await asyncio.to_thread(path.unlink, True)
                done += 1
        return done

    def _add(self, waiting: Waiting) -> None:
        name = f"{time.time_ns():020d}-{next(self._counter):06d}-{os.getpid()}"
        temporary = self._folder / f"{name}.part"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(_CODEC.dump_json(waiting))
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(self._folder / f"{name}.json")
            _sync_folder(self._folder)
        except OSError as error:
            raise HomeNotWritable(
                f"{self._folder} cannot be written ({error.strerror}), and the ledger does not answer: "
                "nothing could be kept; mend either and send it again"
            ) from error

    def _files(self, kind: str = ".json") -> list[Path]:
        return sorted(self._folder.glob(f"*{kind}")) if self._folder.is_dir() else []

    def _remove_drafts(self) -> None:
        """Remove what a process was writing when it was killed (nobody was told that it is kept), and old losses."""
        now = datetime.now(UTC)
        for kind, seconds in ((".part", DRAFT_S), (".lost", LOST_S)):
            for path in self._files(kind):
                moment = _moment(path)
                if moment is not None and moment < now - timedelta(seconds=seconds):
                    path.unlink(missing_ok=True)

    def _read(self, path: Path) -> Waiting | None:
        try:
            return _CODEC.validate_json(path.read_bytes())
        except FileNotFoundError:
            return None  # another process has drained it
        except (OSError, ValidationError, InputError) as error:
            logger.error("%s cannot be read and stays where it is: %s", path, str(error).splitlines()[0])
            return None


async def deliver(interactions: Interactions, waiting: Waiting) -> bool | None:
    """Bring one piece into the ledger; again it changes nothing, and feedback that came later is not overwritten.

    Returns whether it is feedback that gave its interaction a ground truth or a comment, also where that was told
    before and the process was killed before it could say so; None where it is feedback that has no place.
    """
    if isinstance(waiting, Interaction):
        await interactions.append(waiting)
        return False
    user_id, key, when = waiting.user_id, waiting.interaction_id, waiting.given_at
    try:
        past = await interactions.get(user_id, key)
        if past.labelled_at is not None and past.labelled_at >= when:
            return past.labelled_at == when
        stored = await interactions.feedback(user_id, key, waiting, given_at=when)
    except InputError as error:
        logger.error("feedback that waited for the ledger cannot be used: %s", error)
        return None
    return stored.labelled_at == when


def _moment(path: Path) -> datetime | None:
    nanoseconds = path.name.partition("-")[0]
    return datetime.fromtimestamp(int(nanoseconds) / 1e9, UTC) if nanoseconds.isdigit() else None


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # Windows keeps names durable by itself and cannot open a folder
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
