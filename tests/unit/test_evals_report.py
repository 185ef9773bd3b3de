"""The report: figures of what was recorded, nothing of what may not be shown, and no data that becomes markup."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_evals_systems import CHOICES, colours

from personaagent.errors import InputError, SetupError
from personaagent.evals.evaluation import Wanted, evaluate
from personaagent.evals.langsmith import correct, distance, outputs, require_key, upload
from personaagent.evals.report import write
from personaagent.evals.report.svg import jaccard, plane
from personaagent.evals.report.words import reported
from personaagent.evals.tasks import Row, Task
from personaagent.settings import Settings
from scripted import HashEmbedder, ScriptedModels

EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)>\"'&| a | b |"
VOID = {"meta", "img", "br", "rect", "path", "circle"}


class Page(HTMLParser):
    """Checks that tags nest, and keeps them and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def evil_task(**fields: Any) -> Task:
    users = {
        user: [
            Row(
                id=f"{user}-{row.id}", user_id=f"{user}{EVIL}", query=f"{row.query} {EVIL}", truth=row.truth,
                created_at=row.created_at,
            )
            for row in colours().users["user0"]
        ]
        for user in ("a", "b")
    }  # fmt: skip
    given: dict[str, Any] = {"may_be_shown": True, "name": "evil | a | b | task", **fields}
    users = {f"{user}{EVIL}": rows for user, rows in users.items()}
    return Task(instructions="Name it.", choices=CHOICES, metric="accuracy", users=users, **given)


def run(task: Task, out: Path, *systems: str) -> None:
    wanted = Wanted(task=task, systems=systems, out=out)
    evaluate(wanted, Settings(home=out / "unused"), models=ScriptedModels("short"), embedder=HashEmbedder())


def test_a_report_is_one_file_whose_data_never_becomes_markup(tmp_path: Path) -> None:
    run(evil_task(), tmp_path, "rag", "persona_agent:alignment=off", "persona_agent:epochs=1,judge=3")
    html, markdown = write(tmp_path, HashEmbedder())
    text = html.read_text()
    page = Page(text)
    assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on") or key == "src"]
    assert "alert('x')" in "".join(page.said)
    assert "://" not in text
    assert "width=device-width" in text
    assert "prefers-color-scheme" in text
    assert "| a | b |" not in markdown.read_text()


def test_a_report_has_floors_without_their_being_run_and_the_agent_beside_its_rivals(tmp_path: Path) -> None:
    run(colours(), tmp_path, "rag", "persona_agent:alignment=off", "agent")
    _, markdown = write(tmp_path, HashEmbedder())
    text = markdown.read_text()
    first = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")][1:]
    assert first == ["majority", "last_label", "rag", "persona_agent:alignment=off", "persona_agent"]
    assert "PersonaAgent against" in text
    assert "Geometry of the personas" in (tmp_path / "report.html").read_text()


def test_an_unfinished_system_is_named_and_compared_with_nothing(tmp_path: Path) -> None:
    run(colours(), tmp_path, "icl", "rag", "agent")
    rows = tmp_path / "colours" / "rag" / "rows.jsonl"
    right = next(line for line in rows.read_text().splitlines() if json.loads(line)["truth"] == "red")
    rows.write_text(json.dumps(json.loads(right) | {"answer": "red"}) + "\n")
    _, markdown = write(tmp_path, HashEmbedder())
    text = markdown.read_text()
    assert "Unfinished and not compared: rag (1 of 6 rows)" in text
    assert "rag leads" not in text
    assert next(line for line in text.splitlines() if line.startswith("| rag")).split("|")[5].strip() == ""


def test_data_that_may_not_be_shown_is_neither_recorded_nor_reported(tmp_path: Path) -> None:
    hidden = evil_task(may_be_shown=False)
    run(hidden, tmp_path, "rag", "persona_agent:alignment=off")
    html, _ = write(tmp_path, HashEmbedder())
    kept = "".join(path.read_text() for path in tmp_path.rglob("*.json*"))
    for text in (html.read_text(), kept):
        assert "about topic" not in text
    assert "keeps its rows out of reports" in html.read_text()


def test_a_report_without_runs_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="python -m evals run"):
        write(tmp_path)


def test_the_papers_figures_stand_only_beside_the_same_task() -> None:
    assert reported("2N", "persona_agent", "accuracy") == 0.796
    assert reported("3", "persona_agent:action=off", "MAE") == 0.375
    assert reported(None, "persona_agent", "accuracy") is None
    assert reported("2M", "rag", "accuracy") is None


def test_personas_overlap_by_shared_words_and_a_map_keeps_distances() -> None:
    assert jaccard(["likes red wine", "likes red cars", ""])[0] == [1.0, 0.5, 0.0]
    points = plane(np.array([[0, 0, 0], [3, 0, 0], [0, 4, 0]], dtype=np.float32))
    assert np.linalg.norm(points[1] - points[2]) == pytest.approx(5)


def test_langsmith_says_what_to_set_and_its_evaluators_score_as_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LANGSMITH_API_KEY", raising=False)
    with pytest.raises(SetupError, match="LANGSMITH_API_KEY"):
        require_key()
    assert correct(outputs(None), {"truth": "a"}) == {"key": "correct", "score": 0.0}
    assert distance({"answer": "x"}, {"truth": "2"})["score"] == 3


def test_langsmith_is_refused_data_that_may_not_leave(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="licence"):
        upload(tmp_path, evil_task(may_be_shown=False))


def test_an_experiment_scores_what_was_recorded_without_sending_anything(tmp_path: Path) -> None:
    from datetime import UTC, datetime
    from uuid import uuid4

    from langsmith import Client
    from langsmith.schemas import Example

    from personaagent.evals.langsmith import experiment
    from personaagent.evals.records import find_runs

    task = colours()
    run(task, tmp_path, "last_label")
    recorded = find_runs(tmp_path)[0]
    examples = [
        Example(
            id=uuid4(), inputs={"id": row.id}, outputs={"truth": row.truth}, dataset_id=uuid4(),
            created_at=datetime.now(UTC),
        )
        for row in recorded.rows().values()
    ]  # fmt: skip
    client = Client(api_url="http://127.0.0.1:9", api_key="none", auto_batch_tracing=False)
    results = experiment(recorded, examples, client, send=False)
    scores = [result["evaluation_results"]["results"][0].score for result in results]
    right = [float(row.answer == row.truth) for row in recorded.rows().values()]
    assert sorted(map(float, filter(lambda score: score is not None, scores))) == sorted(right)
    assert len(scores) == 6


def test_the_likelihood_of_the_truth_stands_beside_accuracy_where_every_row_has_one(tmp_path: Path) -> None:
    run(colours(), tmp_path, "weighted_vote", "nearest_neighbour")
    html, markdown = write(tmp_path, HashEmbedder())
    vote, nearest = (
        next(line for line in markdown.read_text().splitlines() if line.startswith(f"| {name} "))
        for name in ("weighted_vote", "nearest_neighbour")
    )
    assert "log-likelihood" in markdown.read_text()
    assert "log-likelihood" in html.read_text()
    assert vote.count("[") == nearest.count("[") + 1
