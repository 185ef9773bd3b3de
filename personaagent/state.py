"""The state of each graph: small, readable, and never a user's whole history."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages
from pydantic import Field
from typing_extensions import TypedDict  # typing's has no JSON schema before Python 3.12

from personaagent.types import (
    Candidate,
    Critique,
    Interaction,
    Persona,
    Recall,
    Simulation,
    TextualLoss,
    ToolTrace,
    UserProfile,
)


class AgentInput(TypedDict):
    """What a client sends: the new message."""

    messages: Annotated[list[AnyMessage], Field(description="The user's new message."), add_messages]


class AgentOutput(TypedDict):
    """What a client gets: the conversation, the answer, and the id to send feedback for."""

    messages: Annotated[list[AnyMessage], Field(description="The conversation with the answer."), add_messages]
    answer: Annotated[str, Field(description="The answer; empty where the model gave none.")]
    interaction_id: Annotated[str, Field(description="What feedback on this turn is sent for.")]
    persona_version: Annotated[int | None, Field(description="The persona that it was answered under.")]
    degraded: Annotated[list[str], Field(description="What could not be used, for example memory.")]


class RespondState(TypedDict, total=False):
    """One turn from retrieval to answer; shared by the live agent and by simulation."""

    messages: Annotated[list[AnyMessage], add_messages]
    persona: Persona | None
    pins: list[str]
    personalized: bool  # whether both the run and the user want it
    profile: UserProfile
    recalled: list[Recall]
    before: datetime | None  # simulation: nothing at or after this moment is visible
    recorded: list[ToolTrace]  # simulation: what side effects answered when it really happened
    trace: list[ToolTrace]  # the tool calls of this turn
    steps: int  # model calls of this turn
    answer: str  # empty until the turn is answered
    degraded: list[str]  # what could not be used in this turn, for example "memory"


class AgentState(RespondState, total=False):
    """A live turn: the respond stretch, and what was written."""

    interaction_id: str
    persona_version: int | None


class AlignmentInput(TypedDict, total=False):
    """An alignment needs nothing but its context."""


class AlignmentOutput(TypedDict, total=False):
    """What became of an alignment, and what it cost."""

    base: Annotated[Persona | None, Field(description="The version in force when it began.")]
    committed: Annotated[Persona | None, Field(description="The new version; null: no change.")]
    rejected: Annotated[list[Candidate], Field(description="What was proposed and refused, with the reasons.")]
    outcome: Annotated[str, Field(description="One line: what became of it and why.")]
    calls: Annotated[int, Field(description="Model calls.")]
    tokens: Annotated[int, Field(description="Tokens, in and out.")]


class AlignmentState(TypedDict, total=False):
    """One alignment of one user (paper, test-time user-preference alignment)."""

    run: str  # names this alignment among the user's
    base: Persona | None  # the version in force when it began
    incumbent: Candidate  # the best so far in this run
    teach: list[Interaction]
    judge: list[Interaction]
    simulations: list[Simulation]  # of the incumbent on ``teach``
    judged: list[Simulation]  # of the incumbent on ``judge``
    losses: list[TextualLoss]
    critiques: list[Critique]  # of all epochs, as they will be kept
    candidates: list[Candidate]  # of this epoch, before the gate
    rejected: list[Candidate]  # of all epochs, with their reasons
    tried: int  # candidates judged so far, all on the same ``judge``
    epoch: int
    calls: int
    tokens: int
    committed: Persona | None
    outcome: str  # one line: what became of it and why


class FeedbackInput(TypedDict, total=False):
    """What the user really wanted of one interaction: a truth (correction, choice or edit) or a rating."""

    interaction_id: Annotated[str, Field(description="The turn, as its output names it.")]
    ground_truth: Annotated[str | None, Field(description="What the user really wanted.")]
    source: Annotated[str | None, Field(description="How that is known: correction, choice or edit.")]
    rating: Annotated[int | None, Field(description="1 to 5, in place of a truth.")]


class FeedbackState(FeedbackInput, AlignmentState, total=False):
    """Feedback, and the alignment it may run."""

    interaction: Interaction
    due: bool  # enough new labels for an alignment
    rolled_back: Persona | None  # by the monitor, because the version in force did worse than its parent


class FeedbackOutput(AlignmentOutput, total=False):
    """The labelled interaction, whether an alignment is due, its outcome where it ran at once, and the monitor's."""

    interaction: Annotated[Interaction, Field(description="The turn with its label.")]
    due: Annotated[bool, Field(description="Whether labels are enough for an alignment.")]
    rolled_back: Annotated[Persona | None, Field(description="The version the monitor went back to, if it did.")]
