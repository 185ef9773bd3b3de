"""The whole loop on real data: history, persona, answers, labels, alignment, and answers again to articles held out.

The author's articles are used in the order of time: the earliest are history; those after them are answered, and their
true categories come back as labels; the latest are never labelled. They are answered before the labels and after the
alignment, without being remembered, so what changes in between is the loop's doing.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.messages import HumanMessage

from app.aligning import align
from app.cli_run import open_services, put, settings_of
from app.demo_record import Article, Played, document
from app.demo_view import Silent, View
from evals.tasks import news
from graph.agent import build_agent
from graph.feedback import build_feedback
from graph.respond import build_respond
from personaagent.context import Context
from personaagent.errors import InputError
from personaagent.memory.importing import import_file
from personaagent.models.meter import metering

if TYPE_CHECKING:
    from graph.services import Services
    from personaagent.types import Persona, UserProfile

AUTHOR = "journalist-10"
MIN_HISTORY = 10
BATCH, JUDGE, EPOCHS = 3, 6, 1  # few model calls, so that two slow cores are done within three minutes


def play(*, author: str | None, limit: int, keep: bool, home: Path | None, json_: bool) -> None:
    """Play the demo in a temporary data folder, or in ``home``, where what it remembers stays."""
    view = Silent() if json_ else View()
    articles = articles_of(author or AUTHOR, limit)
    with _place(home, keep) as place:
        services = open_services(settings_of(Path(place)))
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
    for row in news.load():
        article = Article(query=row.query, truth=row.truth, written=row.created_at)
        by_author.setdefault(row.user_id, []).append(article)
    if author not in by_author:
        raise InputError(f"there is no author {author!r}; there are: {', '.join(sorted(by_author))}")
    articles = sorted(by_author[author], key=lambda article: article.written)
    if len(articles) < 2 * limit + MIN_HISTORY:
        most = (len(articles) - MIN_HISTORY) // 2
        raise InputError(f"{author} has {len(articles)} articles: give --limit {most} at most")
    return articles


async def _closing(services: Services, author: str, articles: Sequence[Article], limit: int, view: View) -> Played:
    try:
        return await Demo(services, author, view).play(articles, limit)
    finally:
        await services.close()


class Demo:
    """One performance for one author."""

    def __init__(self, services: Services, author: str, view: View) -> None:
        self._services = services
        self._author = author
        self._view = view
        self._context = Context(
            user_id=author,
            task=news.TASK,
            instructions=news.INSTRUCTIONS,
            choices=list(news.CHOICES),
            align="off",
            align_batch=BATCH,
            align_judge=JUDGE,
            align_epochs=EPOCHS,
        )
        self._agent = build_agent(services).compile()
        self._respond = build_respond(services).compile()
        self._feedback = build_feedback(services).compile()

    async def play(self, articles: Sequence[Article], limit: int) -> Played:
        """Go through all steps; raises InputError where the data folder knows this author already."""
        if await self._services.episodic.count(self._author):
            raise InputError(
                f"this data folder has memories of {self._author}: choose another --home, or "
                f"`personaagent memory forget --user {self._author} --everything`"
            )
        began = time.perf_counter()
        history, asked, held_out = articles[: -2 * limit], articles[-2 * limit : -limit], articles[-limit:]
        models, settings = self._services.models, self._services.settings
        played = Played(
            author=self._author,
            model=models.name("agent"),
            embedder=self._services.embedder.name,
            embedded=models.embedded,
            home=settings.home,
        )
        with metering() as meter:
            self._view.begin(played)
            profile = await self._remember(history, played)
            played.seed = await self._services.seed_persona(self._author)
            self._view.history(played, profile)
            await self._before(history, asked, held_out, played)
            self._view.title("Alignment on the newest labels: simulate, critique, propose, judge")
            played.alignment = await align(self._services, self._context, self._view.step)
            played.persona = await self._services.personas.current(self._author)
            self._view.aligned(played)
            await self._after([*history, *asked], played)
        played.usage = meter.total
        played.seconds = time.perf_counter() - began
        return played

    async def _remember(self, history: Sequence[Article], played: Played) -> UserProfile:
        """The history comes in the way every history does: a JSONL file."""
        rows = [
            {
                "query": article.query,
                "response": article.truth,
                "created_at": article.written.isoformat(),
                "task": news.TASK,
                "choices": list(news.CHOICES),
                "metadata": {"instructions": news.INSTRUCTIONS},
            }
            for article in history
        ]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "history.jsonl"
            await asyncio.to_thread(file.write_text, "\n".join(map(json.dumps, rows)), encoding="utf-8")
            report = await import_file(self._services.episodic, self._author, file)
        played.imported = report.new
        profile = await self._services.refresh_profile(self._author)
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
