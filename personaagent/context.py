"""What one run is told: who the user is and how to answer. Plain JSON; shares no field with ``Settings``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final, Literal, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from personaagent.errors import InvalidContext

MAX_NAME_CHARS: Final = 256  # of a task, a choice and a tool
MAX_INSTRUCTIONS_CHARS: Final = 8_000
MAX_CHOICES: Final = 1_000
MAX_CHOICES_CHARS: Final = 32_000  # of all of them, and of all tools
MAX_INTERACTIONS: Final = 64  # that teach, that judge, and that are put before the model
MAX_EPOCHS: Final = 20
MAX_CANDIDATES: Final = 16

Name = Annotated[str, Field(max_length=MAX_NAME_CHARS)]


@dataclass(kw_only=True)
class Context:
    """The context of a run of any of the graphs; ``user_id`` has no default.

    Whoever makes one, every field is bounded: raises InvalidContext. ``inputs.check_user_id`` checks ``user_id``.
    """

    __pydantic_config__ = ConfigDict(use_attribute_docstrings=True)  # Studio shows them beside the fields

    user_id: str
    """Whose agent this is. Every memory, persona and tool of the run is this user's."""

    task: Name | None = None
    """Name of the task the query belongs to (for example ``news category``), kept with the interaction."""

    instructions: Annotated[
        Annotated[str, Field(max_length=MAX_INSTRUCTIONS_CHARS)] | None,
        Field(json_schema_extra={"langgraph_nodes": ["reason"], "langgraph_type": "prompt"}),
    ] = None
    """What is asked in this task, for example the question that every query of it poses."""

    choices: Annotated[list[Name], Field(max_length=MAX_CHOICES)] | None = None
    """The closed answer space: the answer is exactly one of these. None: free text."""

    tools: Annotated[list[Name], Field(max_length=MAX_CHOICES)] | None = None
    """Names of the tools this run asks for; None: all that the deployment and the user allow."""

    recall_k: Annotated[int, Field(strict=True, ge=0, le=MAX_INTERACTIONS)] = 4
    """Memories put in front of the model (paper: K)."""

    personalize: Annotated[bool, Field(strict=True)] = True
    """False answers without persona and memory, and remembers nothing."""

    align: Literal["background", "now", "off"] = "background"
    """What feedback triggers when enough labels are new."""

    align_batch: Annotated[int, Field(strict=True, ge=1, le=MAX_INTERACTIONS)] = 3
    """Interactions that teach in one alignment (paper: n)."""

    align_judge: Annotated[int, Field(strict=True, ge=1, le=MAX_INTERACTIONS)] = 6
    """Newer interactions that judge the candidates."""

    align_epochs: Annotated[int, Field(strict=True, ge=1, le=MAX_EPOCHS)] = 3
    """Rounds of simulate, critique, edit, judge (paper: epochs)."""

    align_candidates: Annotated[int, Field(strict=True, ge=1, le=MAX_CANDIDATES)] = 2
    """Candidate personas an epoch: half by gradient, rounded down, the others without a model."""

    align_gate: Annotated[bool, Field(strict=True)] = True
    """False commits the last candidate unjudged, as the paper does; for comparison only."""

    def __post_init__(self) -> None:
        for name, field in _fields().items():
            try:
                setattr(self, name, field.validate_python(getattr(self, name)))
            except ValidationError as error:
                raise InvalidContext(f"context.{name} cannot be used: {error.errors()[0]['msg']}") from error
        for name, listed in (("choices", self.choices), ("tools", self.tools)):
            if sum(map(len, listed or ())) > MAX_CHOICES_CHARS:
                raise InvalidContext(f"context.{name} have more than {MAX_CHOICES_CHARS:,} characters: shorten them")


@cache
def _fields() -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(Context, include_extras=True)
    return {name: TypeAdapter(hint) for name, hint in hints.items() if name not in {"user_id", "__pydantic_config__"}}
