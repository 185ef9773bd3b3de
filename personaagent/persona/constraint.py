"""What a clause demands of an answer's form, so that it can be measured: written as a clause and read out of one.

A constraint is a name and, for some, a value. Its clause is imperative and has numbers in it: "Answer in at most 20
words." is obeyed by models that do nothing with "be concise".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from personaagent.form import LANGUAGES, Form

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
WORDING = " -> "  # between a word and the one that the user puts in its place, in a value

_Check = Callable[[Form, str, "int | str"], bool]


@dataclass(frozen=True, slots=True)
class Constraint:
    """One property that an answer has or lacks. ``value`` is a count, a language or the user's own words."""

    name: str
    value: int | str = ""

    def holds(self, text: str, form: Form) -> bool:
        """Whether a text has it; ``form`` is ``features(text)``."""
        return _CHECKS[self.name](form, text, self.value)

    @property
    def clause(self) -> str:
        """The sentence that asks for it."""
        if self.name in _COUNTED:
            return shape_clause([self])
        if self.name == "wording":
            return wording_clause([self])
        return _TEXTS[self.name].format(self.value)


def shape_clause(parts: Sequence[Constraint]) -> str:
    """One sentence for the constraints on length and structure that belong together."""
    told = {part.name: part.value for part in parts}
    if kind := next((kind for kind in ("bullets", "numbered") if kind in told), None):
        return _list_clause("bulleted" if kind == "bullets" else "numbered", int(told[kind]), told)
    bounds = {"sentences": "", "sentences_at_most": "at most ", "sentences_at_least": "at least "}
    length = "".join([f"{bounds[name]}{_in_sentences(int(told[name]))}" for name in bounds if name in told][-1:])
    for name, joint, words in (
        ("words_at_most", " of " if length == "one sentence" else " and ", "at most {} words"),
        ("words_at_least", " and ", "at least {} words"),
        ("paragraphs", ", ", "one paragraph"),
    ):
        if name in told:
            length += (joint if length else "") + words.format(told[name])
    return f"Answer in {length}{', without lists' if 'no_lists' in told else ''}."


def wording_clause(parts: Sequence[Constraint]) -> str:
    """One sentence for all words that the user replaces."""
    pairs = [str(part.value).partition(WORDING) for part in parts]
    told = "; ".join(f'"{new}", never "{old}"' for old, _, new in pairs)
    return f"Write {told}."


def constraints_of(clause: str) -> list[Constraint]:
    """The constraints that a clause states, in English; empty where it says nothing that can be measured.

    The clause may begin with the task that it is for. Nothing is read out of a sentence that is put under a condition
    ("when the question is about code").
    """
    clause = re.sub(r'^In "[^"]*": ', "", clause)
    literal, plain = _literals(clause), _QUOTED.sub(" ", clause)
    if _CONDITION.search(plain):
        return []
    found = [*literal, *_lengths(plain), *_lists(plain)]
    for name, pattern in _READ.items():
        if pattern.search(plain):
            found.append(Constraint(name))
    if language := _LANGUAGE.search(plain):
        found.append(Constraint("language", language[1].capitalize()))
    return list(dict.fromkeys(found))


def _list_clause(kind: str, count: int, told: Mapping[str, int | str]) -> str:
    most = told.get("items_at_most")
    items = f" of exactly {count} items" if count else f" of at most {most} items" if most else ""
    limit = told.get("item_words_at_most")
    words = (
        f" of at most {limit} words each" if limit and count else f", each item at most {limit} words" if limit else ""
    )
    alone = ", with nothing before or after it" if "list_only" in told else ""
    return f"Answer as a {kind} list{items}{words}{alone}."


def _in_sentences(count: int) -> str:
    number = NUMBERS[count] if count < len(NUMBERS) else str(count)
    return f"{number} sentence{'s' if count > 1 else ''}"


def _listed(form: Form, kind: str, count: int) -> bool:
    items = form.bullets if kind == "bullets" else form.numbered
    return items >= 2 and (not count or items == count)


def _starts(text: str, value: int | str) -> bool:
    return text.lstrip().casefold().startswith(str(value).casefold())


def _ends(text: str, value: int | str) -> bool:
    return text.rstrip().casefold().endswith(str(value).casefold())


def has_word(text: str, word: str) -> bool:
    """Whether a word or phrase stands in a text by itself, whatever its case."""
    return bool(re.search(rf"(?<!\w){re.escape(word.strip())}(?!\w)", text, re.IGNORECASE))


_CHECKS: Mapping[str, _Check] = {
    "words_at_most": lambda form, _, n: form.words <= int(n),
    "words_at_least": lambda form, _, n: form.words >= int(n),
    "sentences": lambda form, _, n: form.sentences == int(n) and not form.items,
    "sentences_at_most": lambda form, _, n: form.sentences <= int(n) and not form.items,
    "sentences_at_least": lambda form, _, n: form.sentences >= int(n),
    "paragraphs": lambda form, _, n: form.paragraphs == int(n),
    "bullets": lambda form, _, n: _listed(form, "bullets", int(n or 0)),
    "numbered": lambda form, _, n: _listed(form, "numbered", int(n or 0)),
    "item_words_at_most": lambda form, _, n: form.item_words <= int(n),
    "items_at_most": lambda form, _, n: form.items <= int(n),
    "list_only": lambda form, _, __: form.items > 0 and form.prose_lines == 0,
    "no_lists": lambda form, _, __: not form.items,
    "no_headings": lambda form, _, __: not form.headings,
    "no_emphasis": lambda form, _, __: not form.emphasis,
    "no_tables": lambda form, _, __: not form.tables,
    "no_code": lambda form, _, __: not form.fences,
    "plain": lambda form, _, __: form.plain,
    "one_a_line": lambda form, _, __: form.one_a_line or form.sentences <= 1,
    "bold_lead": lambda form, _, __: form.bold_lead,
    "emphasis": lambda form, _, __: form.emphasis > 0,
    "heading_first": lambda form, _, __: form.heading_first,
    "code_first": lambda form, _, __: form.fence_first,
    "table": lambda form, _, __: form.tables > 0,
    "language": lambda form, _, name: form.language in (None, name),
    "no_greeting": lambda form, _, __: not form.greeting,
    "no_filler": lambda form, _, __: not form.filler,
    "no_opening": lambda form, _, __: not (form.greeting or form.filler),
    "greeting": lambda form, _, __: form.greeting,
    "no_signoff": lambda form, _, __: not form.signoff,
    "question": lambda form, _, __: form.question,
    "no_question": lambda form, _, __: not form.question,
    "verdict": lambda form, _, __: form.verdict,
    "no_emoji": lambda form, _, __: not form.emoji,
    "emoji": lambda form, _, __: form.emoji > 0,
    "no_exclamations": lambda form, _, __: not form.exclamations,
    "no_parentheses": lambda form, _, __: not form.parentheses,
    "no_semicolons": lambda form, _, __: not form.semicolons,
    "no_dashes": lambda form, _, __: not form.dashes,
    "no_quotations": lambda form, _, __: not form.quotations,
    "no_hedges": lambda form, _, __: not form.hedges,
    "no_contractions": lambda form, _, __: not form.contractions,
    "metric": lambda form, _, __: form.units in (None, "metric"),
    "imperial": lambda form, _, __: form.units in (None, "imperial"),
    "british": lambda form, _, __: form.spelling in (None, "British"),
    "american": lambda form, _, __: form.spelling in (None, "American"),
    "formal": lambda form, _, __: form.address in (None, "formal"),
    "informal": lambda form, _, __: form.address in (None, "informal"),
    "no_first_person": lambda form, _, __: not form.first_person,
    "no_we": lambda form, _, __: not form.we,
    "lower": lambda form, _, __: form.case == "lower",
    "upper": lambda form, _, __: form.case == "upper",
    "no_full_stop": lambda form, _, __: not form.full_stop,
    "opening": lambda _, text, said: _starts(text, said),
    "closing": lambda _, text, said: _ends(text, said),
    "closing_line": lambda _, text, said: bool(text.strip()) and _ends(text.rstrip().splitlines()[-1], said),
    "never": lambda _, text, said: not has_word(text, str(said)),
    "wording": lambda _, text, said: not has_word(text, str(said).partition(WORDING)[0]),
}
_COUNTED = frozenset(
    re.findall(
        r"\w+",
        "words_at_most words_at_least sentences sentences_at_most sentences_at_least paragraphs bullets numbered",
    )
)
_TEXTS: Mapping[str, str] = {
    "item_words_at_most": "Write at most {} words in each item of a list.",
    "items_at_most": "Write at most {} items in a list.",
    "list_only": "Write the list only, with nothing before or after it.",
    "no_lists": "Use no lists: write sentences.",
    "no_headings": "Use no headings.",
    "no_emphasis": "Use no bold or italics.",
    "no_tables": "Use no tables.",
    "no_code": "Use no code blocks.",
    "plain": "Use no Markdown: plain sentences only.",
    "one_a_line": "Put each sentence on a line of its own.",
    "bold_lead": "Begin each answer with a one-line summary in bold.",
    "emphasis": "Put the key words in **bold**.",
    "heading_first": 'Begin each answer with a heading ("# ...").',
    "code_first": "Give the code first, in a code block, before any explanation.",
    "table": "Answer with a table.",
    "language": "Write in {}.",
    "no_greeting": "Do not open with a greeting.",
    "no_filler": "Do not open with filler: the first sentence is the answer itself.",
    "no_opening": "Do not open with a greeting or filler.",
    "greeting": "Open with a greeting.",
    "no_signoff": "End with the answer itself: no closing line, no offer of help.",
    "question": "End every answer with one question to the user.",
    "no_question": "Do not end with a question.",
    "verdict": "Put the verdict (yes or no) in the first word.",
    "no_emoji": "Use no emoji.",
    "emoji": "Use at least one emoji in every answer.",
    "no_exclamations": "Use no exclamation marks.",
    "no_parentheses": "Use no parentheses.",
    "no_semicolons": "Use no semicolons.",
    "no_dashes": "Use no dashes between words.",
    "no_quotations": "Use no quotation marks.",
    "no_hedges": 'Do not hedge: no "perhaps", "maybe", "probably" or "it depends".',
    "no_contractions": 'Use no contractions: write "do not" rather than "don\'t".',
    "metric": "Use metric units only.",
    "imperial": "Use imperial units only.",
    "british": 'Use British spelling ("colour", "organise").',
    "american": 'Use American spelling ("color", "organize").',
    "formal": "Address the user formally ({}).",
    "informal": "Address the user informally ({}).",
    "no_first_person": 'Do not write in the first person: no "I" or "me".',
    "no_we": "Do not speak in the plural (we).",
    "lower": "Write everything in lower case, without capital letters.",
    "upper": "Write everything in CAPITAL LETTERS.",
    "no_full_stop": "Do not put a full stop at the end of the answer.",
    "opening": 'Begin every answer with "{}".',
    "closing": 'End every answer with "{}".',
    "closing_line": 'End every answer with the line "{}".',
    "never": 'Never write "{}".',
}

_QUOTED = re.compile(r"[\"“„]([^\"”“„]{1,120})[\"”“]")
_CONDITION = re.compile(
    r"\b(?:when|whenever|where|if|unless|for (?:questions|answers|requests) (?:about|on)|except)\b", re.I
)
_N = rf"(\d{{1,4}}|{'|'.join(NUMBERS[1:])}|an?|single)"
_MOST = (
    r"(?:at most|no more than|not more than|up to|maximum(?: of)?|max\.?|under|below|fewer than|less than|within|"
    r"limit\w* to)"
)
_LEAST = r"(?:at least|no fewer than|no less than|more than|over|minimum(?: of)?)"
_NO = r"(?:no|without|avoid|never use|do not use|don't use|omit|remove|skip|drop|leave out)(?: (?:any|all|the|using))*"
_LANGUAGE = re.compile(
    rf"\b(?:in|use|to) ({'|'.join(LANGUAGES)})\b(?! (?:units?|spelling|style|cuisine|dish\w*|food))", re.IGNORECASE
)
_READ: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern.replace("NO ", rf"\b{_NO} (?:[\w*]+(?:,| or| and|, or)* ){{0,5}}?"), re.IGNORECASE)
    for name, pattern in {
        "list_only": r"\b(?:list only\b|nothing (?:before|else|around))",
        "no_headings": r"NO head(?:ing|er)s?\b",
        "no_emphasis": r"NO (?:bold|italics?|emphasis)\b",
        "no_tables": r"NO tables?\b",
        "no_code": r"NO code (?:block|fence)s?\b",
        "plain": r"NO markdown\b|\bplain (?:text|sentences|prose) only\b|\bin plain text\b",
        "one_a_line": r"\beach sentence (?:on|in) (?:a|its own) (?:new |separate )?line\b",
        "bold_lead": r"\b(?:begin|start|open|lead)\w*\b.{0,60}\bbold\b",
        "emphasis": r"\b(?:put|set|mark|write)\b.{0,30}\b(?:key|important|main)\b.{0,20}\bbold\b",
        "heading_first": r"\b(?:begin|start|open)\w* .{0,20}\bwith a (?:heading|title)\b",
        "code_first": r"\bcode (?:block )?(?:comes )?first\b|\b(?:begin|start) .{0,20}code block\b",
        "table": r"\b(?:answer|reply|as|in|with|use) (?:in |as |with )?a table\b",
        "no_opening": r"NO greetings? or filler\b|\bnot (?:open|start|begin) with a greeting or filler\b",
        "no_greeting": r"NO greetings?\b(?! or)|\bnot (?:open|start|begin) with a greeting\b(?! or)",
        "no_filler": r"NO filler\b|\bnot (?:open|start|begin) with (?:a )?filler\b",
        "greeting": r"^(?:open|start|begin) with a greeting\b",
        "no_signoff": r"NO (?:closing lines?|sign-?offs?|offers? of help)\b",
        "question": r"^(?:end|close|finish) .{0,20}with (?:a|one) question\b",
        "no_question": r"\bnot (?:end|close|finish) with a question\b",
        "verdict": r"\b(?:verdict|yes or no)\b.{0,40}\bfirst\b|\b(?:start|begin|open) with (?:the )?(?:verdict|yes)\b",
        "no_emoji": r"NO emojis?\b",
        "emoji": r"^use (?:at least one |one |an? |some )?emojis?\b",
        "no_exclamations": r"NO exclamation",
        "no_parentheses": r"NO (?:parenthes[ei]s|brackets)\b",
        "no_semicolons": r"NO semi-?colons?\b",
        "no_dashes": r"NO (?:em[- ])?dashes\b",
        "no_quotations": r"NO quot(?:ation|e) marks?\b",
        "no_hedges": r"NO hedg\w+\b|\b(?:not|never) hedge\b",
        "no_contractions": r"NO contractions?\b",
        "metric": r"\b(?:use|in|with) (?:only )?(?:the )?metric\b",
        "imperial": r"\b(?:use|in|with) (?:only )?(?:the )?imperial\b",
        "british": r"\bbritish (?:english )?spelling\b",
        "american": r"\bamerican (?:english )?spelling\b",
        "formal": r"\baddress\b.{0,20}\bformally\b",
        "informal": r"\baddress\b.{0,20}\binformally\b",
        "no_first_person": r"\bnot (?:write|speak|use) .{0,10}first person\b",
        "no_we": r"\bnot (?:speak|write) in the plural\b",
        "lower": r"\b(?:in|use) lower-? ?case\b",
        "upper": r"\b(?:in|use) (?:capital letters|upper-? ?case|all caps)\b",
        "no_full_stop": r"\b(?:no|not put a|without a) full stop at the end\b",
    }.items()
}


def _count(text: str) -> int:
    text = text.lower()
    return int(text) if text.isdigit() else NUMBERS.index(text) if text in NUMBERS else 1


def _lengths(text: str) -> list[Constraint]:
    found = []
    bounded = rf"\b{_MOST} {_N} words\b(?! each)(?! in each)(?! per)|\b{_N} words or (?:fewer|less)\b"
    match = re.search(bounded, text, re.IGNORECASE)
    if match and not re.search(r"\beach item\b", text[: match.start()], re.IGNORECASE):
        found.append(Constraint("words_at_most", _count(match[1] or match[2])))
    if match := re.search(rf"\b{_LEAST} {_N} words\b", text, re.IGNORECASE):
        found.append(Constraint("words_at_least", _count(match[1])))
    found += _sentences(text)
    if re.search(r"\b(?:one|a single|exactly one) (?:short )?paragraph\b", text, re.IGNORECASE):
        found.append(Constraint("paragraphs", 1))
    return found


def _sentences(text: str) -> list[Constraint]:
    match = re.search(rf"\b(?:({_MOST})|({_LEAST}))? ?(?:exactly |only )?{_N}(?: short)? sentences?\b", text, re.I)
    if match is None:
        return []
    most, least, number = match.groups()
    if not most and not least and number.lower() in ("a", "an"):
        return []
    count = _count(number)
    name = "sentences_at_least" if least else "sentences_at_most" if most and count != 1 else "sentences"
    return [Constraint(name, count)]


def _lists(text: str) -> list[Constraint]:
    if re.search(
        rf"\b{_NO} (?:\w+(?:,| or| and|, or)* ){{0,3}}?(?:lists?|bullets?(?: points?)?|bullet points)\b", text, re.I
    ):
        return [Constraint("no_lists")]
    found = []
    bulleted = re.search(r"\bbullet(?:ed|s| points?)?\b", text, re.IGNORECASE)
    if bulleted or re.search(r"\bnumbered (?:list|steps)\b", text, re.IGNORECASE):
        exact = re.search(rf"\b(?:exactly )?{_N}(?: short)? (?:items|bullets|bullet points|steps|points)\b", text, re.I)
        bounded = exact and re.search(rf"{_MOST} $", text[: exact.start()], re.IGNORECASE)
        count = _count(exact[1]) if exact and not bounded else 0
        found.append(Constraint("bullets" if bulleted else "numbered", count))
    if most := re.search(rf"\b{_MOST} {_N}(?: short)? (?:items|bullets|bullet points|steps|points)\b", text, re.I):
        found.append(Constraint("items_at_most", _count(most[1])))
    limit = re.search(rf"{_MOST} {_N} words (?:each|in each|per (?:item|bullet))", text, re.IGNORECASE) or re.search(
        rf"each item {_MOST} {_N} words", text, re.IGNORECASE
    )
    if limit:
        found.append(Constraint("item_words_at_most", _count(limit[1])))
    return found


def _literals(clause: str) -> list[Constraint]:
    """Fixed openings, closings and forbidden wording, which stand in quotation marks."""
    found = []
    for name, pattern in (
        (
            "opening",
            r"^(?:begin|start|open) (?:every|each|the|your) (?:answer|reply|response)s? with (?:the (?:words|line) )?",
        ),
        ("closing_line", r"^(?:end|close|finish) (?:every|each|the|your) (?:answer|reply|response)s? with the line "),
        ("closing", r"^(?:end|close|finish) (?:every|each|the|your) (?:answer|reply|response)s? with (?:the words )?"),
        ("never", r"^never (?:write|say|use) (?:the (?:word|phrase)s? )?"),
    ):
        if (match := re.search(pattern, clause, re.IGNORECASE)) and (said := _QUOTED.match(clause[match.end() :])):
            return [Constraint(name, said[1])]
    for preferred in re.finditer(r'(?:[Ww]rite|;) "([^"]+)", never "([^"]+)"', clause):
        found.append(Constraint("wording", f"{preferred[2]}{WORDING}{preferred[1]}"))
    return found
