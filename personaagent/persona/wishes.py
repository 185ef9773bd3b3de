"""Wishes that a user says in conversation and that hold from then on: "from now on answer in one sentence".

By rules, in English, German, French, Spanish, Italian, Portuguese and Dutch, without a model, in three milliseconds.
Precision comes before recall: a wish missed is said again or pinned on the page, a wish invented changes every answer.
A sentence is a wish where, less politeness and what says that it lasts, it begins with an order to the assistant. What
does not last by itself ("answer in German") needs such words ("always", "from now on"), and words as weak as "always"
an object that answers can have (units, a language, a length). Questions, quotations, what others said, habits, and
wishes for one answer alone are none; nor is anything in a long message, which may be pasted.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from personaagent.rules import broken_rule
from personaagent.text import UNSPACED, clean, fold

MAX_WISH_CHARS: Final = 200
MAX_MESSAGE_CHARS: Final = 500
MAX_LINES: Final = 4

Subject = Literal["naming", "address", "units", "language", "length"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a user wishes, in their own words, or the wish that they take back (``text`` names it; empty: the last).

    A wish replaces an older one on the same ``subject``. ``alone`` says that the message is nothing else.
    """

    kind: Literal["set", "take_back"]
    text: str
    subject: Subject | None = None
    alone: bool = True


def wishes_in(text: str) -> list[Wish]:
    """Every wish that the message says, in order; a pure function of the text."""
    sentences = _sentences(text)
    taken_back = _take_back(" ".join(sentences))
    if taken_back is not None:
        return [Wish(kind="take_back", text=taken_back)]
    found = [(said, sentence) for sentence in sentences for said in _wishes_of(sentence)]
    if any(said is None and _OF_WORDS.search(fold(sentence)) for said, sentence in found):
        return []  # another sentence says whose words they are, or asks about them
    alone = all(said is not None or _FILLER.fullmatch(fold(sentence)) for said, sentence in found)
    return [Wish(kind="set", text=said, subject=subject_of(said), alone=alone) for said, _ in found if said is not None]


def may_be_wish(text: str) -> bool:
    """Whether a message without a wish by rule says that something is to last, so that a model is worth asking."""
    sentences = _sentences(text)
    if any(_OF_WORDS.search(fold(one)) or _PLAYED.search(fold(one)) for one in sentences):
        return False
    return any(_may_be_wish(sentence) for sentence in sentences)


def subject_of(text: str) -> Subject | None:
    """What a wish is about, where there can be only one of it."""
    folded = fold(text)
    return next((name for name, pattern in _SUBJECTS.items() if pattern.search(folded)), None)


# What lasts. STRONG says so wherever it stands, FUTURE and ALWAYS only beside an object that answers can have.
_STRONG = (
    r"from (?:now|here|today|this (?:point|moment)) (?:on(?:wards?)?|forward)|from here on out|going forward"
    r"|henceforth"
    r"|starting (?:now|today)|until i (?:say|tell you) otherwise|(?:for|in) (?:all|every one of) (?:your "
    r"|the )?(?:future )?"
    r"(?:answers|replies|responses)|in (?:your )?future (?:answers|replies|responses)"
    r"|ab (?:jetzt|sofort|heute|nun)|von (?:jetzt|nun|heute) an|kunftig|zukunftig|fortan|in (?:allen"
    r"|kunftigen) antworten"
    r"|desormais|dorenavant|a partir de maintenant|a partir d'aujourd'hui"
    r"|(?:a partir de|desde|de) ahora(?: en adelante| mismo)?|a partir de hoy|en adelante"
    r"|d'ora in (?:poi|avanti)|da (?:ora|adesso|oggi) in (?:poi|avanti)|a partire da (?:ora|adesso|oggi)"
    r"|a partir de agora|de agora em diante|daqui (?:em diante|por diante|para a frente|pra frente)|doravante"
    r"|a partir de hoje|vanaf (?:nu|vandaag)|voortaan|van nu af aan|in het vervolg"
)
_FUTURE = r"in (?:the )?future|in zukunft|a l'avenir|en (?:el )?futuro|in futuro|no futuro|in de toekomst"
_ALWAYS = (
    r"always|never(?: ever)?|at all times|immer(?: nur)?|stets|nie(?: mehr| wieder)?|niemals|grundsatzlich"
    r"|toujours|jamais"
    r"|siempre|nunca(?: mas)?|jamas|sempre|mai(?: piu)?|altijd|nooit(?: meer)?"
)
_POLITE = (
    r"(?:ok(?:ay)?|hey|hi|hello|hallo|so|and|also|well|oh|and|und|et|by the way|ubrigens"
    r"|please|pls|kindly|bitte|s'il (?:te|vous) plait|stp|svp|por favor|per favore|per piacere|por gentileza"
    r"|alsjeblieft|alstublieft|graag|thanks?|thank you|danke|merci|gracias|grazie|obrigad[oa]|bedankt|dank je|only)"
)
_HEAD = re.compile(rf"(?:(?P<strong>{_STRONG})|(?P<future>{_FUTURE})|{_POLITE})(?![\w'-])[\s,:;-]*")
_TAIL = re.compile(rf"[\s,:;-]+(?:(?P<strong>{_STRONG})|(?P<future>{_FUTURE})|{_POLITE})$")
_INSIDE = re.compile(rf"(?<![\w'-])(?:(?P<strong>{_STRONG})|(?P<future>{_FUTURE}))(?![\w'-])[\s,]*")
_PLEASE = re.compile(r"(?<=\w) (?:please|bitte|por favor|per favore|s'il te plait|s'il vous plait)(?= \w)")
_SEEN_ALWAYS = re.compile(rf"(?<![\w'])(?:{_ALWAYS})(?![\w'-])")
_FILLER = re.compile(
    rf"(?:(?:{_POLITE}|great|cool|good (?:morning|evening)|guten (?:tag|morgen)|bonjour|hola|ciao|ola)\W*)*"
)

_LANGUAGE = (
    r"(?:english|german|french|spanish|italian|portuguese|dutch|polish|russian|chinese|japanese|turkish|arabic"
    r"|englisch|deutsch|franzosisch|spanisch|italienisch|portugiesisch|niederlandisch|anglais|allemand|francais"
    r"|espagnol|italien|portugais|neerlandais|ingles|aleman|frances|espanol|castellano|italiano|portugues|neerlandes"
    r"|holandes|inglese|tedesco|francese|spagnolo|portoghese|olandese|alemao|espanhol|engels|duits|frans|spaans"
    r"|italiaans|portugees|nederlands)"
)
_UNITS = (
    r"(?:metric|imperial|celsius|fahrenheit|kilomet(?:er|re)s?|miles|kilograms?|metrisch\w*|metriqu\w*"
    r"|metric[oahe]+s?"
    r"|unit(?:s|es?)|einheiten|unidades|unita|eenheden)"
)
_COUNT = (
    r"(?:one|two|three|four|five|a single|ein(?:em|en)?|zwei|drei|funf|une?|deux|trois|cinq|una?|dos|tres|cinco"
    r"|due|tre"
    r"|cinque|uma?|dois|duas|een|twee|drie|vijf|\d{1,3})"
)
_PIECE = (
    r"(?:sentences?|words?|lines?|paragraphs?|bullets?(?: points?)?|satz(?:en)?|satze|worter[n]?|zeilen?"
    r"|absatz(?:en)?"
    r"|phrases?|mots|lignes?|frases?|palabras|lineas?|fras[ei]|parole|righe|palavras|linhas?|zin(?:nen)?"
    r"|woorden|regels?)"
)
_SHORT = (
    r"(?:brief(?:ly)?|concise(?:ly)?|short(?:er)?|terse|detailed|longer|kurz(?:er|e|en)?|knapp\w*"
    r"|ausfuhrlich\w*|bref|breve"
    r"(?:ment[ei])?|brev[ei]|court\w*|concis\w*|cort[oa]s?|concis[oa]s?|curt[oa]s?|kort(?:er|e)?|beknopt\w*)"
)
_FORMAT = re.compile(
    rf"\b(?:{_LANGUAGE}|{_UNITS}|{_SHORT}|{_PIECE}|lists?|tables?|headings?|markdown|emojis?|emoticons?|jargon"
    rf"|formal(?:ly)?"
    r"|informal(?:ly)?|simple|simply|politely|(?:first|last) names?|my (?:(?:first|last) )?name|sources?|examples?|"
    r"code blocks?|24-hour"
    r"|euros?|dollars?"
    r"|exclamation marks?"
    r"|listen?|tabellen?|uberschriften|fachworter\w*|fachbegriff\w*|quellen|beispiele\w*|formlich|hoflich|einfach\w*"
    r"|listes?|tableaux?|titres|exemples?|simplement|listas?|tablas?|ejemplos?|fuentes|sencill\w*|elench?[io]"
    r"|tabelle|esempi"
    r"|fonti|semplic\w*|tabelas?|exemplos?|fontes|simples|lijst(?:en|jes)?|tabellen|voorbeelden|bronnen|eenvoudig\w*"
    r"|metric|jij|jou|du|sie|tu|usted|lei|voce)\b"
)

# Orders to the assistant. ANSWER, USE and SUGGEST are hardly said to anybody else; GENERAL are.
_ANSWER = (
    r"answer|reply|respond|speak|talk|address me|refer to me|antworten?|antworten sie|sprich|sprechen sie"
    r"|rede|reden sie"
    r"|repond(?:s|ez)(?:[- ]moi)?|parle[sz]?(?:[- ]moi)?|responde(?:me)?|responda(?:me)?|contesta(?:me)?"
    r"|conteste(?:me)?"
    r"|hablame|habla|hable|rispondi(?:mi)?|risponda|parla(?:mi)?|parli|me responda|fale|fala|antwoord|spreek|praat"
)
_USE = (
    r"use|avoid|skip|omit|leave out|benutze?|benutzen sie|verwende|verwenden sie|nutze|nutzen sie|nimm|vermeide"
    r"|vermeiden sie"
    r"|verzichte auf|verzichten sie auf|utilise[zr]?|emploie|employez|evite[zr]?|usa|usi|usar|utiliza|utilice"
    r"|evita|evite"
    r"|utilizza|utilizzi|uses|utilices|usare|utilizzare|utilizes|eviti|utilize|gebruik|vermijd"
)
_SUGGEST = (
    r"suggest|recommend|propose|offer me|empfiehl|empfehlen sie|schlage? mir|schlagen sie mir"
    r"|propose[zr]?(?:[- ]moi)?"
    r"|suggere[zr]?(?:[- ]moi)?|recommande[zr]?(?:[- ]moi)?|conseille[zr]?(?:[- ]moi)?|sugiereme|sugieras|sugiera"
    r"|recomiendame|recomiendes|recomiende|propongas|suggerirmi|suggerisci(?:mi)?|suggerire|consigliarmi"
    r"|consiglia(?:mi)?"
    r"|consigliare|proporre|proponi(?:mi)?|sugira|recomende|proponha|stel|raad|adviseer|beveel"
)
_GENERAL = (
    r"write|explain|tell me|give me|give|show me|show|start|begin|end|finish|put|include|add|make|keep|mention"
    r"|be|provide"
    r"|limit|format|spell|quote|cite|summari[sz]e|schreibe?|schreiben sie|erklare?|erklaren sie|gib|geben sie"
    r"|zeige?|nenne?"
    r"|fasse? dich|halte? dich|sei|seien sie|beginne|beende|mach|ecris|ecrivez|explique[zr]?"
    r"|donne[zr]?(?:[- ]moi)?|sois"
    r"|soyez|commence|termine|mets|ajoute|escribe|escriba|explica(?:me)?|explique|dame|se|sea|empieza|termina"
    r"|scrivi(?:mi)?"
    r"|spiega(?:mi)?|dammi|sii|sia|inizia|escreva|escreve|explica|de-me|seja|schrijf|geef(?: me)?|wees|begin"
    r"|eindig|houd?"
)
_DO_NOT = r"(?:do not|don't|dont|ne|n'|non|no|nao)"
_FORMS_OF_NOT = r"(?:respondas|rispondere|scrivere|escribas)"
_BEFORE = (
    rf"(?:(?:{_ALWAYS})[\s,]+|{_DO_NOT}\s*(?:ever\s+)?)*(?:(?:mi?|me|m'|te|mir"
    rf"|mij)\s*(?:{_ALWAYS})?\s*)?(?:just |only )?"
)
_ORDER = re.compile(
    rf"(?P<before>{_BEFORE})(?:(?P<answer>{_ANSWER}|{_FORMS_OF_NOT})|(?P<suggest>{_SUGGEST})|(?P<use>{_USE})"
    rf"|(?P<general>{_GENERAL}))(?P<rest>(?:[\s,-].*)?)$"
)
_WANTED = re.compile(
    r"(?:i(?:'d| would)? (?:want|like|need|prefer) you to|i'd (?:want|like|prefer) you to|you (?:should|must"
    r"|can|may|have to)"
    r"|make sure (?:to|you)|be sure to|remember to)\s+"
)
_ASKED = re.compile(
    r"(?:can|could|would|will) you|(?:kannst|konntest|wurdest) du|(?:konnen|konnten|wurden) sie|(?:peux|pourrais)-tu"
    r"|(?:pouvez|pourriez)-vous|puedes|podrias|puede|podria|puoi|potresti|puo|potrebbe|voce pode|pode|poderia"
    r"|(?:kun|zou) je"
)
# said as a clause: "ich möchte, dass du immer auf Deutsch antwortest"
_THAT = re.compile(
    r"(?:ich (?:mochte|will|wunsche mir), dass (?:du|sie) |(?:je|j') ?(?:veux|voudrais|aimerais) que (?:tu|vous) "
    r"|(?:quiero|quisiera|me gustaria) que |(?:voglio|vorrei) che (?:tu )?|(?:eu )?(?:quero|gostaria) que (?:voce )?"
    r"|ik wil(?: graag)? dat je )(?P<rest>.+)"
)
_INFINITIVE = re.compile(
    r".*\b(?:antworten|schreiben|sprechen|reden|verwenden|benutzen|nutzen|empfehlen|vorschlagen|halten"
    r"|antwoorden|gebruiken"
    r"|schrijven|spreken|voorstellen|aanraden|geven|repondre|utiliser)$"
)
_PLAIN_OBJECT = re.compile(
    r"(?:in|auf|en|em|in het|au|only|nur|no|keine?|kein|pas d[e']|plus d[e']|sin|senza|sem|geen|mit|with|avec|con|met|"
    r"short|kurz"
    r"|brief|metric|ohne"
    r"|without|seulement|solo|so|alleen|per) ?\S.*"
)

_NAMED = re.compile(
    r"(?:(?:you (?:can|may) |just )?call me|nenne? mich|nennen sie mich|appelle[zs]?[- ]moi|llama?me|llameme|chiamami"
    r"|mi chiami|(?:me chame|chama-me|me chama|chame-me)(?: de)?|noem (?:me|mij))(?P<by> by my (?:first|last"
    r"|full) name"
    r"| beim vornamen| par mon prenom| por mi nombre| per nome| pelo (?:meu )?(?:primeiro )?nome| bij mijn voornaam)?"
    r"[\s,:]*(?P<name>.*)$"
)
_NO_NAMES: Final = frozenset(
    re.findall(
        r"\w+",
        """asap now soon again anytime today tonight by back in out up from to for old monday tuesday wednesday "
        "thursday friday saturday sunday tomorrow later back maybe crazy ishmael when if at
        on after montag dienstag mittwoch donnerstag freitag samstag sonntag morgen lundi mardi mercredi jeudi vendredi
        samedi demain manana lunes domani lunedi amanha maandag a an the ein eine einen der den das un une una uma le la
        el il o i een""",
    )
)
_ADDRESS = re.compile(
    r"(?:(?:du(?:ze?|tz)|sie(?:ze?)) mich(?: ruhig)?|(?:duzen|siezen) sie mich(?: ruhig)?"
    r"|mich (?:ruhig )?(?:duzen|siezen)"
    r"|sag(?:e|en sie)? (?:ruhig )?(?:du|sie) zu mir|lass uns (?:uns )?(?:duzen|siezen|du sagen)|(?:wir konnen"
    r"|du kannst|sie konnen)"
    r" (?:uns|mich) (?:ruhig |gerne? )*(?:duzen|siezen)|(?:tutoie|vouvoie)[- ]moi|(?:tutoyez|vouvoyez)[- ]moi"
    r"|on (?:peut|pourrait) se tutoyer|dis[- ]moi (?:tu|vous)|tuteame|(?:trata|trate)me de (?:tu|usted)"
    r"|hablame de (?:tu|usted)"
    r"|dammi del (?:tu|lei)|mi dia del (?:tu|lei)|diamoci del (?:tu|lei)|(?:me trat[ae]|trat[ae]-me) por (?:tu"
    r"|voce|senhora?)"
    r"|(?:tutoyeer|vousvoyeer) me|zeg (?:maar )?(?:gewoon )?(?:je|jij|u) tegen (?:me|mij))"
)
_STOP = re.compile(
    r"(?:(?:please )?stop (?:using|adding|including|giving me|writing|ending with|starting with|putting)(?P<what> .+)"
    r"|no more(?P<more> .+)|(?:hor|horen sie) auf,? (?:mit|.* zu )(?P<auf>.*)|arrete[z]?(?: d'|(?: de"
    r"|s de) )(?:utiliser|mettre)(?P<de>.+)"
    r"|deja de (?:usar|poner)(?P<deja> .+)|smetti(?:la)? di (?:usare|mettere)(?P<di> .+)|pare de (?:usar"
    r"|colocar)(?P<pare> .+)"
    r"|stop met(?P<met> .+)|keine?(?P<keine> .+) mehr|plus d[e'](?P<plus> ?.+)|no mas(?P<mas> .+)"
    r"|niente piu(?P<niente> .+)"
    r"|basta(?P<basta> .+)|chega de(?P<chega> .+)|geen(?P<geen> .+) meer)$"
)
_STOP_DOING = re.compile(
    r"stop (?:apologi[sz]ing(?: to me)?(?: all the time)?|calling me (?P<name>.+)|(?:suggesting"
    r"|recommending) (?P<what>.+)"
    r"|repeating my questions?)$"
)
_NOT_AGAIN = re.compile(
    rf"(?:do not|don't|dont) (?:ever )?(?:{_SUGGEST}|call me|mention|address me) .+ "
    r"(?:again|any ?more|ever|ever again)$|(?:do not|don't) ever (?:suggest|recommend|call me) .+"
)

# a denial that lasts by itself: "ne me propose plus de porc", "no uses mas emojis", "empfiehl mir kein Fleisch mehr"
_NO_MORE = re.compile(
    rf"(?:ne |n')(?:me |m')?(?:(?P<suggest>{_SUGGEST})|{_USE}) plus (?:d[e'us]|aucun|jamais)\W*.+"
    rf"|(?:ya no (?:me )?(?:{_SUGGEST}|{_USE}) .+|no (?:me )?(?:{_SUGGEST}|{_USE}) mas .+)"
    rf"|(?:{_SUGGEST}|{_USE}) (?:mir )?keine?[mnrs]? .+ mehr(?: vor)?"
)
_TELLING = re.compile(
    r"write|explain|tell me|give me|show me|spell|quote|cite|summari|format|translate|erklar|schreib|zeig|expli|ecri"
    r"|donne|escrib|dame|scriv|spieg|dammi|escrev|de-me|me de|schrijf|geef"
)
_GOES_ON = re.compile(
    r"\W*(?:(?:units?|time|answers?|replies|responses|language|spelling|style|notation|form|format|first|only"
    r"|instead|always|mai"
    r"|at the end|with me|to me|for me|mit mir|mir|avec moi|moi|conmigo|con me|comigo|met mij|mehr|meer|plus"
    r"|siempre|sempre"
    r"|antworten|schreiben|sprechen|reden|verwenden|benutzen|nutzen|geben|halten|antwoorden|gebruiken|spreken"
    r"|in (?:your|all"
    r"|any)(?: your)? (?:answers|replies|responses)|einheiten|in deinen antworten|dans tes reponses|en tus respuestas"
    r"|when you (?:answer|reply|respond|write|explain|talk|give)\b.*|when i ask\b.*)\W*)*"
)

# What makes a sentence about one answer, another text, or somebody else.
_ONCE = re.compile(
    r"\b(?:this (?:one|time|answer|reply|question|text|email|letter|message|once|sentence|word|part|paragraph"
    r"|poem|story)"
    r"|answer this|just (?:once|now)|for (?:now|once|today|the moment|this|these)|only today|right now"
    r"|today only|(?:these|the"
    r" (?:following|next|above|first|last)) (?:questions?|texts?|answers?|sentences?|lines?|paragraphs?|words?"
    r"|examples?)"
    r"|diesmal|dieses mal|nur (?:heute|dieses|diesmal)|diese[rmns]? (?:frage|antwort|text|mail|satz|brief)"
    r"|fur (?:diese|dieses|heute)"
    r"|cette fois|cette (?:question|reponse)|ce texte|pour l'instant|esta (?:vez|pregunta|respuesta)|este texto"
    r"|por ahora"
    r"|questa (?:volta|domanda|risposta)|questo testo|per ora|(?:desta|esta|dessa) (?:vez|pergunta|resposta)"
    r"|este texto|por enquanto"
    r"|deze keer|dit keer|deze (?:vraag|tekst)|voor nu|in (?:the|an?|my|our|your|his|her|their|lab"
    r"|this) \w* ?(?:reports?|essays?"
    r"|e?mails?|letters?|exams?|class|code|papers?|stor(?:y|ies)|poems?|game|novel|song|thesis|interview"
    r"|meeting|office|cv|resume)"
    r"|at (?:work|school|home)|if you were|when i was|bei der arbeit|im (?:bericht|aufsatz|unterricht|buro)"
    r"|au travail|en el trabajo"
    r"|al lavoro|no trabalho|op het werk|the (?:phone|door|bell)|to (?:strangers|customers|children|the police))\b"
)
_HERE = re.compile(
    r"\b(?:this|our|the rest of (?:this|the|our)) (?:chat|conversation|thread|session|discussion)\b"
    r"|\bdiese[rnms]? (?:unterhaltung|gesprach|chat)\b|\bcette (?:conversation|discussion)\b|\besta (?:conversacion|"
    r"charla)\b"
    r"|\byour (?:essays?|letters?|e?mails?|stor(?:y|ies)|class|speech\w*|reports?|texts?|day|meals?|children|guests)\b"
)
_OTHERS = re.compile(
    r"\b(?:he|she|they|we|my (?:boss|wife|husband|mother|father|teacher|friend|doctor|son|daughter)|said|says"
    r"|told|er|wir|sagte?"
    r"|chef|elle|elles|ils|nous|dit|jefe|dijo|dice|capo|disse|chefe|hij|zij|baas|zei|lyrics|song|quote|motto"
    r"|proverb|translate"
    r"|ubersetz\w*|traduis\w*|traduce\w*|traduci|traduz\w*|vertaal)\b"
)
_SUBJECT_AFTER = re.compile(
    r"[\s,]*(?:ich|wir|er|man|je|io|nous|we|ik|eu|yo|i|what|how|why|who|whom|which|when|where|whether|if|was"
    r"|wie|warum|wer|ob)\b"
)
_FIRST_PERSON = re.compile(r"\b(?:i|ich|wir|je|j'|nous|yo|io|eu|ik|wij)\b")
_ABOUT_ANSWERS = re.compile(r"\b(?:answer|repl[yi]|respon|antwort|repons|respuest|rispost|respost|antwoord)")
_CODE = re.compile(
    r"```|^\s*(?:def |class |import |from \w+ import|#include|public |const |let |var |function |SELECT |\$ "
    r"|>>> |>)|[{};]\s*$|</?\w+>",
    re.MULTILINE,
)
_QUOTED = re.compile(
    r"[\"“”„«»‚‘‹›](?P<inside>[^\"“”„«»‚‘’‹›]*)[\"“”„«»’‘‹›]"  # noqa: RUF001
    r"|(?<!\w)'(?P<single>[^']+)'(?!\w)"
)
_AND = re.compile(
    r",?\s+(?:and|und|et|y|e|en)\s+|,\s+(?=(?:and |always|never|call|use|immer|nie|nenn|toujours|jamais|siempre|"
    r"nunca)\b)",
    re.IGNORECASE,
)
# a sentence about the words of another one
_OF_WORDS = re.compile(
    r"\b(?:says?|said|wrote|writes|reads|rules?|sign|notes?|goes like this|found (?:this|that|it)|this sentence|"
    r"that sentence"
    r"|the sentence|phrase|quotes?|handbook|slogan|ad|lyrics|mean(?:s|ing)?|agree|rude|sound|translat\w*|summari[sz]e"
    r"|sagt|schrieb|schreibt|steht|schild|zettel|satz|bedeutet|heisst das|zitat|ubersetz\w*|panneau|ecrit|phrase|"
    r"signifie"
    r"|traduis\w*|cartel|dice|escribio|frase|significa|traduce\w*)\b"
)
# what is played, addressed to a machine, or about one's people: not for a model to read a wish into
_PLAYED = re.compile(
    r":|\b(?:pretend|imagine|suppose|let's play|you are (?:now )?an? |ignore|dear (?:assistant|reader)|assistant,|tu so"
    r"|stell dir vor|fais semblant|finge|imagina|(?:my|meine?|mon|ma|mi) (?!name\b)\w+)\b"
)
_UNSPACED = re.compile(f"[{UNSPACED}]")
_UNSPACED_WISH = re.compile(
    r"(?:请)?(?:从现在(?:开始|起)|从今以后|今后|以后)[,\uff0c]?(?:请)?(?:都|一直|总是|只)?(?:用|"
    r"以)[^我他她它说]{1,20}(?:回答|回复)(?:我)?[。\uff01]?"
    r"|请?叫我[^我他她它一\W]{1,8}[。\uff01]?|(?:请)?(?:永远|以后|千万)?(?:不要再|永远不要|别再)(?:推荐|建议|"
    r"使用)[^我他她它说]{1,20}[。\uff01]?"
    r"|(?:これから|今後|以後)は?、?(?:必ず|いつも)?[^私彼「」言]{1,20}(?:答えて|回答して)(?:ください|"
    r"下さい)?[。\uff01]?"
    r"|私のことは[^「」]{1,12}と呼んで(?:ください|下さい)?[。\uff01]?"
    r"|(?:もう|二度と)?[^私彼「」言]{1,16}を?は?(?:絶対に|二度と)?(?:勧め|使わ)ないで(?:ください|下さい)[。\uff01]?"
)
_TITLE = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|Prof|St|Sr|Sra|Sig)\.")
_END = re.compile(r"(?<=[.!?…])\s+|\n+|;\s+")

_TAKE_BACK = re.compile(
    rf"(?:{_POLITE}\W+)*(?:(?:(?:forget|undo|scrap|cancel|revoke) (?:that|this|(?:that|the last"
    rf"|my last) wish)|undo it)(?: again)?"
    r"|take (?:that|it) back|(?:vergiss|vergessen sie) das(?: bitte)?(?: wieder)?|(?:mach"
    r"|nimm) das (?:wieder )?(?:ruckgangig|zuruck)"
    r"|(?:oublie|oubliez|annule|annulez) (?:ca|cela)|olvidal?o|olvida eso|olvide eso|deshaz eso|dimenticalo"
    r"|dimentica questo"
    r"|lascia perdere questo|annulla|esque[cs][ea] isso|desfaz isso|desfaca isso|vergeet dat(?: maar)?"
    r"|maak dat ongedaan)"
    rf"(?:\W+{_POLITE})*\W*"
)
_TAKE_BACK_NAMED = re.compile(
    rf"(?:{_POLITE}\W+)*(?:(?:forget|undo|drop|cancel|remove|revoke) (?:the|my|that) wish (?:about|for|on|with"
    rf"|regarding|to|of|that)"
    r"|(?:vergiss|vergessen sie|streiche?) (?:den|meinen) wunsch (?:mit|nach|zu|uber|wegen|von)|(?:oublie"
    r"|oubliez|annule) (?:le|mon)"
    r" souhait (?:sur|de|concernant|a propos de)|olvid[ae] (?:el|mi) deseo (?:de|sobre)|dimentica (?:il"
    r"|la)(?: mi[oa])?"
    r" (?:desiderio|richiesta) (?:su|di|delle|sulle|sul)|esque[cs][ea] (?:o|o meu|meu) (?:pedido|desejo) (?:de|sobre)"
    rf"|vergeet (?:de|mijn) wens (?:over|om|van|met)) (?P<what>.+?)(?:\W+{_POLITE})*\W*"
)

_SUBJECTS: Final[dict[Subject, re.Pattern[str]]] = {
    "naming": re.compile(
        r"\b(?:call(?:ing)? me|nenne?n?(?: sie)? mich|appelle[zs]?[- ]moi|llama?me|llameme|chiami|chiamami"
        r"|cham[ae]|noem m)"
    ),
    "address": _ADDRESS,
    "units": re.compile(rf"\b{_UNITS}\b"),
    "language": re.compile(
        rf"\b(?:in|auf|en|em|het|nur|only|au|speak|sprich|parle|habla|parla|fale|spreek)(?:[- ]moi|me"
        rf"|mi)? {_LANGUAGE}\b"
    ),
    "length": re.compile(
        rf"\b{_COUNT} (?:\w+ )?{_PIECE}\b|\b{_SHORT}(?= (?:answers|replies|antworten|reponses|respuestas"
        rf"|risposte|respostas|antwoorden)\b|$)"
    ),
}


def _sentences(text: str) -> list[str]:
    """The sentences of a message that may be a wish, with plain apostrophes; none of a long one or of code."""
    plain = unicodedata.normalize("NFC", clean(text)).replace("’", "'").strip()  # noqa: RUF001
    if not plain or len(plain) > MAX_MESSAGE_CHARS or plain.count("\n") >= MAX_LINES or _CODE.search(plain):
        return []
    guarded = _TITLE.sub(lambda match: match[0].replace(".", "\x1f"), plain)
    return [part.replace("\x1f", ".").strip() for part in _END.split(guarded) if part.strip()]


class _Bare(NamedTuple):
    """A sentence less politeness and what makes it last; whether that was strong, weak, and stood first."""

    text: str
    strong: bool
    future: bool
    first: bool


def _wishes_of(sentence: str) -> list[str | None]:
    """The wishes of a sentence, one or several ("call me Ann and never suggest seafood"); None where it says none."""
    parts = _AND.split(sentence)
    several = [_wish(part) for part in parts]
    if len(parts) > 1 and None not in several:
        return list(several)
    return [None if several[0] and _rides_along(sentence) else _wish(sentence)]


def _rides_along(sentence: str) -> bool:
    """Whether something else stands behind an "and": it is about answers, or short, or no wish is taken of it.

    What speaks to the rules is left to whoever refuses that by name.
    """
    others = _AND.split(sentence)[1:]
    return any(len(part.split()) > 2 and not _FORMAT.search(fold(part)) for part in others) and not broken_rule(
        sentence
    )


def _wish(sentence: str) -> str | None:
    """The wish that a sentence says, less what makes it last and polite; None where it says none."""
    body = _unquoted(sentence)
    if body is None:
        return None
    if _UNSPACED.search(body):
        return _unspaced(body)
    asked = body.endswith("?")
    body = body.rstrip(" .!?…")
    if _ONCE.search(fold(body)) or _HERE.search(fold(body)):
        return None
    bare = _bare(body)
    folded = fold(bare.text)
    if _OTHERS.search(folded):
        return None
    if asked:
        return _asked(bare, folded)
    if named := _named(bare.text, folded, strong=bare.strong):
        return named
    return _said(bare.text[_wanted(folded) :]) if _lasts(bare, folded) else None


def _unspaced(body: str) -> str | None:
    """A wish in Chinese or Japanese: the whole sentence is one."""
    return _said(body.rstrip("。！!")) if _UNSPACED_WISH.fullmatch(body) else None  # noqa: RUF001


def _asked(bare: _Bare, folded: str) -> str | None:
    """The wish in a question: "could you answer in German from now on?"."""
    begins = _ASKED.match(folded)
    if begins is None or not bare.strong:
        return None
    body = _bare(bare.text[begins.end() :].lstrip(" ,")).text
    folded = fold(body)
    lasts = _FORMAT.search(folded) is not None and (_ORDER.match(folded) or _INFINITIVE.match(folded))
    return _said(body) if lasts else _named(body, folded, strong=True)


def _wanted(folded: str) -> int:
    """Where an order begins behind "I want you to"."""
    found = _WANTED.match(folded)
    return found.end() if found else 0


def _lasts(bare: _Bare, folded: str) -> bool:
    """Whether an order, less what was taken off it, is one that lasts."""
    if _lasts_by_itself(folded):
        return True
    if _STOP.fullmatch(folded):
        return _of_answers(folded)
    if not (bare.strong or bare.future or _SEEN_ALWAYS.search(" ".join(folded.split()[:6]))):
        return False
    about_answers = _FORMAT.search(folded) is not None
    if that := _THAT.match(folded):
        return about_answers and not _SUBJECT_AFTER.match(that["rest"])
    if order := _ORDER.fullmatch(folded[_wanted(folded) :]):
        return _order_lasts(order, bare, folded, about_answers)
    return about_answers and _elliptic(folded, bare.strong)


# "never suggest that I lied", "never suggest a topic to a speaker"
_TO_SOMEBODY = re.compile(r"^ (?:that|dass|que|to)\b|\bto (?:an?|the|your|his|her|their) \w+$")


def _lasts_by_itself(folded: str) -> bool:
    more = _NO_MORE.fullmatch(folded)
    if more is not None:
        return bool(more["suggest"]) or _FORMAT.search(folded) is not None
    return any(pattern.fullmatch(folded) for pattern in (_ADDRESS, _NOT_AGAIN, _STOP_DOING))


def _elliptic(folded: str, strong: bool) -> bool:
    """Whether it orders without an imperative: "bitte immer auf Deutsch antworten", "from now on in French"."""
    if ":" in folded:
        return False
    if _INFINITIVE.fullmatch(folded) and not _FIRST_PERSON.search(folded):
        return True
    return strong and len(folded.split()) <= 6 and _PLAIN_OBJECT.fullmatch(folded) is not None


def _order_lasts(order: re.Match[str], bare: _Bare, folded: str, about_answers: bool) -> bool:
    if _SUBJECT_AFTER.match(order["rest"]) or not order["rest"].strip():
        return False
    if order["suggest"]:
        return len(folded.split()) <= 10 and not _TO_SOMEBODY.search(order["rest"])
    if bare.strong and (bare.first or not order["general"]):
        told = bare.first and _TELLING.match(order["general"] or "")
        return about_answers or bool(order["answer"] or told)
    return _of_answers(folded)


def _of_answers(folded: str) -> bool:
    """Whether an order ends with what answers can have, and goes on about nothing else ("euros in Portugal")."""
    found = list(_FORMAT.finditer(folded))
    return bool(found) and _GOES_ON.fullmatch(folded[found[-1].end() :]) is not None


def _named(body: str, folded: str, *, strong: bool) -> str | None:
    """A wish to be called by a name, as the user writes it."""
    found = _NAMED.fullmatch(folded)
    if found is None:
        return None
    if found["by"]:
        return _said(body) if not found["name"] else None
    name = body[found.start("name") :].strip(" ,")
    words = [word for word in name.split() if fold(word.strip(".,")) not in {"and", "dr", "mr", "mrs", "ms", "prof"}]
    plain = 0 < len(words) <= 3 and not any(fold(word.strip(".,")) in _NO_NAMES for word in words)
    return _said(body) if plain and (strong or all(word[0].isupper() for word in words)) else None


def _bare(body: str) -> _Bare:
    strong = future = first = False
    while found := (_HEAD.match(fold(body)) or _TAIL.search(fold(body))):
        if found.end() - found.start() >= len(body):
            break
        strong |= bool(found["strong"])
        future |= bool(found["future"])
        first |= found.start() == 0 and bool(found["strong"] or found["future"])
        body = (body[found.end() :] if found.start() == 0 else body[: found.start()]).strip(" ,:-")
    if please := _PLEASE.search(fold(body)):
        body = body[: please.start()] + body[please.end() :]
    if inside := _INSIDE.search(fold(body)):
        strong |= bool(inside["strong"])
        future |= bool(inside["future"])
        body = f"{body[: inside.start()].rstrip()} {body[inside.end() :]}".strip()
    return _Bare(body, strong, future, first)


def _unquoted(sentence: str) -> str | None:
    """The sentence with quotation marks taken off one or two words; None where it quotes more."""
    for found in _QUOTED.finditer(sentence):
        if len((found["inside"] or found["single"] or "").split()) > 2:
            return None
    bare = _QUOTED.sub(lambda match: match["inside"] or match["single"] or "", sentence)
    return None if re.search('["“”„«»]', bare) else bare


def _said(body: str) -> str | None:
    text = " ".join(body.split())
    if not text or len(text) > MAX_WISH_CHARS:
        return None
    return text[0].lower() + text[1:]


def _may_be_wish(sentence: str) -> bool:
    body = _unquoted(sentence)
    if body is None or body.endswith("?"):
        return False
    folded = fold(_bare(body).text)
    cue = None if _rides_along(body) else _INSIDE.search(fold(body))
    if cue is None or not cue["strong"] or _ONCE.search(fold(body)) or _OTHERS.search(folded):
        return False
    about = _FORMAT.search(folded) or _ABOUT_ANSWERS.search(folded)
    return about is not None and not _SUBJECT_AFTER.match(folded)


def _take_back(text: str) -> str | None:
    """What a message that is nothing but a taking back names: a wish's words, or empty for the last one."""
    folded = fold(text)
    if _TAKE_BACK.fullmatch(folded):
        return ""
    named = _TAKE_BACK_NAMED.fullmatch(folded)
    return text[named.start("what") : named.end("what")].strip() if named else None
