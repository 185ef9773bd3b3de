"""The doctor finds what only a deployment can get wrong."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.doctor import Check
from app.doctor_deployment import deployment
from personaagent.settings import Settings

SHARED = {"database_url": "postgresql://u:p@localhost/x"}


async def found(environment: dict[str, str] | None = None, **settings: Any) -> dict[str, Check]:
    return {one.name: one for one in await deployment(Settings(**settings), environment or {})}


async def test_an_embedded_house_has_nothing_to_mend(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)  # noqa: ASYNC240
    assert {one.status for one in (await found(home=tmp_path)).values()} == {"ok"}


async def test_jwt_names_every_setting_that_it_lacks() -> None:
    one = (await found(auth="jwt", jwt_audience="us"))["identity"]
    assert one.status == "fail"
    assert one.mend == "set PERSONAAGENT_JWT_ISSUER, PERSONAAGENT_JWT_JWKS_URL"


async def test_shared_stores_want_a_real_identity_and_a_shared_secret() -> None:
    told = await found(**SHARED)
    assert (told["identity"].status, told["session"].status) == ("warn", "warn")
    told = await found(**SHARED, auth="api_key", session_secret="s" * 32)
    assert (told["identity"].status, told["session"].status) == ("ok", "ok")


async def test_a_folder_that_others_may_read_and_a_full_disk_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o755)  # noqa: ASYNC240
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000_000))
    told = await found(home=tmp_path)
    assert (told["permissions"].status, told["permissions"].mend) == ("warn", f"chmod 700 {tmp_path}")
    assert told["disk"].status == "fail"


async def test_a_standalone_server_that_is_configured_in_part_is_a_failure() -> None:
    one = (await found({"REDIS_URI": "redis://localhost"}))["standalone server"]
    assert (one.status, one.mend) == ("fail", "set DATABASE_URI, LANGGRAPH_CLOUD_LICENSE_KEY")
