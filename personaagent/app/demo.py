"""Three kinds of feedback in three acts: edits, a wish in words (``demo_talk``), and the categories of a news author.

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
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.messages import HumanMessage

from personaagent import samples
from personaagent.app.cli_run import open_services, put, settings_of
from personaagent.app.demo_record import Article, Played, document
from personaagent.app.demo_talk import READER, Talk, edits, wish
from personaagent.app.demo_view import Silent, View
from personaagent.context import Context
from personaagent.errors import InputError
from personaagent.graph.agent import build_agent
from personaagent.graph.feedback import build_feedback
from personaagent.graph.respond import build_respond
from personaagent.library.agent import PersonaAgent
from personaagent.library.aligning import align
from personaagent.memory.importing import import_file
from personaagent.models.meter import metering

if TYPE_CHECKING:
    from personaagent.graph.services import Services
    from personaagent.types import Persona, UserProfile

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
        played.seed = await self._services.seeds.persona(self._author)
        self._view.history(played, profile)
        await self._before(history, asked, held_out, played)
        self._view.title("Alignment on the newest labels: simulate, critique, propose, judge")
        played.alignment = await align(self._services, self._context, self._view.step)
        played.persona = await self._services.personas.current(self._author)
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
            answer = await self._look(article, played.seed)
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
            again = await self._look(article, played.persona)
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
