"""The restore drill of docs/deployment.md: the ledger's dump is the whole backup, the index comes out of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_house import Cli, history_file
from personaagent.settings import Settings
from postgres_house import binary, postgres, run  # noqa: F401  (a fixture among them)

ROWS = [("Which wine goes with fish?", "a dry Riesling"), ("How do I prune roses?", "after the last frost")]


@pytest.fixture
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The Postgres, with a database of this drill alone in the settings; yields its socket's folder."""
    url: str = request.getfixturevalue("postgres")
    folder = url.partition("host=")[2]
    run(_client("createdb", folder, "drill"))
    monkeypatch.setenv("DATABASE_URL", url.replace("/postgres?", "/drill?"))
    yield folder
    run(_client("dropdb", folder, "--force", "drill"))


def _client(name: str, folder: str, *arguments: str) -> list[str]:
    found = binary(name)
    if found is None:
        pytest.skip(f"{name} is not installed here")
    return [str(found), "-h", folder, "-U", "tester", *arguments]


def test_a_dropped_ledger_and_a_lost_index_come_back_from_the_dump(server: str, cli: Cli, tmp_path: Path) -> None:
    for user, rows in (("ann", ROWS), ("bob", [("Which wine goes with cheese?", "bob's port")])):
        done = cli("import", str(history_file(tmp_path, rows)), "--user", user)
        assert done.code == 0, done.err
    before = cli("memory", "search", "wine with fish", "--user", "ann", "--json").json
    assert before[0]["interaction"]["query"] == ROWS[0][0]

    dump = str(tmp_path / "ledger.dump")
    run(_client("pg_dump", server, "-Fc", "-f", dump, "drill"))
    forgotten = cli("memory", "list", "--user", "ann", "--json").json["interactions"][1]["id"]
    assert cli("memory", "forget", "--user", "ann", "--interaction", forgotten, "--yes").code == 0
    run(_client("dropdb", server, "drill"))
    shutil.rmtree(Settings().home / "index")
    run(_client("createdb", server, "drill"))
    run(_client("pg_restore", server, "--exit-on-error", "-d", "drill", dump))

    done = cli("memory", "reindex", "--json")
    assert done.code == 0, done.err
    assert cli("memory", "search", "wine with fish", "--user", "ann", "--json").json == before
    assert cli("memory", "list", "--user", "ann", "--json").json["count"] == 2  # what was forgotten since is back
    assert "bob's port" not in cli("memory", "search", "wine", "--user", "ann", "--json").out
    assert cli("memory", "search", "wine", "--user", "bob", "--json").json[0]["interaction"]["user_id"] == "bob"
