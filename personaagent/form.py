"""The form of a text, measured without a model: length, structure, language, opening, closing, register.

What a text says is not looked at, only how it says it. Counts are rough where languages differ and the same for the
same text, so two texts of one user can be held against each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import log2
from typing import Final, Literal

from personaagent.text import CJK, clean

# ruff: noqa: RUF001  # apostrophes are of two kinds


Spelling = Literal["British", "American", "mixed"]

_IZE = (
    "agon|amort|anonym|apolog|author|capital|caramel|categor|central|character|critic|crystall|custom|digit|emphas|"
    "energ|equal|familiar|fertil|final|general|global|harmon|immun|initial|jeopard|legal|local|maxim|memor|minim|mobil|"
    "modern|moistur|monet|neutral|normal|optim|organ|personal|popular|priorit|pulver|rational|real|"
    "recogn|reorgan|revital|scrutin|social|special|stabil|standard|steril|summar|symbol|sympath|tantal|tender|util|"
    "vandal|vapor|visual"
)
# stem, British, American, ending
_ENDINGS = (
    (
        "arm|behavi|col|endeav|fav|flav|harb|hon|hum|lab|neighb|od|parl|rig|rum|sav|splend|vap|vig",
        "our",
        "or",
        r"s?|ed|ing|less|ful(?:ly)?|al(?:ly)?|ab(?:le|ly)|ites?|hoods?|y|ers?",
    ),
    ("cent|fib|lit|theat|(?:kilo|centi|milli)?met|calib|lust|somb", "re", "er", "s?"),
    (_IZE, "is", "iz", "e[sdr]?|ers|ing|ations?|able"),
    ("anal|paral|catal", "ys", "yz", "e[sdr]?|ers|ing"),
    (
        "cancel|channel|counsel|dial|fuel|jewel|label|level|marvel|model|quarrel|signal|shovel|travel",
        "l",
        "",
        "ed|ing|ers?",
    ),
    ("def|off|pret", "ence", "ense", "s?"),
    ("catal|dial", "ogue", "og", "s?"),
    ("gr", "ey", "ay", "s?|ish"),
    ("m", "ould", "old", "s?|ed|ing|y"),
    ("c", "osy", "ozy", ""),
    ("alumin", "ium", "um", ""),
    ("s", "cept", "kept", "ics?|ical|icism"),
    ("jewel", "lery", "ry", ""),
    ("p", "yjama", "ajama", "s?"),
    ("man", "oeuvre", "euver", "s?"),
    ("pl", "ough", "ow", "s?|ed|ing"),
)
_BRITISH, _AMERICAN = (
    [re.compile(rf"\b({stem}){pair[at]}({tail})\b", re.IGNORECASE) for stem, *pair, tail in _ENDINGS] for at in (0, 1)
)
_ANY = [re.compile("|".join(one.pattern for one in some), re.IGNORECASE) for some in (_BRITISH, _AMERICAN)]
_CONTRACTIONS = tuple(
    (re.compile(rf"\b{pattern}\b", re.IGNORECASE), full)
    for pattern, full in (
        (r"(ca)n['’]t", r"\1nnot"),
        (r"(w)on['’]t", r"\1ill not"),
        (r"(sha)n['’]t", r"\1ll not"),
        (r"(\w{1,20})n['’]t", r"\1 not"),
        (r"(let)['’]s", r"\1 us"),
        (r"(i)['’]m", r"\1 am"),
        (r"(you|we|they|who|what)['’]re", r"\1 are"),
        (r"(i|you|we|they|who|that|there)['’]ve", r"\1 have"),
        (r"(i|you|we|they|he|she|it|that|there|what|who)['’]ll", r"\1 will"),
        (r"(i|you|we|they|he|she|it)['’]d (?=better|been)", r"\1 had "),
        (r"(i|you|we|they|he|she|it|that|there|what|who)['’]d", r"\1 would"),
        (r"(he|she|it|that|there|here|what|who|where|how)['’]s (?=been|got|had|become)", r"\1 has "),
        (r"(he|she|it|that|there|here|what|who|where|how)['’]s", r"\1 is"),
    )
)


def _words(text: str) -> list[str]:
    return text.split()


_UNITS = "two three four five six seven eight nine"
_NUMBERS = {
    word: str(value)
    for value, word in enumerate(
        _words(f"{_UNITS} ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"), 2
    )
}
_TENS = {word: value for value, word in enumerate(_words("twenty thirty forty fifty sixty seventy eighty ninety"), 2)}
# "one" is as often no number; a word that is part of a larger number, or of another word, is none of these
_NUMBER_WORD = re.compile(
    rf"(?<![\w-])(?:({'|'.join(_TENS)})(?:-({'|'.join(_words(_UNITS))}|one))?|({'|'.join(_NUMBERS)}))"
    r"(?!\w|[ -](?:hundred|thousand|million|billion|dozen|third|quarter|fifth|sixth|eighth|tenth))",
    re.IGNORECASE,
)
HEDGES = ("perhaps", "maybe", "possibly", "probably", "arguably", "presumably", "generally speaking", "in general")
_ADVERBS = {
    *HEDGES,
    *_words("usually typically generally often sometimes normally mostly simply really actually basically essentially"),
    *_words("definitely certainly absolutely surely clearly obviously very quite rather just somewhat"),
}


def spelling_of(text: str) -> Spelling | None:
    """Whose spelling an English text has; None where no word of it tells."""
    words = set(re.findall(r"[^\W\d_]{4,}", text))
    british, american = (any(map(one.fullmatch, words)) for one in _ANY)
    return "mixed" if british and american else "British" if british else "American" if american else None


def spelled(text: str, spelling: Literal["British", "American"]) -> str:
    """The text with the words of the other spelling in this one."""
    others, at = (_AMERICAN, 1) if spelling == "British" else (_BRITISH, 2)
    for other, ending in zip(others, _ENDINGS, strict=True):

        def written(found: re.Match[str], middle: str = ending[at]) -> str:
            return f"{found[1]}{middle.upper() if found[0].isupper() else middle}{found[2]}"

        text = other.sub(written, text)
    return text


def contractions(text: str) -> int:
    """How many contractions a text has."""
    short = re.findall(r"\b\w{1,20}['’]\w{1,4}\b", text)  # looked for once: most texts have few
    return sum(any(one.match(f"{word} ") for one, _ in _CONTRACTIONS) for word in short)


def uncontracted(text: str) -> str:
    """The text with its contractions written out."""
    for one, full in _CONTRACTIONS:
        text = one.sub(full, text)
    return text


def number_words(text: str) -> int:
    """How many numbers from two to ninety-nine stand in words."""
    return len(_NUMBER_WORD.findall(text))


def in_digits(text: str) -> str:
    """The text with these numbers in digits."""

    def digits(found: re.Match[str]) -> str:
        tens, unit, whole = found.groups()
        if whole:
            return _NUMBERS[whole.lower()]
        return f"{_TENS[tens.lower()]}{_NUMBERS.get((unit or '').lower(), '1' if unit else '0')}"

    return _NUMBER_WORD.sub(digits, text)


def without_adverb(text: str, word: str) -> str:
    """The text without an adverb that sentences stand without; the text itself where the word is none."""
    if word.lower() not in _ADVERBS:
        return text

    def capital(found: re.Match[str]) -> str:
        return found[1].upper() if found[0][:1].isupper() else found[1]

    taken = re.sub(rf"(?<!\w)(?:{re.escape(word)}),? (?!than\b)(\w)", capital, text, flags=re.IGNORECASE)
    return re.sub(rf",? (?:{re.escape(word)})(?!\w| than\b)", "", taken, flags=re.IGNORECASE)


# ruff: noqa: RUF001  # texts come in the punctuation of many languages


READ_CHARS = 20_000  # of a text
Units = Literal["metric", "imperial", "mixed"]
Address = Literal["formal", "informal", "mixed"]

_WORD = re.compile(rf"[{CJK}]|[^\W_{CJK}]+(?:['’.,-][^\W_{CJK}]+)*")
BULLET = re.compile(r"^\s*([-*+•–—✅✔☑➤▪◦])\s+(?=\S)")
NUMBERED = re.compile(r"^\s*(\(?(?:\d{1,3}|[a-zA-Z])[.)]|[^\W\d_]+ \d{1,3}:)\s+(?=\S)")
HEADING = re.compile(r"^\s*#{1,6}\s+(?=\S)")
_TABLE = re.compile(r"^\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)+\|?\s*$")
FENCE = re.compile(r"^\s*(?:```|~~~)", re.MULTILINE)
_EMPHASIS = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__|(?<![\w*])\*[^*\s][^*\n]*\*(?![\w*])|`[^`\n]+`")
_BOLD_LEAD = re.compile(r"^\s*(\*\*|__)[^*_\n]+?(?:[.!?…]\1|\1(?=[.!?…]|\s*(?:\n|$)))")
EMOJI = re.compile(
    "(?:[\U0001f300-\U0001faff\U0001f1e6-\U0001f1ff\u2600-\u27bf\u2b50\u2b55\u231a\u231b](?:[\ufe0f\u200d]|[\U0001f3fb-\U0001f3ff])*)"
)
_ABBREVIATION = re.compile(
    r"\b(?:mr|mrs|ms|dr|prof|st|vs|e\.g|i\.e|approx|no|z\.\s?b|d\.\s?h|bzw|ca|usw|p\.\s?ex|sr|sra|\d{1,2})\.$",
    re.IGNORECASE,
)
_END = re.compile(r"(?:[.!?…]+[\"'”’»)\]*_]*(?=\s)|[。！？]+)")
_QUOTED = re.compile(r"[\"“„«][^\"”“»\n]*[\"”“»]")

_GREETING = re.compile(
    r"^\W*(?:hi|hello|hey|dear \w+|good (?:morning|afternoon|evening|day)|greetings|hallo|guten (?:tag|morgen|abend)|"
    r"liebe[rs]? \w+|sehr geehrte\w*|servus|moin|bonjour|bonsoir|salut|cher|chère|hola|"
    r"buen[oa]s (?:d[ií]as|tardes|noches)|"
    r"estimad[oa]|ciao|buongiorno|salve|ol[áa]|bom dia|boa tarde|goedemorgen|goedendag|beste|привет|здравствуйте|"
    r"cześć|merhaba|hej|你好|您好|こんにちは|안녕하세요|مرحبا)(?!\w)",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"^\W*(?:sure|certainly|of course|absolutely|definitely|great question|good question|that'?s a (?:great|good) \w+|"
    r"what a (?:great|good|wonderful|lovely) \w+|i'?d be (?:happy|glad)|i'?m (?:happy|glad|sorry)|happy to help|"
    r"glad you asked|thanks? (?:you )?for (?:asking|your)|(?:i )?apologi[sz]e|sorry|unfortunately|as an ai\b|"
    r"here(?:'s| is| are) (?:a|an|the|some|your|what)\b|natürlich|gerne?|selbstverständlich|klar|gute frage|"
    r"tolle frage|entschuldigung|leider|bien sûr|certainement|bonne question|excellente question|avec plaisir|désolé|"
    r"por supuesto|claro|buena pregunta|excelente pregunta|lo siento|certo|ottima domanda|bella domanda|"
    r"com certeza|boa pergunta|zeker|natuurlijk|goede vraag|当然|好的|конечно)(?!\w)",
    re.IGNORECASE,
)
_SIGNOFF = re.compile(
    r"^\W*(?:(?:best|kind|warm|many)? ?(?:regards|wishes)|best(?=,|$)|cheers|sincerely|yours(?: \w+)?(?=,|$)|"
    r"take care|love(?=,|$)|thanks|"
    r"thank you|(?:i )?hope (?:this|that|it) (?:helps|was)|let me know|feel free|(?:please )?don'?t hesitate|"
    r"if you (?:have|need|want|would like).{0,20}\b(?:questions?|help|more|anything|details)|"
    r"good luck|enjoy|have a (?:great|good|nice)|viele grüße|liebe grüße|"
    r"(?:mit )?(?:freundlichen|besten|herzlichen) grüßen?|beste grüße|gruß|lg|mfg|viel (?:erfolg|spaß|glück)|"
    r"ich hoffe|lass(?:en sie)? (?:es )?mich|melde dich|cordialement|bien à vous|amicalement|bisous|j'espère|"
    r"n'hésite[sz]?|saludos|un saludo|atentamente|espero que|no dudes?|cordiali saluti|un saluto|spero|"
    r"atenciosamente|abraços|groet(?:en|jes)?|met vriendelijke)(?!\w)",
    re.IGNORECASE,
)
_VERDICT = re.compile(
    r"^\W*(?:yes|no|yep|nope|true|false|correct|incorrect|right|wrong|ja|nein|doch|oui|non|si|sí|sì|no|sim|não|nee|да|нет|"
    r"tak|nie|evet|hayır|nej|是的?|不是?|对|はい|いいえ|네|아니요|نعم|لا)(?!\w)",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"\b(?:perhaps|maybe|possibly|probably|might|it depends|depending on|generally speaking|in general|it seems|"
    r"seems to|i think|i believe|i guess|arguably|likely|somewhat|vielleicht|möglicherweise|eventuell|wahrscheinlich|"
    r"es kommt (?:darauf|drauf) an|vermutlich|peut-être|probablement|ça dépend|cela dépend|quizás?|tal vez|"
    r"probablemente|depende|forse|probabilmente|dipende|talvez|provavelmente|misschien|waarschijnlijk)\b",
    re.IGNORECASE,
)
_NUMBER = r"(?:\d|\b(?:an?|one|two|three|four|five|six|eight|ten|few|half)\b)"
_METRIC = re.compile(
    r"\d\s?(?:km|cm|mm|m|kg|g|mg|ml|cl|dl|l|km/h|kph|°\s?c|celsius|m²|hectares?|ha)\b|°\s?c\b|\bcelsius\b|"
    rf"{_NUMBER}[\s-]?(?:(?:kilo|centi|milli)?(?:met(?:re|er)|gram|lit(?:re|er))[sn]?)\b|\bkilomet(?:re|er)s?\b",
    re.IGNORECASE,
)
_IMPERIAL = re.compile(
    r"\d\s?(?:mi|ft|lbs?|oz|mph|yd|°\s?f|″)(?!\w)|\din\b|°\s?f\b|\bfahrenheit\b|"
    rf"{_NUMBER}[\s-]?(?:miles?|f(?:ee|oo)t|inch(?:es)?|pounds?|ounces?|gallons?|yards?|pints?|quarts?|cups?|acres?)\b|"
    r"\b(?:miles|inches|ounces|gallons)\b",
    re.IGNORECASE,
)

_STOPWORDS: Mapping[str, frozenset[str]] = {
    name: frozenset(words.split())
    for name, words in {
        "English": "the and of to is are that it for with you this not be as on or your have can from was which will "
        "what how if they but by an at when",
        "German": "der die das und ist nicht ein eine einen mit von zu den dem auf für sich des auch es wird sie ich "
        "du oder im wie bei kann sind wenn aber nach am",
        "French": "le la les et est des une un du que pour dans pas vous sur qui avec ce il au plus sont ou par elle "
        "nous tu peut cette ne se être",
        "Spanish": "el la los las y es de que en un una por con para no se del al su como más lo pero son o este usted "
        "está puede muy también cuando",
        "Italian": "il lo gli di che è e un una per con non sono del della dei nel si come più anche questo alla ma "
        "puoi essere delle i da",
        "Portuguese": "o os as de que e é um uma para com não em do da dos no na se por mais como você são mas ou pode "
        "está ao muito também",
        "Dutch": "de het een en van is dat niet te op voor met zijn aan je er ook als maar om bij u kan dit naar wordt "
        "door heeft of",
        "Swedish": "och att det som en är på för med inte av den till ett om du kan har de så var från eller men",
        "Polish": "i w nie na się to jest że do z o jak po ale co tak od za przez może czy są dla",
        "Turkish": "ve bir bu için ile da de çok ne olarak gibi daha var mi olan en ama değil kadar sonra",
    }.items()
}
_SCRIPTS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("Japanese", re.compile(r"[\u3040-\u30ff]")),
    ("Korean", re.compile(r"[\uac00-\ud7af]")),
    ("Chinese", re.compile(r"[\u3400-\u9fff]")),
    ("Russian", re.compile(r"[\u0400-\u04ff]")),
    ("Arabic", re.compile(r"[\u0600-\u06ff]")),
    ("Hindi", re.compile(r"[\u0900-\u097f]")),
    ("Greek", re.compile(r"[\u0370-\u03ff]")),
)
LANGUAGES = (*_STOPWORDS, *(name for name, _ in _SCRIPTS))

# formal, informal second person; where capitals tell, only after another word ("Sie" may start a sentence as "they")
_ADDRESS: Mapping[str, tuple[re.Pattern[str], re.Pattern[str]]] = {
    "German": (
        re.compile(r"(?<=[\w,;] )(?:Sie|Ihnen|Ihr(?:e[nmrs]?)?)\b"),
        re.compile(r"\b(?:du|dich|dir|dein\w*)\b", re.IGNORECASE),
    ),
    "French": (
        re.compile(r"\b(?:vous|votre|vos)\b", re.IGNORECASE),
        re.compile(r"\b(?:tu|toi|ton|tes)\b|\bt['’]", re.IGNORECASE),
    ),
    "Spanish": (
        re.compile(r"\bustedes?\b|\busted\b", re.IGNORECASE),
        re.compile(r"\b(?:tú|ti|tus?|contigo|te)\b", re.IGNORECASE),
    ),
    "Italian": (
        re.compile(r"(?<=[\w,;] )(?:Lei|Suo|Sua|Suoi|Le)\b"),
        re.compile(r"\b(?:tu|ti|tuo|tua|tuoi|tue)\b", re.IGNORECASE),
    ),
    "Portuguese": (
        re.compile(r"\b(?:o senhor|a senhora)\b", re.IGNORECASE),
        re.compile(r"\b(?:tu|você|te|teus?|tuas?|seus?)\b", re.IGNORECASE),
    ),
    "Dutch": (re.compile(r"\b(?:u|uw)\b", re.IGNORECASE), re.compile(r"\b(?:je|jij|jou|jouw)\b", re.IGNORECASE)),
}
_FIRST = re.compile(r"\b(?:I|I['’]m|me|my|mine|myself|ich|mich|mir|mein\w*|je|j['’]ai|moi|yo|mí)\b")
_WE = re.compile(r"\b(?:we|our|ours|us|let['’]s|wir|unser\w*|nous|notre|nosotros|nuestr\w+)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What was measured of one text; words in CJK scripts are characters, sentences of a list are its items."""

    words: int = 0
    sentences: int = 0
    paragraphs: int = 0
    paragraph_sentences: int = 0  # of the longest paragraph
    bullets: int = 0  # items
    numbered: int = 0  # items
    item_words: int = 0  # of the longest item
    prose_lines: int = 0  # lines that are neither item, heading, table nor code
    headings: int = 0
    emphasis: int = 0  # spans in bold, italics or code
    tables: int = 0
    fences: int = 0
    fence_first: bool = False
    heading_first: bool = False
    lead: bool = False  # the first line announces what follows, and ends with a colon
    mark: str = ""  # of all items, the number as 1: "-", "1.", "Step 1:"; empty: no list, or several kinds
    bold_lead: bool = False
    language: str | None = None  # None: unsure
    greeting: bool = False
    filler: bool = False
    signoff: bool = False
    question: bool = False  # the last sentence asks the user something
    verdict: bool = False  # the first word is yes, no or the like
    one_a_line: bool = False  # two sentences or more, each on a line of its own
    full_stop: bool = False  # the text ends with a mark that ends a sentence
    emoji: int = 0
    exclamations: int = 0
    parentheses: int = 0
    semicolons: int = 0
    dashes: int = 0
    quotations: int = 0
    hedges: int = 0
    contractions: int = 0
    number_words: int = 0  # numbers that stand in words
    digits: float = 0.0  # share of the characters
    units: Units | None = None
    spelling: Spelling | None = None
    address: Address | None = None
    first_person: bool = False
    we: bool = False
    case: Literal["lower", "upper", "usual"] = "usual"

    @property
    def items(self) -> int:
        """Items of lists of either kind."""
        return self.bullets + self.numbered

    @property
    def plain(self) -> bool:
        """Whether no Markdown is in it."""
        return not (self.items or self.headings or self.emphasis or self.tables or self.fences)


def features(text: str) -> Form:
    """Measure a text; the same text has the same form, and any text has one."""
    text = clean(text[:READ_CHARS]).strip()
    lines, code = _lines(text)
    if not lines and not code:
        return Form()
    prose = [line for line in lines if not any(mark.match(line) for mark in (BULLET, NUMBERED, HEADING))]
    numbered = _numbered_items(lines)
    bullets = [line[match.end() :] for line in lines if (match := BULLET.match(line))]
    said = sentences(text)
    body = "\n".join(lines)
    opening, closing, last_line = [*said, ""][0], ["", *said][-1], ["", *lines][-1]
    language = language_of(body)
    items = [*bullets, *numbered]
    parts = [len(sentences(part)) for part in re.split(r"\n\s*\n", text)]  # in sentences, of each paragraph
    return Form(
        words=count_words(text),
        sentences=len(said),
        paragraphs=len(parts),
        paragraph_sentences=max(parts),
        bullets=len(bullets),
        numbered=len(numbered),
        item_words=max(map(count_words, items), default=0),
        prose_lines=len(prose),
        headings=sum(1 for line in lines if HEADING.match(line)),
        emphasis=len(_EMPHASIS.findall(body)),
        tables=sum(1 for line in lines if _TABLE.match(line)),
        fences=code,
        fence_first=bool(FENCE.match(text)),
        heading_first=bool(HEADING.match(text)),
        lead=_leads(lines),
        mark=_mark(lines),
        bold_lead=bool(_BOLD_LEAD.match(text)),
        language=language,
        greeting=bool(_GREETING.match(opening)),
        filler=_filled(said),
        signoff=bool(said[1:]) and (any(map(_SIGNOFF.match, (last_line, closing))) or _signed(lines)),
        question=closing.rstrip(" \"'*_)").endswith(("?", "？")),
        verdict=bool(_VERDICT.match(text)),
        one_a_line=1 < len(said) == len(lines) and not items,
        full_stop=text.rstrip(" \"'”’*_)").endswith((".", "!", "?", "。", "！", "？", "…")),
        emoji=len(EMOJI.findall(text)),
        exclamations=len(re.findall(r"[!！]", body)),
        parentheses=len(re.findall(r"[(（][^()（）\n]*[)）]", body)),
        semicolons=len(re.findall(r"[;；]", body)),
        dashes=len(re.findall(r"\s[–—-]\s|—", re.sub(r"(?m)^\s*[-–—]\s", "", body))),
        quotations=len(_QUOTED.findall(body)),
        hedges=len(_HEDGE.findall(body)),
        contractions=contractions(body),
        number_words=number_words(body),
        digits=round(sum(map(str.isdigit, text)) / len(text), 4),
        units=_either(_METRIC.search(body), _IMPERIAL.search(body), ("metric", "imperial")),  # type: ignore[arg-type]
        spelling=_spelling(body, language),
        address=_address(body, language),
        first_person=bool(_FIRST.search(body)),
        we=bool(_WE.search(body)),
        case=_case(body),
    )


def is_item(line: str) -> bool:
    """Whether a line begins as an item of a list does."""
    return bool(BULLET.match(line) or NUMBERED.match(line))


def count_words(text: str) -> int:
    """How many words a text has; each Chinese, Japanese or Korean character is one."""
    return len(_WORD.findall(text))


def sentences(text: str) -> list[str]:
    """The sentences of a text in order; a line ends one, a heading, an item and a table row are one each."""
    lines, _ = _lines(clean(text[:READ_CHARS]))
    lower = _case("\n".join(lines)) == "lower"
    found: list[str] = []
    for line in lines:
        item = BULLET.match(line) or NUMBERED.match(line)
        rest, start = line[item.end() :] if item else line, 0
        for end in _END.finditer(rest):
            after = rest[end.end() :].lstrip()
            goes_on = after[:1].islower() and not lower and rest[end.start()] not in "。！？"
            if goes_on or _ABBREVIATION.search(rest[start : end.end()]):
                continue
            found.append(rest[start : end.end()])
            start = end.end()
        found.append(rest[start:])
    return [sentence.strip() for sentence in found if _WORD.search(sentence)]


def language_of(text: str) -> str | None:
    """The English name of the language, of the commonest ones; None where it is open."""
    letters = sum(char.isalpha() for char in text)
    for name, script in _SCRIPTS:
        if letters and len(script.findall(text)) >= max(2, 0.3 * letters):
            return name
    words = re.findall(r"[^\W\d_]+", text.casefold())[:400]
    hits = sorted(((sum(word in known for word in words), name) for name, known in _STOPWORDS.items()), reverse=True)
    (best, name), (second, _) = hits[:2]
    return name if best >= max(2, 0.12 * len(words)) and best >= 1.25 * second + 1 else None


def distance(one: Form, other: Form) -> float:
    """How differently two texts are formed, 0..1, the same both ways; 0 for the same form.

    Each difference that a user minds takes its share of what is left of likeness, so one of them is seen clearly and
    several add up to almost 1.
    """
    alike = 1.0
    for weight, apart in differences(one, other):
        alike *= 1 - weight * apart
    return 1 - alike


def understood(response: str, edit: str) -> list[str]:
    """What the user changed, in one to three plain sentences; empty where both texts have the same form and length."""
    was, now = features(response), features(edit)
    removed, added = _changes(was, now)
    told = [f"{verb} {_listed(things)}" for verb, things in (("removed", removed), ("added", added)) if things]
    if length_changed(was.words, now.words):
        verb = "cut" if now.words < was.words else "extended"
        told[:1] = [" and ".join([f"{verb} the answer from {was.words} to {now.words} words", *told[:1]])]
    said = [f"You {part}." for part in told]
    if None not in (was.language, now.language) and was.language != now.language:
        said.append(f"You wrote it in {now.language}.")
    if not said and response.strip() != edit.strip():
        said.append("You reworded the answer and kept its form.")
    return said[:3]


def length_changed(before: int, after: int) -> bool:
    """Whether two lengths in words differ by more than an edit of words in passing would make them."""
    return abs(before - after) > 3 and not 0.8 <= (after + 1) / (before + 1) <= 1.25


def _changes(was: Form, now: Form) -> tuple[list[str], list[str]]:
    """What the first form has and the second has not, and the reverse."""
    named = {
        "the list": (was.items, now.items),
        "the headings": (was.headings, now.headings),
        "the table": (was.tables, now.tables),
        "the code block": (was.fences, now.fences),
        "the emphasis": (was.emphasis, now.emphasis),
        "the greeting": (was.greeting, now.greeting),
        "the filler at the start": (was.filler, now.filler),
        "the closing line": (was.signoff, now.signoff),
        "the question at the end": (was.question, now.question),
        "the emoji": (was.emoji, now.emoji),
        "the exclamation marks": (was.exclamations, now.exclamations),
        "the hedging": (was.hedges, now.hedges),
        "the yes or no at the start": (was.verdict, now.verdict),
        "imperial units": (was.units in ("imperial", "mixed"), now.units in ("imperial", "mixed")),
        "metric units": (was.units in ("metric", "mixed"), now.units in ("metric", "mixed")),
        "formal address": (was.address == "formal", now.address == "formal"),
        "informal address": (was.address == "informal", now.address == "informal"),
        "capital letters": (was.case != "lower", now.case != "lower"),
    }
    removed = [name for name, (before, after) in named.items() if before and not after]
    added = [name for name, (before, after) in named.items() if after and not before]
    return removed[:4], [name.replace("the ", "a ", 1) if name == "the list" else name for name in added[:4]]


def _listed(things: list[str]) -> str:
    return things[0] if len(things) == 1 else f"{', '.join(things[:-1])} and {things[-1]}"


# how much a difference weighs: in whether there is any of it, in whether it is so, and where both are known
_PRESENT: Final = {
    "items": 0.4, "headings": 0.25, "emphasis": 0.15, "tables": 0.3, "fences": 0.3, "emoji": 0.2, "exclamations": 0.1,
    "hedges": 0.1, "contractions": 0.1, "number_words": 0.1, "parentheses": 0.1, "semicolons": 0.1, "dashes": 0.1,
    "quotations": 0.1, "bold_lead": 0.15, "lead": 0.15, "greeting": 0.2, "filler": 0.15, "signoff": 0.2,
    "question": 0.15, "verdict": 0.2, "first_person": 0.1,
}  # fmt: skip
_KNOWN: Final = {"mark": 0.1, "language": 0.6, "spelling": 0.1, "units": 0.3, "address": 0.3}


def differences(one: Form, other: Form) -> list[tuple[float, float]]:
    """Pairs of weight and difference, both in 0..1."""
    return [
        (0.6, _times(one.words, other.words, 3)),
        (0.2, _times(one.sentences, other.sentences, 2)),
        (0.1, _times(one.paragraphs, other.paragraphs, 2)),
        (0.15, _times(one.paragraph_sentences, other.paragraph_sentences, 2)),
        (0.2, float(bool(one.items and other.items) and bool(one.numbered) != bool(other.numbered))),
        (0.2, _times(one.items, other.items, 2) if one.items and other.items else 0.0),
        (0.3, float(one.case != other.case)),
        *((weight, float(bool(getattr(one, x)) != bool(getattr(other, x)))) for x, weight in _PRESENT.items()),
        *((weight, _unlike(getattr(one, x), getattr(other, x))) for x, weight in _KNOWN.items()),
    ]


def _unlike(one: str | None, other: str | None) -> float:
    """1 where both are known and differ, else 0."""
    return float(bool(one and other) and one != other)


def _times(one: int, other: int, most: int) -> float:
    """How many doublings lie between two counts, over ``most`` of them; a quarter more or less is the same."""
    return min(1.0, max(0.0, abs(log2((one + 1) / (other + 1))) - 0.35) / most)


def _lines(text: str) -> tuple[list[str], int]:
    """The lines that are not empty and not code, and the number of code blocks."""
    lines, blocks, inside = [], 0, False
    for line in text.splitlines():
        if FENCE.match(line):
            inside = not inside
            blocks += inside
        elif line.strip() and not inside:
            lines.append(line)
    return lines, blocks


def _numbered_items(lines: list[str]) -> list[str]:
    """The items of numbered lists; a single "a." or "1." is none."""
    items = [line[match.end() :] for line in lines if (match := NUMBERED.match(line))]
    return items if len(items) > 1 else []


def _leads(lines: list[str]) -> bool:
    """Whether the first line of several announces the others."""
    first = [*lines, ""][0]
    marked = is_item(first) or HEADING.match(first)
    return bool(lines[1:]) and not marked and first.rstrip(" *_").endswith((":", "："))


def _mark(lines: list[str]) -> str:
    """What all items begin with, the number as 1; empty where there are none or several kinds."""
    found = {re.sub(r"\d+", "1", mark[1]) for line in lines if (mark := BULLET.match(line) or NUMBERED.match(line))}
    return found.pop() if len(found) == 1 else ""


def _signed(lines: list[str]) -> bool:
    """Whether the line before the last is a closing word and the last a name."""
    return len(lines) > 2 and count_words(lines[-1]) <= 3 and bool(_SIGNOFF.match(lines[-2]))


def _filled(said: list[str]) -> bool:
    """Whether the first sentence is filler, before or behind a greeting."""
    opening = [*said, ""][0]
    behind = said[1:2] if _GREETING.match(opening) else []
    return any(map(_FILLER.match, [opening, _GREETING.sub("", opening), *behind]))


def _spelling(text: str, language: str | None) -> Spelling | None:
    return spelling_of(text) if language in (None, "English") else None


def _either(first: object, second: object, names: tuple[str, str]) -> str | None:
    if first and second:
        return "mixed"
    return names[0] if first else names[1] if second else None


def _address(text: str, language: str | None) -> Address | None:
    if language is None or language not in _ADDRESS:
        return None
    formal, informal = (len(pattern.findall(text)) for pattern in _ADDRESS[language])
    if not formal and not informal:
        return None
    if formal and informal and max(formal, informal) < 3 * min(formal, informal):
        return "mixed"
    return "formal" if formal > informal else "informal"


def _case(text: str) -> Literal["lower", "upper", "usual"]:
    upper, lower = sum(map(str.isupper, text)), sum(map(str.islower, text))
    if upper + lower < 8:
        return "usual"
    return "lower" if not upper else "upper" if upper >= 0.9 * (upper + lower) else "usual"
