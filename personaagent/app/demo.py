"""Three kinds of feedback in three acts: edits, a wish in words, and the categories of a news author.

In the third the author's articles are used in the order of time: the earliest are history; those after them are
answered, and their true categories come back as labels; the latest are never labelled. They are answered before the
labels and after the alignment, without being remembered, so what changes in between is the loop's doing.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.messages import HumanMessage
from rich.text import Text

from personaagent import samples
from personaagent.app.cli_run import open_services, put, settings_of, stdout
from personaagent.app.render import candidates_view, persona_diff, persona_view, rows_table
from personaagent.context import Context
from personaagent.errors import InputError
from personaagent.graph.agent import build_agent
from personaagent.graph.feedback import build_feedback
from personaagent.graph.respond import build_respond
from personaagent.library.agent import PersonaAgent
from personaagent.library.aligning import Aligned, align
from personaagent.memory.importing import import_file
from personaagent.models.meter import metering
from personaagent.persona.keeping import in_form
from personaagent.text import one_line
from personaagent.types import Persona, Usage

if TYPE_CHECKING:
    from personaagent.graph.services import Services
    from personaagent.library.agent import PersonaAgent
    from personaagent.library.aligning import Aligned
    from personaagent.types import Persona, UserProfile


COLUMNS = ("answer", "again", "majority", "last")  # what is held against the truth
RIGHT = ("before", "after", "majority", "last")  # what the document calls them


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """One article of the author, and what was answered to it; None: not asked."""

    query: str
    truth: str
    written: datetime
    answer: str | None = None  # under the persona before the alignment
    again: str | None = None  # under the persona after it
    majority: str = ""  # floor: the most frequent label known when it was last asked
    last: str = ""  # floor: the newest label known then


@dataclass(slots=True, kw_only=True)
class Played:
    """Everything that the demo saw, also the document of ``--json``."""

    author: str
    model: str
    embedder: str
    embedded: bool
    home: Path
    imported: int = 0
    profile: list[str] = field(default_factory=list)
    persona_before: Persona | None = None
    labelled: list[Article] = field(default_factory=list)
    held_out: list[Article] = field(default_factory=list)
    alignment: Aligned | None = None
    persona_after: Persona | None = None
    talk: Talk | None = None  # the acts before
    usage: Usage | None = None
    seconds: float = 0.0

    def right(self, column: str) -> int:
        """How many held-out articles this one of ``COLUMNS`` has right."""
        return sum(getattr(article, column) == article.truth for article in self.held_out)


def document(played: Played) -> dict[str, Any]:
    """What was seen, for machines."""
    right = {name: played.right(column) for name, column in zip(RIGHT, COLUMNS, strict=True)}
    return _fields(played) | {
        "right": {"rows": len(played.held_out), **right},
        "talk": played.talk and _fields(played.talk),
        "seconds": round(played.seconds, 1),
        "ended": datetime.now(UTC),
    }


def _fields(seen: Played | Talk) -> dict[str, Any]:
    told = {field.name: getattr(seen, field.name) for field in fields(seen) if field.name != "home"}
    return told | {"alignment": seen.alignment and seen.alignment.told}


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
    persona_before: Persona | None = None
    persona_after: Persona | None = None
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
        talk.persona_before = talk.persona_before or await agent.services.personas.current(READER)
        if count >= FIRST and count % STEP == 0:
            talk.alignment = await align(agent.services, context, step)
            if talk.alignment.committed:
                break
            step(talk.alignment.outcome)
    talk.persona_after = await agent.services.personas.current(READER)
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


QUERY_CHARS = 48
TABLE_QUERY_CHARS = 34
ANSWER_CHARS = 42
EDIT_CHARS = 30


class View:
    """Tells the demo on stdout."""

    def __init__(self) -> None:
        self._out = stdout()
        self._step = 0

    def begin(self, model: str, embedder: str, *, embedded: bool) -> None:
        """The models."""
        kind = "the small embedded model, offline and without a key" if embedded else "by your endpoint"
        self._out.print("PersonaAgent learns from edits, from a wish in words, and from labels")
        self._out.print(f"model {model} ({kind}), embeddings {embedder}")

    def edited(self, answer: Answer) -> None:
        """One answer and what the reader did to it."""
        done = f"{answer.struck} struck out" if answer.struck else "left as it is"
        line = Text(f"  {answer.words:3} words, {done}")
        line.pad_right(max(1, EDIT_CHARS - line.cell_len))
        self._out.print(line.append(f"  {one_line(answer.query, QUERY_CHARS)}", style="dim"))

    def learnt(self, talk: Talk) -> None:
        """What the edits changed: the persona with its evidence, and the answers."""
        self._alignment(talk.alignment, talk.persona_before)
        rows = [
            (one_line(one.query, TABLE_QUERY_CHARS), one.words, one.struck, two.words, two.struck)
            for one, two in zip(talk.before, talk.after, strict=True)
        ]
        total = [sum(column) for column in zip(*(row[1:] for row in rows), strict=True)]
        columns = ("a later question", "words before", "struck out", "words after", "struck out")
        self._out.print(rows_table(columns, [*rows, ("in all", *total)]))

    def wished(self, talk: Talk) -> None:
        """What was understood of the wish and of its end, and what is in force in every conversation."""
        for message, noted, pins in zip((WISH, TAKEN_BACK), talk.noted, talk.pins, strict=False):
            self._out.print(f"  {message}", style="bold")
            self._out.print(f"    {noted}", style="green")
            self._out.print(f"    in force in every conversation: {'; '.join(pins) or 'nothing'}", style="dim")

    def title(self, text: str) -> None:
        """The next step."""
        self._step += 1
        self._out.print(f"\n{self._step}  {text}", style="bold")

    def history(self, played: Played, profile: UserProfile) -> None:
        """What the history became."""
        self.title(f"{played.imported} earlier articles became memory, {len(profile.facts)} facts and a persona")
        if played.persona_before is not None:
            self._out.print(persona_view(played.persona_before))

    def answered(self, article: Article) -> None:
        """One answer beside the truth."""
        line = Text.assemble("  ", _marked(article.answer, article.truth))
        if article.answer != article.truth:
            line.append(f" (true: {article.truth})")
        floors = Text.assemble(
            "majority ", _mark(article.majority, article.truth), " last ", _mark(article.last, article.truth)
        )
        line.pad_right(max(1, ANSWER_CHARS - line.cell_len))
        self._out.print(line.append_text(floors).append(f"  {one_line(article.query, QUERY_CHARS)}", style="dim"))

    def step(self, line: str) -> None:
        """A step of the alignment."""
        self._out.print(f"  {line}", style="dim")

    def aligned(self, played: Played) -> None:
        """What became of the alignment, and what it changed or would have changed."""
        self._alignment(played.alignment, played.persona_before)

    def _alignment(self, alignment: Aligned | None, seed: Persona | None) -> None:
        if alignment is None or seed is None:
            return
        if alignment.rejected:
            self._out.print(candidates_view(alignment.rejected))
        if alignment.committed is not None:
            self._out.print(f"  committed: {alignment.outcome}", style="green")
            self._out.print(persona_diff(seed.sections, alignment.committed.sections))
            return
        self._out.print("  refused, the persona stays as it is", style="yellow")
        drafts = [candidate for candidate in alignment.rejected if candidate.sections != seed.sections]
        if drafts:
            self._out.print(f"  What {drafts[-1].proposer} would have changed:")
            self._out.print(persona_diff(seed.sections, drafts[-1].sections))

    def compared(self, played: Played) -> None:
        """Before and after beside the truth and both floors."""
        rows = [
            (
                one_line(article.query, TABLE_QUERY_CHARS),
                article.truth,
                *(_marked(getattr(article, column), article.truth) for column in COLUMNS),
            )
            for article in played.held_out
        ]
        right = [f"{played.right(column)} of {len(rows)}" for column in COLUMNS]
        columns = ("article", "truth", "before", "after", "majority label", "last label")
        self._out.print(rows_table(columns, [*rows, ("right", "", *right)]))

    def end(self, played: Played, *, kept: bool) -> Text:
        """What it comes to, plainly."""
        alignment, usage = played.alignment, played.usage
        lines = [""]
        lines.append(f"Model: {played.model}{', embedded' if played.embedded else ''}.")
        if alignment is not None:
            what = "committed" if alignment.committed else "refused"
            lines.append(
                f"Alignment: {what} ({alignment.outcome}); {alignment.calls} calls, {alignment.seconds:.0f} s."
            )
            if alignment.committed is None:
                lines.append(
                    f"The persona is the same after as before; only {len(played.labelled)} labels are new in memory."
                )
        lines.append(f"{len(played.held_out)} articles are an illustration, no measurement: `make eval` measures.")
        if played.embedded:
            lines.append(
                "The embedded model answers simply and picks categories beside the vote of the nearest articles; it "
                "cannot write a persona or call tools, and follows an instruction now and then. "
                "With OPENAI_BASE_URL or OPENAI_API_KEY set, the same demo runs on a better one."
            )
        if usage is not None:
            lines.append(
                f"In all {usage.calls} model calls, {usage.input_tokens} tokens in, {usage.output_tokens} out, "
                f"{played.seconds:.0f} s."
            )
        if kept:
            lines.append(
                f"Kept in {played.home}: personaagent --home {played.home} persona show --user {played.author}"
            )
        return Text("\n".join(lines))


class Silent(View):
    """Tells nothing, where only the document is wanted."""

    def __init__(self) -> None:
        super().__init__()
        self._out.quiet = True


def _marked(answer: str | None, truth: str) -> Text:
    """An answer with its mark; no answer is wrong as well."""
    return _mark(answer, truth).append(f" {answer or 'no answer'}")


def _mark(answer: str | None, truth: str) -> Text:
    return Text("✓", style="green") if answer == truth else Text("✗", style="red")


AUTHOR = "journalist-10"
MIN_HISTORY = 10
ALIGN_SECONDS = 45.0  # of each alignment, unless the environment says otherwise
BATCH, JUDGE, EPOCHS = 3, 6, 1  # few model calls, so that two slow cores are done within three minutes


def play(*, author: str | None, limit: int, keep: bool, home: Path | None, json_: bool) -> None:
    """Play the demo in a temporary data folder, or in ``home``, where what it remembers stays."""
    view = Silent() if json_ else View()
    articles = articles_of(author or AUTHOR, limit)
    with _place(home, keep) as place:
        settings = settings_of(Path(place))
        if settings.align_seconds is None:
            settings = settings.model_copy(update={"align_seconds": ALIGN_SECONDS})
        services = open_services(settings)
        played = asyncio.run(_closing(services, author or AUTHOR, articles, limit, view))
        put(document(played), json_=json_, show=lambda _: view.end(played, kept=keep or home is not None))


def _place(home: Path | None, keep: bool) -> AbstractContextManager[str]:
    if home is not None:
        return nullcontext(str(home))
    if keep:
        return nullcontext(tempfile.mkdtemp(prefix="personaagent-demo-"))
    return tempfile.TemporaryDirectory(prefix="personaagent-demo-")


def articles_of(author: str, limit: int) -> list[Article]:
    """The author's articles, oldest first; raises InputError for an unknown author or one with too few of them."""
    by_author: dict[str, list[Article]] = {}
    for row in samples.news():
        # several articles appear on one day: their order within it is kept
        written = datetime.fromisoformat(row["date"]).replace(tzinfo=UTC) + timedelta(seconds=row["t"])
        article = Article(query=f"{row['title']}\n{row['text']}".strip(), truth=str(row["category"]), written=written)
        by_author.setdefault(str(row["user"]), []).append(article)
    if author not in by_author:
        raise InputError(f"there is no author {author!r}; there are: {', '.join(sorted(by_author))}")
    articles = sorted(by_author[author], key=lambda article: article.written)
    if len(articles) < 2 * limit + MIN_HISTORY:
        most = (len(articles) - MIN_HISTORY) // 2
        raise InputError(f"{author} has {len(articles)} articles: give --limit {most} at most")
    return articles


async def _closing(services: Services, author: str, articles: Sequence[Article], limit: int, view: View) -> Played:
    try:
        demo = Demo(services, author, view)
        await demo.check()
        began = time.perf_counter()
        with metering() as meter:
            talk = await _talk(services, view)
            played = await demo.play(articles, limit)
        played.talk, played.usage, played.seconds = talk, meter.total, time.perf_counter() - began
        return played
    finally:
        await services.close()


async def _talk(services: Services, view: View) -> Talk:
    agent, talk = PersonaAgent.over(services), Talk()
    view.begin(services.models.name("agent"), services.embedder.name, embedded=services.models.embedded)
    view.title("Edits: a reader cuts every answer down to two sentences")
    await edits(agent, talk, view.edited, view.step)
    view.learnt(talk)
    view.title("A wish in words")
    await wish(agent, talk)
    view.wished(talk)
    return talk


class Demo:
    """The third act, for one author."""

    def __init__(self, services: Services, author: str, view: View) -> None:
        self._services = services
        self._author = author
        self._view = view
        self._context = Context(
            user_id=author,
            task=samples.TASK,
            instructions=samples.INSTRUCTIONS,
            choices=list(samples.CHOICES),
            align="off",
            align_batch=BATCH,
            align_judge=JUDGE,
            align_epochs=EPOCHS,
        )
        self._agent = build_agent(services).compile()
        self._respond = build_respond(services).compile()
        self._feedback = build_feedback(services).compile()

    async def check(self) -> None:
        """Raise InputError where the data folder knows this author or the reader already."""
        for user in (self._author, READER):
            if await self._services.episodic.count(user):
                raise InputError(
                    f"this data folder has memories of {user}: choose another --home, or "
                    f"`personaagent memory forget --user {user} --everything`"
                )

    async def play(self, articles: Sequence[Article], limit: int) -> Played:
        """Go through all steps."""
        history, asked, held_out = articles[: -2 * limit], articles[-2 * limit : -limit], articles[-limit:]
        models, settings = self._services.models, self._services.settings
        played = Played(
            author=self._author,
            model=models.name("agent"),
            embedder=self._services.embedder.name,
            embedded=models.embedded,
            home=settings.home,
        )
        self._view.title(f"Labels: {self._author}, a news author of the years 2012 to 2018")
        profile = await self._remember(history, played)
        played.persona_before = await self._services.seeds.persona(self._author)
        self._view.history(played, profile)
        await self._before(history, asked, held_out, played)
        self._view.title("Alignment on the newest labels: simulate, critique, propose, judge")
        played.alignment = await align(self._services, self._context, self._view.step)
        played.persona_after = await self._services.personas.current(self._author)
        self._view.aligned(played)
        await self._after([*history, *asked], played)
        return played

    async def _remember(self, history: Sequence[Article], played: Played) -> UserProfile:
        """The history comes in the way every history does: a JSONL file."""
        rows = [
            {
                "query": article.query,
                "response": article.truth,
                "created_at": article.written.isoformat(),
                "task": samples.TASK,
                "choices": list(samples.CHOICES),
                "metadata": {"instructions": samples.INSTRUCTIONS},
            }
            for article in history
        ]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "history.jsonl"
            await asyncio.to_thread(file.write_text, "\n".join(map(json.dumps, rows)), encoding="utf-8")
            report = await import_file(self._services.episodic, self._author, file)
        played.imported = report.new
        profile = await self._services.reader.refresh(self._author)
        played.profile = [fact.text for fact in profile.facts]
        return profile

    async def _before(
        self, history: Sequence[Article], asked: Sequence[Article], held_out: Sequence[Article], played: Played
    ) -> None:
        """Answers under the seed: first to the held-out articles, unremembered, then to those whose labels come."""
        self._view.title(f"Answers to the {len(held_out)} latest articles, which are never labelled")
        for article in held_out:
            answer = await self._look(article, played.persona_before)
            played.held_out.append(_beside_floors(replace(article, answer=answer), history))
            self._view.answered(played.held_out[-1])
        self._view.title(f"Answers to the {len(asked)} articles before them, each followed by its true category")
        known = list(history)
        for article in asked:
            message = {"messages": [HumanMessage(article.query)]}
            # without a thread nobody is asked for approval, and a tool that would need it is declined
            result: dict[str, Any] = await self._agent.ainvoke(message, context=self._context)  # type: ignore[call-overload]
            played.labelled.append(_beside_floors(replace(article, answer=result["answer"]), known))
            known.append(article)
            self._view.answered(played.labelled[-1])
            label: Any = {"interaction_id": result["interaction_id"], "ground_truth": article.truth, "source": "choice"}
            await self._feedback.ainvoke(label, context=self._context)

    async def _after(self, known: Sequence[Article], played: Played) -> None:
        self._view.title("The latest articles again, with what was learned")
        for place, article in enumerate(played.held_out):
            again = await self._look(article, played.persona_after)
            played.held_out[place] = _beside_floors(replace(article, again=again), known)
        self._view.compared(played)

    async def _look(self, article: Article, persona: Persona | None) -> str:
        """What the agent would answer now, without remembering that it was asked."""
        state: Any = {"messages": [HumanMessage(article.query)], "persona": persona, "pins": []}
        result = await self._respond.ainvoke(state, context=self._context)
        return str(result.get("answer", ""))


def _beside_floors(article: Article, known: Sequence[Article]) -> Article:
    """With what the floors would answer: the most frequent label so far, of equals the newest; and the newest label."""
    newest_first = [past.truth for past in reversed(known)]
    return replace(article, majority=Counter(newest_first).most_common(1)[0][0], last=newest_first[0])
