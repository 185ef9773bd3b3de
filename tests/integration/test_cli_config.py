"""Settings of one's own: kept for every folder, checked, and behind a folder's ``.env`` and the environment."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from test_cli_process import COMMAND, ROOT, environment


def run(home: Path, folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = environment(home, PERSONAAGENT_CONFIG=str(home / "own.env"), PYTHONPATH=str(ROOT), **more)
    return subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_setting_holds_everywhere_until_a_folder_or_the_environment_says_otherwise(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for key, value in (("user", "ann"), ("openai_api_key", "sk-secret-1234"), ("MODEL", "big")):
        kept = run(tmp_path, folder, "config", "set", key, value)
        assert kept.returncode == 0, kept.stderr
    listed = json.loads(run(tmp_path, folder, "config", "list", "--json").stdout)
    assert listed == {"PERSONAAGENT_USER": "ann", "OPENAI_API_KEY": "…1234", "PERSONAAGENT_MODEL": "big"}
    assert "otherwise" not in run(tmp_path, folder, "config", "list").stdout
    assert "otherwise" in run(tmp_path, folder, "config", "list", PERSONAAGENT_MODEL="small").stdout
    assert (tmp_path / "own.env").stat().st_mode & 0o077 == 0
    assert json.loads(run(tmp_path, folder, "persona", "show", "--json").stdout)["persona"]["user_id"] == "ann"
    (folder / ".env").write_text("PERSONAAGENT_USER=bob\n")
    assert json.loads(run(tmp_path, folder, "persona", "show", "--json").stdout)["persona"]["user_id"] == "bob"
    said = run(tmp_path, folder, "persona", "show", "--json", PERSONAAGENT_USER="cy")
    assert json.loads(said.stdout)["persona"]["user_id"] == "cy"
    dropped = run(tmp_path, folder, "config", "unset", "user")
    assert dropped.returncode == 0, dropped.stderr
    assert "PERSONAAGENT_USER" not in json.loads(run(tmp_path, folder, "config", "list", "--json").stdout)


def test_what_cannot_be_read_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    for key, value in (("align_after", "soon"), ("no_such_setting", "1"), ("user", "\n")):
        refused = run(tmp_path, tmp_path, "config", "set", key, value)
        assert refused.returncode == 1, refused.stdout
        assert "Traceback" not in refused.stderr
    assert not (tmp_path / "own.env").exists()
    assert run(tmp_path, tmp_path, "config", "unset", "model").returncode == 1


def test_reading_makes_nobody_a_user(tmp_path: Path) -> None:
    shown = run(tmp_path, tmp_path, "persona", "show", "--user", "typo")
    assert "nothing is kept of typo yet" in shown.stderr
    assert json.loads(run(tmp_path, tmp_path, "persona", "history", "--user", "typo", "--json").stdout) == []
    for command in ("why", "diff"):
        assert run(tmp_path, tmp_path, "persona", command, "--user", "typo").returncode == 0
    assert json.loads(run(tmp_path, tmp_path, "persona", "history", "--user", "typo", "--json").stdout) == []
