"""Every failure that PersonaAgent names. Each message says what happened and what to do about it.

PersonaAgentError
├── InputError                what the caller gave cannot be used; nothing was changed
│   ├── InvalidUserId
│   ├── EmptyQuery
│   ├── QueryTooLong
│   ├── InvalidLabel
│   ├── BadRow                one row of an imported file
│   ├── UnknownInteraction
│   ├── UnknownFact
│   ├── UnknownVersion
│   ├── UnknownPin
│   ├── UnknownTool
│   ├── ToolDenied            a tool that the user, or the deployment, does not grant
│   ├── InvalidFact           a statement that is empty or too long to be a fact
│   ├── InvalidContext        a field of a run's context that is of another kind or over its bound
│   ├── InvalidItem           an item of the memory store that cannot be kept, or not changed this way
│   ├── ForeignNamespace      a namespace of the memory store that is not the user's own
│   ├── InvalidVector
│   ├── InvalidPersona        a persona text that breaks a rule of its shape
│   └── RequestTooLarge       a request body over ``Settings.max_request_bytes``
├── ConflictError             somebody else was faster; read again and decide
│   ├── PersonaConflict
│   └── AlignmentRunning      an alignment of this user is under way
├── StoreError                the ledger or the index cannot be used now
│   ├── LedgerUnavailable
│   │   └── FeedbackWaits     for the ledger, on disk
│   ├── IndexUnavailable
│   ├── HomeNotWritable
│   ├── HomeInUse
│   └── EmbedderChanged       the index holds vectors of another embedding model
├── ModelError                a model endpoint failed
│   ├── ModelUnreachable
│   ├── ModelDenied           wrong or missing key
│   ├── ModelRefused          the request itself: too long, or of a form that the endpoint does not know
│   ├── ModelOutputInvalid    empty, truncated or not of the asked form
│   └── OwnAnswerFailed       the answering agent that was handed in raised, or returned no text
├── NotSignedIn               nobody is signed in, or what proves who it is was not accepted
├── IdentityUnavailable       the identity provider's keys cannot be fetched now
├── TooManyRequests           over a limit by time: wait ``retry_after_s`` and send it again
│   ├── TooManyTurns
│   ├── TooManyRuns           of this user, that wait for their turn or were asked for within a minute
│   └── TooMuchFeedback
├── TooManyCrons              a user has as many crons as they may
├── BudgetSpent               the user's budget for the day is used up
└── SetupError                something is not installed or not configured
"""


class PersonaAgentError(Exception):
    """Base of all named failures. ``str(error)`` is one line that a user can act on."""


class ReadableError(PersonaAgentError, RuntimeError):
    """A failure whose message is for whoever asked: LangGraph server shows a client those of built-in kinds only."""


class InputError(ReadableError):
    """What the caller gave cannot be used; nothing was changed."""


class InvalidUserId(InputError):
    """The user id is missing, empty, too long or has control characters."""


class EmptyQuery(InputError):
    """There is nothing to answer."""


class QueryTooLong(InputError):
    """The query is longer than ``Settings.max_query_chars``."""


class InvalidLabel(InputError):
    """The ground truth is empty, too long, or not among the interaction's choices."""


class BadRow(InputError):
    """A row of an imported file cannot be read; the message names file and line."""


class UnknownInteraction(InputError):
    """This user has no interaction of that id."""


class UnknownFact(InputError):
    """This user has no fact of that id."""


class UnknownVersion(InputError):
    """This user's persona has no such version."""


class UnknownPin(InputError):
    """This user has pinned no instruction of that id."""


class UnknownTool(InputError):
    """No tool of that name is registered."""


class ToolDenied(InputError):
    """A tool that the user, or the deployment, does not grant."""


class InvalidFact(InputError):
    """A statement is empty, or longer than a fact may be."""


class InvalidContext(InputError):
    """A field of a run's context is of another kind than it should be, or over its bound."""


class InvalidItem(InputError):
    """An item of the memory store that cannot be kept, or not changed this way."""


class ForeignNamespace(InputError):
    """A namespace of the memory store that is not the user's own; nothing was read or written."""


class InvalidVector(InputError):
    """A vector is not finite or not of the index's dimension."""


class InvalidPersona(InputError):
    """The persona text is empty, over its budget, or changes what may not be changed."""


class RequestTooLarge(InputError):
    """The body of a request is longer than ``Settings.max_request_bytes``."""


class ConflictError(ReadableError):
    """Somebody else was faster; read again and decide."""


class PersonaConflict(ConflictError):
    """The persona's current version is no longer the expected parent."""


class AlignmentRunning(ConflictError):
    """Another alignment of this user is under way; one at a time is."""


class StoreError(PersonaAgentError):
    """The ledger or the index cannot be used now."""

    # what whoever asks is told: a message may name hosts, users of the database and paths, which are the operator's
    told: str = "what is kept cannot be used now"


class LedgerUnavailable(StoreError):
    """The database does not answer."""

    told = "the ledger does not answer now"


class FeedbackWaits(LedgerUnavailable, ReadableError):
    """The database does not answer; the feedback is on disk and goes in once it does."""


class IndexUnavailable(StoreError):
    """The vector index does not answer."""

    told = "the index cannot be used now"


class HomeNotWritable(StoreError):
    """The data folder cannot be written."""


class HomeInUse(StoreError):
    """Another process has the data folder's index open."""


class EmbedderChanged(StoreError):
    """The index holds vectors of another embedding model; ``personaagent memory reindex`` migrates it."""

    told = "the index is of another embedding model: `personaagent memory reindex` makes it anew"


class ModelError(PersonaAgentError):
    """A model endpoint failed."""


class ModelUnreachable(ModelError):
    """The endpoint does not answer in time."""


class ModelDenied(ModelError):
    """The endpoint refuses the key."""


class ModelRefused(ModelError):
    """The endpoint refuses the request itself; ``parameter`` names what it does not know of it, where that is told."""

    def __init__(self, message: str, *, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter


class ContextTooLong(ModelRefused):
    """What was sent is longer than the model's context; ``limit`` is that in tokens, None where it is not told.

    Where not ``of_context`` it is a limit of another kind (characters, bytes, messages), of which less is sent too.
    """

    def __init__(self, message: str, limit: int | None = None, *, of_context: bool = True) -> None:
        super().__init__(message)
        self.limit = limit
        self.of_context = of_context


class ModelOutputInvalid(ModelError):
    """The model's answer is empty, truncated or not of the asked form."""


class OwnAnswerFailed(ModelError):
    """The answering agent that was handed in raised, or returned something that is no text."""


class NotSignedIn(PersonaAgentError):
    """Nobody is signed in, or what proves who it is was not accepted; the message never repeats the credential."""


class IdentityUnavailable(PersonaAgentError):
    """The identity provider's keys cannot be fetched now, so nobody new can be told from anybody else."""


class TooManyRequests(ReadableError):
    """Over a limit by time; nothing was done. ``retry_after_s`` says when to send it again."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooManyTurns(TooManyRequests):
    """This user has too many turns a minute, or too many at once."""


class TooManyRuns(TooManyRequests):
    """More runs of a user wait, or were asked for within a minute, than are allowed; none was made."""


class TooManyCrons(ReadableError):
    """A user has as many crons as they may; the new one was not made."""


class TooMuchFeedback(TooManyRequests):
    """This user gives too much feedback a minute."""


class BudgetSpent(ReadableError):
    """The user's alignment budget for the day is used up; it waits for tomorrow."""


class SetupError(PersonaAgentError):
    """Something is not installed or not configured; the message has the command that mends it."""
