"""The registry: makes a user's action space and carries out calls, the second gate after binding.

Nothing that a tool or a model does wrong is raised from here: the model gets text it can act on, and the trace says
how the call ended.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from personaagent.errors import PersonaAgentError, UnknownTool
from personaagent.prompts import quote
from personaagent.tools.addresses import addresses_in
from personaagent.tools.approval import needs_approval
from personaagent.tools.space import ActionSpace, action_space
from personaagent.tools.spec import Grants, ToolCall, ToolFault, ToolSource, ToolSpec
from personaagent.types import Persona, Section, ToolOutcome, ToolTrace

BRIEF_CHARS = 300
MEMORY_SCOPES = ("memory:read", "memory:write")
RETRY_PAUSE_S = 0.2
KEPT_SPACES = 256  # action spaces that are at hand, with their bindings
_log = logging.getLogger(__name__)
Result = tuple[str, ToolTrace]


class ActionSpaces:
    """All tools of the deployment and of its users, who may use which, and the carrying out of calls."""

    def __init__(
        self,
        specs: Iterable[ToolSpec],
        grants: Grants,
        *,
        deployment: frozenset[str] | None = None,
        sources: Sequence[ToolSource] = (),
        max_result_chars: int = 4_000,
        retry_pause_s: float = RETRY_PAUSE_S,
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._grants = grants
        self._deployment = deployment
        self._sources = sources
        self._max_result_chars = max_result_chars
        self._retry_pause_s = retry_pause_s
        self._made: dict[Any, tuple[list[ToolSpec], ActionSpace]] = {}

    async def all(self, user_id: str) -> list[ToolSpec]:
        """Every tool there is for this user, granted or not; a tool of the deployment wins over a namesake."""
        found = dict(self._specs)
        for specs in await asyncio.gather(*(source.specs(user_id) for source in self._sources)):
            for spec in specs:
                found.setdefault(spec.name, spec)
        return list(found.values())

    async def spec(self, user_id: str, name: str) -> ToolSpec:
        """The tool of that name; raises UnknownTool."""
        specs = {spec.name: spec for spec in await self.all(user_id)}
        if name not in specs:
            raise UnknownTool(f"there is no tool {name!r}; there are: {', '.join(sorted(specs))}")
        return specs[name]

    async def of(
        self,
        user_id: str,
        persona: Persona | None = None,
        asked: Sequence[str] | None = None,
        *,
        personal: bool = True,
        recent: bool = False,
    ) -> ActionSpace:
        """This user's action space in a run that asks for these tools (None: for all), ordered by the persona.

        Without ``personal`` no tool of it reads or writes what is known of the user. To offer tools, grants that were
        ``recent`` do; what carries a call out asks anew.
        """
        guidance = [clause.text for clause in persona.sections.get(Section.TOOLING, ())] if persona else []
        specs, granted = await self.all(user_id), await self._grants.of(user_id, recent=recent)
        # by identity: a spec may hold a schema that cannot be hashed. Each entry holds on to its specs
        told = granted.allowed, granted.denied, personal, None if asked is None else tuple(asked), tuple(guidance)
        key = tuple(map(id, specs)), told
        if key not in self._made:
            space = action_space(
                specs,
                deployment=self._deployment,
                allowed=granted.allowed,
                denied={*granted.denied, *(() if personal else MEMORY_SCOPES)},
                asked=asked,
                guidance=guidance,
            )
            if len(self._made) >= KEPT_SPACES:
                self._made.clear()
            self._made[key] = specs, space
        return self._made[key][1]

    async def needs_approval(
        self, space: ActionSpace, user_id: str, call: Mapping[str, Any], known: Collection[str] = ()
    ) -> bool:
        """Whether the user must be asked before this call; False for a call that is refused anyhow."""
        spec, raw = space.get(str(call.get("name"))), call.get("args")
        if spec is None:
            return False
        return needs_approval(
            spec, raw if isinstance(raw, Mapping) else {}, (await self._grants.of(user_id)).approved, known
        )

    async def preview(self, space: ActionSpace, user_id: str, call: Mapping[str, Any]) -> str | Result:
        """What the tool says that this call would do, "" where it says nothing; its result where that has failed."""
        spec, raw = space.get(str(call.get("name"))), call.get("args", {})
        if spec is None or spec.preview is None:
            return ""
        try:
            return await spec.preview(ToolCall(user_id=user_id, arguments=spec.check(raw)))
        except (ToolFault, PersonaAgentError) as fault:
            return _told(spec.name, raw, "error", f"{spec.name} failed: {fault}")

    async def execute(
        self,
        space: ActionSpace,
        user_id: str,
        call: Mapping[str, Any],
        *,
        before: datetime | None = None,
        thread_id: str | None = None,
        left: frozenset[str] = frozenset(),
        simulate: bool = False,
        recorded: tuple[ToolTrace, ...] = (),
        approved: bool = False,
        known: Collection[str] = (),
    ) -> Result:
        """Carry out ``{"name", "args"}`` for this user and return the text for the model and the trace.

        What came back is quoted as data and cut at ``max_result_chars``. ``approved`` says that the user agreed to
        this very call; without it a tool with side effects runs only where the user approved it for good, and none
        reaches an address that is not ``known``. With ``simulate`` neither is done: such a call answers what is
        ``recorded`` for the same call, or that it is frozen.
        """
        name, raw = str(call.get("name")), call.get("args", {})
        spec = space.get(name)
        if spec is None:
            return await self._refused(space, user_id, name, raw)
        try:
            arguments = spec.check(raw)
        except ToolFault as fault:
            return _told(name, raw, "error", str(fault))
        if simulate and (spec.side_effects or (spec.outward and addresses_in(arguments))):
            return _frozen(spec, arguments, recorded)
        if not approved and needs_approval(spec, arguments, (await self._grants.of(user_id)).approved, known):
            return _told(
                name, arguments, "refused", f"{name} needs the user's approval, which was not given. Ask the user."
            )
        made = ToolCall(user_id=user_id, arguments=arguments, before=before, thread_id=thread_id, left=left)
        return await self._run(spec, made)

    async def _run(self, spec: ToolSpec, call: ToolCall) -> Result:
        arguments = dict(call.arguments)
        try:
            async with asyncio.timeout(spec.timeout_s):
                text = await self._tries(spec, call)
        except TimeoutError:
            note = f"{spec.name} did not answer within {spec.timeout_s:g} s. Go on without it, or ask for less."
            return _told(spec.name, arguments, "timeout", note)
        except (ToolFault, PersonaAgentError) as fault:
            return _told(spec.name, arguments, "error", f"{spec.name} failed: {fault}")
        except Exception as error:
            # a tool is foreign code (an MCP server, a library), and no fault of it may end the user's turn
            _log.warning("tool %s failed", spec.name, exc_info=error)
            return _told(
                spec.name, arguments, "error", f"{spec.name} failed ({type(error).__name__}). Go on without it."
            )
        return quote(self._cut(text), spec.name), _trace(spec.name, arguments, "ok", text)

    async def _tries(self, spec: ToolSpec, call: ToolCall) -> str:
        for attempt in range(spec.retries):
            try:
                return await spec.run(call)
            except ToolFault as fault:
                if not fault.transient:
                    raise
                await asyncio.sleep(self._retry_pause_s * 2**attempt)
        return await spec.run(call)

    async def _refused(self, space: ActionSpace, user_id: str, name: str, raw: object) -> Result:
        known = any(spec.name == name for spec in await self.all(user_id))
        why = f"The tool {name[:80]} is not allowed here." if known else f"There is no tool {name[:80]!r}."
        return _told(name, raw, "refused", f"{why} You may use: {', '.join(space.names) or 'no tool'}.")

    def _cut(self, text: str) -> str:
        if len(text) <= self._max_result_chars:
            return text
        return f"{text[: self._max_result_chars]}\n[cut: {self._max_result_chars} of {len(text)} characters shown]"


def _frozen(spec: ToolSpec, arguments: dict[str, Any], recorded: tuple[ToolTrace, ...]) -> Result:
    wanted = _canonical(arguments)
    for trace in recorded:
        if trace.name == spec.name and _canonical(trace.arguments) == wanted:
            return quote(trace.brief, spec.name), replace(trace, used=None)
    return _told(
        spec.name, arguments, "refused", f"{spec.name} is frozen in simulation: it was not called this way then."
    )


def _canonical(arguments: Mapping[str, Any]) -> str:
    """Recorded arguments went through JSON, where a date is text and a tuple a list."""
    return json.dumps(dict(arguments), sort_keys=True, default=str)


def _told(name: str, arguments: object, outcome: ToolOutcome, text: str) -> Result:
    """An outcome that the program itself words; fault texts carry foreign words, so they are cut short."""
    return text[:1_000], _trace(name, arguments, outcome, text)


def _trace(name: str, arguments: object, outcome: ToolOutcome, text: str) -> ToolTrace:
    given = arguments if isinstance(arguments, Mapping) else {"malformed": str(arguments)[:BRIEF_CHARS]}
    # through JSON, so that a trace is stored and compared as plain values
    plain: dict[str, Any] = json.loads(json.dumps(dict(given), default=str))
    return ToolTrace(name=name[:80], arguments=plain, outcome=outcome, brief=text[:BRIEF_CHARS])
