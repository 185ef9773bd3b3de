"""Whether what a user said can bear a fact about the user: of themselves, in earnest, still so, and not its contrary.

By rules, clause by clause, without a model: English, German, French and Spanish; who speaks and what is negated also
in Italian, Portuguese, Dutch, Chinese and Japanese. A fact that one clause could bear is refused where it has words
that only other clauses have: those of a question, of what is supposed or quoted, or of somebody else.

Where somebody else's words were read as well, a model may write down what they ask for, in other words or another
language, and no list of words sees that. What it can not do is to make the user have said it: of rows that hold more
than the user's own words (material to be labelled, a quotation, a pasted mail) a fact must, part by part, share a word
with what is the user's own in them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile

from personaagent.text import CJK, UNSPACED, own_words, skeleton, unmarked
from personaagent.types import Interaction

TOLD_CHARS = 500  # of a message; what is longer is pasted
STEM = 5  # letters by which a word is found again
MIN_LETTERS = 3  # of a word that tells something


def _rule(pattern: str) -> re.Pattern[str]:
    """A pattern to be searched in skeletons, which have no accents; nor have kana their voicing there."""
    return re.compile(unmarked(pattern))


_SUPPOSED = _rule(
    r"\b(?:suppose|supposing|imagine|pretend|hypothetically|let's (?:say|play)|if i were|what if|role.?play|act as|"
    r"in (?:my|a|the) (?:dream|game|story|novel)|angenommen|stell dir vor|tu so|rollenspiel|im traum|wenn ich \w+ ware|"
    r"supposons|imaginons|si j'etais|fais semblant|jeu de role|supongamos|imagina|finge|si (?:yo )?fuera)\b|"
    r"\byou are (?:now )?(?:an?|my|the) \w+\b.{0,40}\bi am (?:your|an?|the)\b|假如|假设|如果我是|扮演|もし私|仮に|"
    r"のふり"
)
_JOKE = _rule(
    r"\b(?:just kidding|kidding|joke|haha\w*|lol|scherz|spass|blague|je plaisante|broma|jaja\w*|yeah,? right|as if)\b|"
    r"(?:^|[.!?] )(?:(?:oh|ah|ja|na|si|ben|mais)\W+)+(?:sure|great|right|klar|toll|super|claro|voyons)\b|开玩笑|哈哈|"
    r"冗談"
)
_TEXT = (
    r"text|(?:e-?)?mail|letter|message|article|poem|post|tweet|note|sentence|paragraph|line|story|song|lyrics|brief|"
    r"nachricht|satz|"
    r"artikel|texte|lettre|phrase|texto|correo|carta|mensaje|frase"
)
_TASK = _rule(
    r"^(?:please |can you |could you )?(?:translate|write|rewrite|rephrase|proofread|summari[sz]e|fix|check|improve|"
    r"shorten|"
    r"polish|edit|correct (?:this|my)|ubersetze|schreib|fasse|verbessere|korrigiere|traduis|ecris|resume|corrige|"
    r"traduce|"
    r"escribe)\b|翻译|请写|写一|訳して|書いて|"
    rf"\b(?:this|these|the following|diese[rnms]?|folgende\w*|ce|cette|este|esta) (?:{_TEXT})\b|"
    rf"\b(?:{_TEXT})\b[^:.]{{0,30}}:"
)
_OTHERS = (
    r"wife|husband|partner|girlfriend|boyfriend|fiancee?|son|daughter|mother|mum|mom|father|dad|parents|brother|sister|"
    r"grand\w+|aunt|uncle|cousin|child(?:ren)?|kids?|baby|friends?|boss|colleague|neighbou?r|room ?mate|teacher|"
    r"client|dog|"
    r"cat|frau|mann|sohn|tochter|mutter|vater|eltern|bruder|schwester|oma|opa|tante|onkel|kind(?:er)?|freund\w*|"
    r"chef\w*|"
    r"nachbar\w*|hund|katze|femme|mari|fils|fille|mere|pere|frere|soeur|copine|copain|amie?|chien|chat|esposa|marido|"
    r"novi[oa]|hij[oa]s?|madre|padre|herman[oa]|abuel[oa]|amig[oa]|jefe|perr[oa]|gat[oa]|moglie|marito|figli[oa]|"
    r"fratello|"
    r"sorella|mulher|filh[oa]|irma?o?|vrouw|broer|zus"
)
_ANOTHER = re.compile(
    rf"^\W*(?:(?:and|but|because|und|aber|et|mais|y|pero) )?(?:my|our|meine?|unsere?|mon|ma|notre|mi|nuestr[oa]|mia|"
    rf"mio|mijn|"
    rf"minha|meu) (?:\w+ ){{0,2}}?(?P<who>{_OTHERS})\b(?!'s (?:name|birthday))"
)
_ANOTHER_UNSPACED = _rule(
    r"^我的?(?P<who>妻子|老婆|太太|丈夫|老公|爸爸?|妈妈?|父亲|母亲|哥哥?|姐姐?|弟弟?|妹妹?|儿子|女儿|孩子|朋友|老板|"
    r"同事|老师|狗|猫)"
)
_ANOTHER_JA = _rule(
    r"^(?:私の)?(?P<of>妻|夫|息子|娘|母|父|兄|姉|弟|妹|子供|友達|友人|上司|同僚|先生|犬|猫|彼|彼女)(?:は|が|も)"
)
_QUOTED = re.compile(r"[\"“«„「『].+?[\"”»“」』]")
_SPEAKER = re.compile(
    r"^(?!(?:Note|FYI|PS|Btw|BTW|Also|Update|Info|Me|Context|Background|Reminder|Hinweis|Info|Nota|Hi|Hello|Hallo)\b)"
    r"[A-Z][\w.]+(?: [A-Z][\w.]+)?:\s"
)

_I = _rule(
    r"\b(?:i|i'm|i've|i'd|my|we|we're|our|ich|mein\w*|wir|unser\w*|je|j'\w+|mon|ma|mes|nous|yo|soy|tengo|estoy|vivo|"
    r"trabajo|"
    r"mi|mis|nosotros|io|sono|ho|mio|mia|eu|sou|tenho|meu|minha|ik|mijn|я|мне|меня|моя|мои)\b|我|咱|私|僕|俺|わたし|"
    r"ぼく"
)
_ME = re.compile(r"\b(?:me|mir|mich|moi|m'\w+)\b")
_FIRST = re.compile(rf"{_I.pattern}|{_ME.pattern}|\bmine\b")
_ORDERS = re.compile(
    r"^\W*(?:please |bitte )?(?:give|tell|show|help|send|let|recommend|suggest|teach|find|get|remind|call|explain|"
    r"list|make|gib|"
    r"sag|zeig|hilf|nenn|empfiehl|schlag|erklar|donne|dis|montre|aide|recommande|propose|explique)\w*\b"
)
_AS = re.compile(r"^\W*(?:as an?|als|en tant qu\w*'?|being an?|como) (?!(?:always|usual|you|i|we|ich|je|yo)\b)\w+")
_ASKS = _rule(
    r"^\W*(?:(?:and|so|please|und|et|y) )?(?:what|which|who|whose|how|when|where|why|can|could|should|shall|may|do|"
    r"does|did|"
    r"is|are|am|will|would|was|wann|wo|wie|wer|was|welche\w*|warum|kann|soll\w*|darf|ist|bin|quel\w*|quoi|comment|"
    r"quand|"
    r"pourquoi|est-ce|puis|peux|dois|que|cual\w*|como|cuando|donde|por que|puedo|debo)\b|什么|怎么|吗$|哪里|谁|ですか|"
    r"ますか"
)
_OF_TALK = re.compile(r"\b(?:i (?:meant?|said|asked|see)|ich (?:meinte|sagte)|je voulais dire|quise decir)\b")
_REPORTED = re.compile(
    r"^\W*(?!(?:i|ich|je|j'\w+|yo)\b).*?\b(?:says?|said|thinks?|thought|believes?|claims?|told|tells|wrote|calls?|"
    r"reads|goes|states|sagt|sagte|steht|"
    r"meint|denkt|glaubt|dit|pense|croit|dice|dijo|piensa|cree)\b"
)
_SAYING = re.compile(r"^(?:says?|said|sagte?|meint|denkt|dit|pense|dice|dijo|piensa)\b")
_IF = _rule(r"^\W*(?:(?:and|but) )?(?:if|unless|wenn|falls|si|se)\b|^如果|^要是|もし|たら")
_PAST = _rule(
    r"\b(?:used to|no longer|any ?more|(?:i|we) (?:was|were)(?! (?:born|\w+ed)\b)|formerly|quit|gave up|stopped|"
    r"once had|fruher|nicht mehr|ich (?:war|hatte)|(?:war|hatte) ich|aufgehort|j'(?:etais|avais)|autrefois|arrete|"
    r"antes|era|tenia|ya no|deje)\b|\b(?:ne|n')\b.*\bplus\b|\bkein\w*\b.*\bmehr\b|以前|曾经|不再|戒了|昔|でした|やめ"
)
_PAST_FACT = _rule(
    r"\b(?:used to|was|were|had|former\w*|previous\w*|past|retired|once|no|not|\w+n't|any ?more|quit|gave up|stopp\w+|"
    r"visited|went|lived|worked|studied|owned|taught|fruher\w*|war|hatte|nicht|kein\w*|ehemal\w*|aufgehort|"
    r"etait|avait|ancien\w*|plus|arret\w*|era|tenia|antes|ya no|dejo)\b|以前|曾|不|戒|昔|ない|やめ|でした"
)
_DOUBT = r"might|maybe|perhaps|possibly|wonder\w*|vielleicht|womoglich|peut-etre|quizas?|tal vez"
_UNREAL = _rule(
    rf"\b(?:wish|would|(?:i|we)'d(?! been\b)|want(?:ed)? to|hope to|plan to|dream of|"
    rf"almost|nearly|"
    rf"{_DOUBT}|ware|hatte gern\w*|mochte|wurde gern\w*|fast|beinahe|voudrais|aimerais|veux|reve|presque|quisiera|"
    rf"gustaria|quiero|"
    r"casi)\b|想|要是|たい|可能|也许|かもしれ"
)
_UNREAL_FACT = _rule(
    rf"\b(?:{_DOUBT}|wish\w*|would|want\w*|hop\w+|plan\w*|dream\w*|aim\w*|aspir\w*|interest\w*|consider\w*|think\w*|"
    rf"almost|nearly|"
    r"mochte|will|wunsch\w*|traum\w*|fast|voudr\w*|aimer\w*|veut|souhait\w*|reve\w*|quier\w*|quisier\w*|desea|"
    r"gustar\w*|"
    r"casi)\b|想|希望|たい"
)
_DISLIKE = r"hates?|dislikes?|detests?|hasst?e?|hais|deteste[rs]?|odi[oa]"
_NEGATED = _rule(
    rf"\b(?:not|no|never|without|neither|nor|nobody|cannot|{_DISLIKE}|niemand|personne|nadie|kein\w*|nicht|nie|niemals|ohne|pas|jamais|sans|aucune?|"
    rf"nunca|"
    r"jamas|sin|non|mai|nao|niet|geen|nooit|"
    r"не|нет|(?:do|does|did|is|are|was|ca|wo|would|could|should)nt)\b|n't\b|不|没|无|無|讨厌|ない|ません|嫌い"
)
_KEEP = re.compile(r"\b(?:never|not|n't|don't|nie|nicht|pas|no) (?:forget|vergessen|vergiss|oublie\w*|olvides?)\b")
_PLAIN = frozenset(
    re.findall(
        r"\w+",
        "the and for his her their that this with has have had does did are was were very really also user users use "
        "not never without cannot like likes love loves enjoy enjoys hate hates dislike dislikes detest detests "
        "person someone "
        "der die das ein eine ist isst esse hat und sehr mag nicht kein keine keinen nie ohne liebt hasst nutzer "
        "les des une est qui aime pas jamais sans deteste utilisateur "
        "los las una tiene muy con por nunca sin odia usuario esta",
    )
)
_SUBJECT = _rule(r"\b(?:the |this )?user(?:'s)?\b|用户|用戶|ユーザー[はのが]?|使用者")
_WORD = re.compile(r"[^\W\d_]+")
_UNSPACED = re.compile(r"[\u30a0-\u30ff\u3400-\u9fff]{2,}")
_KANA = re.compile(f"[{UNSPACED}]")
_OF_NOBODY = _rule(r"^[^は]*(?:です|ます|ました|ません|ない|いる|ある|だ)[。!]*$")  # Japanese that names no subject
_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？]*")  # noqa: RUF001  # as they are written
_BETWEEN = re.compile(
    r"\s*[,;，、；]\s*|\s+[–—-]\s+|\s+(?=(?:and|but|while|whereas|because|und|aber|weil|et|mais|y|pero|e|"  # noqa: RUF001
    r"ma)\s+"
    r"(?:i|i'm|my|we|he|she|they|ich|mein\w*|wir|er|sie|je|j'\w+|mon|ma|il|elle|yo|soy|mi|el|ella)\b)"
    r"|\s+(?=(?:who|whose)\b)",
    re.IGNORECASE,
)
_RELATIVE = re.compile(r"^(?:who|whose)\b")


@dataclass(frozen=True, slots=True)
class _Clause:
    """A part of a sentence, as a skeleton: whether the user says it of themselves, and of whom else it is."""

    text: str
    own: bool
    other: str | None = None


@lru_cache(2_048)  # a turn asks it of every memory that it looks at
def tells(message: str) -> bool:
    """Whether a message says something of the user rather than only asking: "I'm vegetarian. What shall I cook?"."""
    return any(clause.own for clause in _clauses(message[:TOLD_CHARS]))


def bears(fact: str, said: str) -> bool:
    """Whether a fact may stand on a message: some clause of it is about the user, in earnest, still so, and not denied.

    A fact that names the person whom a clause is about ("The user's wife loves jazz.") may stand on it.
    """
    claimed = skeleton(fact)
    clauses = list(_clauses(said))
    bearing = [clause for clause in clauses if _says(clause, claimed)]
    known = {sign for clause in bearing for sign in _signs(clause.text)}
    foreign = _signs(skeleton(said)) - known
    return bool(bearing) and not (_signs(claimed) & foreign)


def may_stand(fact: str, asked: str) -> bool:
    """The same of a question whose wanted answer is known: that is the user's word; the question must not mislead."""
    plain = skeleton(asked)
    outside = _QUOTED.sub(" ", plain)
    if _JOKE.search(plain) or _in_play(asked) or (outside != plain and not _FIRST.search(outside)):
        return False
    another = _other(outside)
    return another is None or another in skeleton(fact)


def of_oneself(text: str) -> bool:
    """Whether somebody speaks of themselves in it."""
    return _FIRST.search(skeleton(text)) is not None


def speaks_of(fact: str, told: Iterable[str]) -> bool:
    """Whether one of the texts is about what a fact is about: "my dog" of "Owns a dog.", and not only its first word.

    "Allergic to cats" says nothing of "Allergic to nuts.".
    """
    about = _in_order(skeleton(fact))
    named = set(about[1:] or about)
    return any(_same_object(fact, text) or (not _KANA.search(fact) and named & _signs(skeleton(text))) for text in told)


def replaces(fact: str, text: str, told: Sequence[str]) -> bool:
    """Whether what is said of the user now may take the place of a fact: of the same matter, and no second one beside.

    Of a text about another object ("Allergic to cats." of "Allergic to nuts.") nobody knows without a knowledge of the
    world: both hold where the user says the same of it, and does not say of the former that it is over.
    """
    about, new = set(_in_order(skeleton(fact))), _signs(skeleton(text))
    said = set().union(*(_signs(skeleton(one)) for one in told))
    if not about & (new | said):
        return False
    restated = _beginnings(about & new) & _beginnings(said)
    return not restated or _same_object(fact, text) or _is_over(about - new, told)


def _beginnings(signs: Iterable[str]) -> set[str]:
    return {sign[:MIN_LETTERS] for sign in signs}


def _is_over(signs: set[str], told: Iterable[str]) -> bool:
    """Whether a clause with one of these words says that something is not, or no longer, so."""
    clauses = (clause.text for one in told for clause in _clauses(one))
    return any(_signs(clause) & signs and (_denies(clause) or _PAST.search(clause)) for clause in clauses)


def _same_object(fact: str, text: str) -> bool:
    """Whether a text has the last word of a fact; without spaces between words, half of what the fact has."""
    about, has = _in_order(skeleton(fact)), _signs(skeleton(text))
    if _KANA.search(fact):
        return 2 * sum(sign in has for sign in about) >= len(about)
    return bool(about) and about[-1] in has


def _in_play(sentence: str) -> bool:
    """Supposed, said by another, or to be worked on: whatever it and what follows says, it does not say of the user."""
    plain = skeleton(sentence)
    return bool(_SUPPOSED.search(plain) or _TASK.search(plain) or _SPEAKER.match(sentence))


def _says(clause: _Clause, fact: str) -> bool:
    """Whether a clause can bear a fact: not what was, what is only wished, what is another's, or the contrary."""
    if not clause.own or (clause.other is not None and clause.other not in fact):
        return False
    if _PAST.search(clause.text) and not _PAST_FACT.search(fact):
        return False
    if _UNREAL.search(clause.text) and not _UNREAL_FACT.search(fact):
        return False
    return _agrees(clause.text, fact)


def _agrees(clause: str, fact: str) -> bool:
    """Whether a clause does not deny what a fact says of the same matter, nor say what the fact denies."""
    claimed, said = _signs(fact), _signs(clause)
    if _denies(clause) and not _denies(fact):
        return not claimed & said and bool(_UNSPACED.search(clause)) == bool(_UNSPACED.search(fact))
    same = bool(claimed) and claimed <= said
    return not same or _denies(clause) == _denies(fact)


def _denies(text: str) -> bool:
    return _NEGATED.search(_KEEP.sub(" ", text)) is not None


def _clauses(message: str) -> Iterator[_Clause]:
    """The clauses of what is the user's own in a message; short quotations are left out, and all of a joke."""
    own = _QUOTED.sub(" ", own_words(message).replace("’", "'"))  # noqa: RUF001
    said = [] if _JOKE.search(skeleton(own)) else [found.strip() for found in _SENTENCE.findall(own)]
    for sentence in takewhile(lambda one: not _in_play(one), said):
        parts = [part for part in re.split(_BETWEEN, sentence) if part and part.strip()]
        yield from _read([part.strip() for part in parts])


def _read(parts: Sequence[str]) -> Iterator[_Clause]:
    plain = [skeleton(part) for part in parts]
    own, other, before = False, None, ""
    for at, silent in enumerate(_silent(plain)):
        part = plain[at]
        if _RELATIVE.match(part):
            own, other = own and bool(before), before
        elif silent:
            own, other = False, None
        elif _of_user(part, plain[at + 1 :]):
            own, other = True, _other(part)
        elif parts[at][:1].isupper():
            own = False
        yield _Clause(part, own, other)
        before = (_WORD.findall(part) or [""])[-1]


def _silent(plain: Sequence[str]) -> list[bool]:
    """Which clauses of a sentence tell nothing: they ask (the last one, where none begins so), suppose or report.

    What somebody says goes on to the end of the sentence; "..., says my boss" is about all of it.
    """
    if any(_SAYING.match(part) for part in plain):
        return [True] * len(plain)
    silent = [any(rule.search(part) for rule in (_ASKS, _IF, _OF_TALK)) for part in plain]
    if plain and plain[-1].endswith("?") and not any(map(_ASKS.search, plain)):
        silent[-1] = True
    reports = next((at for at, part in enumerate(plain) if _REPORTED.match(part)), len(plain))
    return silent[:reports] + [True] * (len(plain) - reports)


def _of_user(clause: str, later: Sequence[str]) -> bool:
    """Whether a clause is said in the first person, or is "as a nurse" before one that is."""
    if _I.search(clause) or _OF_NOBODY.match(clause) or (_ME.search(clause) and not _ORDERS.match(clause)):
        return True
    return _AS.match(clause) is not None and any(_I.search(one) for one in later)


def _other(clause: str) -> str | None:
    for pattern in (_ANOTHER, _ANOTHER_UNSPACED, _ANOTHER_JA):
        if found := pattern.match(clause):
            return found[1]
    return None


def _signs(text: str) -> set[str]:
    """Words that tell something, by their beginnings; of scripts without spaces, each two characters but hiragana."""
    return set(_in_order(text))


def _in_order(text: str) -> list[str]:
    """The same in the order of the text, those of scripts without spaces first."""
    bare = re.sub("[不没無无]", "", _SUBJECT.sub(" ", text))
    found = [word for run in _UNSPACED.findall(bare) for word in (run[at : at + 2] for at in range(len(run) - 1))]
    words = (word for word in _WORD.findall(_KANA.sub(" ", bare)) if len(word) >= MIN_LETTERS and word not in _PLAIN)
    return [*found, *(word.rstrip("s")[:STEM] for word in words)]


SHARED_LETTERS = 4  # of a word that tells something, and of a common beginning
TEMPLATE_WORDS = 3  # in a row, in two questions of a task: not said by the user, but pasted or the task's own

PART_WORDS = 3
SENTENCE_WORDS = 2

_LETTERS = re.compile(r"[^\W\d_]+")
_BETWEEN_PARTS = re.compile(r"(?<=[.!?।])\s+|(?<=[。！？])\s*|\s*[,;，；、]\s*|\s+[–—-]\s+")  # noqa: RUF001  # as they are written
_ENDS = ".!?。！？।"  # noqa: RUF001  # as they are written
_UNSPACED_TEXT = re.compile(rf"[{CJK}\u0e00-\u0e7f]")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "about after again also answer answers anything because been before being category choose does each ever every "
        "everything first from have having here into just label like likes more most much never only other over prefer "
        "prefers question questions said same says should some such than that their them then there these they this "
        "those through under used user users very want wants were what when where which while will with would your",
    )
)


def supported(fact: str, evidence: Sequence[Interaction]) -> bool:
    """Whether a fact may stand on these interactions: all is the user's own, or each part of it says some of what is.

    A wanted answer is the user's own where it is a choice, speaks of them, or says what another one says too.
    """
    if all(_own_only(row) for row in evidence):
        return True
    closed = [row for row in evidence if row.choices]
    chosen = _words(" ".join(row.ground_truth or "" for row in closed))  # a label may be short
    said = _repeated(closed) | _signs_of(" ".join(chosen)) | _said_freely([row for row in evidence if not row.choices])
    return all(_alike(_signs_of(part), said) or chosen & _words(part) - _COMMON for part in parts(fact))


def parts(text: str) -> list[str]:
    """What a text says, part by part; one or two words, or the one of a sentence, belong to the part before."""
    found: list[str] = []
    for part in _BETWEEN_PARTS.split(text):
        if found and _length(part) < (SENTENCE_WORDS if found[-1][-1] in _ENDS else PART_WORDS):
            found[-1] += f", {part.strip()}"
        elif any(map(str.isalnum, part)):
            found.append(part.strip())
    return found


def _length(part: str) -> int:
    """How many words it has; of scripts without spaces, characters."""
    return sum(len(word) if _UNSPACED_TEXT.search(word) else 1 for word in _LETTERS.findall(part))


def _own_only(row: Interaction) -> bool:
    return not row.ground_truth and _own(row) == " ".join(row.query.split())


def _own(row: Interaction) -> str:
    return own_words(row.query, shortest=1)


def _said_freely(free: Sequence[Interaction]) -> set[str]:
    """What is the user's own where an answer is free: their words, and of the answers what is said of them or twice."""
    answers = [(row.ground_truth or "", _signs_of(row.ground_truth or "")) for row in free]
    times = Counter(word for _, signs in answers for word in signs)
    own = [_signs_of(_own(row)) for row in free] + [signs for answer, signs in answers if of_oneself(answer)]
    return {word for word, count in times.items() if count > 1}.union(*own)


def _repeated(closed: Iterable[Interaction]) -> set[str]:
    """Words of several questions of a closed task, but not the text that is the same in two of them."""
    texts = [_LETTERS.findall(skeleton(_own(row))) for row in closed]
    runs = Counter(run for words in texts for run in set(_runs(words)))
    counted: Counter[str] = Counter()
    for words in texts:
        same = {word for run in _runs(words) if runs[run] > 1 for word in run}
        counted.update(_signs_of(" ".join(word for word in words if word not in same)))
    return {word for word, times in counted.items() if times > 1}


def _runs(words: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + TEMPLATE_WORDS]) for at in range(len(words) - TEMPLATE_WORDS + 1)]


def _words(text: str) -> set[str]:
    return set(_LETTERS.findall(skeleton(text)))


def _signs_of(text: str) -> set[str]:
    """Words that tell something; of scripts without spaces, each two characters in a row."""
    found = set()
    for word in _LETTERS.findall(skeleton(text)):
        if _UNSPACED_TEXT.search(word):
            found |= {word[at : at + 2] for at in range(len(word) - 1)}
        elif len(word) >= SHARED_LETTERS and word not in _COMMON:
            found.add(word)
    return found


def _alike(some: Iterable[str], others: Iterable[str]) -> bool:
    known = tuple(others)
    return any(one.startswith(other) or other.startswith(one) for one in some for other in known)
