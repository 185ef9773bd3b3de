"""A proposer that needs no model: what the user changes in the agent's texts, as clauses that can be checked.

Each edit is a pair of what the agent wrote and what the user made of it. A constraint (``persona.constraint``) is
supported by an edit whose result has it and whose original had not, and contradicted by every result that lacks it, an
answer left untouched among them. Of the constraints that stand, the fewest that explain all the changes are kept.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import pairwise
from math import log2
from typing import Any, Final

from langchain_core.messages import HumanMessage

from personaagent.errors import InvalidPersona, ModelError
from personaagent.form import Form, features, is_item, length_changed, sentences
from personaagent.labels.statistics import EVIDENCE, task_name
from personaagent.persona.constraint import (
    WORDING,
    Constraint,
    constraints_of,
    shape_clause,
    wording_clause,
)
from personaagent.persona.proposers import ProposalContext, Refusal
from personaagent.persona.shape import sound_clauses, to_text, token_count, validate_sections
from personaagent.ports import Models
from personaagent.prompts import quote, render
from personaagent.rules import broken_rule
from personaagent.text import one_line, skeleton
from personaagent.types import Candidate, Clause, Interaction, Section, Sections, evidence_of

# ruff: noqa: RUF001  # apostrophes are of two kinds


KIND = "edits"
MIN_EDITS = 3  # that a rule explains
WINDOW = 40  # newest edits and untouched answers that count
ENDED = 3  # newest results in a row that contradict a rule end it
MAX_CLAUSES = 6
AROUND_A_LIST = 2  # sentences that lead to a list and end it, and are none of its points
USUAL_MARKS = ("-", "1.")
MAX_LINES = 3  # of a closing
MAX_WORDINGS = 3
MAX_TOKENS = 250  # of a text, where words are held against each other
STEPS = (5, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 120, 150, 200, 250, 300, 400, 500)  # numbers people say


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_STRUCTURE = "sentences words paragraphs paragraph_of bullets numbered no_lists no_headings no_tables no_code list_only"
_TAIL = "no_lead no_signoff no_question no_full_stop item_words"
_REGISTER = (
    "no_hedges no_contractions no_first_person no_we digits metric imperial british american formal informal "
    "no_exclamations no_parentheses no_semicolons no_dashes no_quotations wording"
)
# by what a rule is about: what else it explains, being the plainer way to say it
_EXPLAINS: Mapping[str, tuple[str, ...]] = {
    name: _names(others)
    for name, others in {
        "sentences": f"{_STRUCTURE} {_TAIL}",
        "words": f"{_STRUCTURE} {_TAIL}",
        "more_words": "more_words sentences emphasis",
        "bullets": f"{_STRUCTURE} {_TAIL} mark",
        "numbered": f"{_STRUCTURE} {_TAIL} mark",
        "list_only": "no_lead paragraphs no_signoff no_question",
        "table": f"{_STRUCTURE} {_TAIL}",
        "code_first": _STRUCTURE,
        "paragraphs": "no_lead paragraphs no_headings no_lists",
        "paragraph_of": "no_lead paragraphs no_headings no_lists plain no_emphasis",
        "plain": "no_lead no_lists no_headings no_emphasis no_tables no_code",
        "opening": "greeting bold_lead verdict heading_first emoji emphasis one_a_line paragraphs more_words sentences",
        "closing": "no_full_stop question emoji more_words one_a_line paragraphs sentences",
        "language": f"{_REGISTER} no_emphasis no_opening no_greeting no_filler no_signoff",
        "no_opening": "no_greeting no_filler no_exclamations no_first_person no_contractions",
        "no_filler": "no_exclamations no_first_person no_contractions",
        "no_greeting": "no_exclamations",
        "no_contractions": "wording",
        "digits": "wording",
        "british": "wording",
        "american": "wording",
        "no_signoff": "no_question no_exclamations no_emoji no_first_person no_contractions",
        "bold_lead": "emphasis more_words one_a_line paragraphs sentences",
        "heading_first": "one_a_line paragraphs sentences",
        "one_a_line": "no_lead paragraphs",
        "question": "more_words sentences one_a_line paragraphs",
        "emoji": "no_full_stop closing",
        "lower": "no_first_person wording no_emphasis",
        "upper": "wording no_first_person",
        "no_exclamations": "no_full_stop",
    }.items()
}
_SHAPES = _names("sentences words more_words bullets numbered table paragraphs")
_FIXED = ("opening", "closing", "closing_line")
_FLAGS = _names(
    "list_only plain no_lists no_headings no_emphasis no_tables no_code one_a_line bold_lead emphasis heading_first "
    "code_first table no_opening no_greeting no_filler no_lead greeting no_signoff question no_question verdict "
    "no_emoji emoji no_exclamations no_parentheses no_semicolons no_dashes no_quotations no_hedges no_contractions "
    "digits metric imperial british american formal informal no_first_person no_we lower upper no_full_stop"
)
# measured on the part of the answer that the user kept: what went with the rest was not the point
_LOCAL = _names(
    "no_emphasis emphasis emoji no_emoji no_exclamations no_parentheses no_semicolons no_dashes no_quotations "
    "no_hedges no_contractions digits metric imperial british american formal informal no_first_person no_we never "
    "wording"
)
_ABOUT = {
    "words_at_most": "words",
    "words_at_least": "more_words",
    "sentences_at_most": "sentences",
    "sentences_at_least": "more_words",
    "item_words_at_most": "item_words",
    "closing_line": "closing",
    "never": "wording",
}
_COUNTS: Mapping[str, Sequence[int]] = {  # that are tried, in this order
    "sentences": range(1, 4),
    "sentences_at_most": range(2, 7),
    "bullets": (0, *range(2, 13)),
    "numbered": (0, *range(2, 13)),
    "paragraphs": range(1, 4),
    "paragraph_of": range(2, 5),
    "words_at_most": STEPS,
    "words_at_least": STEPS[:1:-1],
}
PRONOUNS = {
    ("formal", "German"): "Sie", ("formal", "French"): "vous", ("formal", "Spanish"): "usted",
    ("formal", "Italian"): "Lei", ("formal", "Portuguese"): "o senhor / a senhora", ("formal", "Dutch"): "u",
    ("informal", "German"): "du", ("informal", "French"): "tu", ("informal", "Spanish"): "tú",
    ("informal", "Italian"): "tu", ("informal", "Portuguese"): "você", ("informal", "Dutch"): "je",
}  # fmt: skip
_TOKEN = re.compile(r"\w+(?:['’-]\w+)*")
_BRIEF = re.compile(r"\b(?:brief|briefly|short|concise|concisely)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Edit:
    """What was written, what it became, and what of it was kept; both the same for an answer left untouched."""

    interaction: Interaction
    written: str
    result: str
    was: Form
    now: Form
    kept: str
    kept_form: Form

    @property
    def touched(self) -> bool:
        """Whether the user changed anything."""
        return self.written != self.result


@dataclass(frozen=True, slots=True)
class Rule:
    """A clause, the constraints that it states (the one it stands on first), and the edits that support it."""

    text: str
    constraints: tuple[Constraint, ...]
    support: tuple[Edit, ...]


class EditsProposer:
    """States what the user changes, over all their edits."""

    name = "edits"

    async def propose(self, context: ProposalContext) -> Candidate | Refusal:
        """Return the incumbent with its clauses of this kind renewed; a Refusal where no change is consistent.

        A rule that stands needs no fresh support: it is kept until the newest results contradict it. The second
        variant of a context is the strongest rule alone.
        """
        return await asyncio.to_thread(self._propose, context)

    def _propose(self, context: ProposalContext) -> Candidate | Refusal:
        rows = edits_in(context.history)
        touched = sum(row.touched for row in rows)
        own = [c for c in context.incumbent.get(Section.ANSWERING, ()) if c.kind == KIND]
        if touched < MIN_EDITS and not own:
            return self._refuse(f"there are {touched} edits of free text: it takes {MIN_EDITS} that change the same")
        fresh = rules_by_task(rows, own)
        if context.variant % 3 == 1:
            fresh = fresh[:1]
        standing, written = _still(own, rows, fresh), _clauses(fresh)
        if not written and not own:
            return self._refuse(
                f"no change comes back in {MIN_EDITS} of {touched} edits and is not contradicted by the others "
                f"or by {len(rows) - touched} answers left untouched"
            )
        return self._candidate(context, _others(context.incumbent, fresh), standing, written, touched)

    def _candidate(
        self,
        context: ProposalContext,
        others: Sections,
        standing: Sequence[Clause],
        written: list[Clause],
        touched: int,
    ) -> Candidate | Refusal:
        def merged() -> Sections:
            answering = (*others.get(Section.ANSWERING, ()), *standing, *written)
            return {
                section: answering if section is Section.ANSWERING else others.get(section, ()) for section in Section
            }

        while written and token_count(merged()) > context.token_budget:
            written.pop()
        known = {i.id for i in context.history} | set(evidence_of(context.incumbent))
        try:
            sections = validate_sections(merged(), budget_tokens=context.token_budget, known_ids=known)
        except InvalidPersona as error:
            return self._refuse(str(error))
        if to_text(sections, evidence=False) == to_text(context.incumbent, evidence=False):
            return self._refuse("what the edits say is already in the persona")
        return Candidate(proposer=self.name, sections=sections, reason=f"from {touched} edits")

    def _refuse(self, reason: str) -> Refusal:
        return Refusal(proposer=self.name, reason=reason)


def edits_in(history: Sequence[Interaction]) -> list[Edit]:
    """The newest edits, picks and answers left untouched among free-text interactions, oldest first."""
    found = []
    for interaction in reversed(history):
        pair = _pair(interaction)
        if pair is not None:
            found.append(_edit(interaction, *pair))
        if len(found) == WINDOW:
            break
    return found[::-1]


def rules_by_task(rows: Sequence[Edit], own: Sequence[Clause] = ()) -> list[Rule]:
    """The rules of all tasks together, and those that only one task has, which name it; strongest first."""
    tasks: dict[str, list[Edit]] = {}
    for row in rows:
        tasks.setdefault(task_name(row.interaction.task), []).append(row)
    tasks = {task: of_task for task, of_task in tasks.items() if len(of_task) >= MIN_EDITS}
    shared = rules(rows, _before(own, ""))
    if len(tasks) > 1:
        apart = {task: rules(of_task, _before(own, f'In "{task}": ')) for task, of_task in tasks.items()}
        shared = [rule for rule in shared if _agreed(rule, apart) and not any(_denied(rule, t) for t in tasks.values())]
        said = {group(rule.constraints[0]) for rule in shared}
        for task, found in apart.items():
            own_rules = (rule for rule in found if group(rule.constraints[0]) not in said)
            shared += [replace(rule, text=f'In "{task}": {rule.text}') for rule in own_rules]
    return sorted(shared, key=lambda rule: -len(rule.support))[:MAX_CLAUSES]


def rules(rows: Sequence[Edit], before: Sequence[Constraint] = ()) -> list[Rule]:
    """The fewest rules that explain what changes consistently; ``before`` are the constraints stated until now.

    Where what the edits show has ended (the newest contradict it), only what came after counts.
    """
    fixed = _fixed(rows, before)
    bare = _stripped(rows, [one for one, _ in fixed])
    found = [*fixed, *_cover(_standing(_candidates(bare, before), bare), bare)]
    ended = [last for one, _ in found if (last := _end(one, rows if one.name in _FIXED else bare)) is not None]
    if ended:
        return rules(rows[max(ended) + 1 :], before)
    return [*_formed(found, before), *_worded(found, rows)]


def _formed(found: Sequence[tuple[Constraint, Sequence[Edit]]], before: Sequence[Constraint]) -> list[Rule]:
    """The rules of form; what is a part of another one is no rule of its own."""
    if not any(group(one) == "shape" for one, _ in found):
        found = [(_as_list(one, support), support) for one, support in found]
    with_parts = [(one, support, _parts(one, support, before)) for one, support in found if one.name != "wording"]
    stated = {part for one, _, parts in with_parts for part in parts if part != one}
    if any(one.name.startswith("sentences") for one, _ in found):  # how few there are says how they stand
        stated |= {one for one, _ in found if one.name == "paragraph_of"}
    return [
        Rule(_text(one, parts), tuple(parts), tuple(support)) for one, support, parts in with_parts if one not in stated
    ]


def _text(one: Constraint, parts: Sequence[Constraint]) -> str:
    return shape_clause(parts) if group(one) == "shape" and one.name not in _FLAGS else one.clause


def _as_list(one: Constraint, support: Sequence[Edit]) -> Constraint:
    """The kind of list that is left where the user takes away what is around lists of one kind; else the same."""
    if one.name == "list_only":
        for kind in ("bullets", "numbered"):
            listed = Constraint(kind, 0)
            if all(listed.holds(row.result, row.now) for row in support):
                return listed
    return one


def _worded(found: Sequence[tuple[Constraint, Sequence[Edit]]], rows: Sequence[Edit]) -> list[Rule]:
    """One rule for all words that the user replaces, if there are any."""
    worded = [(one, support) for one, support in found if one.name == "wording"][:MAX_WORDINGS]
    if not worded:
        return []
    stated = tuple(one for one, _ in worded)
    ids = {edit.interaction.id for _, support in worded for edit in support}
    return [Rule(wording_clause(stated), stated, tuple(row for row in rows if row.interaction.id in ids))]


def about(constraint: Constraint) -> str:
    """What a constraint is about: two about the same cannot both be stated."""
    return _ABOUT.get(constraint.name, constraint.name)


def group(constraint: Constraint) -> str:
    """As ``about``, with all that says how long and of what shape an answer is taken together."""
    return "shape" if about(constraint) in _SHAPES else about(constraint)


def outcome(constraint: Constraint, row: Edit) -> int:
    """1 where the edit supports the constraint, -1 where its result contradicts it, else 0."""
    after = constraint.holds(row.result, row.now)
    local = constraint.name in _LOCAL
    before = constraint.holds(row.kept if local else row.written, row.kept_form if local else row.was)
    if after and not before:
        if constraint.name == "one_a_line" and row.now.sentences < 2:
            return 0  # one sentence is on a line of its own whatever the user wants
        counted = constraint.name.startswith("words_")
        return int(not counted or length_changed(row.was.words, row.now.words))
    if after:
        return 0
    # whether a verdict is asked for depends on the question: only one that was taken out contradicts
    return -1 if before or constraint.name != "verdict" else 0


def _pair(interaction: Interaction) -> tuple[str, str] | None:
    truth, response = interaction.ground_truth, interaction.response
    if not truth or interaction.choices:
        return None
    match interaction.truth_source:
        case "edit" if response:
            return response, truth
        case "pick" if interaction.rejected:
            return interaction.rejected, truth
        case "rating":
            return truth, truth
        case _ if response == truth and interaction.truth_source != "implicit":
            return truth, truth
    return None


def _edit(interaction: Interaction, written: str, result: str) -> Edit:
    was, now = features(written), features(result)
    kept = written if written == result or now.words >= 0.7 * was.words else _kept(written, result)
    return Edit(interaction, written, result, was, now, kept, was if kept == written else features(kept))


def _kept(written: str, result: str) -> str:
    """The sentences of what was written that the result is made of; all of it where none is recognised."""
    targets = [set(_tokens(sentence)) for sentence in sentences(result)]
    kept = []
    for sentence in sentences(written):
        words = set(_tokens(sentence))
        if words and any(len(words & target) >= 0.6 * min(len(words), len(target)) for target in targets if target):
            kept.append(sentence)
    return " ".join(kept) or written


def _candidates(rows: Sequence[Edit], before: Sequence[Constraint]) -> list[Constraint]:
    touched = [row for row in rows if row.touched]
    found = [Constraint(name) for name in _FLAGS if name not in ("formal", "informal")]
    languages = Counter(row.now.language for row in touched if row.now.language)
    found += [Constraint("language", language) for language, _ in languages.most_common(1)]
    for language, _ in languages.most_common(2):
        found += [Constraint(n, PRONOUNS[n, language]) for n in ("formal", "informal") if (n, language) in PRONOUNS]
    found += [Constraint("mark", mark) for mark in _marks(touched)]
    for name, counts in _COUNTS.items():
        found += _best([Constraint(name, n) for n in counts], rows, before)
    return [*found, *_wordings(touched)]


def _marks(rows: Sequence[Edit]) -> list[str]:
    """What the items of most results begin with, where these are lists of one kind."""
    return [mark for mark, _ in Counter(row.now.mark for row in rows if row.now.mark).most_common(1)]


def _best(options: Sequence[Constraint], rows: Sequence[Edit], before: Sequence[Constraint]) -> list[Constraint]:
    """The option that explains most, or the one stated before where it does about as well; none that cannot stand."""
    scores = {
        one: sum(value * (_size(one, rows[n]) if value > 0 else 1.0) for n, value in enumerate(outcomes))
        for one, outcomes in _standing(options, rows).items()
    }
    if not scores:
        return []
    if any(one.value for one in scores):  # an exact count says more than "a list"
        scores = {one: score for one, score in scores.items() if one.value}
    best = max(scores, key=lambda one: scores[one])
    return [next((one for one in scores if one in before and scores[one] >= 0.8 * scores[best]), best)]


def _size(one: Constraint, row: Edit) -> float:
    """How large a change a constraint asks for: doublings of what is counted, 1 where nothing is."""
    count = int(one.value) if isinstance(one.value, int) else 0
    if one.name.startswith("words_"):
        return abs(log2((row.was.words + 1) / (count + 1)))
    if one.name.startswith("sentences"):
        return max(0.5, abs(log2((row.was.sentences + 1) / (count + 1)))) + _reached(one, row)
    return 1.0


def _reached(one: Constraint, row: Edit) -> bool:
    """Whether the result comes up to a limit of sentences: most do where it is the user's, and not a wider one."""
    return one.name == "sentences_at_most" and row.now.sentences == one.value


def _fixed(rows: Sequence[Edit], before: Sequence[Constraint]) -> list[tuple[Constraint, list[Edit]]]:
    """Openings and closings that the user always writes in the same words: one of each, the longest that stands."""
    stated = [one for one in before if one.name in _FIXED]
    standing = _standing([*stated, *_literals([row for row in rows if row.touched])], rows)
    found: dict[str, tuple[Constraint, list[Edit]]] = {}
    for one, outcomes in sorted(standing.items(), key=lambda told: (-sum(told[1]), -len(str(told[0].value)))):
        found.setdefault(about(one), (one, [row for n, row in enumerate(rows) if outcomes[n] == 1]))
    return list(found.values())


def _stripped(rows: Sequence[Edit], fixed: Sequence[Constraint]) -> list[Edit]:
    """The edits without the fixed words at their start and end, so that these do not count as a sentence."""
    if not fixed:
        return list(rows)
    stripped = []
    for row in rows:
        written, result = row.written, row.result
        for one in fixed:
            written, result = _without(written, one), _without(result, one)
        stripped.append(_edit(row.interaction, written, result))
    return stripped


def _without(text: str, fixed: Constraint) -> str:
    if not fixed.holds(text, features(text)):
        return text
    size = len(str(fixed.value))
    return text.lstrip()[size:].lstrip() if fixed.name == "opening" else text.rstrip()[:-size].rstrip()


def _literals(touched: Sequence[Edit]) -> list[Constraint]:
    """Openings and closings that several results share and the originals lack."""
    openings: Counter[str] = Counter()
    closings: Counter[str] = Counter()
    heads = Counter(row.result.splitlines()[0].strip() for row in touched if "\n" in row.result)
    for one, other in pairwise([*touched, *touched[1::2]]):
        openings[" ".join(_shared(_put_before(one), _put_before(other)))] += 1
        closings[" ".join(_shared(_put_after(one), _put_after(other))[::-1])] += 1
    found = [Constraint("opening", text) for text in _telling(openings, -1)]
    found += [Constraint("opening", text) for text, n in heads.most_common(1) if n >= MIN_EDITS and _sayable(text)]
    found += [
        Constraint("closing_line", text)
        for text, n in Counter(end for row in touched for end in _last_lines(row.result)).items()
        if n >= MIN_EDITS and all(map(_sayable, text.split("\n")))
    ]
    return found + [Constraint("closing", text) for text in _telling(closings, 0)]


def _last_lines(text: str) -> list[str]:
    """The last line of a text of several, the last two, and so on."""
    lines = [line.strip() for line in text.splitlines()]
    return ["\n".join(lines[-n:]) for n in range(1, min(MAX_LINES, len(lines) - 1) + 1) if lines[-n]]


def _put_before(row: Edit) -> list[str]:
    """The words of the result that stand before the original's own start; all of them where that is not in it."""
    return _before_start(row.result.split(), row.written.split())


def _put_after(row: Edit) -> list[str]:
    """The words of the result that stand after the original's own end, from the last one back."""
    return _before_start(row.result.split()[::-1], row.written.split()[::-1])


def _before_start(words: Sequence[str], own: Sequence[str]) -> list[str]:
    start = next((n for n in range(len(words)) if words[n : n + 2] == own[:2]), len(words))
    return list(words[:start])


def _telling(shared: Counter[str], end: int) -> list[str]:
    """The longest commonly shared texts that are no accident: two words or more, or one that ends like a label."""
    common = [text for text, n in shared.items() if n >= 2 and _sayable(text)]
    marked = [t for t in common if len(t.split()) > 1 or not t.split()[end][-1].isalnum() or not t[0].isalnum()]
    told = [text for text in marked if any(char.isalpha() for char in text) or not text.isascii()]
    return sorted(told, key=lambda text: -len(text))[:3]


def _sayable(text: str) -> bool:
    return (
        0 < len(text) <= 80
        and '"' not in text
        and "\n" not in text
        and not (features(text).verdict or is_item(f"{text} x"))
    )


def _shared(one: Sequence[str], other: Sequence[str]) -> list[str]:
    shared = []
    for first, second in zip(one, other, strict=False):
        if first.casefold() != second.casefold():
            break
        shared.append(first)
    return shared


def _wordings(touched: Sequence[Edit]) -> list[Constraint]:
    """Words that the user replaces in several texts, and words that they take out."""
    counted: Counter[tuple[str, str]] = Counter()
    for row in touched:
        if row.was.language == row.now.language or None in (row.was.language, row.now.language):
            counted.update(_replaced_words(_tokens(row.kept), _tokens(row.result)))
    found: dict[str, Constraint] = {}
    for (old, new), n in counted.most_common():
        if n >= (MIN_EDITS if new else MIN_EDITS + 1) and old not in found:
            found[old] = Constraint("wording", f"{old}{WORDING}{new}") if new else Constraint("never", old)
    return list(found.values())[: 4 * MAX_WORDINGS]


def _replaced_words(old: Sequence[str], new: Sequence[str]) -> set[tuple[str, str]]:
    pairs = set()
    for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "replace" and j - i == m - k <= 3:
            pairs |= set(zip(old[i:j], new[k:m], strict=True))
        elif tag == "replace" and max(j - i, m - k) <= 3:
            pairs.add((" ".join(old[i:j]), " ".join(new[k:m])))
        elif tag == "delete" and j - i <= 2 and len("".join(old[i:j])) > 3:
            pairs.add((" ".join(old[i:j]), ""))
    return pairs


def _standing(candidates: Iterable[Constraint], rows: Sequence[Edit]) -> dict[Constraint, list[int]]:
    """The outcomes, by row, of the candidates that have support enough."""
    found = {}
    for one in candidates:
        outcomes = [outcome(one, row) for row in rows]
        supports, contradictions = outcomes.count(1), outcomes.count(-1)
        share = supports / max(1, supports + contradictions)
        # many edits may hold some noise; of few, three in four must agree
        if supports >= MIN_EDITS and share >= (0.75 if supports < 2 * MIN_EDITS else 0.65):
            found[one] = outcomes
    return found


def _cover(standing: Mapping[Constraint, list[int]], rows: Sequence[Edit]) -> list[tuple[Constraint, list[Edit]]]:
    """The fewest constraints that explain every consistent change, the one that explains most first."""
    open_pairs = {(n, one) for one, outcomes in standing.items() for n, value in enumerate(outcomes) if value == 1}
    chosen: list[tuple[Constraint, list[Edit]]] = []
    left = dict(standing)
    while left:
        gains = {one: _explained(one, outcomes, open_pairs) for one, outcomes in left.items()}
        best = max(left, key=lambda one: (_worth(one, left[one], gains[one], rows), _plainness(one, rows)))
        outcomes = left.pop(best)
        if len({n for n, _ in gains[best]}) < MIN_EDITS:
            continue
        open_pairs -= gains[best]
        chosen.append((best, [row for n, row in enumerate(rows) if outcomes[n] == 1]))
        left = {one: o for one, o in left.items() if one.name == "wording" or group(one) != group(best)}
    return chosen


def _worth(
    one: Constraint, outcomes: Sequence[int], gain: Collection[tuple[int, Constraint]], rows: Sequence[Edit]
) -> float:
    """How many changes a constraint explains, less those that contradict it; large changes of length count more.

    Structure that was not there says more than a limit that many a shorter text keeps.
    """
    shaped = group(one) == "shape"
    least = 2.0 if one.name in ("bullets", "numbered", "table") else 1.0

    def size(row: Edit) -> float:
        return max(least, abs(log2((row.was.words + 1) / (row.now.words + 1)))) if shaped else 1.0

    explained = sum(size(rows[n]) for n, _ in gain)
    changed = [rows[n] for n, value in enumerate(outcomes) if value == 1]
    if one.name == "sentences_at_most" and 2 * sum(_reached(one, row) for row in changed) < len(changed):
        explained /= 2
    return explained - outcomes.count(-1)


def _explained(
    one: Constraint, outcomes: Sequence[int], pairs: Collection[tuple[int, Constraint]]
) -> set[tuple[int, Constraint]]:
    """The changes that a constraint explains, in the edits that support it."""
    also = _EXPLAINS.get(about(one), ())
    return {(n, other) for n, other in pairs if outcomes[n] == 1 and _covers(one, other, also)}


def _covers(one: Constraint, other: Constraint, also: Collection[str]) -> bool:
    if one == other or (about(one) == about(other) and about(one) != "wording"):
        return True
    if about(other) == "wording":
        word = str(other.value).partition(WORDING)[0]
        return "wording" in also or (
            one.name in _LOCAL and about(one) != "wording" and not one.holds(word, features(word))
        )
    return about(other) in also


def _plainness(one: Constraint, rows: Sequence[Edit]) -> int:
    """Which of two that explain the same is the plainer one; higher is plainer."""
    if one.name in ("sentences", "bullets", "numbered", "plain", "no_opening"):
        return 5
    if one.name == "words_at_most" and (lengths := sorted(row.now.words for row in rows if row.touched)):
        low, high = lengths[len(lengths) // 10], lengths[-1 - len(lengths) // 10]
        return 4 if low >= 0.75 * high else 2  # all of about one length: it is the words that the user counts
    return 3


def _parts(one: Constraint, support: Sequence[Edit], before: Sequence[Constraint]) -> list[Constraint]:
    """The constraint with the numbers that belong to it, of the results that support it."""
    parts = [one]
    if one.name in ("bullets", "numbered"):
        parts += _of_list(one, support, before)
    elif one.name in ("sentences", "sentences_at_most"):
        parts.append(_limit("words_at_most", [row.now.words for row in support], before))
        parts.append(Constraint("no_lists"))
    elif one.name == "words_at_most" and any(row.was.items and not row.now.items for row in support):
        parts.append(Constraint("no_lists"))
    return parts


def _of_list(one: Constraint, support: Sequence[Edit], before: Sequence[Constraint]) -> list[Constraint]:
    """What goes with a list: how long its items are, how many where the user cut them, and what is around it."""
    parts = [_limit("item_words_at_most", [row.now.item_words for row in support], before)]
    parts += [Constraint("mark", mark) for mark in _marks(support) if mark not in USUAL_MARKS]
    most = max(row.now.items for row in support)
    if not one.value and max(row.was.sentences for row in support) > most + AROUND_A_LIST:
        parts.append(Constraint("items_at_most", most))
    if sum(row.now.prose_lines == 0 for row in support) >= 0.75 * len(support):
        parts.append(Constraint("list_only"))
    return parts


def _limit(name: str, counts: Sequence[int], before: Sequence[Constraint]) -> Constraint:
    """At most as many as nine in ten have, in a number that people say; the one stated before while it fits."""
    high = sorted(counts)[min(len(counts) - 1, round(0.9 * (len(counts) - 1)))]
    place = next((n for n, step in enumerate(STEPS) if step >= high), len(STEPS) - 1)
    stated = next((int(one.value) for one in before if one.name == name), None)
    if stated in STEPS[place : place + 2]:
        return Constraint(name, int(stated or 0))
    return Constraint(name, STEPS[place])


def _agreed(rule: Rule, apart: Mapping[str, Sequence[Rule]]) -> bool:
    """Whether the tasks that have a rule of that group of their own have the same."""
    one = rule.constraints[0]
    return all(
        other.constraints[0] == one
        for found in apart.values()
        for other in found
        if group(other.constraints[0]) == group(one)
    )


def _denied(rule: Rule, rows: Sequence[Edit]) -> bool:
    outcomes = [outcome(rule.constraints[0], row) for row in rows]
    return outcomes.count(-1) >= max(2, outcomes.count(1))


def _end(one: Constraint, rows: Sequence[Edit]) -> int | None:
    """The place of the last support of a constraint that the newest results all contradict, else None."""
    told = [(n, value) for n, row in enumerate(rows) if (value := outcome(one, row))]
    if len(told) > ENDED and all(value == -1 for _, value in told[-ENDED:]):
        return max(n for n, value in told if value == 1)
    return None


def _ended(clause: Clause, rows: Sequence[Edit], bare: Sequence[Edit]) -> bool:
    """Whether the newest results, as many as it takes, all lack what a clause asks for.

    ``bare`` are the same ones without fixed openings and closings, which are not counted.
    """
    stated = constraints_of(clause.text)
    if not stated:
        return False
    task = re.match(r'In "([^"]*)": ', clause.text)
    seen = rows if stated[0].name in _FIXED else bare
    told = [row for row in seen if task is None or task_name(row.interaction.task) == task[1]]
    newest = [outcome(stated[0], row) for row in told[-ENDED:]]
    return len(newest) == ENDED and all(value == -1 for value in newest)


def _still(own: Sequence[Clause], rows: Sequence[Edit], fresh: Sequence[Rule]) -> list[Clause]:
    """The clauses of this kind that hold as they are: not ended, and not said anew."""
    stated = [one for clause in own for one in constraints_of(clause.text)]
    bare = _stripped(rows, [one for one in stated if one.name in _FIXED])
    return [c for c in own if not _ended(c, rows, bare) and not _replaced(c, fresh)]


def _clauses(fresh: Sequence[Rule]) -> list[Clause]:
    made = [
        Clause(text=r.text, evidence=tuple(e.interaction.id for e in r.support[-EVIDENCE:]), kind=KIND) for r in fresh
    ]
    return [c for c in made if sound_clauses({Section.ANSWERING: (c,)}, c.evidence)]


def _replaced(clause: Clause, fresh: Sequence[Rule]) -> bool:
    stated = {group(one) for one in constraints_of(clause.text)[:1]}
    return any(rule.text == clause.text or group(rule.constraints[0]) in stated for rule in fresh)


def _others(incumbent: Sections, fresh: Sequence[Rule]) -> Sections:
    """The clauses of other kinds, without those of template and comments that say the contrary or less exactly."""
    told = {group(rule.constraints[0]) for rule in fresh}
    longer = any(rule.constraints[0].name == "words_at_least" for rule in fresh)

    def stays(clause: Clause) -> bool:
        if clause.kind == KIND:
            return False
        if clause.kind == "comments":
            return told.isdisjoint(group(one) for one in constraints_of(clause.text)[:1])
        return bool(clause.evidence) or not (longer and _BRIEF.search(clause.text))

    return {section: tuple(filter(stays, clauses)) for section, clauses in incumbent.items()}


def _before(own: Sequence[Clause], prefix: str) -> list[Constraint]:
    return [
        one
        for clause in own
        if clause.text.startswith(prefix) and (prefix or not clause.text.startswith('In "'))
        for one in constraints_of(clause.text)
    ]


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text.casefold())[:MAX_TOKENS]


MAX_CHARS: Final = 160
SHOWN_CHARS: Final = 600
SCHEMA: Final[dict[str, Any]] = {
    "title": "Rule",
    "type": "object",
    "properties": {"rule": {"type": "string", "maxLength": MAX_CHARS}},
    "required": ["rule"],
    "additionalProperties": False,
}


async def offered_rule(models: Models, query: str, answer: str, truth: str, pins: Sequence[str]) -> str | None:
    """A rule that the correction shows, one call; None where there is none, it is pinned already, or no model writes.

    What the model writes is untrusted: one line of at most ``MAX_CHARS``, and none that speaks to the agent's rules.
    """
    if models.embedded or not query.strip() or not truth.strip():
        return None
    told = {"question": query, "answer": answer or "none", "what the user wanted": truth}
    case = "\n".join(quote(one_line(text, SHOWN_CHARS), label) for label, text in told.items())
    try:
        said = await models.structured("editor", [HumanMessage(render("rule_offer", case=case))], SCHEMA)
    except ModelError:
        return None
    told_rule = said.get("rule")
    rule = " ".join(told_rule.split()).rstrip(".!") if isinstance(told_rule, str) else ""
    known = set(map(skeleton, pins))
    if not rule or len(rule) > MAX_CHARS or broken_rule(rule) or skeleton(rule) in known:
        return None
    return one_line(rule, MAX_CHARS)


def rule_of_edits(
    history: Sequence[Interaction], clauses: Sequence[Clause], pins: Sequence[str], offered: Collection[str]
) -> tuple[str, str] | None:
    """The strongest rule that the edits in a history (oldest first) show and nothing states yet, without a call.

    With it comes what it is about: of that, once ``offered`` or stated, no rule is offered again, whatever its number.
    """
    texts = (*pins, *(clause.text for clause in clauses))
    stated = {group(constraint) for text in texts for constraint in constraints_of(text)}
    for rule in rules_by_task(edits_in(history), clauses):
        about = group(rule.constraints[0])
        if about not in stated and about not in offered:
            return about, rule.text.rstrip(".")
    return None
