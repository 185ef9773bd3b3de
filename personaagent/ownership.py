"""Whose a thread is, and where a user's background work runs: names made of a user id that do not tell it.

A LangGraph server keeps the owner with every thread, and traces carry it out of the process, so it is a digest.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final
from uuid import RFC_4122, UUID

OWNER: Final = "owner"  # the metadata key
LANE_VERSION: Final = 8  # of a UUID; clients and the server itself make versions 1 to 7


def owner_of(user_id: str) -> str:
    """The owner mark of a user, 34 characters; equal for equal ids only."""
    return f"u_{sha256(f'personaagent/owner/{user_id}'.encode()).hexdigest()[:32]}"


def lane_of(user_id: str) -> str:
    """The thread in which the user's background alignments run, one after another; always of ``LANE_VERSION``."""
    digest = bytearray(sha256(f"personaagent/alignment/{user_id}".encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | LANE_VERSION << 4
    digest[8] = digest[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(digest)))


def is_lane(thread_id: object) -> bool:
    """Whether a thread id is of the kind that only this server's background work uses."""
    try:
        told = UUID(str(thread_id))
    except ValueError:
        return False
    return told.variant == RFC_4122 and told.version == LANE_VERSION
