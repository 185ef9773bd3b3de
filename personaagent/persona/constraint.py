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
        return _KINDS[self.name][1](form, text, self.value)

    @property
    def clause(self) -> str:
        """The sentence that asks for it."""
        if self.name in _COUNTED:
            return shape_clause([self])
        if self.name == "wording":
            return wording_clause([self])
        if self.name == "closing_line" and "\n" in str(self.value):
            lines = [f'"{line}"' for line in str(self.value).splitlines()]
            return f"End every answer with the lines {', '.join(lines[:-1])} and {lines[-1]}."
        return _KINDS[self.name][0].format(self.value)


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
    mark = f' ("{told["mark"]}")' if "mark" in told else ""
    items = f" of exactly {count} items" if count else f" of at most {most} items" if most else ""
    limit = told.get("item_words_at_most")
    words = (
        f" of at most {limit} words each" if limit and count else f", each item at most {limit} words" if limit else ""
    )
    alone = ", with nothing before or after it" if "list_only" in told else ""
    return f"Answer as a {kind} list{mark}{items}{words}{alone}."


def _in_sentences(count: int) -> str:
    number = NUMBERS[count] if count < len(NUMBERS) else str(count)
    return f"{number} sentence{'s' if count > 1 else ''}"


def _in_paragraphs(form: Form, most: int) -> bool:
    """Whether the sentences are in as few paragraphs of so many as can be."""
    return (
        not form.items
        and form.paragraph_sentences <= most
        and (form.paragraphs == -(-form.sentences // most) or form.sentences <= most)
    )


def _listed(form: Form, kind: str, count: int) -> bool:
    items = form.bullets if kind == "bullets" else form.numbered
    alone = items == form.items and (items >= 2 or (items == 1 and not form.prose_lines))
    return alone and (not count or items == count)


def _starts(text: str, value: int | str) -> bool:
    return text.lstrip().casefold().startswith(str(value).casefold())


def _ends(text: str, value: int | str) -> bool:
    return text.rstrip().casefold().endswith(str(value).casefold())


def _ends_in_lines(text: str, said: str) -> bool:
    lines = said.splitlines()
    last = [line.strip() for line in text.rstrip().splitlines()][-len(lines) :]
    return len(last) == len(lines) and _ends("\n".join(last), said)


def has_word(text: str, word: str) -> bool:
    """Whether a word or phrase stands in a text by itself, whatever its case."""
    return bool(re.search(rf"(?<!\w){re.escape(word.strip())}(?!\w)", text, re.IGNORECASE))


def _lacks(feature: str, clause: str, read: str) -> tuple[str, _Check, str]:
    return clause, lambda form, _, __: not getattr(form, feature), read


def _has(feature: str, clause: str, read: str) -> tuple[str, _Check, str]:
    return clause, lambda form, _, __: bool(getattr(form, feature)), read


def _is(feature: str, wanted: str, clause: str, read: str) -> tuple[str, _Check, str]:
    """Unless the feature cannot be told of a text."""
    return clause, lambda form, _, __: getattr(form, feature) in (None, wanted), read


# by name: the clause that asks for it, whether a text has it, and by which words it is read out of a clause
# fmt: off
_KINDS: Mapping[str, tuple[str, _Check, str]] = {
    "words_at_most": ("", lambda form, _, n: form.words <= int(n), ""),
    "words_at_least": ("", lambda form, _, n: form.words >= int(n), ""),
    "sentences": ("", lambda form, _, n: form.sentences == int(n) and not form.items, ""),
    "sentences_at_most": ("", lambda form, _, n: form.sentences <= int(n) and not form.items, ""),
    "sentences_at_least": ("", lambda form, _, n: form.sentences >= int(n), ""),
    "paragraphs": ("", lambda form, _, n: form.paragraphs == int(n), ""),
    "bullets": ("", lambda form, _, n: _listed(form, "bullets", int(n or 0)), ""),
    "numbered": ("", lambda form, _, n: _listed(form, "numbered", int(n or 0)), ""),
    "item_words_at_most": ("Write at most {} words in each item of a list.",
        lambda form, _, n: form.item_words <= int(n), ""),
    "items_at_most": ("Write at most {} items in a list.", lambda form, _, n: form.items <= int(n), ""),
    "mark": ('Begin the items of a list with "{}".', lambda form, _, mark: not form.items or form.mark == mark, ""),
    "list_only": ("Write the list only, with nothing before or after it.",
        lambda form, _, __: form.items > 0 and form.prose_lines == 0,
        r"\b(?:list only\b|nothing (?:before|else|around))"),
    "no_lists": _lacks("items", "Use no lists: write sentences.", ""),
    "no_headings": _lacks("headings", "Use no headings.", r"NO head(?:ing|er)s?\b"),
    "no_emphasis": _lacks("emphasis", "Use no bold or italics.", r"NO (?:bold|italics?|emphasis)\b"),
    "no_tables": _lacks("tables", "Use no tables.", r"NO tables?\b"),
    "no_code": _lacks("fences", "Use no code blocks.", r"NO code (?:block|fence)s?\b"),
    "plain": _has("plain", "Use no Markdown: plain sentences only.",
        r"NO markdown\b|\bplain (?:text|sentences|prose) only\b|\bin plain text\b"),
    "one_a_line": ("Put each sentence on a line of its own.",
        lambda form, _, __: form.one_a_line or form.sentences <= 1,
        r"\beach sentence (?:on|in) (?:a|its own) (?:new |separate )?line\b"),
    "paragraph_of": ("Write short paragraphs, of at most {} sentences each.",
        lambda form, _, n: _in_paragraphs(form, int(n)), ""),
    "bold_lead": _has("bold_lead", "Begin each answer with a one-line summary in bold.",
        r"\b(?:begin|start|open|lead)\w*\b.{0,60}\bbold\b"),
    "emphasis": _has("emphasis", "Put the key words in **bold**.",
        r"\b(?:put|set|mark|write)\b.{0,30}\b(?:key|important|main)\b.{0,20}\bbold\b"),
    "heading_first": _has("heading_first", 'Begin each answer with a heading ("# ...").',
        r"\b(?:begin|start|open)\w* .{0,20}\bwith a (?:heading|title)\b"),
    "code_first": _has("fence_first", "Give the code first, in a code block, before any explanation.",
        r"\bcode (?:block )?(?:comes )?first\b|\b(?:begin|start) .{0,20}code block\b"),
    "table": _has("tables", "Answer with a table.", r"\b(?:answer|reply|as|in|with|use) (?:in |as |with )?a table\b"),
    "language": ("Write in {}.", lambda form, _, name: form.language in (None, name), ""),
    "no_greeting": _lacks("greeting", "Do not open with a greeting.",
        r"NO greetings?\b(?! or)|\bnot (?:open|start|begin) with a greeting\b(?! or)"),
    "no_filler": _lacks("filler", "Do not open with filler: the first sentence is the answer itself.",
        r"NO filler\b|\bnot (?:open|start|begin) with (?:a )?filler\b"),
    "no_lead": _lacks("lead", "Do not announce what follows: no first line that ends with a colon.",
        r"\bnot announce what follows\b|NO lead-?in\b"),
    "no_opening": ("Do not open with a greeting or filler.", lambda form, _, __: not (form.greeting or form.filler),
        r"NO greetings? or filler\b|\bnot (?:open|start|begin) with a greeting or filler\b"),
    "greeting": _has("greeting", "Open with a greeting.", r"^(?:open|start|begin) with a greeting\b"),
    "no_signoff": _lacks("signoff", "End with the answer itself: no closing line, no offer of help.",
        r"NO (?:closing lines?|sign-?offs?|offers? of help)\b"),
    "question": _has("question", "End every answer with one question to the user.",
        r"^(?:end|close|finish) .{0,20}with (?:a|one) question\b"),
    "no_question": _lacks("question", "Do not end with a question.", r"\bnot (?:end|close|finish) with a question\b"),
    "verdict": _has("verdict", "Put the verdict (yes or no) in the first word.",
        r"\b(?:verdict|yes or no)\b.{0,40}\bfirst\b|\b(?:start|begin|open) with (?:the )?(?:verdict|yes)\b"),
    "no_emoji": _lacks("emoji", "Use no emoji.", r"NO emojis?\b"),
    "emoji": _has("emoji", "Use at least one emoji in every answer.",
        r"^use (?:at least one |one |an? |some )?emojis?\b"),
    "no_exclamations": _lacks("exclamations", "Use no exclamation marks.", r"NO exclamation"),
    "no_parentheses": _lacks("parentheses", "Use no parentheses.", r"NO (?:parenthes[ei]s|brackets)\b"),
    "no_semicolons": _lacks("semicolons", "Use no semicolons.", r"NO semi-?colons?\b"),
    "no_dashes": _lacks("dashes", "Use no dashes between words.", r"NO (?:em[- ])?dashes\b"),
    "no_quotations": _lacks("quotations", "Use no quotation marks.", r"NO quot(?:ation|e) marks?\b"),
    "no_hedges": _lacks("hedges", 'Do not hedge: no "perhaps", "maybe", "probably" or "it depends".',
        r"NO hedg\w+\b|\b(?:not|never) hedge\b"),
    "no_contractions": _lacks("contractions", 'Use no contractions: write "do not" rather than "don\'t".',
        r"NO contractions?\b"),
    "digits": _lacks("number_words", 'Write numbers as digits: "3", not "three".',
        r"\bnumbers as digits\b|\bdigits for numbers\b"),
    "metric": _is("units", "metric", "Use metric units only.", r"\b(?:use|in|with) (?:only )?(?:the )?metric\b"),
    "imperial": _is("units", "imperial", "Use imperial units only.",
        r"\b(?:use|in|with) (?:only )?(?:the )?imperial\b"),
    "british": _is("spelling", "British", 'Use British spelling ("colour", "organise").',
        r"\bbritish (?:english )?spelling\b"),
    "american": _is("spelling", "American", 'Use American spelling ("color", "organize").',
        r"\bamerican (?:english )?spelling\b"),
    "formal": _is("address", "formal", "Address the user formally ({}).", r"\baddress\b.{0,20}\bformally\b"),
    "informal": _is("address", "informal", "Address the user informally ({}).", r"\baddress\b.{0,20}\binformally\b"),
    "no_first_person": _lacks("first_person", 'Do not write in the first person: no "I" or "me".',
        r"\bnot (?:write|speak|use) .{0,10}first person\b"),
    "no_we": _lacks("we", "Do not speak in the plural (we).", r"\bnot (?:speak|write) in the plural\b"),
    "lower": ("Write everything in lower case, without capital letters.", lambda form, _, __: form.case == "lower",
        r"\b(?:in|use) lower-? ?case\b"),
    "upper": ("Write everything in CAPITAL LETTERS.", lambda form, _, __: form.case == "upper",
        r"\b(?:in|use) (?:capital letters|upper-? ?case|all caps)\b"),
    "no_full_stop": _lacks("full_stop", "Do not put a full stop at the end of the answer.",
        r"\b(?:no|not put a|without a) full stop at the end\b"),
    "opening": ('Begin every answer with "{}".', lambda _, text, said: _starts(text, said), ""),
    "closing": ('End every answer with "{}".', lambda _, text, said: _ends(text, said), ""),
    "closing_line": ('End every answer with the line "{}".', lambda _, text, said: _ends_in_lines(text, str(said)), ""),
    "never": ('Never write "{}".', lambda _, text, said: not has_word(text, str(said)), ""),
    "wording": ("", lambda _, text, said: not has_word(text, str(said).partition(WORDING)[0]), ""),
}
# fmt: on
_COUNTED = frozenset(
    re.findall(
        r"\w+",
        "words_at_most words_at_least sentences sentences_at_most sentences_at_least paragraphs bullets numbered",
    )
)

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
    for name, (_, __, pattern) in _KINDS.items()
    if pattern
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
    if match := re.search(rf"\bparagraphs,? of {_MOST} {_N} sentences\b", text, re.IGNORECASE):
        found.append(Constraint("paragraph_of", _count(match[1])))
    return found


def _sentences(text: str) -> list[Constraint]:
    match = re.search(
        rf"\b(?:({_MOST})|({_LEAST}))? ?(?:exactly |only )?{_N}(?: short)? sentences?\b(?! each)", text, re.I
    )
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
        ("mark", r"^begin (?:the|all|each of the) items of (?:a|the) list with "),
        ("closing_line", r"^(?:end|close|finish) (?:every|each|the|your) (?:answer|reply|response)s? with the line "),
        ("closing", r"^(?:end|close|finish) (?:every|each|the|your) (?:answer|reply|response)s? with (?:the words )?"),
        ("never", r"^never (?:write|say|use) (?:the (?:word|phrase)s? )?"),
    ):
        if (match := re.search(pattern, clause, re.IGNORECASE)) and (said := _QUOTED.match(clause[match.end() :])):
            return [Constraint(name, said[1])]
    if lines := re.match(
        rf"^(?:end|close|finish) every answer with the lines ((?:{_QUOTED.pattern}(?:, | and )?)+)",
        clause,
        re.IGNORECASE,
    ):
        return [Constraint("closing_line", "\n".join(_QUOTED.findall(lines[1])))]
    if mark := re.match(r'answer as a (?:bulleted|numbered) list \("([^"]{1,20})"\)', clause, re.IGNORECASE):
        found.append(Constraint("mark", mark[1]))
    for preferred in re.finditer(r'(?:[Ww]rite|;) "([^"]+)", never "([^"]+)"', clause):
        found.append(Constraint("wording", f"{preferred[2]}{WORDING}{preferred[1]}"))
    return found
