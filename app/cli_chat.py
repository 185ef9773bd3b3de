"""``chat``: talk to the user's own agent, once or for as long as wanted.

The event loop runs in a thread of its own, so that alignment goes on in the background while the user types.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from app.cli_run import Home, Json, User, open_services, run, settings_of, stderr, stdout

if TYPE_CHECKING:
    from app.chat import Conversation, Turn
    from graph.services import Services
    from personaagent.context import Context

T = TypeVar("T")
HELP = """/why          what the last answer stood on: persona, memories, tools
/wrong TEXT   what the last answer should have been
/good         the last answer was right
/new          a new conversation; memory and persona stay
/quit         leave"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("chat")(chat)


def chat(
    user: User,
    once: Annotated[str | None, typer.Option("--once", metavar="TEXT", help="Answer this and leave.")] = None,
    task: Annotated[str | None, typer.Option("--task", help="Task that the messages belong to.")] = None,
    choice: Annotated[list[str] | None, typer.Option("--choice", help="A possible answer; repeat for each.")] = None,
    instructions: Annotated[str | None, typer.Option("--instructions", help="What is asked in this task.")] = None,
    tool: Annotated[list[str] | None, typer.Option("--tool", help="Use only these tools; repeat for each.")] = None,
    recall: Annotated[int, typer.Option("--recall", min=0, max=100, help="Memories put before the model.")] = 4,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Talk to the user's own agent."""
    from personaagent.context import Context

    context = Context(
        user_id=user, task=task, choices=choice or None, instructions=instructions, tools=tool or None, recall_k=recall
    )
    if once is not None:

        async def work(services: Services) -> Turn:
            from app.chat import Conversation

            conversation = Conversation(services, context)
            turn = await conversation.say(once)
            while turn.approvals:
                for request in turn.approvals:
                    stderr().print(f"declined, nobody can be asked with --once: {_asked(request)}", style="yellow")
                turn = await conversation.decide([{"type": "ignore"}] * len(turn.approvals))
            return turn

        run(work, home=home, json_=json_, show=_show_once)
    elif json_:
        raise typer.BadParameter("give --once TEXT with --json", param_hint="--json")
    else:
        _converse(context, home)


def _show_once(turn: Turn) -> str:
    _note(turn)
    return turn.answer


def _converse(context: Context, home: Path | None) -> None:
    with _loop() as do:
        screen = _Screen()
        services, conversation = do(_open(context, home, screen))
        try:
            if screen.terminal:
                screen.out.print(f"{context.user_id}'s agent ({services.models.name('agent')}). /help for commands.")
            while (line := screen.ask()) is not None and line != "/quit":
                if line:
                    do(conversation.work())
                    _handle(line, conversation, screen, do)
                    do(conversation.work())
        finally:
            screen.settle()
            do(_close(services, conversation))


def _handle(line: str, conversation: Conversation, screen: _Screen, do: Any) -> None:
    """One line of the user; a named failure is told and the conversation goes on."""
    from personaagent.errors import PersonaAgentError

    command, _, rest = line.partition(" ")
    try:
        if command == "/help" or (command.startswith("/") and command not in {"/why", "/wrong", "/good", "/new"}):
            screen.out.print(HELP)
        elif command == "/why":
            screen.why(conversation.last)
        elif command == "/new":
            conversation.new()
            screen.out.print("A new conversation.", style="dim")
        elif command in {"/wrong", "/good"}:
            result = do(conversation.wrong(rest.strip()) if command == "/wrong" else conversation.good())
            screen.out.print("Noted" + ("; alignment follows." if result.get("due") else "."), style="dim")
            if back := result.get("rolled_back"):
                screen.out.print(f"Persona {back.version}: {back.reason}", style="magenta")
        else:
            screen.show(_answered(line, conversation, screen, do))
    except PersonaAgentError as error:
        screen.settle()
        stderr().print(str(error), style="red")
    for done in conversation.news:
        screen.out.print(f"Alignment: {done.error or done.outcome}", style="magenta")
    conversation.news.clear()


def _answered(line: str, conversation: Conversation, screen: _Screen, do: Any) -> Turn:
    turn: Turn = do(conversation.say(line))
    while turn.approvals:
        screen.settle()
        turn = do(conversation.decide([screen.approve(request) for request in turn.approvals]))
    screen.settle()
    return turn


async def _open(context: Context, home: Path | None, screen: _Screen) -> tuple[Services, Conversation]:
    from app.chat import Conversation

    services = open_services(settings_of(home))
    return services, Conversation(services, context, screen.stream)


async def _close(services: Services, conversation: Conversation) -> None:
    await conversation.rest()
    await services.close()


@contextmanager
def _loop() -> Iterator[Any]:
    """Yield ``do(coroutine)``, which runs it on an event loop in another thread and waits for its result."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="conversation", daemon=True)
    thread.start()

    def do(coroutine: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    try:
        yield do
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)


class _Screen:
    """Where the conversation is shown; without a terminal only the answers are."""

    def __init__(self) -> None:
        self.out = stdout()
        self.terminal = sys.stdin.isatty() and sys.stdout.isatty()
        self._live: Any = None

    def ask(self) -> str | None:
        """The next line, or None when there are no more."""
        try:
            return input("\n> " if self.terminal else "").strip()
        except EOFError:
            return None

    def stream(self, text: str) -> None:
        """The answer so far."""
        if not self.terminal or not text:
            return
        if self._live is None:
            from rich.live import Live

            self._live = Live(console=self.out, transient=True, refresh_per_second=12)
            self._live.start()
        self._live.update(text)

    def settle(self) -> None:
        """End the streaming view."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, turn: Turn) -> None:
        """The whole answer, and what it had to do without."""
        from personaagent.text import clean

        self.out.print(clean(turn.answer) or "(no answer)")
        _note(turn)

    def why(self, turn: Turn | None) -> None:
        """What the last answer stood on."""
        from app.render import facts_table, persona_view, recalls_table, rows_table

        if turn is None:
            self.out.print("There is no answer yet.")
            return
        if turn.persona is not None:
            self.out.print(persona_view(turn.persona))
        if turn.profile is not None and turn.profile.facts:
            self.out.print("\nKnown facts", style="bold")
            self.out.print(facts_table(turn.profile.facts))
        self.out.print(f"\nRecalled memories: {len(turn.recalled)}", style="bold")
        if turn.recalled:
            self.out.print(recalls_table(turn.recalled))
        self.out.print(f"\nTools used: {len(turn.tools)}", style="bold")
        if turn.tools:
            rows = [(t.name, dict(t.arguments), t.outcome, t.brief) for t in turn.tools]
            self.out.print(rows_table(("tool", "arguments", "outcome", "came back"), rows))

    def approve(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask the user about one call; without a terminal it is refused."""
        if not self.terminal:
            return {"type": "ignore"}
        self.out.print(f"Your agent wants to use {_asked(request)}", style="yellow")
        word = typer.prompt("allow once (y), always (a), or not (n)", default="n", err=True).strip().lower()
        return {"type": "accept", "remember": word == "a"} if word in {"y", "a"} else {"type": "ignore"}


def _asked(request: dict[str, Any]) -> str:
    action = request.get("action_request", {})
    return f"{action.get('action')} with {action.get('args')}"


def _note(turn: Turn) -> None:
    for note in turn.degraded:
        stderr().print(f"without {note}", style="yellow")
