"""``python -m evals.perf.judge_agreement``: does a model that judges free text order answers as they should be?

Of an article of the news sample the title is what the user wanted; its own text is a good answer, the text of another
article of the same author and category a middling one, that of another author and category a bad one. So the right
order of each pair is known without anybody's opinion. Agreement is the share of pairs in that order by similarity
alone, by the judge alone and by the mean of both, as ``PERSONAAGENT_JUDGE_TEXT`` uses it; a tie counts a half.
Any endpoint will do (``OPENAI_BASE_URL``, ``PERSONAAGENT_MODEL``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import combinations

from personaagent.models.chat import ModelsFromSettings
from personaagent.persona.loss import judged, loss
from personaagent.ports import Models
from personaagent.settings import Settings

QUERY = "What is the article about?"
GRADES = ("good", "middling", "bad")  # best first


@dataclass(frozen=True, slots=True, kw_only=True)
class Triple:
    """What was wanted, and three answers by grade."""

    wanted: str
    answers: tuple[str, str, str]


def triples(articles: Sequence[Mapping[str, str]], count: int, rng: random.Random) -> list[Triple]:
    """That many triples (or as many as there are) from articles with user, title, text and category."""
    made = []
    for article in rng.sample(articles, len(articles)):
        like = [a for a in articles if a is not article and _same(a, article, "user") and _same(a, article, "category")]
        unlike = [a for a in articles if not _same(a, article, "user") and not _same(a, article, "category")]
        texts = [article["text"], *(rng.choice(group)["text"] for group in (like, unlike) if group)]
        if len(texts) == len(GRADES) and all(texts):
            made.append(Triple(wanted=article["title"], answers=(texts[0], texts[1], texts[2])))
        if len(made) == count:
            break
    return made


def agreement(losses: Sequence[Sequence[float]]) -> float:
    """The share of pairs in the right order, of losses given best answer first; a tie counts a half."""
    pairs = [pair for one in losses for pair in combinations(one, 2)]
    return sum(1.0 if better < worse else 0.5 if better == worse else 0.0 for better, worse in pairs) / len(pairs)


async def measure(models: Models, made: Sequence[Triple], at_once: int) -> dict[str, float]:
    """The agreement of each way, over the triples that the judge answered in form; ``unread`` are the others."""
    gate = asyncio.Semaphore(at_once)

    async def asked(triple: Triple, answer: str) -> float | None:
        async with gate:
            return await judged(models, QUERY, triple.wanted, answer)

    verdicts = await asyncio.gather(*(asked(triple, answer) for triple in made for answer in triple.answers))
    plain, by_model, mean = [], [], []
    for n, triple in enumerate(made):
        told = [v for v in verdicts[3 * n : 3 * n + 3] if v is not None]
        if len(told) == len(GRADES):
            plain.append([loss(triple.wanted, answer) for answer in triple.answers])
            by_model.append(told)
            mean.append([(one + other) / 2 for one, other in zip(plain[-1], told, strict=True)])
    if not plain:
        return {"triples": 0, "unread": len(made)}
    return {
        "triples": len(plain),
        "unread": len(made) - len(plain),
        "similarity": round(agreement(plain), 3),
        "judge": round(agreement(by_model), 3),
        "mean": round(agreement(mean), 3),
        "judge_ties": round(sum(a == b for one in by_model for a, b in combinations(one, 2)) / (3 * len(plain)), 3),
    }


def _same(one: Mapping[str, str], other: Mapping[str, str], field: str) -> bool:
    return one[field] == other[field]


async def _run(options: argparse.Namespace) -> dict[str, float]:
    rows = files("evals").joinpath("data/news_sample.jsonl").read_text(encoding="utf-8").splitlines()
    made = triples([json.loads(row) for row in rows], options.triples, random.Random(options.seed))
    models = ModelsFromSettings(Settings())
    if models.embedded:
        raise SystemExit("there is no model to judge: set OPENAI_BASE_URL or OPENAI_API_KEY")
    try:
        return await measure(models, made, options.at_once)
    finally:
        await models.close()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m evals.perf.judge_agreement", description=__doc__)
    parser.add_argument("--triples", type=int, default=30)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    for name, value in asyncio.run(_run(parser.parse_args())).items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
