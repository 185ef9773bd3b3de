"""How the demo is told: as it goes on, and plainly at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from personaagent.app.cli_run import stdout
from personaagent.app.demo_record import COLUMNS, Article, Played
from personaagent.app.demo_talk import TAKEN_BACK, WISH
from personaagent.app.render import candidates_view, persona_diff, persona_view, rows_table
from personaagent.text import one_line

if TYPE_CHECKING:
    from personaagent.app.demo_talk import Answer, Talk
    from personaagent.library.aligning import Aligned
    from personaagent.types import Persona, UserProfile

QUERY_CHARS = 48
TABLE_QUERY_CHARS = 34
ANSWER_CHARS = 42
EDIT_CHARS = 30


class View:
    """Tells the demo on stdout."""

    def __init__(self) -> None:
        self._out = stdout()
        self._step = 0

    def begin(self, model: str, embedder: str, *, embedded: bool) -> None:
        """The models."""
        kind = "the small embedded model, offline and without a key" if embedded else "by your endpoint"
        self._out.print("PersonaAgent learns from edits, from a wish in words, and from labels")
        self._out.print(f"model {model} ({kind}), embeddings {embedder}")

    def edited(self, answer: Answer) -> None:
        """One answer and what the reader did to it."""
        done = f"{answer.struck} struck out" if answer.struck else "left as it is"
        line = Text(f"  {answer.words:3} words, {done}")
        line.pad_right(max(1, EDIT_CHARS - line.cell_len))
        self._out.print(line.append(f"  {one_line(answer.query, QUERY_CHARS)}", style="dim"))

    def learnt(self, talk: Talk) -> None:
        """What the edits changed: the persona with its evidence, and the answers."""
        self._alignment(talk.alignment, talk.seed)
        rows = [
            (one_line(one.query, TABLE_QUERY_CHARS), one.words, one.struck, two.words, two.struck)
            for one, two in zip(talk.before, talk.after, strict=True)
        ]
        total = [sum(column) for column in zip(*(row[1:] for row in rows), strict=True)]
        columns = ("a later question", "words before", "struck out", "words after", "struck out")
        self._out.print(rows_table(columns, [*rows, ("in all", *total)]))

    def wished(self, talk: Talk) -> None:
        """What was understood of the wish and of its end, and what is in force in every conversation."""
        for message, noted, pins in zip((WISH, TAKEN_BACK), talk.noted, talk.pins, strict=False):
            self._out.print(f"  {message}", style="bold")
            self._out.print(f"    {noted}", style="green")
            self._out.print(f"    in force in every conversation: {'; '.join(pins) or 'nothing'}", style="dim")

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
        self._alignment(played.alignment, played.seed)

    def _alignment(self, alignment: Aligned | None, seed: Persona | None) -> None:
        if alignment is None or seed is None:
            return
        if alignment.rejected:
            self._out.print(candidates_view(alignment.rejected))
        if alignment.committed is not None:
            self._out.print(f"  committed: {alignment.outcome}", style="green")
            self._out.print(persona_diff(seed.sections, alignment.committed.sections))
            return
        self._out.print("  refused, the persona stays as it is", style="yellow")
        drafts = [candidate for candidate in alignment.rejected if candidate.sections != seed.sections]
        if drafts:
            self._out.print(f"  What {drafts[-1].proposer} would have changed:")
            self._out.print(persona_diff(seed.sections, drafts[-1].sections))

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
                "The embedded model answers simply and picks categories beside the vote of the nearest articles; it "
                "cannot write a persona or call tools, and follows an instruction now and then. "
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
