"""The doctor on a real Postgres."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from personaagent.app import doctor_deployment
from personaagent.app.doctor import Check
from personaagent.app.doctor_deployment import remote
from personaagent.ledger.database import Database
from personaagent.settings import Settings


async def asked(url: str) -> Check:
    (one,) = await remote(Settings(database_url=url))
    return one


async def test_a_postgres_tells_version_schema_and_connections(postgres: str) -> None:
    one = await asked(postgres)
    assert one.status == "ok" and ", 80 connections" in one.detail and "schema 0" in one.detail


async def test_an_old_postgres_and_too_few_connections_are_warnings(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_deployment, "POOL", 41)
    one = await asked(postgres)
    assert (one.status, "max_connections" in one.mend) == ("warn", True)
    monkeypatch.setattr(doctor_deployment, "OLDEST_POSTGRES", 99)
    one = await asked(postgres)
    assert (one.status, one.mend) == ("warn", "upgrade to 99 or later")


async def test_a_ledger_of_a_newer_version_is_a_failure(postgres: str) -> None:
    newer = Database(postgres)
    try:
        async with newer.write() as connection:
            before = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one()
            await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        try:
            one = await asked(postgres)
            assert (one.status, "upgrade PersonaAgent" in one.detail) == ("fail", True)
        finally:
            async with newer.write() as connection:
                await connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": before})
    finally:
        await newer.close()
