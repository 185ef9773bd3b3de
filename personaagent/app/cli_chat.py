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

from personaagent.app.cli_run import Home, Json, User, open_services, plain, run, settings_of, stderr, stdout

if TYPE_CHECKING:
    from personaagent.app.chat import Conversation
    from personaagent.app.chat_screen import Screen
    from personaagent.context import Context
    from personaagent.graph.services import Services
    from personaagent.library.turn import Turn

T = TypeVar("T")
HISTORY = 100  # newest questions that arrow up goes through


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("chat")(chat)


def chat(
    user: User,
    text: Annotated[str | None, typer.Argument(help="Answer this and leave; - reads it from stdin.")] = None,
    once: Annotated[str | None, typer.Option("--once", metavar="TEXT", help="The same as TEXT.")] = None,
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
    question = once if text is None else text
    if question is not None:
        _once(sys.stdin.read().rstrip() if question == "-" else question, context, json_=json_, home=home)
    elif json_:
        raise typer.BadParameter("give a TEXT with --json", param_hint="--json")
    else:
        _converse(context, home)


def _once(question: str, context: Context, *, json_: bool, home: Path | None) -> None:
    async def work(services: Services) -> Turn:
        from personaagent.app.chat import Conversation
        from personaagent.app.chat_screen import asked

        if not json_:
            await _tell_small(services)
        conversation = Conversation(services, context)
        turn = await conversation.say(question)
        while turn.approvals:
            for approval in turn.approvals:
                stderr().print(f"declined, nobody can be asked: {asked(approval)}", style="yellow")
            turn = await conversation.decide([{"type": "ignore"}] * len(turn.approvals))
        return turn

    def show(turn: Turn) -> None:
        from personaagent.app.chat_screen import note

        stdout().print(turn.answer)
        note(turn)
        if sys.stdout.isatty() and turn.id:
            stderr().print(f"say what you think of it: personaagent feedback -i {turn.id}", style="dim")

    async def document(services: Services) -> dict[str, Any]:
        turn = await work(services)
        return {**plain(turn), "interaction_id": turn.id, "persona_version": turn.persona_version}

    if json_:
        run(document, home=home, json_=True, show=lambda _: None)
    else:
        run(work, home=home, json_=False, show=show)


async def _tell_small(services: Services) -> None:
    """Say beside the answer what the embedded model is, where it is the one that answers."""
    from personaagent.app.small_model import notice

    if told := await notice(services.models):
        stderr().print(told, style="yellow")


def _converse(context: Context, home: Path | None) -> None:
    from personaagent.app.chat_commands import Commands
    from personaagent.app.chat_screen import Screen

    screen = Screen()
    with _loop() as do:
        services, conversation = do(_open(context, home, screen))
        try:
            commands = Commands(conversation, screen, do)
            past = do(services.episodic.newest(context.user_id, HISTORY)) if screen.terminal else []
            screen.open([interaction.query for interaction in past], commands.names)
            do(_tell_small(services))
            if screen.terminal:
                screen.out.print(f"{context.user_id}'s agent ({services.models.name('agent')}). /help for commands.")
            while (line := screen.ask()) is not None and line != "/quit":
                if line:
                    _handle(line, conversation, commands, screen, do)
        finally:
            screen.settle()
            do(_closed(conversation, screen))


def _handle(line: str, conversation: Conversation, commands: Any, screen: Screen, do: Any) -> None:
    """One line of the user; a named failure, or Ctrl-C, is told and the conversation goes on."""
    from personaagent.app.chat_commands import is_command
    from personaagent.errors import PersonaAgentError

    try:
        if is_command(line):
            commands(line)
        else:
            _answer(line, conversation, screen, do)
    except PersonaAgentError as error:
        screen.settle()
        stderr().print(str(error), style="red")
    except KeyboardInterrupt:
        if not screen.terminal:
            raise
        screen.settle()
        screen.out.print("Stopped.", style="dim")


def _answer(line: str, conversation: Conversation, screen: Screen, do: Any) -> None:
    """Answer a message; Ctrl-C stops the answer and keeps what there is of it."""
    try:
        screen.wait()
        turn: Turn = do(conversation.say(line))
        while turn.approvals:
            screen.settle()
            decisions = [screen.approve(approval) for approval in turn.approvals]
            screen.wait()
            turn = do(conversation.decide(decisions))
    except KeyboardInterrupt:
        if not screen.terminal:
            raise
        screen.settle()
        written = do(conversation.stopped())
        screen.out.print("Stopped; what there is of the answer is kept." if written else "Stopped.", style="dim")
        return
    finally:
        screen.settle_waiting()
    screen.show(turn)


async def _open(context: Context, home: Path | None, screen: Screen) -> tuple[Services, Conversation]:
    from personaagent.app.chat import Conversation

    services = open_services(settings_of(home))
    conversation = Conversation(services, context, screen.event, screen.news)
    conversation.work()
    return services, conversation


async def _closed(conversation: Conversation, screen: Screen) -> None:
    screen.wait("reading what you said")
    try:
        await conversation.close()
    finally:
        screen.settle_waiting()
    screen.last_news()


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
