"""Graphs over a real ledger and index, with scripted models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ledger_house import with_ledger
from personaagent.graph.services import Services
from personaagent.settings import Settings
from personaagent.types import Interaction
from scripted import HashEmbedder, ScriptedModels

Build = Callable[..., Services]
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Build]:
    """Make services over one data folder, with these models and settings."""
    made: list[Services] = []

    def build_services(models: ScriptedModels, **settings: Any) -> Services:
        home = with_ledger(tmp_path / "home")
        services = Services(Settings(home=home, **settings), models=models, embedder=HashEmbedder())
        made.append(services)
        return services

    yield build_services
    for services in made:
        await services.close()


def past(user_id: str, n: int, truth: str, *, query: str | None = None, **fields: Any) -> Interaction:
    """The n-th labelled interaction of a user, a day after the one before."""
    return Interaction(
        id=f"{user_id}-{n}",
        user_id=user_id,
        query=query or f"question {n} about topic {n}",
        created_at=START + timedelta(days=n),
        ground_truth=truth,
        truth_source="imported",
        truth_confidence=1.0,
        **fields,
    )
