"""Servers that only answer: alignments wait in the ledger for a worker, wherever the label came from."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from graph_house import Build
from personaagent.context import Context
from personaagent.errors import SetupError
from scripted import ScriptedModels

ANN = Context(user_id="ann")


@pytest.mark.parametrize("on_server", [False, True])
async def test_a_due_alignment_is_enqueued_and_no_run_of_the_server_is_made(
    build: Build, monkeypatch: pytest.MonkeyPatch, on_server: bool
) -> None:
    if on_server:
        monkeypatch.setitem(sys.modules, "langgraph_api.server", ModuleType("langgraph_api.server"))
    services = build(ScriptedModels(), align_by="worker", qdrant_url="http://127.0.0.1:9", align_after=1)
    assert await services.note_label("ann", ANN)
    (job,) = await services.jobs.pending("ann")
    assert job.kind == "alignment"


async def test_what_a_killed_server_owed_is_enqueued_when_the_next_one_starts(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "langgraph_api.server", ModuleType("langgraph_api.server"))
    services = build(ScriptedModels(), align_by="worker", qdrant_url="http://127.0.0.1:9", align_after=1)
    await services.users.add_label("ann")
    assert await services.schedule_owed() == 1
    assert await services.jobs.depth("ann") == 1


def test_the_embedded_index_cannot_be_shared_and_the_message_says_what_to_set(build: Build) -> None:
    with pytest.raises(SetupError, match="needs QDRANT_URL"):
        build(ScriptedModels(), align_by="worker")
