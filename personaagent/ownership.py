"""Whose a thread is, and where a user's background work runs: names made of a user id that do not tell it.

A LangGraph server keeps the owner with every thread, and traces carry it out of the process, so it is a digest.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final
from uuid import RFC_4122, UUID

OWNER: Final = "owner"  # the metadata key
THREAD_VERSION: Final = 8  # of a UUID; clients and the server itself make versions 1 to 7


def owner_of(user_id: str) -> str:
    """The owner mark of a user, 34 characters; equal for equal ids only."""
    return f"u_{sha256(f'personaagent/owner/{user_id}'.encode()).hexdigest()[:32]}"


def alignment_thread(user_id: str, salt: str) -> str:
    """The thread in which the user's background alignments run, one after another; always of ``THREAD_VERSION``.

    ``salt`` is the ledger's own, so that whoever knows a user's name does not know the thread.
    """
    digest = bytearray(hmac.digest(salt.encode(), f"personaagent/alignment/{user_id}".encode(), "sha256")[:16])
    digest[6] = digest[6] & 0x0F | THREAD_VERSION << 4
    digest[8] = digest[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(digest)))


def is_alignment_thread(thread_id: object) -> bool:
    """Whether a thread id is of the kind that only this server's background work uses."""
    try:
        told = UUID(str(thread_id))
    except ValueError:
        return False
    return told.variant == RFC_4122 and told.version == THREAD_VERSION
