"""A finished run as a LangSmith experiment: a data set of its rows, the recorded answers, evaluators, run metadata.

Nothing is asked of a model again: the target hands out what the run recorded. Rows leave the machine, so data whose
licence does not let it be shown is refused.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personaagent.errors import InputError, SetupError
from personaagent.evals.metrics import error
from personaagent.evals.records import Answered, Records, find_runs
from personaagent.evals.tasks import Task

if TYPE_CHECKING:
    from langsmith import Client
    from langsmith.evaluation import ExperimentResults
    from langsmith.schemas import Example


def require_key() -> None:
    """Raise SetupError, which says what to set, where LangSmith cannot be reached."""
    if not (os.environ.get("LANGSMITH_API_KEY") or os.environ.get("LANGCHAIN_API_KEY")):
        raise SetupError("LangSmith needs a key: set LANGSMITH_API_KEY, or leave --langsmith out and stay local")


def upload(folder: Path, task: Task) -> list[str]:
    """Send every run of this task below the folder, one experiment a system; returns the experiments' names."""
    from langsmith import Client

    if not task.may_be_shown:
        raise InputError(f"{task.name}: the licence of this data keeps its rows on this machine")
    if task.edited:
        raise InputError(f"{task.name}: every system has truths of its own here, which one data set cannot hold")
    client = Client()
    runs = [run for run in find_runs(folder) if run.about()["data"] == task.hash]
    name = f"personaagent {task.name} {task.hash}"
    recorded = {key: row for run in runs for key, row in run.rows().items()}
    if not client.has_dataset(dataset_name=name):
        made = client.create_dataset(name, description=task.instructions)
        client.create_examples(dataset_id=made.id, examples=[_example(row) for row in recorded.values()])
    names = [str(experiment(run, name, client).experiment_name) for run in runs]
    client.flush()  # rows are sent in the background, and the process may end now
    return names


def experiment(run: Records, data: str | list[Example], client: Client, *, send: bool = True) -> ExperimentResults:
    """Evaluate one run's recorded answers on a data set or on given examples; ``send`` off keeps it on this machine."""
    from langsmith import evaluate

    about, rows = run.about(), run.rows()
    evaluators = [correct, distance] if about["metric"] == "mae" else [correct]

    def answered(inputs: dict[str, Any]) -> dict[str, Any]:
        return outputs(rows.get(inputs["id"]))

    return evaluate(
        answered,
        data=data,
        evaluators=evaluators,
        experiment_prefix=f"{about['task']} {about['system']}",
        metadata={key: about[key] for key in ("system", "models", "data", "seed", "recall_k", "arguments")}
        | run.surroundings(),
        client=client,
        upload_results=send,
        max_concurrency=0,
    )


def outputs(row: Answered | None) -> dict[str, Any]:
    """What the experiment shows of a row; an answer that was never given is empty."""
    if row is None:
        return {"answer": "", "calls": 0, "tokens": 0, "seconds": 0.0, "tools": []}
    tokens = row.input_tokens + row.output_tokens
    return {
        "answer": row.answer,
        "calls": row.calls,
        "tokens": tokens,
        "seconds": row.seconds,
        "tools": list(row.tools),
    }


def correct(outputs: Mapping[str, Any], reference_outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the answer is exactly the truth."""
    return {"key": "correct", "score": float(outputs["answer"].strip() == reference_outputs["truth"].strip())}


def distance(outputs: Mapping[str, Any], reference_outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The absolute error, by the benchmark's rule for what is no number."""
    return {"key": "absolute_error", "score": error((outputs["answer"], reference_outputs["truth"]))}


def _example(row: Answered) -> dict[str, Any]:
    return {
        "inputs": {"id": row.id, "user": row.user_id, "query": row.query},
        "outputs": {"truth": row.truth},
        "metadata": {"majority": row.majority, "last_label": row.last},
    }
