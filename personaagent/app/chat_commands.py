"""What stands behind a slash in a conversation: feedback, memory, the persona, taking back."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from personaagent.text import clean, one_line
from personaagent.types import clauses_of

if TYPE_CHECKING:
    from personaagent.app.chat import Conversation
    from personaagent.app.chat_screen import Screen
    from personaagent.library.turn import Turn
    from personaagent.types import Fact

HELP = """/good [TEXT]    the last answer was right; TEXT says why
/bad [TEXT]     it was not
/wrong TEXT     what it should have been
/edit [TEXT]    the answer as you would have it; without TEXT your editor opens
/comment TEXT   what you have to say of it
/remember TEXT  keep this about you
/facts          what is known about you
/forget N       forget the fact of that number; /forget last: the last question and its answer
/persona        how your agent serves you
/why            what the last answer stood on
/undo           take back what was learnt last
/id             the id of the last answer, for `personaagent feedback`
/new            a new conversation; memory and persona stay
/quit           leave (also Ctrl-D); Ctrl-C stops an answer"""
_COMMAND = re.compile(r"/[a-z]*(\s|$)")
THUMBS = {"/good": "up", "/bad": "down"}
FEEDBACK = (*THUMBS, "/wrong", "/edit", "/comment")
SHOWN_CHARS = 100


def is_command(line: str) -> bool:
    """Whether a line is meant for the chat itself; a path that it begins with is something to talk of."""
    return _COMMAND.match(line) is not None


class Commands:
    """Carries out one line that begins with a slash; ``do`` runs a coroutine of the conversation and waits for it."""

    def __init__(self, conversation: Conversation, screen: Screen, do: Callable[..., Any]) -> None:
        self._conversation = conversation
        self._screen = screen
        self._do = do
        self._facts: dict[str, Fact] = {}  # by the number under which they were listed last
        self._known: dict[str, Callable[[str], None]] = {
            **dict.fromkeys(FEEDBACK, lambda _: None),
            "/remember": self._remember,
            "/facts": self._list_facts,
            "/forget": self._forget,
            "/persona": self._persona,
            "/why": self._why,
            "/undo": self._undo,
            "/id": self._id,
            "/new": self._new,
        }

    @property
    def names(self) -> list[str]:
        """What can be said."""
        return [*self._known, "/help", "/quit"]

    def __call__(self, line: str) -> None:
        """Carry out a line; an unknown command is answered with what there is."""
        command, _, rest = line.partition(" ")
        if command in FEEDBACK:
            self._feedback(command, rest.strip())
        elif command in self._known:
            self._known[command](rest.strip())
        else:
            self._say(HELP if command == "/help" else f"There is no {command}; this is what there is:\n{HELP}")

    def _say(self, text: str, style: str = "") -> None:
        self._screen.out.print(clean(text), style=style)

    def _feedback(self, command: str, text: str) -> None:
        said = self._said(command, text)
        taken = self._do(self._conversation.tell(said))
        for line in taken.understood:
            self._say(line, "dim")
        if taken.rolled_back is not None:
            self._say(f"Persona {taken.rolled_back.version}: {taken.rolled_back.reason}", "magenta")
        if taken.alignment_due:
            self._say("That is enough to look for a better persona; you hear of it here.", "dim")
        elif missing := self._do(self._conversation.labels_missing()):
            self._say(f"{missing} more until your persona may change.", "dim")
        if said.get("source") == "correction":
            self._offer_rule(lambda: self._conversation.rule(text))
        elif said.get("source") == "edit":
            self._offer_rule(self._conversation.edited_rule)

    def _said(self, command: str, text: str) -> dict[str, Any]:
        """What a command says of the last answer, in the fields of ``FeedbackInput``."""
        if command in THUMBS:
            return {"thumb": THUMBS[command], "comment": text or None}
        if command == "/comment":
            return {"comment": text}
        last = self._conversation.last
        if command == "/edit" and not text and self._screen.terminal and last is not None:
            from personaagent.app.cli_persona import in_editor

            text = in_editor(last.answer)
        return {"ground_truth": text, "source": "edit" if command == "/edit" else "correction"}

    def _offer_rule(self, found: Callable[[], Any]) -> None:
        """A correction, or edits that are alike, may stand for a rule: the user's yes makes it one at once."""
        if not self._screen.terminal:
            return
        self._screen.wait("looking for the rule in it")
        try:
            rule = self._do(found())
        finally:
            self._screen.settle_waiting()
        if rule and self._screen.yes(f"Shall this hold from now on: “{rule}”?"):
            self._do(self._conversation.keep_rule(rule))
            self._say("It holds from now on. (/undo)", "dim")

    def _remember(self, text: str) -> None:
        self._do(self._conversation.remember(text))
        self._say("Remembered. (/undo)", "dim")

    def _list_facts(self, _: str) -> None:
        self._facts = {str(n): fact for n, fact in enumerate(self._do(self._conversation.user.facts()), start=1)}
        for number, fact in self._facts.items():
            self._say(f"{number}. {fact.text}")
        self._say("/forget N forgets one of them." if self._facts else "Nothing is known about you yet.", "dim")

    def _forget(self, which: str) -> None:
        user = self._conversation.user
        if which == "last" and self._conversation.last_id:
            self._do(user.forget(self._conversation.last_id))
            self._conversation.new()
            self._say("Forgotten, with what stood on it; a new conversation begins.", "dim")
        elif which in self._facts:
            fact = self._facts.pop(which)  # the others keep their numbers
            self._do(user.forget_fact(fact.id))
            self._say(f"Forgotten: {fact.text}", "dim")
        else:
            self._say("Say /facts, then /forget and a number; or /forget last for the last question and its answer.")

    def _persona(self, _: str) -> None:
        view = self._do(self._conversation.user.persona())
        for pin in view.pins:
            self._say(f"- {pin.text} (your own rule)")
        clauses = clauses_of(view.persona.sections)
        for clause in clauses:
            if clause.kind != "template":
                self._say(f"- {clause.text}")
        start = sum(clause.kind == "template" for clause in clauses)
        self._say(f"version {view.persona.version}; {start} rules that every persona begins with", "dim")
        if not view.personalized:
            self._say("Personalization is switched off.", "yellow")

    def _why(self, _: str) -> None:
        turn = self._conversation.last
        if turn is None:
            self._say("There is no answer yet.")
            return
        for line in why_lines(turn):
            self._say(line)

    def _undo(self, _: str) -> None:
        what = self._do(self._conversation.undo())
        self._say(f"Taken back: {what}" if what else "There is nothing to take back in this conversation.", "dim")

    def _id(self, _: str) -> None:
        self._say(self._conversation.last_id or "There is no answer yet.")

    def _new(self, _: str) -> None:
        self._conversation.new()
        self._say("A new conversation.", "dim")


def why_lines(turn: Turn) -> list[str]:
    """What an answer stood on, a line each: rules, facts, memories, tools."""
    own = clauses_of(turn.persona.sections) if turn.persona else []
    lines = [f"persona {turn.persona_version}" if turn.persona is not None else "without a persona"]
    lines += [f"  your rule: {pin}" for pin in turn.pins]
    lines += [f"  {clause.text}" for clause in own if clause.kind != "template"]
    lines += [f"fact: {fact.text}" for fact in (turn.profile.facts if turn.profile else ())]
    for recall in turn.recalled:
        past = recall.interaction
        truth = f" → {one_line(past.ground_truth, SHOWN_CHARS)}" if past.ground_truth else ""
        lines.append(f"memory: {past.created_at:%Y-%m-%d} {one_line(past.query, SHOWN_CHARS)}{truth}")
    lines += [f"tool: {tool.name}: {tool.outcome}, {one_line(tool.brief, SHOWN_CHARS)}" for tool in turn.tools]
    return lines
