"""What a sentence about the user stands on: the interactions behind it, looked up together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from personaagent.graph.services import Services
from personaagent.types import Interaction

SHOWN = 5  # interactions shown behind one sentence; the others are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The interactions that something stands on, ``count`` in all, the first of them in ``shown``."""

    count: int
    shown: tuple[Interaction, ...]


async def look_up(
    services: Services, user_id: str, standing: Iterable[tuple[str, ...]]
) -> Mapping[tuple[str, ...], Evidence]:
    """The evidence behind each tuple of interaction ids; ids that this user does not have are passed over."""
    wanted = set(standing)
    ids = {i for evidence in wanted for i in evidence}
    known = await services.interactions.get_many(user_id, sorted(ids))
    found = {}
    for evidence in wanted:
        mine = [known[i] for i in evidence if i in known]
        found[evidence] = Evidence(count=len(mine), shown=tuple(mine[:SHOWN]))
    return found
