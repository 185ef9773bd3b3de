"""Property-based: any sequence of ask, edit, regenerate, fork, label and forget keeps memory to the branch in sight."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from langchain_core.messages import BaseMessage
from test_branches import Chat

from ledger_house import with_ledger
from personaagent.graph.services import Services
from personaagent.inputs import Feedback
from personaagent.memory.forgetting import Selection
from personaagent.memory.portability import export_user, import_user
from personaagent.ports import Where
from personaagent.settings import Settings
from scripted import HashEmbedder, ScriptedModels

PLACES = st.integers(0, 40)


class Tree(RuleBasedStateMachine):
    """The thread on the left; on the right each question with the line that led to it and its newest answer."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.home = Path(tempfile.mkdtemp(dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")))
        models = ScriptedModels(agent=self.answer, tool_calling=False)
        self.services = Services(Settings(home=with_ledger(self.home)), models=models, embedder=HashEmbedder())
        self.chat = Chat(self.services)
        self.before: dict[str, tuple[str, ...]] = {}  # of each question ever asked: the line before it
        self.ids: dict[str, str] = {}
        self.answers: dict[str, str] = {}
        self.truths: dict[str, str | None] = {}  # of those that are remembered
        self.line: tuple[str, ...] = ()
        self.said = 0

    def run(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(call)

    def answer(self, messages: list[BaseMessage], tools: list[Any]) -> str:
        self.said += 1
        return f"answer {self.said}"

    def asked(self, question: str, before: tuple[str, ...], out: dict[str, Any]) -> None:
        assert {recall.interaction.query for recall in out["recalled"]} <= set(before)
        self.before[question] = before
        self.ids[question] = out["interaction_id"]
        self.answers[question] = out["messages"][-1].text
        self.truths[question] = None
        self.line = (*before, question)

    def new(self) -> str:
        return f"What of topic {len(self.before)}?"

    def one(self, place: int) -> str:
        return list(self.before)[place % len(self.before)]

    @rule()
    def ask(self) -> None:
        at = self.run(self.chat.after(self.answers[self.line[-1]])) if self.line else None
        self.asked(self.new(), self.line, self.run(self.chat.ask(self.new(), at)))

    @precondition(lambda self: self.before)
    @rule(place=PLACES)
    def edit(self, place: int) -> None:
        old = self.one(place)
        self.asked(self.new(), self.before[old], self.run(self.chat.edit(old, self.new())))

    @precondition(lambda self: self.before)
    @rule(place=PLACES)
    def regenerate(self, place: int) -> None:
        again = self.one(place)
        truth = self.truths.get(again)
        self.asked(again, self.before[again], self.run(self.chat.regenerate(again)))
        self.truths[again] = truth  # what the user wanted in so many words outlives the answer

    @precondition(lambda self: self.before)
    @rule(place=PLACES)
    def fork(self, place: int) -> None:
        """Go on behind the newest answer to any question, of whatever branch."""
        last = self.one(place)
        at = self.run(self.chat.after(self.answers[last]))
        self.asked(self.new(), (*self.before[last], last), self.run(self.chat.ask(self.new(), at)))

    @precondition(lambda self: self.truths)
    @rule(place=PLACES)
    def label(self, place: int) -> None:
        question = list(self.truths)[place % len(self.truths)]
        label = Feedback(ground_truth=f"truth of {question}", source="correction")
        self.run(self.services.episodic.feedback("ann", self.ids[question], label))
        self.truths[question] = label.ground_truth

    @precondition(lambda self: self.truths)
    @rule(place=PLACES)
    def forget(self, place: int) -> None:
        question = list(self.truths)[place % len(self.truths)]
        report = self.run(self.services.forgetter.forget("ann", Selection(ids=(self.ids[question],))))
        assert report.interactions == (self.ids[question],)
        del self.truths[question]
        words = json.dumps(self.run(export_user(self.services.database, "ann")))
        assert question not in words and f'"{self.answers[question]}"' not in words

    @precondition(lambda self: self.truths)
    @rule()
    def carry(self) -> None:
        """Another user who imports the export has the same in sight."""
        services = self.services
        document = json.loads(json.dumps(self.run(export_user(services.database, "ann"))))
        self.run(services.forgetter.forget("bob", Selection(everything=True)))
        self.run(import_user(services.database, services.indexer, "bob", document))
        theirs = self.run(services.episodic.newest("bob", 99))
        assert {i.query for i in theirs} == {q for q in self.line if q in self.truths}

    @invariant()
    def memory_has_the_line_in_sight(self) -> None:
        kept = self.run(self.services.episodic.newest("ann", 99))
        sight = {q: (self.answers[q], self.truths[q]) for q in self.line if q in self.truths}
        assert {i.query: (i.response, i.ground_truth) for i in kept} == sight
        every = self.run(self.services.episodic.count("ann", Where(abandoned=None)))
        assert every == len(self.truths)

    def teardown(self) -> None:
        self.run(self.services.close())
        self.loop.close()
        shutil.rmtree(self.home)


SIZE = settings(max_examples=6, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck))


def test_any_sequence_of_turns_branches_labels_and_forgetting_keeps_to_what_is_in_sight() -> None:
    run_state_machine_as_test(Tree, settings=SIZE)  # type: ignore[no-untyped-call]
