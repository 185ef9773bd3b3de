"""Tasks: rows in the order of time, splits, official files, and files that are not what they should be."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from personaagent.errors import BadRow, InputError, SetupError
from personaagent.evals.tasks import Task, jsonl, lamp, news, prefeval, rating, split
from personaagent.evals.tasks.download import address, fetch
from personaagent.evals.tasks.registry import load_task


def lines(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_the_committed_sample_has_mixed_authors_in_the_order_of_time() -> None:
    task = news.task()
    assert 3 <= len(task.users) <= 4
    for rows in task.users.values():
        times = [row.created_at for row in rows]
        assert times == sorted(set(times))
        labels = [row.truth for row in rows]
        assert max(labels.count(label) for label in labels) < 0.6 * len(labels)
        assert set(labels) <= set(task.choices)


def test_a_split_tests_the_last_rows_and_cold_start_keeps_the_newest_history() -> None:
    task = news.task()
    whole, cold = split(task, users=1, limit=2)[0], split(task, users=1, limit=2, history=5)[0]
    assert len(whole.test) == 2
    assert whole.history[-1].created_at < whole.test[0].created_at
    assert cold.history == whole.history[-5:]
    assert cold.test == whole.test
    assert len(whole.history) == int(len(task.users[whole.user_id]) * 0.7)


def test_the_hash_tells_other_data_apart() -> None:
    task = news.task()
    _first, *rest = task.users
    less = Task(
        name=task.name, instructions=task.instructions, choices=task.choices, metric="accuracy",
        users={user: task.users[user] for user in rest},
    )  # fmt: skip
    assert task.hash == news.task().hash != less.hash


def test_prefeval_shuffles_options_by_seed_and_asks_last(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"topic": f"t{n % 2}", "i": n, "preference": f"I like {n}", "question": f"Which {n}?",
         "classification_task_options": [f"right {n}", "x", "y", "z"]}
        for n in range(20)
    ]  # fmt: skip
    path = lines(tmp_path / "p.jsonl", rows)
    task = prefeval.task(path, between=3)
    places = set()
    for user in split(task):
        assert len(user.test) == 1
        row = user.test[0]
        assert user.history[0].query.startswith("I like")
        assert all(past.truth == "" for past in user.history)
        assert len(user.history) == 4
        assert sorted(row.choices) == sorted([row.truth, "x", "y", "z"])
        places.add(row.choices.index(row.truth))
    assert len(places) > 1
    assert prefeval.task(path, between=3).hash == task.hash != prefeval.task(path, between=3, seed=1).hash
    assert not task.may_be_shown


def test_ratings_are_labels_of_a_closed_space(tmp_path: Path) -> None:
    path = lines(tmp_path / "r.jsonl", [{"user": "u", "t": n, "text": "x" * 9000, "score": 4} for n in range(3)])
    task = rating.task(path)
    assert [row.truth for row in task.users["u"]] == ["4"] * 3
    assert max(len(row.query) for row in task.users["u"]) <= rating.MAX_CHARS


def test_own_rows_are_classified_when_answers_repeat_and_free_text_when_not(tmp_path: Path) -> None:
    labels = [{"user": "u", "query": f"q{n}", "response": "yes" if n % 2 else "no"} for n in range(8)]
    assert jsonl.task(lines(tmp_path / "a.jsonl", labels)).choices == ("no", "yes")
    texts = [{"user": "u", "query": f"q{n}", "response": f"text {n}"} for n in range(8)]
    assert jsonl.task(lines(tmp_path / "b.jsonl", texts)).metric == "rouge"
    ids = [row.id for row in jsonl.task(tmp_path / "b.jsonl").users["u"]]
    assert len(set(ids)) == 8


def test_own_rows_are_sorted_by_their_times(tmp_path: Path) -> None:
    rows = [{"user": "u", "query": str(day), "response": "a", "created_at": f"2026-01-{day:02d}"} for day in (3, 1, 2)]
    assert [r.query for r in jsonl.task(lines(tmp_path / "a.jsonl", rows)).users["u"]] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "line 1: not JSON"),
        ('{"user":"u","query":"q"}', "response is missing"),
        ("[1]", "a JSON object"),
        ('{"user":"u","query":"q","response":"r","created_at":"soon"}', "created_at is 'soon'"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(text)
    with pytest.raises(BadRow, match=said):
        jsonl.task(path)


def test_official_files_become_users_with_their_longest_histories(tmp_path: Path) -> None:
    def question(n: int, size: int) -> dict[str, object]:
        profile = [{"id": str(p), "text": f"t{p}", "category": "sports", "date": f"200{9 - p}"} for p in range(size)]
        return {"id": f"{n}", "input": f"Which category? categories: [...] article: A story {n}", "profile": profile}

    (tmp_path / "dev_questions.json").write_text(json.dumps([question(1, 1), question(2, 3), question(3, 2)]))
    golds = [{"id": str(n), "output": "women"} for n in (1, 2, 3)]
    (tmp_path / "dev_outputs.json").write_text(json.dumps({"task": "LaMP_2", "golds": golds}))
    task = lamp.task("lamp2n", tmp_path / "dev_questions.json", tmp_path / "dev_outputs.json", longest=2)
    assert list(task.users) == ["2", "3"]
    *history, asked = task.users["2"]
    assert [row.query for row in history] == ["t2", "t1", "t0"]  # by date
    assert (asked.query, asked.truth, task.paper) == ("A story 2", "women", "2N")
    assert load_task("lamp2n", tmp_path / "dev_questions.json", tmp_path).hash


def test_every_official_task_reads_its_own_profile_fields(tmp_path: Path) -> None:
    fields = {"title": "T", "abstract": "A", "text": "X", "category": "sports", "description": "D", "tag": "comedy"}
    profile = [{"id": "1", "score": "4", **fields}]
    (tmp_path / "q.json").write_text(json.dumps([{"id": "1", "input": "some input", "profile": profile}]))
    (tmp_path / "o.json").write_text(json.dumps({"golds": [{"id": "1", "output": "out"}]}))
    read = {name: lamp.task(name, tmp_path / "q.json", tmp_path / "o.json").users["1"][0] for name in lamp.KINDS}
    assert {name: (row.query, row.truth) for name, row in read.items()} == {
        "lamp1": ("T\nA", ""), "lamp2n": ("X", "sports"), "lamp2m": ("D", "comedy"), "lamp3": ("X", "4"),
        "lamp4": ("X", "T"), "lamp5": ("A", "T"), "lamp7": ("X", ""),
    }  # fmt: skip


async def test_a_page_instead_of_json_is_refused_and_not_kept(tmp_path: Path) -> None:
    page = httpx.MockTransport(lambda _: httpx.Response(200, text="<html>"))
    with pytest.raises(SetupError, match="not JSON"):
        await fetch("lamp2m", tmp_path, transport=page)
    assert not (tmp_path / "lamp2m").exists()


async def test_fetched_files_are_kept_and_not_asked_for_again(tmp_path: Path) -> None:
    asked: list[str] = []

    def reply(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json=[])

    for _ in range(2):
        await fetch("lamp2m", tmp_path, transport=httpx.MockTransport(reply))
    assert len(asked) == 2
    assert asked[0].endswith("LaMP/LaMP_2/new/dev/dev_questions.json")
    assert "/time/LaMP_3/" in address("lamp3", "outputs", by="time", split="dev")


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="evals fetch lamp3"):
        load_task("lamp3", None, tmp_path)
    with pytest.raises(InputError, match="give --file"):
        load_task("rating", None, tmp_path)
    with pytest.raises(InputError, match="no task"):
        load_task("chess", None, tmp_path)
