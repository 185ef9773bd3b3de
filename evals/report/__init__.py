"""Reports: ``report.html``, one self-contained file, and ``report.md``, its tables, of all runs below a folder."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from html import escape
from pathlib import Path

from personaagent.errors import InputError
from personaagent.evals.records import find_runs
from personaagent.evals.report.collect import OURS, Prices, Sheet, sheets
from personaagent.evals.report.html import page
from personaagent.evals.report.svg import heat, jaccard, plane, scatter
from personaagent.evals.report.words import text
from personaagent.ports import Embedder

MAX_DRAWN = 12  # personas on one map


def write(folder: Path, embedder: Embedder | None = None, prices: Prices | None = None) -> tuple[Path, Path]:
    """Write both files into the folder and return their paths; raises InputError where there is no run."""
    found = sheets(find_runs(folder), prices)
    drawings = [_geometry(sheet, embedder) for sheet in found]
    html, markdown = folder / "report.html", folder / "report.md"
    try:
        html.write_text(page(found, drawings), encoding="utf-8", errors="replace")
        markdown.write_text(text(found), encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror})") from error
    return html, markdown


def _geometry(sheet: Sheet, embedder: Embedder | None) -> str:
    held = {user: told.persona for user, told in sheet.users.get(OURS, {}).items() if told.persona}
    names: Sequence[str] = list(held)[:MAX_DRAWN]
    if len(names) < 2:
        return ""
    personas = [held[name] for name in names]
    if embedder is None:
        from personaagent.models.embedder import MiniLMEmbedder

        embedder = MiniLMEmbedder()
    points = plane(asyncio.run(embedder.embed(personas)))
    overlap, where = "Words that two personas share (Jaccard)", "Personas by embedding, two principal components"
    return (
        f"<h3>Geometry of the personas</h3><div class='plots'><figure>{heat(names, jaccard(personas), overlap)}"
        f"<figcaption><small>{escape(overlap)}</small></figcaption></figure>"
        f"<figure>{scatter(names, points, where)}<figcaption><small>{escape(where)}</small></figcaption></figure></div>"
    )
