"""What a deployer is given, checked as text: the image's Dockerfile, compose.yaml, .env.example, the settings table."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml
from langgraph_cli.schemas import CheckpointerConfig, SerdeConfig, ThreadTTLConfig
from pydantic import TypeAdapter
from typing_extensions import is_typeddict

from personaagent.settings import Settings
from personaagent.state import (
    STATE_TYPES,
    AgentInput,
    AgentOutput,
    AgentState,
    AlignmentOutput,
    AlignmentState,
    FeedbackOutput,
    FeedbackState,
)

ROOT = Path(__file__).resolve().parents[2]
LANGGRAPH = str(Path(sys.executable).with_name("langgraph"))
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = (ROOT / ".env.example").read_text()
THIRD_PARTY = {  # documented by LangGraph server, LangSmith, Postgres, Redis and Qdrant
    "DATABASE_URI", "REDIS_URI", "LANGGRAPH_CLOUD_LICENSE_KEY", "LANGSMITH_API_KEY", "LANGSMITH_TRACING",
    "LANGSMITH_PROJECT", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB", "REDISCLI_AUTH", "REDIS_PASSWORD",
}  # fmt: skip


def variable_of(name: str) -> str:
    alias = Settings.model_fields[name].validation_alias
    if alias is None:
        return f"PERSONAAGENT_{name.upper()}"
    return alias if isinstance(alias, str) else str(alias.choices[0])  # type: ignore[union-attr]


OURS = {variable_of(name) for name in Settings.model_fields}


@pytest.fixture(scope="module")
def dockerfile(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("image") / "Dockerfile"
    command = [LANGGRAPH, "dockerfile", "--config", str(ROOT / "langgraph.json"), str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return path.read_text()


def test_langgraph_finds_nothing_to_complain_about() -> None:
    command = [LANGGRAPH, "validate", "--config", str(ROOT / "langgraph.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    # LangGraph's own templates name the schema for editors; its command, as locked, does not know the key yet
    assert "unknown" not in said.replace("Unknown key '$schema' is not a recognized config field.", "").lower(), said


def test_the_image_is_pinned_holds_the_project_and_installs_it(dockerfile: str) -> None:
    assert re.search(r"^FROM langchain/langgraph-api:\d+\.\d+-py3\.12$", dockerfile, re.M)
    assert re.search(r"^ADD \. /deps/\S+$", dockerfile, re.M)
    assert "uv pip install --system" in dockerfile and "-c /api/constraints.txt -e ." in dockerfile
    assert "libgomp1" in dockerfile  # xllamacpp is linked against it and slim images are without


def test_the_image_installs_what_is_locked_but_for_what_its_server_pins(dockerfile: str, tmp_path: Path) -> None:
    assert "ADD requirements.lock pyproject.toml /lock/" in dockerfile
    (line,) = re.findall(r"^RUN (cd /lock .*)$", dockerfile, re.M)
    for name in ("requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "constraints.txt").write_text("langgraph>=1\n# a note\nStarlette==1.0\n")
    here = line.replace("/lock", str(tmp_path)).replace("/api/", f"{tmp_path}/").replace("uv pip", "echo uv pip")
    said = subprocess.run(["bash", "-ec", here], capture_output=True, text=True, check=True).stdout
    assert said.endswith("-c locked.txt --all-extras -r pyproject.toml\n")
    locked = (tmp_path / "locked.txt").read_text().splitlines()
    names = {entry.partition("==")[0] for entry in locked}
    assert {"langgraph", "starlette"}.isdisjoint(names) and {"langgraph-sdk", "uvicorn", "asyncpg"} <= names
    pinned = set(re.findall(r"^([a-z0-9][\w.-]*==\S+)", (ROOT / "requirements.lock").read_text(), re.M))
    assert {entry.split()[0] for entry in locked} == {
        entry for entry in pinned if not entry.startswith(("langgraph==", "starlette=="))
    }


def test_what_the_image_is_told_of_graphs_and_identity_survives_the_shells_quoting(dockerfile: str) -> None:
    told = {}
    for line in dockerfile.splitlines():
        if line.startswith("ENV "):
            (assignment,) = shlex.split(line.removeprefix("ENV "))  # an apostrophe in a description would split it
            name, value = assignment.split("=", 1)
            told[name] = json.loads(value)
    config = json.loads((ROOT / "langgraph.json").read_text())
    assert told["LANGSERVE_GRAPHS"] == config["graphs"]
    assert told["LANGGRAPH_AUTH"]["path"] == config["auth"]["path"]
    assert told["LANGGRAPH_HTTP"]["disable_mcp"] is True


def made_of(declared: Any, found: set[type]) -> set[type]:
    """The classes of ours that a value of a declared type may have in it."""
    for part in get_args(declared):
        made_of(part, found)
    if isinstance(declared, type) and declared.__module__.startswith("personaagent.") and declared not in found:
        if not is_typeddict(declared):
            found.add(declared)
        if not issubclass(declared, Enum):
            for part in get_type_hints(declared).values():
                made_of(part, found)
    return found


def test_what_the_states_are_made_of_may_come_back_out_of_a_checkpoint() -> None:
    needed: set[type] = set()
    for schema in (AgentInput, AgentState, AgentOutput, FeedbackState, FeedbackOutput, AlignmentState, AlignmentOutput):
        made_of(schema, needed)
    assert needed == set(STATE_TYPES)
    named = json.loads((ROOT / "langgraph.json").read_text())["checkpointer"]["serde"]["allowed_msgpack_modules"]
    assert named == [[one.__module__, one.__name__] for one in STATE_TYPES]
    assert {"serde"} <= get_type_hints(CheckpointerConfig).keys()
    assert {"allowed_msgpack_modules"} <= get_type_hints(SerdeConfig).keys()


def test_conversations_end_after_thirty_days_in_the_form_that_langgraph_reads(dockerfile: str) -> None:
    config = json.loads((ROOT / "langgraph.json").read_text())
    ttl = config["checkpointer"]["ttl"]
    hints = get_type_hints(ThreadTTLConfig)
    adapters = {name: TypeAdapter(hints[name]) for name in ttl}  # a name that LangGraph does not know fails
    assert {name: adapter.validate_python(ttl[name], strict=True) for name, adapter in adapters.items()} == ttl
    assert (ttl["strategy"], ttl["default_ttl"]) == ("delete", 30 * 24 * 60)  # minutes
    (line,) = [line for line in dockerfile.splitlines() if line.startswith("ENV LANGGRAPH_CHECKPOINTER=")]
    assert json.loads(shlex.split(line.removeprefix("ENV "))[0].partition("=")[2]) == config["checkpointer"]
    assert "store" not in config  # what a client keeps there is its own to delete
    for page in ("deployment.md", "operations.md"):
        assert "`checkpointer.ttl`" in (ROOT / "docs" / page).read_text()
    assert "43,200 minutes" in (ROOT / "docs/deployment.md").read_text()


def test_no_secret_reaches_the_image(dockerfile: str) -> None:
    assert not re.search(r"(?i)(api_key|password|secret|token)\s*=", dockerfile)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".env", ".git", ".venv", ".langgraph_api"} <= set(ignored)


def test_the_wheel_holds_everything_that_is_read_at_run_time(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    source = tmp_path / "source"  # a build in the repository would leave its folders there
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in listed:
        if name.startswith(("docs/", "tests/")) or not (ROOT / name).exists():
            continue
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name, follow_symlinks=False)
    done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    held = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    data = [n for n in listed if Path(n).suffix in {".md", ".html", ".css", ".js", ".jsonl"} and "/" in n]
    rooms = ("graph/", "nodes/", "tools/")
    wanted = {n for n in data if n.startswith("personaagent/")} | {
        f"personaagent/{n}" for n in data if n.startswith(rooms)
    }
    assert {n.partition("/")[0] for n in held if ".dist-info/" not in n} == {"personaagent"}
    assert wanted and wanted <= held, wanted - held
    assert "personaagent/py.typed" in held
    assert any(n.startswith("personaagent/ledger/migrations/versions/0001") for n in held)
    assert any(n.startswith("personaagent/models/minilm/") and "NOTICE" in n for n in held)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_pinned_healthy_limited_and_on_loopback(name: str) -> None:
    service = SERVICES[name]
    tag = service["image"].rpartition(":")[2]
    assert re.search(r"\d+\.\d+", tag), tag
    assert service["healthcheck"]["test"]
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")
    for needed, how in service.get("depends_on", {}).items():
        assert needed in SERVICES and how == {"condition": "service_healthy"}
    for volume in service.get("volumes", []):
        assert volume.partition(":")[0] in COMPOSE["volumes"]


def test_compose_names_settings_and_documented_variables_only() -> None:
    for service in SERVICES.values():
        names = {n for n in service.get("environment", {}) if not n.startswith("QDRANT__")}
        assert names <= OURS | THIRD_PARTY, names - OURS - THIRD_PARTY
    asked = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text()))
    assert asked <= OURS | THIRD_PARTY
    offered = set(re.findall(r"^(?:# )?([A-Z_]+)=", EXAMPLE, re.M))
    assert asked <= offered, asked - offered


def test_no_password_has_a_default() -> None:
    for name, kind in re.findall(r"\$\{(\w+)(:?[-?]?)", (ROOT / "compose.yaml").read_text()):
        if re.search("PASSWORD|SECRET|SALT|TOKEN|QDRANT_API_KEY|OPENAI_API_KEY", name):
            assert kind == ":?", f"{name} may be left unset"
    assert SERVICES["qdrant"]["environment"]["QDRANT__STORAGE__COLLECTION__STRICT_MODE__ENABLED"] == "true"


def test_the_example_names_nothing_that_does_not_exist() -> None:
    offered = set(re.findall(r"^(?:# )?([A-Z_]+)=", EXAMPLE, re.M))
    assert offered <= OURS | THIRD_PARTY, offered - OURS - THIRD_PARTY
    needed = {"DATABASE_URL", "QDRANT_URL", "PERSONAAGENT_AUTH", "PERSONAAGENT_SESSION_SECRET", "PERSONAAGENT_HOME"}
    assert needed <= offered


def test_the_settings_table_shows_each_settings_variable_and_default() -> None:
    rows = {}
    for line in (ROOT / "docs/settings.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.match(r"\| `\w+`", line):
            rows[cells[0].strip("`")] = (cells[1].strip("`"), cells[2].strip("`"))
    assert rows.keys() == Settings.model_fields.keys()
    for name, field in Settings.model_fields.items():
        if name == "home":
            continue  # the platform's
        default = field.default
        shown = "unset" if default is None else json.dumps(default) if isinstance(default, tuple) else str(default)
        assert rows[name] == (variable_of(name), shown)


def test_an_empty_variable_counts_as_unset_since_compose_passes_what_is_unset_as_empty(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("PERSONAAGENT_SEARXNG_URL=\nPERSONAAGENT_MAX_STEPS=\n")
    for name in OURS:
        monkeypatch.setenv(name, "")
    settings = Settings()
    assert settings.model_dump(exclude={"home"}) == Settings.model_construct().model_dump(exclude={"home"})
    assert settings.home.is_absolute()
