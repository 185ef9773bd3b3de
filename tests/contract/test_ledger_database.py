"""The database under the ledger: lazy, migrated once by whoever comes first, named in its failures."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from personaagent.errors import HomeNotWritable, LedgerUnavailable, SetupError
from personaagent.ledger import migrations
from personaagent.ledger.candidates import Candidates
from personaagent.ledger.database import Database, Meta, database_from, sqlite_url
from personaagent.ledger.migrate import HEAD
from personaagent.ledger.tables import metadata
from personaagent.settings import Settings
from personaagent.types import Candidate, Section

MakeUrl = Callable[[], Awaitable[str]]


def test_nothing_is_created_before_the_first_use(tmp_path: Path) -> None:
    database_from(Settings(home=tmp_path / "home", database_url=None))
    assert not (tmp_path / "home").exists()


def test_the_head_that_migrate_knows_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


async def test_the_migrations_make_exactly_the_tables_that_the_code_uses(fresh_url: MakeUrl) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    database = Database(await fresh_url())
    found = await database.run_read(lambda sync: compare_metadata(MigrationContext.configure(sync), metadata))
    names = await database.run_read(lambda sync: inspect(sync).get_table_names())
    await database.close()
    assert found == []
    assert set(names) == {*metadata.tables, "alembic_version"}


async def test_many_can_open_a_new_ledger_at_once(fresh_url: MakeUrl) -> None:
    url = await fresh_url()
    databases = [Database(url) for _ in range(6)]
    await asyncio.gather(*(Meta(database).set(f"key{n}", "value") for n, database in enumerate(databases)))
    assert [await Meta(databases[0]).get(f"key{n}") for n in range(6)] == ["value"] * 6
    for database in databases:
        await database.close()


async def test_processes_can_open_a_new_ledger_at_once_and_write_to_it_together(fresh_url: MakeUrl) -> None:
    url = await fresh_url()
    code = (
        "import asyncio, sys\n"
        "from personaagent.ledger.database import Database\n"
        "from personaagent.ledger.users import Users\n"
        "async def main():\n"
        "    users = Users(Database(sys.argv[1]))\n"
        "    for _ in range(60):\n"
        "        await users.add_label('ann')\n"  # reads before it writes
        "asyncio.run(main())\n"
    )
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", code, url, stderr=subprocess.PIPE) for _ in range(3)
    ]
    for process in processes:
        _, stderr = await process.communicate()
        assert process.returncode == 0, stderr.decode()
    database = Database(url)
    query = text("SELECT user_id, new_labels FROM users")
    rows = await database.run_read(lambda connection: connection.execute(query).all())
    await database.close()
    assert [tuple(row) for row in rows] == [("ann", 180)]


async def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(fresh_url: MakeUrl) -> None:
    url = await fresh_url()
    database = Database(url)
    async with database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.close()
    newer = Database(url)
    with pytest.raises(LedgerUnavailable, match="upgrade PersonaAgent"):
        await Meta(newer).get("key")
    await newer.close()


@pytest.mark.filterwarnings("error")
def test_one_database_serves_event_loops_in_sequence(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path))
    for n in range(3):
        asyncio.run(Meta(database).set(f"key{n}", "value"))

    async def read_and_close() -> list[str | None]:
        found = [await Meta(database).get(f"key{n}") for n in range(3)]
        await database.close()
        return found

    assert asyncio.run(read_and_close()) == ["value"] * 3


def test_a_process_that_never_closes_the_ledger_still_ends(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from personaagent.ledger.database import Database\n"
        "from personaagent.ledger.database import Meta\n"
        "database = Database(sys.argv[1])\n"
        "asyncio.run(Meta(database).set('key', 'value'))\n"
        "asyncio.run(Meta(database).set('key', 'other'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, sqlite_url(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


async def test_a_failed_transaction_changes_nothing(database: Database) -> None:
    with pytest.raises(KeyError):
        async with database.write("key") as connection:
            await connection.execute(text("INSERT INTO meta (key, value) VALUES ('a', 'b')"))
            raise KeyError
    assert await Meta(database).get("a") is None


async def test_transactions_with_one_key_read_what_the_one_before_wrote(database: Database) -> None:
    meta = Meta(database)
    await meta.set("n", "0")

    async def increment() -> None:
        async with database.write("key") as connection:
            n = int((await connection.execute(text("SELECT value FROM meta"))).scalar_one())
            await asyncio.sleep(0)
            await connection.execute(text("UPDATE meta SET value = :n"), {"n": str(n + 1)})

    await asyncio.gather(*(increment() for _ in range(30)))
    assert await meta.get("n") == "30"


async def test_a_home_that_cannot_be_made_is_named_with_the_variable_that_moves_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    database = Database(sqlite_url(tmp_path / "file" / "home"))
    with pytest.raises(HomeNotWritable, match="PERSONAAGENT_HOME") as caught:
        await Meta(database).get("key")
    assert str(tmp_path / "file" / "home") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_read_only_home_is_named(tmp_path: Path) -> None:
    await asyncio.to_thread(tmp_path.chmod, 0o500)
    with pytest.raises(HomeNotWritable, match="PERSONAAGENT_HOME"):
        await Meta(Database(sqlite_url(tmp_path))).get("key")


async def test_a_file_that_is_no_database_is_an_unavailable_ledger(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(LedgerUnavailable, match=r"ledger\.sqlite"):
        await Meta(Database(sqlite_url(tmp_path))).get("key")


async def test_a_ledger_that_another_process_keeps_locked_is_unavailable_and_then_usable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("personaagent.ledger.database.BUSY_SECONDS", 0.05)
    meta = Meta(Database(sqlite_url(tmp_path)))
    await meta.set("key", "before")
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match="locked"):
            await meta.set("key", "never")
        assert await meta.get("key") == "before"  # readers do not wait for a writer
    await meta.set("key", "after")
    assert await meta.get("key") == "after"


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:geheim@127.0.0.1:1/none",
        "postgresql://u:geheim@/none?host=/nowhere",
    ],
)
async def test_a_postgres_that_does_not_answer_is_named_without_its_password(url: str) -> None:
    with pytest.raises(LedgerUnavailable, match="DATABASE_URL") as caught:
        await Meta(Database(url)).get("key")
    assert "geheim" not in str(caught.value)


async def test_a_database_that_does_not_exist_is_an_unavailable_ledger(postgres: str) -> None:
    with pytest.raises(LedgerUnavailable, match="does not exist"):
        await Meta(Database(postgres.replace("/postgres?", "/missing?"))).get("key")


async def test_a_postgres_that_comes_back_is_used_again(postgres: str) -> None:
    database = Database(postgres)
    await Meta(database).set("key", "value")
    with pytest.raises(LedgerUnavailable):
        async with database.write() as connection:
            mine = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            other = Database(postgres)
            await other.run_read(lambda killer: killer.execute(text(f"SELECT pg_terminate_backend({mine})")).all())
            await other.close()
            await connection.execute(text("SELECT 1"))
    assert await Meta(database).get("key") == "value"
    await database.close()


def test_libpqs_sslmode_is_understood_and_other_databases_are_refused() -> None:
    assert dict(Database("postgresql://u@h/d?sslmode=require").url.query) == {"ssl": "require"}
    with pytest.raises(SetupError, match="mysql"):
        Database("mysql://u@h/d")


async def test_a_ledger_of_the_first_schema_is_upgraded_with_its_candidates(tmp_path: Path) -> None:
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from sqlalchemy import create_engine, make_url

    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    url = sqlite_url(tmp_path)
    engine = create_engine(make_url(url).set(drivername="sqlite"))
    with engine.begin() as connection:
        context = MigrationContext.configure(
            connection, opts={"fn": lambda revision, _: scripts._upgrade_revs("0001", revision)}
        )
        with Operations.context(context):
            context.run_migrations()
        row = (
            "INSERT INTO candidates (user_id, proposer, sections, reason, created_at) VALUES ('ann', 'old', :s, '', 1)"
        )
        connection.execute(text(row), {"s": '{"who": [{"text": "Likes tea.", "evidence": []}]}'})
    engine.dispose()
    database = Database(url)
    candidates = Candidates(database)
    new = Candidate(proposer="gradient", sections={}, run="ab12", epoch=2)
    await candidates.save("ann", [new])
    newest, oldest = await candidates.newest("ann", 5)
    await database.close()
    assert (newest.proposer, newest.run, newest.epoch) == ("gradient", "ab12", 2)
    assert (oldest.proposer, oldest.run, oldest.epoch) == ("old", None, None)
    assert oldest.sections[Section.WHO][0].text == "Likes tea."
