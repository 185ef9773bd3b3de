"""Every system by its name."""

from __future__ import annotations

from functools import partial

from evals.systems import Make
from evals.systems.floors import LastLabel, Majority, NearestNeighbour
from evals.systems.persona_agent import Parts, PersonaAgent

SYSTEMS: dict[str, Make] = {
    "majority": Majority,
    "last-label": LastLabel,
    "nearest-neighbour": NearestNeighbour,
    "no-personalization": partial(
        PersonaAgent, parts=Parts(memory=False, persona=False, alignment=False, action=False)
    ),
    "recalled-examples": partial(PersonaAgent, parts=Parts(persona=False, alignment=False, action=False)),
    "agent-without-alignment": partial(PersonaAgent, parts=Parts(alignment=False)),
    "agent": partial(PersonaAgent, parts=Parts()),
    "agent-without-gate": partial(PersonaAgent, parts=Parts(gate=False)),
    "agent-without-action": partial(PersonaAgent, parts=Parts(action=False)),
}
