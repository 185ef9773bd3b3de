"""A recorded run as a LangSmith experiment, at an endpoint on loopback that records what arrives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from langsmith_stub import LangSmithStub, forget_environment, langsmith_stub
from personaagent.errors import InputError
from personaagent.evals.evaluation import Wanted, evaluate
from personaagent.evals.langsmith import upload
from personaagent.evals.tasks import Row, Task
from personaagent.settings import Settings
from scripted import HashEmbedder, ScriptedModels

START = datetime(2026, 1, 1, tzinfo=UTC)


def colours() -> Task:
    rows = [
        Row(
            id=f"r{n}",
            user_id="user0",
            query=f"about topic {n}",
            truth="red" if n % 2 else "blue",
            created_at=START + timedelta(days=n),
        )
        for n in range(12)
    ]
    return Task(
        name="colours", instructions="Name it.", choices=("blue", "red"), metric="accuracy",
        users={"user0": rows}, may_be_shown=True,
    )  # fmt: skip


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LangSmithStub]:
    with langsmith_stub() as running:
        monkeypatch.setenv("LANGSMITH_ENDPOINT", running.url)
        monkeypatch.setenv("LANGSMITH_API_KEY", "none")
        forget_environment()
        yield running
    forget_environment()


def test_a_run_becomes_one_experiment_and_its_data_set_is_made_once(stub: LangSmithStub, tmp_path: Path) -> None:
    task = colours()
    evaluate(
        Wanted(task=task, systems=("rag",), out=tmp_path),
        Settings(home=tmp_path / "unused"),
        models=ScriptedModels("short"),
        embedder=HashEmbedder(),
    )
    (name,) = upload(tmp_path, task)
    (dataset,) = stub.datasets
    examples = {example["id"]: example for example in stub.examples[dataset]}
    assert examples
    (experiment,) = stub.experiments.values()
    assert experiment["name"] == name
    assert experiment["reference_dataset_id"] == dataset
    metadata = experiment["extra"]["metadata"]
    assert metadata["system"] == "rag"
    assert {"commit", "models", "packages"} <= metadata.keys()
    rows = [run for run in stub.runs.values() if run.get("reference_example_id")]
    assert sorted(run["reference_example_id"] for run in rows) == sorted(examples)
    scores = {f["run_id"]: f["score"] for f in stub.feedback if f["key"] == "correct"}
    assert scores == {
        run["id"]: float(run["outputs"]["answer"] == examples[run["reference_example_id"]]["outputs"]["truth"])
        for run in rows
    }
    upload(tmp_path, task)
    assert len(stub.datasets) == 1
    assert len(stub.examples[dataset]) == len(examples)
    assert len(stub.experiments) == 2


def test_data_that_may_not_be_shown_is_refused_before_any_request(stub: LangSmithStub, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="licence"):
        upload(tmp_path, replace(colours(), may_be_shown=False))
    assert stub.requests == []
