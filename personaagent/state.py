"""The state of each graph: small, readable, and never a user's whole history."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from langchain_core.messages import AnyMessage
from langgraph.channels import UntrackedValue
from langgraph.graph.message import add_messages
from pydantic import Field
from typing_extensions import TypedDict  # typing's has no JSON schema before Python 3.12

from personaagent.pace import Pace
from personaagent.types import (
    Candidate,
    Challenger,
    Clause,
    Critique,
    Fact,
    Interaction,
    Persona,
    Recall,
    Section,
    Simulation,
    TextualLoss,
    ToolTrace,
    Turn,
    UserProfile,
    Verdict,
)

# what the states are made of, so that it may come back out of a checkpoint; langgraph.json names the same
STATE_TYPES = (
    Candidate, Challenger, Clause, Critique, Fact, Interaction, Pace, Persona, Recall, Section, Simulation,
    TextualLoss, ToolTrace, Turn, UserProfile, Verdict,
)  # fmt: skip


class AgentInput(TypedDict):
    """What a client sends: the new message."""

    messages: Annotated[list[AnyMessage], Field(description="The user's new message."), add_messages]


class AgentOutput(TypedDict):
    """What a client gets: the conversation, the answer, and the id to send feedback for."""

    messages: Annotated[list[AnyMessage], Field(description="The conversation with the answer."), add_messages]
    answer: Annotated[str, Field(description="The answer; empty where the model gave none.")]
    interaction_id: Annotated[str, Field(description="What feedback on this turn is sent for.")]
    persona_version: Annotated[int | None, Field(description="The persona that it was answered under.")]
    probabilities: Annotated[dict[str, float], Field(description="Of each choice, in a closed answer space.")]
    recalled: Annotated[list[Recall], Field(description="The memories that were put before the model, best first.")]
    noted: Annotated[list[str], Field(description="What holds from now on because this message says so.")]
    degraded: Annotated[list[str], Field(description="What could not be used, for example memory.")]


class RespondState(TypedDict, total=False):
    """One turn from retrieval to answer; shared by the live agent and by simulation."""

    messages: Annotated[list[AnyMessage], add_messages]
    persona: Persona | None
    pins: list[str]
    personalized: bool  # whether both the run and the user want it
    profile: Annotated[UserProfile | None, UntrackedValue]  # this and what is recalled is in no checkpoint
    recalled: Annotated[list[Recall], UntrackedValue]
    left: list[str]  # interactions that this turn takes the place of: no memory of it
    before: datetime | None  # simulation: nothing at or after this moment is visible
    answer_tokens: int  # simulation: an answer need not be longer
    recorded: list[ToolTrace]  # simulation: what side effects answered when it really happened
    trace: list[ToolTrace]  # the tool calls of this turn
    steps: int  # model calls of this turn
    answer: str  # empty until the turn is answered
    vote: dict[str, float]  # closed answer space: of the nearest labelled memories; empty where none votes
    predicted: dict[str, dict[str, float]]  # what model and vote foretold, as it is kept with the interaction
    probabilities: dict[str, float]  # of each choice, by which the answer was chosen
    degraded: list[str]  # what could not be used in this turn, for example "memory"


class AgentState(RespondState, total=False):
    """A live turn: the respond stretch, and what was written."""

    interaction_id: str
    persona_version: int | None
    noted: list[str]  # what became of the wishes in this message
    statement: bool  # the message is nothing but a wish


class AlignmentInput(TypedDict, total=False):
    """An alignment needs nothing but its context."""


class AlignmentOutput(TypedDict, total=False):
    """What became of an alignment, and what it cost."""

    base: Annotated[Persona | None, Field(description="The version in force when it began.")]
    committed: Annotated[Persona | None, Field(description="The new version; null: no change.")]
    rejected: Annotated[list[Candidate], Field(description="What was proposed and refused, with the reasons.")]
    outcome: Annotated[str, Field(description="One line: what became of it and why.")]
    reason: Annotated[str, Field(description="What the gate said of each candidate.")]
    calls: Annotated[int, Field(description="Model calls.")]
    tokens: Annotated[int, Field(description="Tokens, in and out.")]


class AlignmentState(TypedDict, total=False):
    """One alignment of one user (paper, test-time user-preference alignment)."""

    run: str  # names this alignment among the user's
    base: Persona | None  # the version in force when it began
    incumbent: Candidate  # the best so far in this run
    teach: list[Interaction]
    judge: list[Interaction]  # in the order in which they judge
    simulations: list[Simulation]  # of the incumbent on ``teach``
    judged: list[Simulation]  # of the incumbent on what has judged so far
    losses: list[TextualLoss]
    critiques: list[Critique]  # of all epochs, as they will be kept
    candidates: list[Candidate]  # of this epoch, before the gate
    turns: int  # that the proposers beside the gradient took
    candidates_judged: int  # of the epoch that ended
    rejected: list[Candidate]  # of all epochs, with their reasons
    tried: int  # candidates that were ever judged against this base
    challengers: list[Challenger]  # ahead and not proven
    needed: int  # labels that a new candidate lacks to be provable; 0: it may win
    stopped: str  # what budget ended the judging; empty: none
    pace: Pace
    epoch: int
    calls: int
    tokens: int
    committed: Persona | None
    outcome: str  # one line: what became of it and why
    reason: str  # the technical side of it


class FeedbackInput(TypedDict, total=False):
    """What the user says of one answer: a truth (correction, choice or edit), a pick, a rating, a comment."""

    interaction_id: Annotated[str, Field(description="The turn, as its output names it.")]
    ground_truth: Annotated[str | None, Field(description="What the user really wanted.")]
    source: Annotated[str | None, Field(description="How that is known: correction, choice or edit.")]
    rating: Annotated[int | None, Field(description="1 to 5; from 4 up the answer was right.")]
    thumb: Annotated[str | None, Field(description="up (5) or down (1), in place of a rating.")]
    comment: Annotated[str | None, Field(description="What the user says of the answer, in words.")]
    picked: Annotated[str | None, Field(description="The better one of two answers.")]
    over: Annotated[str | None, Field(description="The other one of the two, which was not picked.")]


class FeedbackState(FeedbackInput, AlignmentState, total=False):
    """Feedback, and the alignment it may run."""

    interaction: Interaction
    understood: list[str]
    due: bool  # enough new labels for an alignment
    rolled_back: Persona | None  # by the monitor, because the version in force did worse than its parent


class FeedbackOutput(AlignmentOutput, total=False):
    """The labelled interaction, whether an alignment is due, its outcome where it ran at once, and the monitor's."""

    interaction: Annotated[Interaction, Field(description="The turn with its label.")]
    understood: Annotated[list[str], Field(description="What was understood of it, in sentences to the user.")]
    due: Annotated[bool, Field(description="Whether labels are enough for an alignment.")]
    rolled_back: Annotated[Persona | None, Field(description="The version the monitor went back to, if it did.")]
