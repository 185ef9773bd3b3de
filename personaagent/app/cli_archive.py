"""``memory export``, ``import`` and ``reindex``: a user carried elsewhere, and the index built anew."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from personaagent.app.cli_run import Home, Json, User, progress, run
from personaagent.errors import InputError

if TYPE_CHECKING:
    from personaagent.graph.services import Services

PARTS = ("interactions", "facts", "personas", "pins", "grants")


def register(app: typer.Typer) -> None:
    """Add the commands to ``memory``."""
    app.command("export")(export)
    app.command("import")(import_)
    app.command("reindex")(reindex)


def export(
    user: User,
    file: Annotated[Path | None, typer.Argument(help="Where to; default: stdout.")] = None,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Write everything that is kept of the user as one JSON document."""

    async def work(services: Services) -> dict[str, Any]:
        from personaagent.memory.portability import export_user

        return await export_user(services.database, user)

    if file is None:
        run(work, home=home, json_=True, show=lambda _: None)
        return

    async def into_file(services: Services) -> dict[str, Any]:
        document = await work(services)
        await asyncio.to_thread(_write, file, document)
        return {"file": file} | {part: len(document[part]) for part in PARTS}

    run(into_file, home=home, json_=json_, show=_parts_told)


def import_(
    file: Annotated[Path, typer.Argument(help="What `memory export` wrote; '-' is stdin.")],
    user: User,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Take in an exported user, personas and history included, under this user id."""

    async def work(services: Services) -> dict[str, Any]:
        from personaagent.memory.portability import import_user

        document = await asyncio.to_thread(_read, file)
        with progress("indexing", json_=json_) as told:
            budget = services.settings.persona_token_budget
            taken = await import_user(services.database, services.indexer, user, document, told, token_budget=budget)
        return {"file": file} | {part: len(getattr(taken, part)) for part in PARTS}

    run(work, home=home, json_=json_, show=_parts_told)


def _parts_told(result: dict[str, Any]) -> str:
    return f"{result['file']}: " + ", ".join(f"{result[part]} {part}" for part in PARTS)


def _write(file: Path, document: dict[str, Any]) -> None:
    """A file that is there whole or not at all, readable by its owner only: it is somebody's memory."""
    partial = file.with_name(f".{file.name}.part")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            json.dump(document, out, ensure_ascii=False, indent=2)
        partial.replace(file)
    except OSError as error:
        raise InputError(f"{file} cannot be written ({error.strerror}): give another place") from error


def _read(file: Path) -> object:
    try:
        return json.loads(sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}): give what `memory export` wrote") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is not JSON ({error}): give what `memory export` wrote") from error


def reindex(json_: Json = False, home: Home = None) -> None:
    """Build the vector index of all users anew from the ledger, after a change of the embedding model."""

    async def work(services: Services) -> dict[str, int]:
        with progress("indexing", json_=json_) as told:
            return {"indexed": await _reindex(services, told)}

    run(work, home=home, json_=json_, show=lambda result: f"{result['indexed']} interactions indexed")


async def _reindex(services: Services, told: Callable[[int, int], None]) -> int:
    from personaagent.memory.index_common import RebuildableIndex, reindex

    index = cast(RebuildableIndex, services.index)
    return await reindex(services.meta, services.indexer, index, services.embedder, told)
