"""How much model and vote count for a user (``personaagent.head``), learnt anew only where their labels changed."""

from __future__ import annotations

from dataclasses import replace

from personaagent.head import Weights, learnt
from personaagent.inputs import check_user_id
from personaagent.ledger.interactions import Interactions
from personaagent.ports import Where

PAST = 200  # newest labelled interactions among which foretold ones are looked for
KNOWN = 2_048  # weights that are at hand


class Weighing:
    """The weights of every user and task, kept with a mark of the labels that they were learnt from."""

    def __init__(self, interactions: Interactions) -> None:
        self._interactions = interactions
        self._known: dict[tuple[str, Where], tuple[tuple[int | None, ...], Weights]] = {}

    async def of(self, user_id: str, where: Where) -> Weights:
        """The weights by the user's newest labels that ``where`` leaves. Raises StoreError."""
        check_user_id(user_id)
        where = replace(where, labelled=True)
        mark = await self._interactions.mark(user_id, PAST, where)
        known = self._known.get((user_id, where))
        if known is not None and known[0] == mark:
            return known[1]
        past = await self._interactions.newest(user_id, PAST, where)
        weights = learnt(past)
        if len(self._known) >= KNOWN:
            self._known.clear()
        self._known[user_id, where] = mark, weights
        return weights
