from __future__ import annotations

import random

import pytest
from fakes_alignment import ScriptedModels

from evals.perf.judge_agreement import agreement, measure, triples

ARTICLES = [
    {"user": user, "category": category, "title": f"title {user}{category}{n}", "text": f"text {user}{category}{n}"}
    for user in "ab"
    for category in ("crime", "sports")
    for n in range(2)
]


def test_the_answers_of_a_triple_are_of_the_article_then_of_its_kind_then_of_another_kind() -> None:
    for triple in triples(ARTICLES, 5, random.Random(0)):
        kind = triple.wanted.removeprefix("title ")
        good, middling, bad = (answer.removeprefix("text ") for answer in triple.answers)
        assert good == kind
        assert middling != kind
        assert middling[:-1] == kind[:-1]
        assert bad[0] != kind[0]
        assert bad[1:-1] != kind[1:-1]


@pytest.mark.parametrize(
    ("losses", "share"), [([[0.0, 0.5, 1.0]], 1.0), ([[1.0, 0.5, 0.0]], 0.0), ([[1, 1, 1]], 0.5), ([[0, 1, 1]], 5 / 6)]
)
def test_agreement_is_the_share_of_pairs_in_the_right_order(losses: list[list[float]], share: float) -> None:
    assert agreement(losses) == pytest.approx(share)


async def test_a_judge_that_says_the_same_of_all_is_worth_a_coin() -> None:
    told = await measure(ScriptedModels(*[{"score": 7}] * 15), triples(ARTICLES, 5, random.Random(0)), 2)
    assert (told["judge"], told["judge_ties"], told["unread"]) == (0.5, 1.0, 0)
    assert told["similarity"] == told["mean"]


async def test_triples_that_the_judge_did_not_answer_in_form_are_counted_apart() -> None:
    assert await measure(ScriptedModels({}), triples(ARTICLES, 5, random.Random(0)), 1) == {"triples": 0, "unread": 5}
