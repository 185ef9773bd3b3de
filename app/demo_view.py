"""How the demo is told: as it goes on, and plainly at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from app.cli_run import stdout
from app.demo_record import COLUMNS, Article, Played
from app.render import candidates_view, persona_diff, persona_view, rows_table
from personaagent.text import one_line

if TYPE_CHECKING:
    from personaagent.types import UserProfile

QUERY_CHARS = 48
TABLE_QUERY_CHARS = 34
ANSWER_CHARS = 42


class View:
    """Tells the demo on stdout."""

    def __init__(self) -> None:
        self._out = stdout()
        self._step = 0

    def begin(self, played: Played) -> None:
        """Who plays: author and models."""
        kind = "the small embedded model, offline and without a key" if played.embedded else "by your endpoint"
        self._out.print(f"PersonaAgent for {played.author}, a news author of the years 2012 to 2018")
        self._out.print(f"model {played.model} ({kind}), embeddings {played.embedder}")

    def title(self, text: str) -> None:
        """The next step."""
        self._step += 1
        self._out.print(f"\n{self._step}  {text}", style="bold")

    def history(self, played: Played, profile: UserProfile) -> None:
        """What the history became."""
        self.title(f"{played.imported} earlier articles became memory, {len(profile.facts)} facts and a persona")
        if played.seed is not None:
            self._out.print(persona_view(played.seed))

    def answered(self, article: Article) -> None:
        """One answer beside the truth."""
        line = Text.assemble("  ", _marked(article.answer, article.truth))
        if article.answer != article.truth:
            line.append(f" (true: {article.truth})")
        floors = Text.assemble(
            "majority ", _mark(article.majority, article.truth), " last ", _mark(article.last, article.truth)
        )
        line.pad_right(max(1, ANSWER_CHARS - line.cell_len))
        self._out.print(line.append_text(floors).append(f"  {one_line(article.query, QUERY_CHARS)}", style="dim"))

    def step(self, line: str) -> None:
        """A step of the alignment."""
        self._out.print(f"  {line}", style="dim")

    def aligned(self, played: Played) -> None:
        """What became of the alignment, and what it changed or would have changed."""
        alignment = played.alignment
        if alignment is None or played.seed is None:
            return
        if alignment.rejected:
            self._out.print(candidates_view(alignment.rejected))
        if alignment.committed is not None:
            self._out.print(f"  committed: {alignment.outcome}", style="green")
            self._out.print(persona_diff(played.seed.sections, alignment.committed.sections))
            return
        self._out.print("  refused, the persona stays as it is", style="yellow")
        drafts = [candidate for candidate in alignment.rejected if candidate.sections != played.seed.sections]
        if drafts:
            self._out.print(f"  What {drafts[-1].proposer} would have changed:")
            self._out.print(persona_diff(played.seed.sections, drafts[-1].sections))

    def compared(self, played: Played) -> None:
        """Before and after beside the truth and both floors."""
        rows = [
            (
                one_line(article.query, TABLE_QUERY_CHARS),
                article.truth,
                *(_marked(getattr(article, column), article.truth) for column in COLUMNS),
            )
            for article in played.held_out
        ]
        right = [f"{played.right(column)} of {len(rows)}" for column in COLUMNS]
        columns = ("article", "truth", "before", "after", "majority label", "last label")
        self._out.print(rows_table(columns, [*rows, ("right", "", *right)]))

    def end(self, played: Played, *, kept: bool) -> Text:
        """What it comes to, plainly."""
        alignment, usage = played.alignment, played.usage
        lines = [""]
        lines.append(f"Model: {played.model}{', embedded' if played.embedded else ''}.")
        if alignment is not None:
            what = "committed" if alignment.committed else "refused"
            lines.append(
                f"Alignment: {what} ({alignment.outcome}); {alignment.calls} calls, {alignment.seconds:.0f} s."
            )
            if alignment.committed is None:
                lines.append(
                    f"The persona is the same after as before; only {len(played.labelled)} labels are new in memory."
                )
        lines.append(f"{len(played.held_out)} articles are an illustration, no measurement: `make eval` measures.")
        if played.embedded:
            lines.append(
                "The embedded model only picks a category; it cannot write a persona or call tools. "
                "With OPENAI_BASE_URL or OPENAI_API_KEY set, the same demo runs on a better one."
            )
        if usage is not None:
            lines.append(
                f"In all {usage.calls} model calls, {usage.input_tokens} tokens in, {usage.output_tokens} out, "
                f"{played.seconds:.0f} s."
            )
        if kept:
            lines.append(
                f"Kept in {played.home}: personaagent --home {played.home} persona show --user {played.author}"
            )
        return Text("\n".join(lines))


class Silent(View):
    """Tells nothing, where only the document is wanted."""

    def __init__(self) -> None:
        super().__init__()
        self._out.quiet = True


def _marked(answer: str | None, truth: str) -> Text:
    """An answer with its mark; no answer is wrong as well."""
    return _mark(answer, truth).append(f" {answer or 'no answer'}")


def _mark(answer: str | None, truth: str) -> Text:
    return Text("✓", style="green") if answer == truth else Text("✗", style="red")
