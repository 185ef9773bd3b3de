"""Tasks by name."""

from __future__ import annotations

from pathlib import Path

from personaagent.errors import InputError
from personaagent.evals.tasks import Task, edits, jsonl, lamp, news, prefeval, rating
from personaagent.evals.tasks.download import By, files_of

SUMMARY = {
    "news": "the section of an author's article; the committed sample, or --file",
    "edits": "simulated users who edit the agent's answers in a style of their own; no file",
    "rating": "stars of a user's reviews, LaMP-3 in time order; --file",
    "prefeval": "a preference said once, turns between, then the question; --file",
    **{name: f"LaMP {kind.name}; fetched, or --file *_questions.json" for name, kind in lamp.KINDS.items()},
    "jsonl": "your own rows: user, query, response[, created_at, choices]; --file",
}


def load_task(name: str, file: Path | None, cache: Path, *, by: By = "user", seed: int = 0, between: int = 6) -> Task:
    """The task of that name; raises InputError where its file is missing.

    LaMP's questions are ``file`` or the fetched ones; its outputs lie beside them under the official name.
    """
    if name == "news":
        return news.task(file)
    if name == "edits":
        return edits.task(seed=seed)
    if name in lamp.KINDS:
        questions, outputs = files_of(name, cache, by=by)
        if file is not None:
            questions, outputs = file, file.with_name(file.name.replace("questions", "outputs"))
        if not questions.exists() or questions == outputs:
            raise InputError(f"{questions} is not there: `python -m evals fetch {name}`, or --file *_questions.json")
        return lamp.task(name, questions, outputs)
    if name not in SUMMARY:
        raise InputError(f"there is no task {name!r}; there are: {', '.join(SUMMARY)}")
    if file is None:
        raise InputError(f"task {name} reads a file: give --file")
    if name == "rating":
        return rating.task(file)
    return prefeval.task(file, between=between, seed=seed) if name == "prefeval" else jsonl.task(file)
