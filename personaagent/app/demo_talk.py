"""The acts in free talk: a user who edits answers down, and one who says in words what they want from now on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from personaagent.context import Context
from personaagent.library.aligning import Aligned, align
from personaagent.persona.keeping import in_form

if TYPE_CHECKING:
    from personaagent.library.agent import PersonaAgent
    from personaagent.types import Persona

READER = "reader"
WISH = "From now on call me Ann."
TAKEN_BACK = "Forget that."
EDITED = (
    "How do I cook rice so that it does not stick?",
    "Why do leaves change colour in autumn?",
    "How can I free up space on my phone?",
    "What helps against a stiff neck?",
    "How do I keep basil fresh?",
    "What should I pack for a weekend by the sea?",
    "How do I prepare for a job interview?",
    "Why is the sea salty?",
    "What is a good gift for a gardener?",
    "How do I clean a cast iron pan?",
    "How can I sleep better?",
    "Should I buy a laptop or a tablet for university?",
    "What can I do with leftover bread?",
    "How do I start running?",
    "Why do cats purr?",
    "How do I pack a suitcase well?",
    "What should I know before I adopt a dog?",
    "How do I remove a coffee stain?",
)
FIRST, STEP = 12, 3  # questions before the first alignment, and before each further one
LATER = ("How do I clean a window?", "Why does bread go stale?", "How do I water tomatoes?")
STYLE = "Answer in at most two sentences."


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer and what its reader makes of it."""

    query: str
    answer: str
    kept: str

    @property
    def words(self) -> int:
        """Of the answer."""
        return len(self.answer.split())

    @property
    def struck(self) -> int:
        """How many words the reader strikes out."""
        return self.words - len(self.kept.split())


@dataclass(slots=True, kw_only=True)
class Talk:
    """What was seen of both acts."""

    edited: list[Answer] = field(default_factory=list)
    before: list[Answer] = field(default_factory=list)  # to later questions, without personalization
    after: list[Answer] = field(default_factory=list)  # to the same, with what was learnt
    seed: Persona | None = None
    persona: Persona | None = None
    alignment: Aligned | None = None
    noted: list[str] = field(default_factory=list)  # what was understood of the wish, and of its end
    pins: list[list[str]] = field(default_factory=list)  # in force in a new conversation after each of the two


def cut(answer: str) -> str:
    """What the reader leaves of an answer: its first two sentences."""
    return in_form(answer, [STYLE])


async def edits(agent: PersonaAgent, talk: Talk, seen: Callable[[Answer], None], step: Callable[[str], None]) -> None:
    """The reader cuts answer after answer down to two sentences; then the persona is aligned, and asked again."""
    user = agent.user(READER)
    talk.before = [_answer(query, (await user.ask(query, personalize=False, align="off")).answer) for query in LATER]
    context = Context(user_id=READER, align_epochs=1, align="off")
    for count, query in enumerate(EDITED, start=1):
        turn = await user.ask(query, align="off")
        answer = _answer(query, turn.answer)
        await (turn.edit(answer.kept, align="off") if answer.struck else turn.thumb(align="off"))
        talk.edited.append(answer)
        seen(answer)
        talk.seed = talk.seed or await agent.services.personas.current(READER)
        if count >= FIRST and count % STEP == 0:
            talk.alignment = await align(agent.services, context, step)
            if talk.alignment.committed:
                break
            step(talk.alignment.outcome)
    talk.persona = await agent.services.personas.current(READER)
    talk.after = [_answer(query, (await user.ask(query, align="off")).answer) for query in LATER]


async def wish(agent: PersonaAgent, talk: Talk) -> None:
    """The reader says a wish in one conversation and takes it back; it is in force in all others in between."""
    user = agent.user(READER)
    for message in (WISH, TAKEN_BACK):
        turn = await user.ask(message, thread="wishes", align="off")
        talk.noted += turn.noted
        talk.pins.append([pin.text for pin in await user.pins()])


def _answer(query: str, answer: str) -> Answer:
    return Answer(query=query, answer=answer, kept=cut(answer))
