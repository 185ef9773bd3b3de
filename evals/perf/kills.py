"""Kills with SIGKILL at any moment, through both doors: nothing that was acknowledged is lost, nobody repairs anything.

``python -m evals.perf.kills --kills 200``. Six in ten hit a command (turn, label, import, align, forget, reindex, the
first start after an upgrade), three in ten ``personaagent serve`` and one in ten ``langgraph dev`` while turns, labels
and forgetting come in and alignments run in the background. After each the data is opened as any next start would open
it, and held against all that was acknowledged before. A forgetting that was cut off has happened as a whole or not at
all; an import that was is given again. Commands and ``serve`` are forks of one process that has read the packages:
their whole life is theirs. Exits non-zero with what was found. All traffic stays on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NoReturn

import httpx

from personaagent.evals.perf.kills_state import Kept, kept, old_ledger
from personaagent.evals.perf.load_endpoint import running
from personaagent.evals.perf.load_server import Server

USER = "ann"
MODEL_S = 0.05  # that a call of the model takes
ROWS = 40  # of an imported file, and of the ledger that is upgraded
CHOICES = ("tea", "coffee")
LIFE_S = 6.0  # of a served process, at most, after its first answer or its start
WARM = 0.75  # of the servers are killed after their first answer
SERVE_SHARE, DEV_SHARE = 0.3, 0.1
PATIENCE_S = 120.0
READ = (  # before the first fork, so that a life is not spent on it
    "personaagent.app.cli",
    "personaagent.app.server.http",
    "personaagent.graph.alignment",
    "personaagent.graph.feedback",
    "personaagent.evals.perf.kills_state",
)
COMMANDS = ("turn", "import", "align", "label", "forget", "reindex", "upgrade")


class Kills:
    """One run: the data folder, what was acknowledged, and what was found."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.home = folder, folder / "home"
        self.rng = random.Random(seed)
        self.state = Kept()
        self.broken: list[str] = []
        self.killed: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()  # before the kill came
        self._typical: dict[str, float] = {}  # seconds that a command takes
        self._number = 0

    def command(self, name: str, *, kill: bool = True) -> None:
        """Run a command, kill it at some moment of its life, and look at what it left."""
        home, arguments = self._prepared(name)
        began = time.monotonic()
        delay = self.rng.uniform(0.02, 1.0) * self._typical[name] if kill else None
        code, said = _child(lambda: _command(home, arguments), delay, self.folder / "commands.log")
        if code == -signal.SIGKILL:
            self.killed[name] += 1
        else:
            self.ended[name] += kill
            self._typical[name] = min(self._typical.get(name, PATIENCE_S), time.monotonic() - began)
            if code:
                self.broken.append(f"{name}: exit code {code} without a kill: {said[-300:]}")
        self._after(name, arguments, said if code == 0 else "", home)

    def served(self, name: str) -> None:
        """Send requests to a server until it is killed, and look at what it left."""
        with self._server(name) as (url, pid):
            warm = self.rng.random() < WARM  # the first answer takes as long as many later ones
            sent = self._traffic(url, name, rounds=1) if warm else 0
            killer = os.fork()
            if not killer:
                time.sleep(self.rng.uniform(0.1, LIFE_S))
                os.kill(pid, signal.SIGKILL)
                os._exit(0)
            sent += self._traffic(url, name)
            os.waitpid(killer, 0)
        self.killed[name] += 1
        self.killed[f"requests of {name} acknowledged"] += sent
        self._look(name, self.home)

    def _prepared(self, name: str) -> tuple[Path, list[str]]:
        self._number += 1
        user = ["--user", USER, "--json"]
        if name == "upgrade":
            home = self.folder / "old"
            shutil.rmtree(home, ignore_errors=True)
            shutil.copytree(self.folder / "template", home)
            return home, ["memory", "list", "--limit", "1", *user]
        if name == "import":
            file = self.folder / "rows.jsonl"
            rows = [
                {"query": f"import {self._number} row {n}: which drink?", "response": CHOICES[n % 2], "task": "drinks"}
                for n in range(ROWS)
            ]
            file.write_text("".join(json.dumps(row | {"choices": list(CHOICES)}) + "\n" for row in rows))
            self.state.importing = {row["query"] for row in rows}
            return self.home, ["import", str(file), *user]
        if name == "forget":
            chosen = self.rng.sample(sorted(self.state.ids), min(3, len(self.state.ids)))
            self.state.forgetting = set(chosen)
            return self.home, ["memory", "forget", *(x for i in chosen for x in ("-i", i)), "--yes", *user]
        if name == "label":
            turn = self.rng.choice(sorted(self.state.asked))
            self.state.labels.pop(turn, None)  # one or the other, until it is said which
            self.state.labelling = {turn: self.rng.choice(CHOICES)}
            truth = self.state.labelling[turn]
            return self.home, ["feedback", "-i", turn, "--truth", truth, "--source", "choice", *user]
        choices = [x for choice in CHOICES for x in ("--choice", choice)]
        return self.home, {
            "turn": ["chat", "--once", f"turn {self._number}: which drink?", "--task", "drinks", *choices, *user],
            "align": ["align", *user],
            "reindex": ["memory", "reindex", "--json"],
        }[name]

    def _after(self, name: str, arguments: list[str], said: str, home: Path) -> None:
        """Take note of what the command acknowledged, and hold the data against all that was."""
        result = json.loads(said) if said.strip() else None
        if name == "upgrade":
            found = _seen(home)
            if (len(found["rows"]), found["index"], found["problems"]) != (ROWS, ROWS, []):
                self.broken.append(f"upgrade: {len(found['rows'])} of {ROWS} rows, {found}")
            return
        if name == "import":
            if result is None:
                code, said = _child(lambda: _command(home, arguments), None, self.folder / "commands.log")
                if code:
                    self.broken.append(f"import given again: exit code {code}: {said[-300:]}")
            self.state.imported()
        elif result is not None:
            self._acknowledged(name, result)
        self._look(name, home)

    def _acknowledged(self, name: str, result: dict[str, Any]) -> None:
        if name == "forget":
            self.state.forgotten()
        elif name == "label":
            self.state.labels |= self.state.labelling
        elif name == "turn":
            self.state.asked[result["interaction_id"]] = f"turn {self._number}: which drink?"

    def _look(self, name: str, home: Path) -> None:
        found = _seen(home)
        self.broken += [f"after {name} number {self._number}: {one}" for one in self.state.against(found)]

    def _traffic(self, url: str, name: str, rounds: int = 10**6) -> int:
        """Turns, labels and forgetting until the server is gone; returns how many were acknowledged."""
        sent = 0
        send = _by_runs if name == "langgraph dev" else _by_api
        with httpx.Client(base_url=url, headers={"X-User-Id": USER}, timeout=30) as client:
            for _ in range(rounds):
                self._number += 1
                query = f"turn {self._number}: which drink?"
                try:
                    turn = send(client, "turn", {"text": query})
                    self.state.asked[turn] = query
                    send(client, "label", {"id": turn, "truth": CHOICES[0]})
                    self.state.labels[turn] = CHOICES[0]
                    sent += 2
                    if self._number % 4 == 0 and self.state.ids:
                        self.state.forgetting = {self.rng.choice(sorted(self.state.ids))}
                        send(client, "forget", {"ids": sorted(self.state.forgetting)})
                        self.state.forgotten()
                        sent += 1
                except httpx.TransportError:
                    return sent
                except httpx.HTTPStatusError as error:
                    self.broken.append(f"{error.request.url.path}: {error.response.text[:300]}")
                    time.sleep(0.5)
        return sent

    @contextmanager
    def _server(self, name: str) -> Iterator[tuple[str, int]]:
        if name == "langgraph dev":
            server = Server(self.folder, os.environ | {"PERSONAAGENT_HOME": str(self.home)})
            asyncio.run(server.start())
            assert server.process is not None
            try:
                yield server.url, server.process.pid
            except BaseException:  # nobody else ends it then
                server.process.kill()
                raise
            finally:
                server.process.wait()
            return
        log = self.folder / "serve.log"
        log.write_text("")
        pid = os.fork()
        if not pid:
            _quiet(log)
            _ended(lambda: _command(self.home, ["serve", "--port", "0"]))
        until = time.monotonic() + PATIENCE_S
        while "/me" not in log.read_text() and time.monotonic() < until:
            time.sleep(0.05)
        try:
            yield log.read_text().split("/me")[0].strip().splitlines()[-1], pid
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        finally:
            os.waitpid(pid, 0)


def _by_api(client: httpx.Client, what: str, given: Mapping[str, Any]) -> str:
    base = "/api/v1/me"
    path, body = {
        "turn": ("/turns", {"text": given.get("text"), "task": "drinks", "choices": CHOICES}),
        "label": (f"/memories/{given.get('id')}/feedback", {"ground_truth": given.get("truth"), "source": "choice"}),
        "forget": ("/forget", {"ids": given.get("ids")}),
    }[what]
    answer = client.post(base + path, json=body)
    answer.raise_for_status()
    return str(answer.json().get("interaction_id", ""))


def _by_runs(client: httpx.Client, what: str, given: Mapping[str, Any]) -> str:
    if what == "forget":
        return _by_api(client, what, given)
    message = {"messages": [{"role": "user", "content": given.get("text")}]}
    label = {"interaction_id": given.get("id"), "ground_truth": given.get("truth"), "source": "choice"}
    asked: dict[str, Any] = {
        "turn": {"assistant_id": "agent", "input": message, "context": {"task": "drinks", "choices": list(CHOICES)}},
        "label": {"assistant_id": "feedback", "input": label},
    }[what]
    answer = client.post("/runs/wait", json=asked)
    answer.raise_for_status()
    said = answer.json()
    return str(said["interaction_id"] if what == "turn" else said["interaction"]["id"])


def _command(home: Path, arguments: list[str]) -> int:
    """The package's console script, as a shell would start it."""
    (script,) = entry_points(group="console_scripts", name="personaagent")
    return int(script.load()(["--home", str(home), *arguments]))


def _quiet(log: Path, out: int | None = None) -> None:
    """In a child: stdout to ``out``, and all else to the log."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(file, 2)
    os.dup2(file if out is None else out, 1)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", 1)


def _child(work: Callable[[], int], kill_after: float | None, log: Path) -> tuple[int, str]:
    """Do it in a fork; returns its exit code (-9: killed) and what it wrote to stdout."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        _quiet(log, writing)
        _ended(work)
    os.close(writing)
    killer = 0
    if kill_after is not None and not (killer := os.fork()):
        os.close(reading)
        time.sleep(kill_after)
        os.kill(pid, signal.SIGKILL)
        os._exit(0)
    with os.fdopen(reading) as out:
        said = out.read()
    if killer:
        os.waitpid(killer, 0)  # before the other, whose number is nobody else's until it was waited for
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), said


def _ended(work: Callable[[], int]) -> NoReturn:
    """Do it and end this fork, whatever happens: what its parent has open is not its own."""
    code = 70
    try:
        code = work()
        sys.stdout.flush()
    except BaseException:  # said in the log, and by the exit code
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(code)


def _seen(home: Path) -> dict[str, Any]:
    """What a next start finds, in a process of its own."""

    def work() -> int:
        sys.stdout.write(json.dumps(asyncio.run(kept(home, USER))))
        return 0

    code, said = _child(work, None, home.parent / "checks.log")
    if code:
        return {"rows": [], "index": 0, "versions": [], "problems": [f"the data does not open: exit code {code}"]}
    found: dict[str, Any] = json.loads(said)
    return found


def run(kills: int, seed: int, folder: Path) -> int:
    """Kill so many times in that folder; prints the report and returns the exit code."""
    for name in READ:
        import_module(name)
    (folder / "template").mkdir(parents=True)
    old_ledger(folder / "template", USER, ROWS)
    began = time.monotonic()
    with running(MODEL_S, 0) as model_url:
        os.environ |= {"OPENAI_BASE_URL": model_url, "OPENAI_API_KEY": "none", "LANGSMITH_TRACING": "false"}
        os.environ |= {"PERSONAAGENT_ALIGN_AFTER": "6", "PERSONAAGENT_TURNS_PER_MINUTE": "100000"}
        one = Kills(folder, seed)
        for name in COMMANDS:  # how long each takes, and something to lose
            one.command(name, kill=False)
        dev, serve = round(kills * DEV_SHARE), round(kills * SERVE_SHARE)
        while sum(one.killed[name] for name in COMMANDS) < kills - dev - serve:
            one.command(COMMANDS[one._number % len(COMMANDS)])
            _told(one, began)
        for name, count in (("serve", serve), ("langgraph dev", dev)):
            for _ in range(count):
                one.served(name)
                _told(one, began)
        for name in COMMANDS:
            one.command(name, kill=False)
    print(f"{kills} kills in {time.monotonic() - began:.0f} s, seed {seed}: {dict(one.killed)}")
    print(f"ended before the kill came, not counted: {dict(one.ended)}")
    print(f"acknowledged and held: {len(one.state.asked)} turns, {len(one.state.labels)} labels, "
          f"{len(one.state.queries)} imported rows; forgotten and gone: {len(one.state.gone)}; "
          f"{len(one.state.versions)} versions of the persona")  # fmt: skip
    print(f"broken promises: {len(one.broken)}", *one.broken[:20], sep="\n")
    print(f"verdict: {'broken promises' if one.broken else 'held'}")
    return int(bool(one.broken))


def _told(one: Kills, began: float) -> None:
    done = sum(count for name, count in one.killed.items() if not name.startswith("requests"))
    if done % 10 == 0:
        print(f"  {done} kills, {time.monotonic() - began:.0f} s, {len(one.broken)} broken", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="keep data and logs in this new folder")
    given = parser.parse_args()
    if given.keep is not None:
        given.keep.mkdir(parents=True)
        sys.exit(run(given.kills, given.seed, given.keep.resolve()))
    with tempfile.TemporaryDirectory() as made:
        sys.exit(run(given.kills, given.seed, Path(made)))
