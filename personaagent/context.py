"""What one run is told: who the user is and how to answer. Plain JSON; shares no field with ``Settings``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field


@dataclass(kw_only=True)
class Context:
    """The context of a run of any of the graphs; ``user_id`` has no default."""

    __pydantic_config__ = ConfigDict(use_attribute_docstrings=True)  # Studio shows them beside the fields

    user_id: str
    """Whose agent this is. Every memory, persona and tool of the run is this user's."""

    task: str | None = None
    """Name of the task the query belongs to (for example ``news category``), kept with the interaction."""

    instructions: Annotated[
        str | None, Field(json_schema_extra={"langgraph_nodes": ["reason"], "langgraph_type": "prompt"})
    ] = None
    """What is asked in this task, for example the question that every query of it poses."""

    choices: list[str] | None = None
    """The closed answer space: the answer is exactly one of these. None: free text."""

    tools: list[str] | None = None
    """Names of the tools this run asks for; None: all that the deployment and the user allow."""

    recall_k: int = 4
    """Memories put in front of the model (paper: K)."""

    personalize: bool = True
    """False answers without persona and memory, and remembers nothing."""

    align: Literal["background", "now", "off"] = "background"
    """What feedback triggers when enough labels are new."""

    align_batch: int = 3
    """Interactions that teach in one alignment (paper: n)."""

    align_judge: int = 6
    """Newer interactions that judge the candidates."""

    align_epochs: int = 3
    """Rounds of simulate, critique, edit, judge (paper: epochs)."""

    align_candidates: int = 2
    """Candidate personas an epoch: half by gradient, rounded down, the others without a model."""

    align_gate: bool = True
    """False commits the last candidate unjudged, as the paper does; for comparison only."""
