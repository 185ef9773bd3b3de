"""Where a conversation is shown: a line editor, an answer that grows, questions; without a terminal only answers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from personaagent.app.cli_run import stderr, stdout
from personaagent.text import clean

if TYPE_CHECKING:
    from rich.console import Console

    from personaagent.library.turn import Event, Turn
    from personaagent.library.values import Approval

FENCE = "```"


class Screen:
    """Text comes in by ``ask``, answers go out as they are written. News waits for the prompt or stands above it."""

    def __init__(self) -> None:
        self.out = stdout()
        self.terminal = sys.stdin.isatty() and sys.stdout.isatty()
        self._prompting = False
        self._news: list[str] = []
        self._session: Any = None
        self._waiting: Any = None
        self._answer = Growing(self.out)

    def open(self, questions: Sequence[str], commands: Sequence[str]) -> None:
        """Make the line editor; ``questions`` of earlier conversations, oldest first, are its history."""
        if self.terminal:
            from prompt_toolkit import PromptSession
            from prompt_toolkit.completion import WordCompleter
            from prompt_toolkit.history import InMemoryHistory

            # of the ledger, so that what is forgotten is gone from here too
            history = InMemoryHistory([clean(question) for question in questions])
            completer = WordCompleter(list(commands), sentence=True)
            self._session = PromptSession(history=history, completer=completer, complete_while_typing=False)

    def ask(self) -> str | None:
        """The next message, or None when there are no more. Ctrl-C clears the line, Ctrl-D ends."""
        self.last_news()
        try:
            return (self._prompted() if self._session is not None else input()).strip()
        except EOFError:
            return None
        except KeyboardInterrupt:
            if self._session is None:
                raise
            self.out.print("Ctrl-D or /quit leaves.", style="dim")
            return ""

    def last_news(self) -> None:
        """Put out what came while nobody could be told."""
        for news in self._news:
            self.out.print(news, style="magenta")
        self._news.clear()

    def _prompted(self) -> str:
        from prompt_toolkit.patch_stdout import patch_stdout

        self.out.print()
        self._prompting = True
        try:
            with patch_stdout(raw=True):
                return str(self._session.prompt("> "))
        finally:
            self._prompting = False

    def news(self, text: str) -> None:
        """A sentence from the background, of whatever thread: above the prompt, or before the next one."""
        if self._prompting:
            sys.stdout.write(f"{clean(text)}\n")
        else:
            self._news.append(clean(text))

    def wait(self, what: str = "thinking") -> None:
        """Say that something goes on, until the first word of it."""
        if self.terminal and self._waiting is None:
            self._waiting = self.out.status(f"{what} … Ctrl-C stops", spinner="dots")
            self._waiting.start()

    def event(self, event: Event) -> None:
        """A part of the answer, or a tool that was used."""
        from personaagent.library.values import Token, ToolStep

        if not self.terminal:
            return
        if isinstance(event, Token):
            self.settle_waiting()
            self._answer.grow(event.so_far)
        elif isinstance(event, ToolStep):
            self.settle()
            self.wait(f"used {clean(event.name)}")

    def show(self, turn: Turn) -> None:
        """The whole answer, what was noted, and what it had to do without."""
        self.settle_waiting()
        if self.terminal and turn.answer:
            self._answer.end(turn.answer)
        else:
            self.settle()
            self.out.print(clean(turn.answer) or "(no answer)")
        note(turn)

    def settle_waiting(self) -> None:
        """End the sign that something goes on."""
        if self._waiting is not None:
            self._waiting.stop()
            self._waiting = None

    def settle(self) -> None:
        """End whatever grows; what was written of an answer stays on the screen."""
        self.settle_waiting()
        self._answer.end(None)

    def yes(self, question: str) -> bool:
        """Whether the user says yes; without a terminal nobody does."""
        if not self.terminal:
            return False
        try:
            return input(f"{clean(question)} y/n ").strip().lower() in {"y", "yes"}
        except (EOFError, KeyboardInterrupt):
            self.out.print()
            return False

    def approve(self, approval: Approval) -> dict[str, Any]:
        """Ask the user about one call; without a terminal it is refused."""
        if not self.terminal:
            return {"type": "ignore"}
        self.out.print(f"Your agent wants to use {asked(approval)}", style="yellow")
        try:
            word = input("allow once (y), always (a), or not (n)? ").strip().lower()
        except (EOFError, KeyboardInterrupt):
            word = "n"
        return {"type": "accept", "remember": word == "a"} if word in {"y", "a"} else {"type": "ignore"}


class Growing:
    """An answer while it is written: whole blocks are put out as Markdown, the one that grows is shown as it is."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._put_out = ""
        self._all = ""
        self._live: Any = None

    def grow(self, so_far: str) -> None:
        """The answer so far."""
        if not so_far.startswith(self._put_out):
            self._stop()
            self._put_out = ""
        self._all = so_far
        rest = so_far[len(self._put_out) :]
        if whole := whole_blocks(rest):
            self._stop()
            self._print(rest[:whole])
            self._put_out += rest[:whole]
            rest = rest[whole:]
        self._show(rest)

    def end(self, answer: str | None) -> None:
        """The answer is this one; None: it ends with what there is."""
        answer = self._all if answer is None else answer
        self._stop()
        rest = answer[len(self._put_out) :] if answer.startswith(self._put_out) else answer
        if rest.strip() and not self._put_out.startswith(answer):
            self._print(rest)
        self._put_out = self._all = ""

    def _print(self, text: str) -> None:
        from rich.markdown import Markdown

        self._out.print(Markdown(clean(text), hyperlinks=False))  # a link shows where it leads

    def _show(self, text: str) -> None:
        from rich.live import Live
        from rich.text import Text

        lines = clean(text).splitlines()[-max(3, self._out.height // 2) :]
        if self._live is None:
            self._live = Live(console=self._out, transient=True, refresh_per_second=12)
            self._live.start()
        self._live.update(Text("\n".join(lines)))

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def whole_blocks(text: str) -> int:
    """How much of a Markdown text is blocks that nothing can be added to: up to the last empty line outside a fence."""
    at = text.rfind("\n\n")
    while at > 0 and text.count(FENCE, 0, at) % 2:
        at = text.rfind("\n\n", 0, at)
    return at + 2 if at > 0 else 0


def asked(approval: Approval) -> str:
    """A call that waits, in words: the tool, what it is to do, and what that would do."""
    call = f"{approval.tool}: " + ", ".join(f"{name} {value}" for name, value in approval.arguments.items())
    return clean("\n".join([call, *approval.preview.splitlines()]))


def note(turn: Turn) -> None:
    """What was noted and what was missing, on stderr beside the answer."""
    for noted in turn.noted:
        stderr().print(noted, style="dim")
    for missing in turn.degraded:
        stderr().print(f"without {missing}", style="yellow")
