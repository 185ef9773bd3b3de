"""Implicit truth: what the user's next message in a thread says of the answer before it.

By rules, in English, German, French and Spanish, and some in Chinese and Japanese, without a model and within a
millisecond; and, off the turn, by a model that reads what the rules leave open. The rules rather find nothing than
guess: a correction denies the answer or says what it should have been, an acceptance is a sentence of its own, and a
question says nothing. Silence is no truth: a user who just moves on has not said that the answer was right. What is
found is marked ``implicit``, never certain, and gives way to anything the user says.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.messages import HumanMessage

from personaagent.errors import ModelError
from personaagent.inputs import Feedback
from personaagent.labels.answers import answer_from_text, bare
from personaagent.ports import EpisodicMemory, Models
from personaagent.prompts import quote, render
from personaagent.text import fold, one_line, own_words, skeleton, unmarked
from personaagent.types import Interaction

Kind = Literal["correction", "rejection", "acceptance"]

CORRECTED, CORRECTED_TEXT, REJECTED, ACCEPTED, BY_MODEL = 0.8, 0.5, 0.4, 0.6, 0.6
READ_SENTENCES = 2  # of a message, in which a reaction stands
SENTENCE_CHARS = 200  # a longer one tells of something
SHORT_ANSWER_CHARS = 120  # what "no, I meant ..." can replace in free text; of a longer answer it corrects the question
MAX_TRUTH_WORDS = 8
MAX_TRUTH_CHARS = 300
READ_CHARS = 1_000
MAX_ASKED = 8  # model calls of one alignment

REACTION_SCHEMA: dict[str, Any] = {
    "title": "Reaction",
    "type": "object",
    "properties": {
        "reaction": {"type": "string", "enum": ["correction", "rejection", "acceptance", "none"]},
        "wanted": {"type": "string", "maxLength": MAX_TRUTH_CHARS},
    },
    "required": ["reaction", "wanted"],
    "additionalProperties": False,
}

_END = r"[\s,.:;!-]*$"
_DENIED = (
    r"(?:no|nope|nah|nein|ne|non|wrong|incorrect|falsch|faux|incorrecto|(?:no|nein|non)?[\s,.!]*(?:"
    r"(?:that|this|it)(?:'s| is| was)(?: (?:not (?:right|correct|true|it|what i (?:asked|meant|wanted)(?: for)?)|"
    r"wrong|incorrect)|n't (?:right|correct|true|it|what i (?:asked|meant|wanted)(?: for)?))|(?:that|this)'s not it|"
    r"not (?:right|correct)|das (?:ist|war) (?:falsch|nicht (?:richtig|korrekt|was ich (?:meinte|wollte)))|"
    r"(?:das )?stimmt (?:so )?nicht|c'est (?:faux|incorrect)|ce n'est pas (?:ca|correct|juste)|"
    r"(?:eso )?(?:no es (?:correcto|eso|asi)|esta mal|es incorrecto)))"
)
_SHOULD = (
    r"(?:the (?:right|correct) (?:answer|one) (?:is|was)|(?:(?:it|that|this|the answer) )?should have been|"
    r"(?:richtig|korrekt) (?:ist|ware|war)|die richtige antwort (?:ist|war|ware)|la bonne reponse (?:est|etait)|"
    r"ca aurait du etre|la respuesta correcta (?:es|era)|deberia haber sido)"
)
_MEANT = (
    r"(?:i (?:actually |really )?meant(?: to say)?|ich meinte|gemeint war|je voulais dire|"
    r"(?:yo )?(?:queria|quise) decir|me referia a)"
)
_WANTED = (
    r"(?:i (?:actually |really )?(?:mean|wanted)|(?:it|that) should be|ich (?:meine|wollte)|je voulais|(?:yo )?queria)"
)
_IS = r"(?:it(?:'s| is| was)|es (?:ist|war)|c'(?:est|etait)(?: plutot)?|es|era)"
_BUT = r"(?:actually|eigentlich|en fait|en realidad)"
_ARTICLES = r"(?:the |a |an |der |die |das |le |la |les |l'|el |los |las )?"
_NOT = r"(?:not|nicht|pas|no es|no|non)"
_CHOSEN = re.compile(
    rf"^{_DENIED}[\s,.:;!-]+(?:{_BUT}[\s,]+)?(?:(?:{_MEANT}|{_SHOULD}|{_WANTED}|"
    rf"{_IS})[\s:]+)?{_ARTICLES}(?P<wanted>.+)$|"
    rf"^(?:{_BUT}[\s,]+)?(?:{_MEANT}|{_SHOULD}|{_WANTED})[\s:]+{_ARTICLES}(?P<meant>.+)$|"
    rf"^{_BUT}[\s,]+{_IS} {_ARTICLES}(?P<actually>.+)$"
)
# In free text: "should have been" speaks of the answer, "I meant" of the question as often, "it is" of anything.
_RIGHT_IS = re.compile(
    rf"^(?:{_DENIED}[\s,.:;!-]+)?(?:{_BUT}[\s,]+)?{_SHOULD}[\s:]+(?P<wanted>.+)$|"
    r"^es hatte (?P<would>.+) (?:sein mussen|heissen mussen)$|"
    r"^\W*(?:不对?|不是|错了?)\W+应该是(?P<zh>.+)$|^(?:\W*(?:不对?|不是|错了?)\W+)?正确答案是(?P<zh_answer>.+)$|"
    + unmarked(r"^正解は(?P<ja>.+?)(?:です|だ)?$")
)
_I_MEANT = re.compile(
    rf"^(?:(?P<sorry>sorry)|{_DENIED})[\s,.:;!-]+(?:{_BUT}[\s,]+)?(?:{_MEANT}|i wanted)[\s:]+(?P<wanted>.+)$|"
    r"^(?:不对?|不是|错了?)\W+我(?:是说|说的是|指的是|的意思是)(?P<zh>.+)$"
)
_IT_IS = re.compile(
    rf"^{_DENIED}[\s,.:;!-]+(?:it(?:'s| is| was)|c'(?:est|etait)|es(?! (?:ist|war)\b)|era) (?P<wanted>.+)$|"
    + unmarked(r"^(?:いいえ|いや|違います|違う)\W+(?P<ja>[\u30a0-\u30ff]+)(?:です|だよ?)$")
)
_INSTEAD = re.compile(
    r"[\s,]+(?:(?:and )?not\b.*|instead(?: of\b.*)?|rather than\b.*|please|und nicht\b.*|nicht\b.*|statt\b.*|bitte|"
    r"(?:et )?(?:non )?pas\b.*|gewesen|s'il (?:te|vous) plait|(?:y )?no\b.*|en (?:lugar|vez) de\b.*|por favor)$"
)
# what follows "I meant" and is no answer: a purpose, a place, a manner, something that only points
_OPEN = re.compile(
    r"^(?:always|never|immer|toujours|siempre|natur\w+|please|bitte|to|that|this|it|its|it's|you|your|we|they|i|my|he|"
    r"she|what|how|why|when|where|which|who|if|in|on|at|for|"
    r"with|"
    r"without|from|by|of|about|as|like|more|less|something|someone|anything|nothing|well|no|not|only|just|"
    r"(?:an? )?(?:short|long|simpl|bett|bigg|small|old|new|nic|cheap|easi|warm|cold)er|an? (?:different|other|less|"
    r"more)|"
    r"the (?:other|opposite|first|second|last|one|same)|das|dass|es|was|wie|wenn|in|im|auf|mit|ohne|fur|von|uber|"
    r"zu|mehr|weniger|etwas|nur|nicht|que|ce|ca|cela|qu|en|dans|sur|avec|sans|pour|par|"
    r"de|plus|moins|lo|eso|esto|con|sin|para|por|sobre|mas|menos|algo|solo)\b"
)
_BARELY = re.compile(r"(?:(?:it|that|this) )?should have been|deberia|ca aurait|es hatte")
_DAY = re.compile(r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|\w+tag|mittwoch|lundi|mardi|lunes|martes)\b")
_ASKED_IN = re.compile(r"\b(?:what|which|who|where|when|why|how|welche\w*|wer|wie|warum|quel\w*|cual\w*)\b")
_ARTICLE = re.compile(r"^(?:(?P<german>der|die|das|ein|eine|den)|the|an?|le|la|les|el|los|las|une?|un[oa]?) |^l'")
_STOPS = " ,.:;!-。！，"  # noqa: RUF001
_REJECTED = re.compile(rf"^{_DENIED}{_END}")
_THANKS = (
    r"(?:th(?:x|anx)|cheers|(?:many |thousand )?thanks?(?: you)?(?: (?:so|very) much| a lot| again)?|danke(?: ?schon|"
    r" (?:dir|"
    r"ihnen|sehr|vielmals))?|vielen dank|merci(?: (?:beaucoup|bien))?|(?:muchas |mil )?gracias)"
    r"(?: for (?:the|your) (?:help|answer))?"
)
_RIGHT = (
    r"(?:perfect|exactly|great|correct|well done|(?:that|this|it) help(?:s|ed)(?: me)?(?: a lot)?|that(?:'s| is|"
    r" was) (?:right|correct|it|perfect|exactly (?:it|right|what i "
    r"(?:wanted|meant|needed))|what i (?:wanted|meant|needed))|perfekt|genau(?: richtig| so(?: wollte ich es)?| das)?|"
    r"(?:das|es) hat (?:mir )?(?:sehr )?geholfen|"
    r"(?:das )?stimmt(?: genau)?|das ist (?:richtig|es|perfekt|korrekt)|parfait|exactement|c'est (?:ca|juste|"
    r"parfait|exact|exactement ca)|"
    r"perfecto|exacto|exactamente(?: eso)?|(?:eso|asi) es|eso mismo|(?:es )?correcto)"
)
_PRAISE = (
    r"(?:ok(?:ay)?|yes|yeah|yep|ja|oui|si|ah|super|great|awesome|amazing|wonderful|excellent|brilliant|cool|nice|good|"
    r"prima|"
    r"toll|klasse|richtig|alles klar|d'accord|genial|top|tres bien|bien|vale|estupendo|(?:great|good|nice) answer|"
    r"gute antwort|bonne reponse|buena respuesta)"
)
_ACCEPTED = re.compile(
    rf"^(?:{_PRAISE}[\s,!]+)*(?:{_THANKS}|{_RIGHT})(?:[\s,]+(?:{_THANKS}|{_RIGHT}))*$|"
    r"^(?:(?:好的?|嗯|对|是的)\W*)?(?:(?:非常|太|多)?(?:谢谢|感谢|多谢)[你您了啦]*|没错|完全正确|正确|"
    r"完美)(?:\W+谢谢[你您了]?)?$|"
    + unmarked(
        r"^(?:はい\W*)?(?:(?:正解|その通り|完璧|ばっちり)(?:です)?\W*)?"
        r"(?:(?:どうも\W*)?ありがとう(?:ございま(?:す|した))?|助かりました|正解です|その通りです?|完璧です?)$"
    )
)
# what may follow an acceptance without taking it back: the next question
_NEXT = re.compile(
    r"^(?:(?:and|und|et|y) )?(?:what|which|who|where|when|was|welche\w*|wer|wo|wann|quel\w*|qui|ou|que|quien)\b"
)
_ASKING = re.compile(
    r"[?\u061f\uff1f]|^(?:is|are|was|were|do|does|did|can|could|would|will|should|may|what|which|who|where|when|"
    r"why|how|"
    r"ist|sind|kann|kannst|konnte|stimmt es|est-ce|es cierto|puedes)\b"
)
_UNANSWERED = re.compile(
    r"\b(?:sorry|i (?:cannot|can't|could not|couldn't|don't know|do not know|am not able|am unable)|tut mir leid|"
    r"ich (?:kann|weiss) (?:es |das |dir |ihnen )?(?:leider )?nicht|je ne (?:sais|peux) pas|desolee?|"
    r"no (?:lo )?(?:se|puedo)|lo siento)\b"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """How the user took an answer. ``truth`` is what they wanted where that is known, ``confidence`` below 1."""

    kind: Kind
    truth: str | None
    confidence: float


def reaction(earlier: Interaction, message: str) -> Reaction | None:
    """Return what ``message`` says of the answer to ``earlier``, or None where it says nothing of it for sure.

    A correction names the truth, an acceptance makes the answer the truth. A rejection names it only where there are
    two choices: then it is the other one. Of an answer that asks the user something nothing is said, and nothing by
    what is quoted, pasted or forwarded.
    """
    response = (earlier.response or "").strip()
    sentences = _sentences(message) if response and not response.endswith(("?", "？")) else []  # noqa: RUF001
    plain = [skeleton(sentence).strip(_STOPS) for sentence in sentences]
    if not plain or _ASKING.search(plain[0]) or len(sentences[0]) > SENTENCE_CHARS:
        return None
    if truth := _correction(earlier, sentences, plain):
        return Reaction(kind="correction", truth=truth, confidence=CORRECTED if earlier.choices else CORRECTED_TEXT)
    if all(map(_REJECTED.match, plain)):
        return Reaction(kind="rejection", truth=_other_choice(earlier), confidence=REJECTED)
    if not _accepts(plain, earlier.query, response):
        return None
    return Reaction(kind="acceptance", truth=_answer(earlier), confidence=ACCEPTED)


async def infer_by_model(
    models: Models, episodic: EpisodicMemory, user_id: str, interactions: Sequence[Interaction]
) -> int:
    """Label, all at once, the unlabelled answers whose thread goes on in ``interactions``; returns how many.

    ``interactions`` come oldest first; the newest ``MAX_ASKED`` are asked about, so the cost is bounded.
    """
    threads: dict[str, Interaction] = {}
    followed: list[tuple[Interaction, str]] = []
    for interaction in interactions:
        earlier = threads.get(interaction.thread_id or "")
        if earlier is not None and earlier.ground_truth is None and interaction.user_id == user_id:
            followed.append((earlier, interaction.query))
        if interaction.thread_id is not None:
            threads[interaction.thread_id] = interaction
    asked = followed[-MAX_ASKED:]
    found = await asyncio.gather(*(reaction_by_model(models, earlier, message) for earlier, message in asked))
    labels = [(earlier, told) for (earlier, _), told in zip(asked, found, strict=True) if told is not None]
    known = [(earlier, told.truth, told.confidence) for earlier, told in labels if told.truth is not None]
    for earlier, truth, confidence in known:
        given = Feedback(ground_truth=truth, source="implicit", confidence=confidence)
        await episodic.feedback(user_id, earlier.id, given)
    return len(known)


async def reaction_by_model(models: Models, earlier: Interaction, message: str) -> Reaction | None:
    """The same by a model, for what the rules leave open; None with the embedded model and where the model fails."""
    if models.embedded or not earlier.response or not _typed(message):
        return None
    choices = ", ".join(earlier.choices) or "any text"
    asked = render(
        "reaction",
        query=quote(f"{earlier.query[:READ_CHARS]}\nAllowed answers: {choices}", "question"),
        answer=quote(earlier.response[:READ_CHARS], "answer"),
        message=quote(message[:READ_CHARS], "next message"),
    )
    try:
        said = await models.structured("summarizer", [HumanMessage(asked)], REACTION_SCHEMA)
    except ModelError:
        return None
    wanted = _believed(one_line(str(said.get("wanted") or ""), MAX_TRUTH_CHARS), earlier, message)
    match said.get("reaction"):
        case "correction" if wanted:
            return Reaction(kind="correction", truth=wanted, confidence=BY_MODEL)
        case "rejection" | "correction":
            return Reaction(kind="rejection", truth=_other_choice(earlier), confidence=REJECTED)
        case "acceptance" if not _UNANSWERED.search(skeleton(earlier.response)):
            return Reaction(kind="acceptance", truth=_answer(earlier), confidence=BY_MODEL)
    return None


def _believed(wanted: str, earlier: Interaction, message: str) -> str:
    """What a model says was wanted, or nothing: what the user did not say, they did not want."""
    if earlier.choices:
        wanted = _other_named(earlier, answer_from_text(wanted, earlier.choices) or "") or ""
    return wanted if skeleton(wanted) in skeleton(message) else ""


def _typed(message: str) -> bool:
    """Whether all of a message is the user's own words: no code, no paste, no long quotation."""
    return own_words(message) == " ".join(message.split())


def _sentences(message: str) -> list[str]:
    """The first sentences, as the user wrote them, of a typed message; what has no letter or digit is none."""
    if not _typed(message):
        return []
    head = message[: (READ_SENTENCES + 1) * SENTENCE_CHARS].replace("’", "'").lstrip("¡¿ ")  # noqa: RUF001
    parts = (" ".join(part.split()) for part in re.split(r"(?<=[.!?])\s+|(?<=[。！？])|\n+", head))  # noqa: RUF001
    return [re.sub(r"[^\w?!.)\"'»]+$", "", part) for part in parts if any(map(str.isalnum, part))][: READ_SENTENCES + 1]


def _accepts(plain: Sequence[str], query: str, response: str) -> bool:
    """Whether thanks come first, and after them only what is asked next; not for no answer, nor in reply to thanks."""
    thanks = _ACCEPTED.match(plain[0]) and all(_NEXT.match(rest) and _ASKING.search(rest) for rest in plain[1:])
    if not thanks or _ACCEPTED.match(skeleton(query).strip(_STOPS)):
        return False
    return _UNANSWERED.search(skeleton(response)) is None


def _correction(earlier: Interaction, sentences: Sequence[str], plain: Sequence[str]) -> str | None:
    """The truth that a correction names, as the user wrote it; "No. I meant jazz." is read as one sentence."""
    first = sentences[0]
    if len(plain) > 1 and _REJECTED.match(plain[0]) and not _ASKING.search(plain[1]):
        first = f"{first.rstrip('.!。！')}, {sentences[1]}"  # noqa: RUF001
    if earlier.choices:
        found = _CHOSEN.match(skeleton(first).strip(_STOPS))
        return _other_named(earlier, _INSTEAD.sub("", found[found.lastgroup or 0]).strip(_STOPS)) if found else None
    return _freely(earlier, first.strip(_STOPS)) if len(earlier.response or "") <= SHORT_ANSWER_CHARS else None


def _freely(earlier: Interaction, said: str) -> str | None:
    """What a correction of a short answer in free text names; of the answer's form, where that is a name."""
    folded = fold(said)
    answer = (earlier.response or "").strip(_STOPS)
    for pattern in (*_instead_of(answer), _RIGHT_IS, _I_MEANT, _IT_IS):
        if found := pattern.match(folded):
            name = next(name for name, text in found.groupdict().items() if text and name != "sorry")
            start = found.start(name)
            wanted = said[start : start + len(_INSTEAD.sub("", found[name]))].strip(_STOPS)
            doubtful = pattern is _IT_IS or folded.startswith("sorry")
            fits = _fits(wanted, answer, doubtful=doubtful, barely=_BARELY.match(folded) is not None)
            return one_line(wanted, MAX_TRUTH_CHARS) if fits and _can_be_wanted(wanted, earlier.query) else None
    return None


def _fits(wanted: str, answer: str, *, doubtful: bool, barely: bool) -> bool:
    """Whether a name stands for a name; where it is in doubt what a message corrects, both must be one."""
    if _looks_named(wanted) and not _DAY.match(fold(wanted)):
        return not doubtful or _looks_named(answer)
    return not (doubtful or barely or _looks_named(answer))


def _instead_of(answer: str) -> list[re.Pattern[str]]:
    """The answer itself denied, and another in its place: "not A but B", "B, not A"."""
    given = re.escape(fold(answer))
    return [
        re.compile(
            rf"^(?:{_DENIED}[\s,.]+)?{_NOT} {given}(?:\W+(?:(?:but|sondern|mais|sino|it's|it is|c'est|es) )?"
            r"|,? (?:but|sondern|mais|sino) )(?P<wanted>.+)$"
        ),
        re.compile(rf"^(?:{_DENIED}[\s,.]+)?(?:{_IS} )?(?P<wanted>.+?),? (?:and )?{_NOT} {given}$"),
        re.compile(rf"^(?:不对?\W+)?不是{given}\W*(?:而是|应该是|是)(?P<wanted>.+)$"),
        re.compile(unmarked(rf"^(?:いいえ\W+)?{given}(?:では|じゃ)なくて?\W*(?P<wanted>.+?)(?:です|だ)?$")),
    ]


def _can_be_wanted(wanted: str, query: str) -> bool:
    """Whether a text can stand in an answer's place: no mended part of the question, no purpose, no pointing word."""
    plain = skeleton(wanted)
    words = set(re.findall(r"[^\W\d_]{4,}", plain))
    if not plain or _OPEN.match(plain) or len(plain.split()) > MAX_TRUTH_WORDS or "*" in wanted:
        return False
    if words & set(re.findall(r"[^\W\d_]{4,}", skeleton(query))) or _ASKED_IN.search(plain):
        return False
    found = _ARTICLE.match(plain)
    return found is None or (not found["german"] and _looks_named(wanted[found.end() :]))


def _looks_named(text: str) -> bool:
    """Whether every word of a text begins as a name or a number does; what has no cases does."""
    words = [word for word in re.findall(r"\w[\w'.-]*", text) if len(word) > 3 or not word.islower()]
    return bool(words) and not any(word[0].islower() for word in words)


def _other_named(earlier: Interaction, wanted: str) -> str | None:
    """The choice that was meant; None where it is none, or the answer itself."""
    named = {bare(skeleton(choice)): choice for choice in earlier.choices}.get(bare(wanted))
    return named if named != _answer(earlier) else None


def _answer(earlier: Interaction) -> str | None:
    """The answer as a truth; None where it is none of the choices."""
    if not earlier.choices or not earlier.response:
        return earlier.response
    return answer_from_text(earlier.response, earlier.choices)


def _other_choice(earlier: Interaction) -> str | None:
    answer = _answer(earlier)
    others = [choice for choice in earlier.choices if choice != answer]
    return others[0] if answer and len(earlier.choices) == 2 else None
