"""Proposers that need no model: what can be counted in the user's labels, and the persona without what is old.

Counted clauses are replaced by fresh ones, all others are kept. They are words that speak for a label, confused labels
and telling examples, over the user's own labelled interactions, weighted by recency and belief (``statistics.Row``);
and the action policy: which tools have served the user, as clauses of the tooling section in the order in which they
should be tried, in which the action space puts them in front of the model (``tools.space``).

Where a taste has turned, older labels that the newest ones contradict are no longer counted. Fading by age alone is
slow when a taste turns at once: the old labels are many, the new ones few. So older labels are asked to foretell the
newest: where they do so clearly worse than the labels' own shares would, the user has changed.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from math import comb, log, sqrt
from typing import Literal

from personaagent.errors import InvalidPersona
from personaagent.labels.answers import bare
from personaagent.labels.statistics import (
    COUNTED,
    EVIDENCE,
    MIN_ROWS,
    Row,
    by_task,
    is_closed,
    label_weights,
    ranges,
    task_name,
    tells_of,
    turn_clause,
    turned_since,
)
from personaagent.labels.tool_record import ToolUse, tool_uses
from personaagent.persona.proposers import ProposalContext, Refusal
from personaagent.persona.shape import MAX_CLAUSE_CHARS, sound_clauses, to_text, token_count, validate_sections
from personaagent.rules import broken_rule
from personaagent.text import one_line
from personaagent.types import Candidate, Clause, Interaction, Section, Sections, Simulation, clauses_of, evidence_of

FRESH = 20  # newest labelled interactions; a clause that none of them supports is old


@dataclass(frozen=True, slots=True)
class CountedProposer:
    """The incumbent with its counted clauses fresh, habits and tools among them, and one kind added."""

    name: str
    kind: Kind

    async def propose(self, context: ProposalContext) -> Candidate | Refusal:
        """Return the incumbent, counted anew (``renew``)."""
        return await asyncio.to_thread(renew, self.name, context, (self.kind,))


HISTOGRAM = CountedProposer("histogram", "signs")  # the words that go with each label
CONTRAST = CountedProposer("contrast", "contrast")  # labels that the incumbent confused, held against each other
EXAMPLES = CountedProposer("examples", "examples")  # questions that it got wrong, then typical ones


class RetireProposer:
    """Takes out clauses that stand on old evidence alone; the gate says whether they were still needed."""

    name = "retire"

    async def propose(self, context: ProposalContext) -> Candidate | Refusal:
        """Return the incumbent without its old clauses and with fresh counts; template clauses have no evidence.

        A Refusal where no clause is old.
        """
        fresh = {interaction.id for interaction in context.history[-FRESH:]}
        old = {
            clause.text
            for clauses in context.incumbent.values()
            for clause in clauses
            if clause.evidence and clause.kind is None and fresh.isdisjoint(clause.evidence)
        }
        if not old:
            return Refusal(proposer=self.name, reason="no clause stands on old interactions alone")
        return await asyncio.to_thread(renew, self.name, context, (), without=old)


Kind = Literal["habits", "tools", "signs", "contrast", "examples"]

COUNTED_TOKENS = 240  # of all counted clauses, so that a persona does not grow with its kinds
HALF_LIVES = (15.0, 5.0, 40.0)  # labels after which one counts half, by variant

_Written = tuple[Section, Clause]


def renew(
    name: str, context: ProposalContext, kinds: Sequence[Kind], *, without: Collection[str] = ()
) -> Candidate | Refusal:
    """Return the incumbent with its counted clauses fresh, and those of ``kinds`` added.

    A kind that stands in the incumbent stays and is counted anew, so no number in a persona is older than its last
    alignment. ``kinds`` come first, and the last clauses give way to ``COUNTED_TOKENS`` and the token budget. Where the
    taste has turned (``since_turn``), only what came after is counted, and clauses that stand on what came before alone
    are left out, as are those whose text is in ``without``. Variants of the context differ in how fast the past fades.
    A Refusal where there is too little to count, no room, or nothing new.
    """
    current, turns = since_turn(context.history, context.incumbent)
    refuted = {i.id for i in context.history} - {i.id for i in current}
    standing = COUNTED.intersection(clause.kind for clause in clauses_of(context.incumbent))
    wanted = list(dict.fromkeys(["habits", "tools", *kinds, *sorted(standing)]))
    written = _sound([*((Section.WHO, clause) for clause in turns), *_clauses(context, current, wanted)])
    kept = _kept(context.incumbent, without, refuted)
    if not written:
        return Refusal(
            proposer=name, reason=f"fewer than {MIN_ROWS} labelled interactions of any task with labels or scores"
        )
    written = _fitting(kept, written, context.token_budget)
    if not written:
        return Refusal(proposer=name, reason="the persona's other clauses leave no room in the token budget")
    standing_ids = set(evidence_of(context.incumbent))
    known = {i.id for i in context.history} | standing_ids
    try:
        sections = validate_sections(_merged(kept, written), budget_tokens=context.token_budget, known_ids=known)
    except InvalidPersona as error:
        return Refusal(proposer=name, reason=str(error))
    if to_text(sections, evidence=False) == to_text(context.incumbent, evidence=False):
        return Refusal(proposer=name, reason="what it would say is already in the persona")
    return Candidate(proposer=name, sections=sections, reason=f"counted in {len(context.history)} labels")


def _kept(incumbent: Sections, without: Collection[str], refuted: set[str]) -> dict[Section, tuple[Clause, ...]]:
    """The clauses that nobody counts, less those in ``without`` and those that stand on what is refuted alone."""

    def stays(clause: Clause) -> bool:
        stands = not clause.evidence or not refuted.issuperset(clause.evidence)
        return stands and clause.kind not in COUNTED and clause.text not in without

    return {section: tuple(filter(stays, clauses)) for section, clauses in incumbent.items()}


def _fitting(kept: Sections, written: Sequence[_Written], budget: int) -> list[_Written]:
    """The first of the counted clauses for which there is room."""
    fitting = list(written)
    while fitting and (
        token_count(_merged(kept, fitting)) > budget or token_count(_merged({}, fitting)) > COUNTED_TOKENS
    ):
        fitting.pop()
    return fitting


def _clauses(context: ProposalContext, current: Sequence[Interaction], kinds: Sequence[str]) -> list[_Written]:
    half_life = HALF_LIVES[context.variant % len(HALF_LIVES)]
    tasks = by_task(current, half_life)
    closed = {task: rows for task, rows in tasks.items() if len(rows) >= MIN_ROWS and is_closed(rows)}
    each, told = closed.items(), context.simulations
    writers: dict[str, tuple[Section, Callable[[], Iterable[Clause]]]] = {
        "habits": (Section.WHO, lambda: ranges(current, half_life)),
        "tools": (Section.TOOLING, lambda: tool_clauses(context.history)),
        "signs": (Section.ANSWERING, lambda: chain(*(sign_clauses(t, rows) for t, rows in each))),
        "contrast": (
            Section.ANSWERING,
            lambda: chain(*(contrast_clauses(t, rows, told) for t, rows in each)),
        ),
        "examples": (Section.ANSWERING, lambda: chain(*(example_clauses(t, rows, told) for t, rows in each))),
    }
    written: list[_Written] = []
    for kind in filter(writers.__contains__, kinds):
        section, write = writers[kind]
        written += [(section, replace(clause, kind=kind)) for clause in write()]
    return written


def _sound(written: Sequence[_Written]) -> list[_Written]:
    return [(section, c) for section, c in written if sound_clauses({section: (c,)}, c.evidence)]


def _merged(kept: Sections, written: Sequence[_Written]) -> Sections:
    merged = {}
    for section in Section:
        told, own = kept.get(section, ()), tuple(clause for where, clause in written if where is section)
        # tools are ordered by the first clause that names them: what was counted goes before what was presumed
        merged[section] = own + told if section is Section.TOOLING else told + own
    return merged


SIGNS = 12  # words a label
LABELS = 4  # labels of a task that get signs
PAIRS = 3  # pairs of labels of a task that are held against each other
LABELS_SHOWN = 5  # labels of a task that get examples
EXAMPLES_SHOWN = 2  # of a label
EXAMPLE_CHARS = 70
MIN_ODDS = log(2)  # a sign is at least twice as common with its label as without


def sign_clauses(task: str, rows: Sequence[Row]) -> list[Clause]:
    """One clause a common label: the words whose log-odds speak most for it, with the newest rows that have them."""
    clauses = []
    for label, _ in label_weights(rows).most_common(LABELS):
        inside, outside = _sides(rows, label)
        if len(inside) >= MIN_ROWS and outside and (telling := _telling(inside, outside)):
            text = f'Signs of "{label}" in "{task}": {", ".join(telling)}.'
            clauses.append(Clause(text=text, evidence=_with(inside, telling)))
    return clauses


def contrast_clauses(task: str, rows: Sequence[Row], simulations: Sequence[Simulation]) -> list[Clause]:
    """One clause a pair of labels: how often the user chose each, and the words that decide between the two.

    The pairs are those that the incumbent confused, the most often confused first, and then the two commonest labels.
    """
    weights = label_weights(rows)
    clauses = []
    for wanted, given in _confused(rows, weights, simulations)[:PAIRS]:
        mine, other = ([row for row in rows if row.label == label] for label in (wanted, given))
        share = 100 * weights[wanted] / (weights[wanted] + weights[given])
        # rounded to 10 %, or the clause would be another one after every label
        parts = [f'"{wanted}" {10 * round(share / 10)} %, "{given}" {100 - 10 * round(share / 10)} % of the time']
        evidence = [row.interaction.id for row in [*other, *mine][-EVIDENCE:]]
        for label, inside, outside in ((wanted, mine, other), (given, other, mine)):
            if telling := _telling(inside, outside) if outside else []:
                parts.append(f'"{label}" for {", ".join(telling)}')
        text = f'Between "{wanted}" and "{given}" in "{task}": {"; ".join(parts)}.'
        clauses.append(Clause(text=text, evidence=tuple(evidence)))
    return clauses


def example_clauses(task: str, rows: Sequence[Row], simulations: Sequence[Simulation]) -> list[Clause]:
    """One clause a common label: how questions begin that the user gave it to.

    First one that the incumbent got wrong, then the most typical: a question whose words speak for its label, newer
    ones before older.
    """
    missed = {s.interaction_id for s in simulations if s.loss > 0 and s.error is None}
    clauses = []
    for label, _ in label_weights(rows).most_common(LABELS_SHOWN):
        typical = _typical(rows, label)
        wrong = [row for row in typical if row.interaction.id in missed][:1]
        chosen: dict[str, str] = {}
        for row in [*wrong, *typical]:
            excerpt = one_line(row.interaction.query.strip().partition("\n")[0], EXAMPLE_CHARS).replace('"', "'")
            if excerpt and broken_rule(row.interaction.query[:1_000]) is None:
                chosen.setdefault(excerpt, row.interaction.id)
        shown = dict(list(chosen.items())[:EXAMPLES_SHOWN])
        if shown:
            told = "; ".join(f'"{excerpt}"' for excerpt in shown)
            clauses.append(Clause(text=f'"{label}" in "{task}" was: {told}', evidence=tuple(shown.values())))
    return clauses


def _confused(
    rows: Sequence[Row], weights: Mapping[str, float], simulations: Iterable[Simulation]
) -> list[tuple[str, str]]:
    """Pairs (wanted, given) of the user's own labels."""
    labels = {bare(row.label): row.label for row in rows}
    mine = {row.interaction.id: row.label for row in rows}
    counted: Counter[tuple[str, str]] = Counter()
    for simulation in simulations:
        wanted, given = mine.get(simulation.interaction_id), labels.get(bare(simulation.actual))
        if wanted is not None and given is not None and wanted != given:
            counted[wanted, given] += 1
    commonest = sorted(weights, key=lambda label: -weights[label])[:2]
    pairs = [pair for pair, _ in counted.most_common()]
    if len(commonest) == 2:
        pairs.append((commonest[0], commonest[1]))
    return list({frozenset(pair): pair for pair in reversed(pairs)}.values())[::-1]


def _typical(rows: Sequence[Row], label: str) -> list[Row]:
    inside, outside = _sides(rows, label)
    signs = set(_telling(inside, outside, limit=50)) if outside else set()
    numbered = sorted(
        enumerate(inside), key=lambda pair: (len(signs & words_in(pair[1].interaction.query)), pair[0]), reverse=True
    )
    return [row for _, row in numbered]


def _telling(inside: Sequence[Row], outside: Sequence[Row], *, limit: int = SIGNS) -> list[str]:
    """The words of ``inside`` whose log-odds against ``outside`` are highest, among those that several rows share."""
    here, there = _frequencies(inside), _frequencies(outside)
    shared = Counter(word for row in inside for word in words_in(row.interaction.query))
    size_here, size_there = sum(row.weight for row in inside), sum(row.weight for row in outside)
    scores: dict[str, float] = {}
    for word, count in shared.items():
        odds = log((here[word] + 0.5) / (size_here + 1)) - log((there.get(word, 0) + 0.5) / (size_there + 1))
        if count >= MIN_ROWS and odds > MIN_ODDS and broken_rule(word) is None:
            scores[word] = odds * sqrt(count)
    return sorted(scores, key=lambda word: (-scores[word], word))[:limit]


def _sides(rows: Sequence[Row], label: str) -> tuple[list[Row], list[Row]]:
    return [row for row in rows if row.label == label], [row for row in rows if row.label != label]


def _with(rows: Sequence[Row], telling: Sequence[str]) -> tuple[str, ...]:
    found = [row.interaction.id for row in rows if words_in(row.interaction.query) & set(telling)]
    return tuple(found[-EVIDENCE:])


def _frequencies(rows: Sequence[Row]) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in rows:
        for word in words_in(row.interaction.query):
            found[word] = found.get(word, 0.0) + row.weight
    return found


MIN_SHARE = 0.5  # of a preferred tool's answers were accepted
MIN_TURNS = 3  # without one accepted answer, before a tool is warned of


def tool_clauses(history: Sequence[Interaction]) -> list[Clause]:
    """What to prefer, and what has been of no help; none where the history says too little. ``history`` oldest first.

    Preferred are tools with at least two accepted answers that are at least half of their answers; the best comes
    first, with what it was asked. Warned of are tools with three answers or more and none accepted.
    """
    uses = tool_uses(history)
    served = [use for use in uses if use.accepted >= MIN_ROWS and use.share >= MIN_SHARE]
    failed = [use for use in uses if use.turns >= MIN_TURNS and not use.accepted]
    return [
        *_tool_clause("Tools to prefer: ", ", then ", [(_preferred(use), use) for use in served]),
        # the word before each name is what puts the tool last
        *_tool_clause(
            "Tools of little help: ", ", ", [(f"avoid {u.name} (0 of {u.turns} accepted)", u) for u in failed]
        ),
    ]


def _tool_clause(opening: str, joint: str, parts: Sequence[tuple[str, ToolUse]]) -> list[Clause]:
    """One clause of as many parts as may stand in it, or none."""
    told: list[str] = []
    evidence: list[str] = []
    for part, use in parts:
        text = f"{opening}{joint.join([*told, part])}."
        if len(text) <= MAX_CLAUSE_CHARS and broken_rule(text) is None:
            told.append(part)
            evidence += use.evidence[-EVIDENCE:]
    return [Clause(text=f"{opening}{joint.join(told)}.", evidence=tuple(dict.fromkeys(evidence)))] if told else []


def _preferred(use: ToolUse) -> str:
    share = f"{use.accepted} of {use.turns} accepted"
    examples = [text.replace('"', "'") for text in use.asked if broken_rule(text) is None]
    return f'{use.name} ({share}, asked "{examples[0]}")' if examples else f"{use.name} ({share})"


WINDOWS = (5, 7, 9, 12, 16, 21, 28, 37, 49, 65, 86, 114)  # newest labels that may be of another taste
MIN_OLDER = 5  # labels that foretell
CHANCE = 0.04  # a contradiction as strong comes by luck no more often than this
CLEAR = 2 / 3  # of the rows with a word have one label, so that the word speaks for it


def since_turn(history: Sequence[Interaction], incumbent: Sections) -> tuple[list[Interaction], list[Clause]]:
    """Return what of the labelled ``history`` (oldest first) still holds, and a clause for each task that has turned.

    Tasks turn each for itself. A turn that the incumbent tells of stays until a later one is seen. Only labels that
    come back can be foretold, so free text never turns.
    """
    tasks: dict[str, list[Interaction]] = {}
    for interaction in history:
        tasks.setdefault(task_name(interaction.task), []).append(interaction)
    current: set[str] = set()
    clauses = []
    for name, all_rows in tasks.items():
        told = turned_since(incumbent, name)
        rows = [row for row in all_rows if told is None or row.created_at >= told]
        held = rows[-turned(rows) :] if rows else []
        current |= {row.id for row in held}
        if held and len(held) < len(rows):
            clauses.append(turn_clause(name, held))
        elif told is not None:
            clauses += filter(partial(tells_of, name), incumbent.get(Section.WHO, ()))
    return [interaction for interaction in history if interaction.id in current], clauses


def turned(rows: Sequence[Interaction]) -> int:
    """How many of a task's newest rows are of the taste that holds now; all of them where it has not turned."""
    labels = [bare(row.ground_truth or "") for row in rows]
    texts = [words_in(row.query) for row in rows]
    found, least = len(rows), CHANCE
    for window in WINDOWS:
        older = len(rows) - window
        if older < MIN_OLDER:
            break
        chance = _luck(texts[:older], labels[:older], texts[older:], labels[older:])
        if chance < least:
            found, least = window, chance
    return found


def _luck(
    texts: Sequence[set[str]], labels: Sequence[str], new_texts: Sequence[set[str]], new_labels: Sequence[str]
) -> float:
    """The probability that labels without any bearing on the words are foretold as badly as these; 1 for nothing."""
    spoken = _spoken(texts, labels)
    shares = Counter(new_labels)
    told = right = 0
    expected = 0.0
    for text, label in zip(new_texts, new_labels, strict=True):
        votes = Counter(spoken[word] for word in text if word in spoken).most_common(2)
        if not votes or (len(votes) == 2 and votes[0][1] == votes[1][1]):
            continue
        told += 1
        right += votes[0][0] == label
        expected += shares[votes[0][0]] / len(new_labels)
    if not told:
        return 1.0
    base = expected / told
    return float(sum(comb(told, n) * base**n * (1 - base) ** (told - n) for n in range(right + 1)))


def _spoken(texts: Sequence[set[str]], labels: Sequence[str]) -> dict[str, str]:
    """The label that each word speaks for, of words in several rows that clearly go with one."""
    counts: dict[str, Counter[str]] = {}
    for text, label in zip(texts, labels, strict=True):
        for word in text:
            counts.setdefault(word, Counter())[label] += 1
    tops = {word: (count.most_common(1)[0], count.total()) for word, count in counts.items()}
    return {word: label for word, ((label, n), total) in tops.items() if total >= MIN_ROWS and n >= CLEAR * total}


READ_CHARS = 2_000  # of a question

_LETTERS = re.compile(r"[^\W\d_]{4,20}")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "about after again also because been before being between both could does doing down during each from have "
        "having here into just more most other over same should some such than that their them then there these they "
        "this those through under very were what when where which while will with would your",
    )
)


def words_in(text: str) -> set[str]:
    """Words of 4 to 20 letters in lower case, without the commonest English ones."""
    return set(_LETTERS.findall(text[:READ_CHARS].casefold())) - _COMMON
