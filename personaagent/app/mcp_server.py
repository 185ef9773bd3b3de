"""Our own MCP server, whatever it is reached by: the persona as resource and prompt, memory as tools.

Whose they are is told by the transport alone (``whose``), never by an argument: no tool has one that names a user, and
a call with an argument that a tool does not have is refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated, Any, Final, Literal
from uuid import NAMESPACE_URL, uuid5

from mcp.server.fastmcp import Context, FastMCP
from mcp.server.fastmcp.exceptions import ToolError
from mcp.server.fastmcp.prompts.base import UserMessage
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import ClientCapabilities, ContentBlock, ElicitationCapability, GetPromptResult, ToolAnnotations
from pydantic import AnyUrl, BaseModel, Field, ValidationError

from personaagent.errors import InputError, PersonaAgentError, ToolDenied
from personaagent.library.agent import PersonaAgent
from personaagent.library.user import User
from personaagent.library.values import PersonaDiff
from personaagent.persona.render import system_prompt
from personaagent.prompts import quote
from personaagent.types import Interaction

NAME: Final = "personaagent"
RESOURCE: Final = "persona://me"
MAX_FOUND: Final = 20
INSTRUCTIONS: Final = (
    "What is known of this user, and how they want to be served. Read the resource persona://me (or the prompt "
    "persona) first and answer by it. Call recall before you answer what depends on the user's past, remember when "
    "they ask you to, and feedback when they say what they really wanted: that is what the persona learns from."
)
log = logging.getLogger(__name__)
Whose = Callable[[Context[Any, Any, Any]], str]
Code = Callable[[str, str], Awaitable[str]]  # of user and id: what approves that this is forgotten
Here = Context[Any, Any, Any]


class Fact(BaseModel):
    """Something that is held to be true of the user."""

    id: str
    text: str


class Memory(BaseModel):
    """A question of the user's past; ``wanted`` is what they really wanted, where that is known."""

    id: str
    at: datetime
    question: str
    answer: str | None
    wanted: str | None


class Recalled(BaseModel):
    """What fits, best first."""

    facts: list[Fact]
    memories: list[Memory]


class FeedbackHeard(BaseModel):
    """What was understood, and whether enough is new for the persona to be aligned."""

    memory_id: str
    understood: list[str]
    alignment_due: bool


class Forgotten(BaseModel):
    """Whether it is gone; where it is not, what is to be done for it."""

    forgotten: bool
    said: str


class AlignedPersona(BaseModel):
    """What became of an alignment: the new version, None where none is better, and its lines that changed."""

    outcome: str
    version: int | None
    changed: list[str]


class Approval(BaseModel):
    """What the user is asked before anything is forgotten."""

    forget: bool = Field(description="Forget it for good")


class Server(FastMCP[Any]):
    """FastMCP that refuses arguments which a tool does not have, and tells named failures by their names."""

    def __init__(self, told: Callable[[PersonaAgentError], str]) -> None:
        # who may come in, and by which host name, is the perimeter's to say
        open_host = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        super().__init__(NAME, INSTRUCTIONS, stateless_http=True, transport_security=open_host, log_level="WARNING")
        self._mcp_server.version = version(NAME)  # else it would tell the SDK's
        self._told = told

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> Sequence[ContentBlock] | dict[str, Any]:
        """Carry out a call. Raises ToolError, which the client gets as the call's result."""
        known = {tool.name: tool.inputSchema.get("properties", {}) for tool in await self.list_tools()}
        if name in known and (extra := sorted(arguments.keys() - known[name].keys())):
            raise ToolError(f"InputError: {name} has no argument {extra[0]!r}; it has {', '.join(known[name])}")
        with self._named():
            return await super().call_tool(name, arguments)

    async def read_resource(self, uri: AnyUrl | str) -> Iterable[ReadResourceContents]:
        """Read a resource."""
        with self._named():
            return await super().read_resource(uri)

    async def get_prompt(self, name: str, arguments: dict[str, Any] | None = None) -> GetPromptResult:
        """Render a prompt."""
        with self._named():
            return await super().get_prompt(name, arguments)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise self._worded(error) from error

    def _worded(self, error: Exception) -> Exception:
        """The failure as whoever asks is told it."""
        chain: list[BaseException] = [error]
        while (before := chain[-1].__cause__ or chain[-1].__context__) is not None:
            chain.append(before)
        for found in chain:
            if isinstance(found, PersonaAgentError):
                return ToolError(f"{type(found).__name__}: {self._told(found)}")
            if isinstance(found, ValidationError):
                first = found.errors(include_url=False)[0]
                return ToolError(f"InputError: {'.'.join(map(str, first['loc']))}: {first['msg']}")
        if len(chain) == 1:
            return error  # the protocol's own: there is no such tool, resource or prompt
        log.error("unexpected in a call over MCP", exc_info=error)
        return ToolError("it failed unexpectedly; whoever runs the server finds the reason in its log")


def build_server(
    agent: PersonaAgent, whose: Whose, code: Code, told: Callable[[PersonaAgentError], str] = str
) -> Server:
    """The server over that agent. ``whose`` may raise NotSignedIn; ``told`` words failures for whoever asks."""
    server, tools = Server(told), Tools(agent, whose, code)
    reads, adds = ToolAnnotations(readOnlyHint=True), ToolAnnotations(destructiveHint=False, idempotentHint=True)
    server.add_tool(tools.recall, annotations=reads)
    server.add_tool(tools.remember, annotations=adds)
    server.add_tool(tools.feedback, annotations=adds)
    server.add_tool(tools.forget, annotations=ToolAnnotations(destructiveHint=True))
    server.add_tool(tools.align, annotations=ToolAnnotations(destructiveHint=False))

    @server.resource(RESOURCE, name="persona", mime_type="text/markdown")
    async def persona() -> str:
        """Who the user is and how they want to be answered."""
        return await tools.persona(server.get_context())

    @server.prompt(name="persona")
    async def serve_as_persona() -> list[UserMessage]:
        """Begin a conversation that serves the user as their persona says."""
        return [UserMessage(await tools.persona(server.get_context()))]

    return server


class Tools:
    """The tools, each for whoever the transport says is there."""

    def __init__(self, agent: PersonaAgent, whose: Whose, code: Code) -> None:
        self._agent = agent
        self._whose = whose
        self._code = code

    async def persona(self, here: Here) -> str:
        """Pins, persona and facts as one text; the user need not be known yet, and is not made by reading."""
        user, services = self._agent.user(self._whose(here)), self._agent.services
        wanted = await user.personalized()
        current, pins = await services.personas.current(user.id), await user.pins()
        text = system_prompt(
            current, [pin.text for pin in pins], instructions=None, choices=(), tools=(), personalize=wanted
        )
        if not wanted:
            return f"{text}\n\nThe user has switched personalization off."
        profile = (await services.semantic.profile(user.id)).text
        return f"{text}\n\n# What is known of the user\n{quote(profile or 'nothing yet', 'profile')}"

    async def recall(
        self,
        context: Here,
        query: Annotated[str, Field(description="what to look for, in the user's own words")],
        limit: Annotated[int, Field(ge=1, le=MAX_FOUND, description="how many of each kind")] = 5,
    ) -> Recalled:
        """Search what is known of the user, and their own past: what was asked, and what they really wanted."""
        user = await self._allowed(context, "recall")
        memories = await user.search(query, limit=limit)
        facts = await self._agent.services.semantic.search(user.id, query, limit)
        return Recalled(
            facts=[Fact(id=fact.id, text=fact.text) for fact in facts],
            memories=[_memory(recall.interaction) for recall in memories],
        )

    async def remember(
        self,
        context: Here,
        text: Annotated[str, Field(description="one statement about the user, in one sentence")],
    ) -> Fact:
        """Keep a fact about the user. Only when the user asks you to remember it."""
        user = await self._allowed(context, "remember")
        return Fact(id=await user.remember(text), text=text)

    async def feedback(
        self,
        context: Here,
        memory_id: Annotated[str | None, Field(description="the answer it is about, as recall names it")] = None,
        question: Annotated[str | None, Field(description="in place of memory_id: what the user asked")] = None,
        answer: Annotated[str | None, Field(description="with question: what you answered")] = None,
        ground_truth: Annotated[str | None, Field(description="what the user really wanted")] = None,
        source: Annotated[
            Literal["correction", "choice", "edit"] | None, Field(description="how that is known")
        ] = None,
        rating: Annotated[int | None, Field(ge=1, le=5, description="from 4 up the answer was right")] = None,
        thumb: Annotated[Literal["up", "down"] | None, Field(description="in place of a rating")] = None,
        comment: Annotated[str | None, Field(description="what the user says of the answer, in words")] = None,
        picked: Annotated[str | None, Field(description="the better one of two answers")] = None,
        over: Annotated[str | None, Field(description="the other one of the two")] = None,
    ) -> FeedbackHeard:
        """Say what the user thought of an answer, or really wanted. Only what the user said themselves."""
        user = await self._allowed(context)
        said: dict[str, Any] = {
            "ground_truth": ground_truth, "source": source, "rating": rating, "thumb": thumb, "comment": comment,
            "picked": picked, "over": over,
        }  # fmt: skip
        self._agent.services.limiter.admit_feedback(user.id)
        about = memory_id or await self._kept(user, question, answer)
        taken = await user.feedback(about, **{name: value for name, value in said.items() if value is not None})
        return FeedbackHeard(memory_id=about, understood=list(taken.understood), alignment_due=taken.alignment_due)

    async def forget(
        self,
        context: Here,
        id: Annotated[str, Field(description="of a fact or of a memory, as recall names it")],
        confirm: Annotated[str, Field(description="the code that this tool gave, once the user has agreed")] = "",
    ) -> Forgotten:
        """Forget a fact, or a memory and what was made of it, for good. The user is asked before anything is."""
        user = await self._allowed(context, "forget")
        fact = next((fact for fact in await user.facts() if fact.id == id), None)
        what = f"fact: {fact.text}" if fact else str(await user.preview_forget(id))
        if context.session.check_client_capability(ClientCapabilities(elicitation=ElicitationCapability())):
            asked = await context.elicit(f"Forget this for good?\n{what}", Approval)
            if asked.action != "accept" or not asked.data.forget:
                return Forgotten(forgotten=False, said="The user did not agree. Nothing was forgotten.")
        elif confirm != (code := await self._code(user.id, id)):
            said = f"Show this to the user, and only if they agree call forget again with confirm={code!r}.\n{what}"
            return Forgotten(forgotten=False, said=said)
        if fact:
            return Forgotten(forgotten=True, said=f"{await user.forget_fact(id)} records forgotten")
        return Forgotten(forgotten=True, said=str(await user.forget(id)))

    async def align(self, context: Here) -> AlignedPersona:
        """Align the persona on what the user said they really wanted, now. Takes minutes; feedback does it by itself
        once enough is new."""
        user = await self._allowed(context)
        heard: list[asyncio.Task[None]] = []

        def on_step(step: str, done: int, total: int) -> None:
            heard.append(asyncio.create_task(context.report_progress(done, total, step)))

        try:
            aligned = await user.align(on_step=on_step)
        finally:
            await asyncio.gather(*heard, return_exceptions=True)
        changed: list[str] = []
        if aligned.base is not None and aligned.committed is not None:
            changed = str(PersonaDiff(before=aligned.base, after=aligned.committed)).splitlines()[2:]
        return AlignedPersona(
            outcome=aligned.outcome,
            version=aligned.version,
            changed=[line for line in changed if line[:1] in {"+", "-"}],
        )

    async def _allowed(self, here: Here, tool: str | None = None) -> User:
        """Whoever is there; raises ToolDenied where they want no personalization, or not that tool."""
        user = self._agent.user(self._whose(here))
        if not await user.personalized():
            raise ToolDenied("you have switched personalization off: switch it on first (`personaagent chat`, or /me)")
        if tool is not None and tool not in (await self._agent.services.actions.of(user.id, None, [tool])).names:
            raise ToolDenied(f"{tool} is not granted: `personaagent tools grant {tool}` grants it")
        return user

    async def _kept(self, user: User, question: str | None, answer: str | None) -> str:
        """Keep an answer that another agent gave, once, so that feedback can be about it; returns its id."""
        if not question or not question.strip() or not answer or not answer.strip():
            raise InputError("say what the feedback is about: memory_id, or question and answer")
        key = str(uuid5(NAMESPACE_URL, f"personaagent/mcp/{len(user.id)}:{user.id}{len(question)}:{question}{answer}"))
        kept = Interaction(
            id=key, user_id=user.id, query=question, response=answer, created_at=datetime.now(UTC),
            metadata={"client": "mcp"},
        )  # fmt: skip
        await self._agent.services.episodic.append(user.id, kept)
        return key


def _memory(past: Interaction) -> Memory:
    return Memory(id=past.id, at=past.created_at, question=past.query, answer=past.response, wanted=past.ground_truth)
