"""Explicit wishes: found in seven languages, and never where there is none."""

from __future__ import annotations

import pytest

from personaagent.persona.wishes import MAX_WISH_CHARS, may_be_wish, subject_of, wish_in, wishes_in
from personaagent.rules import broken_rule

WISHES = """
From now on answer in one sentence.
From now on, please answer in one sentence
Please answer in German from now on.
Always use metric units.
always use metric units please
Never suggest seafood.
Call me Ann.
Please call me Dr. Weber.
You can call me Al
Call me by my first name.
Always reply in French.
From now on, keep your answers under 50 words.
Stop using emojis.
No more bullet points, please.
Please don't ever recommend horror films again.
Don't suggest seafood again.
I'd like you to always answer in one sentence.
I want you to use Celsius from now on.
Could you please answer in German from now on?
Going forward, give me short answers.
Hey, from now on talk like a pirate.
In future, use British English.
Never use emojis in your answers.
Always give me three examples.
From now on be brief.
Please always explain things simply.
Thanks! From now on no emojis.
From today on speak Spanish with me.
Until I say otherwise, answer in English.
Stop apologizing.
You should always answer in one sentence.
From now on, don't use jargon.
Always address me informally.
For all future answers use bullet points.
Never recommend restaurants with loud music.
Ok, from now on always cite your sources.
Bitte duze mich.
Duz mich ruhig
Siezen Sie mich bitte.
Antworte ab jetzt immer auf Deutsch.
Antworte ab sofort in einem Satz.
Ab jetzt bitte nur auf Deutsch antworten.
Verwende immer metrische Einheiten.
Nenn mich Anna.
Nennen Sie mich bitte Herr Krause
Schlag mir nie wieder Meeresfrüchte vor.
Empfiehl mir niemals Horrorfilme.
Ab jetzt bitte auf Deutsch.
Fass dich ab jetzt kurz.
Keine Emojis mehr, bitte.
Benutze in Zukunft keine Emojis.
Ich möchte, dass du ab jetzt auf Englisch antwortest.
Kannst du ab jetzt bitte auf Deutsch antworten?
Halte dich künftig kurz.
Réponds toujours en français s'il te plaît.
Désormais, réponds en une phrase.
À partir de maintenant, répondez-moi en anglais.
Utilise toujours des unités métriques.
Appelle-moi Anne.
Tutoie-moi, s'il te plaît.
Ne me propose jamais de fruits de mer.
N'utilise plus jamais d'emojis.
Dorénavant, sois bref.
Responde siempre en español.
A partir de ahora contesta en una frase.
Llámame Ana.
Usa siempre unidades métricas, por favor.
No me recomiendes nunca mariscos.
De ahora en adelante respóndeme en inglés.
Trátame de tú.
Nunca uses emojis.
Rispondi sempre in italiano.
D'ora in poi rispondi in una frase.
Chiamami Anna.
Usa sempre unità metriche.
Non suggerirmi mai il pesce.
Dammi del tu.
D'ora in avanti sii breve.
Responda sempre em português.
A partir de agora responda em uma frase.
Me chame de Ana.
Nunca me sugira frutos do mar.
Use sempre unidades métricas.
De agora em diante seja breve.
Antwoord vanaf nu in het Nederlands.
Gebruik altijd metrische eenheden.
Noem me Anna.
Stel me nooit vis voor.
Voortaan graag korte antwoorden geven.
Zeg maar je tegen mij
Hou het voortaan kort.
Please stop using my name.
""".strip().splitlines()

NONE = """
Can you always answer in one sentence?
Should I always use metric units?
Why do scientists always use metric units?
Do you never suggest seafood?
My boss says "always answer in one sentence".
"Always answer in one sentence"
She told me to never suggest seafood to guests.
Answer this in one sentence.
For this one use metric.
Answer in German.
Answer in one sentence: why is the sky blue?
Reply in French this time.
Just for now, use short sentences.
I always use metric units at work.
I never eat late.
I have always answered in German.
We always use metric units in the lab.
From now on I will eat less meat.
From now on we answer in German at work.
From now on the shop answers in German.
Never gonna give you up
Always look on the bright side of life
Call me maybe
Call me Ishmael.
Call me tomorrow.
Call me when you are done.
Call me crazy, but I like rain.
Never say never.
Never give up.
Always use sunscreen.
Always wear a helmet.
Always keep your promises.
Never talk to strangers.
Always answer the phone politely.
Explain what happens from now on.
Tell me what changes from now on.
Write a story set in the future.
Use metric units.
What does "call me Ann" mean?
Translate: always answer in one sentence
Translate "From now on answer in one sentence" into German.
He always answers in one sentence.
My name is Ann.
Thanks, that was great!
Why is the sky blue?
Please write a short poem about the sea.
Give me three examples.
Use short sentences in this letter.
Always write short sentences in an essay.
How do I stop using emojis?
I stopped using emojis last year.
Stop the car.
No more rain today.
No more Mr Nice Guy
I want you to answer this question.
Would you use metric units from now on if you were British?
Forget about the exam.
Don't stop believing
Don't worry about it again.
Answer me!
Talk to me.
Be brief.
Speak German with me.
What would change if I always used metric units?
The teacher said: from now on, answer in one sentence.
In the future, cars will fly.
In future we will use Celsius.
From now on prices rise.
Never mind.
def answer(): return "always use metric units"
You should always use sunscreen.
You must never give children honey.
I prefer tea.
What can I cook without seafood?
Suggest a dish without seafood.
Please recommend a film for tonight.
Ich benutze immer metrische Einheiten.
Ab jetzt esse ich weniger Fleisch.
Ab jetzt nutze ich metrische Einheiten.
Antworte auf Deutsch.
Antworte diesmal in einem Satz.
Soll ich immer metrische Einheiten verwenden?
Kannst du immer auf Deutsch antworten?
Mein Chef sagt, antworte immer in einem Satz.
Ruf mich morgen an.
Er antwortet immer kurz.
Er will, dass ich ihn duze.
Darf ich dich duzen?
In Zukunft will ich kurze Mails schreiben.
Niemals geht man so ganz
Réponds à cette question en une phrase.
J'utilise toujours des unités métriques.
Faut-il toujours utiliser des unités métriques ?
Désormais je mange moins de viande.
Appelle-moi demain.
Il répond toujours en français.
Ne me quitte pas
Uso siempre unidades métricas.
¿Debo usar siempre unidades métricas?
Responde en español.
Siempre llego tarde.
Llámame mañana.
A partir de ahora como menos carne.
Mi jefe siempre responde en una frase.
Rispondi in italiano.
Uso sempre unità metriche.
Devo usare sempre unità metriche?
Chiamami domani.
D'ora in poi mangio meno carne.
Eu sempre uso unidades métricas.
Devo usar sempre unidades métricas?
Responda em português.
A partir de agora como menos carne.
Ik gebruik altijd metrische eenheden.
Moet ik altijd metrische eenheden gebruiken?
Antwoord in het Nederlands.
Vanaf nu eet ik minder vlees.
Bel me morgen.
Use the metric system when you convert this recipe.
Avoid seafood tonight.
Don't ever use my card again!
Do not call me again.
Stop calling me!
No more examples of this, thanks
You can call me later.
Call me Friday at 5.
Call me on Monday
I want you to write a short poem.
I'd like you to always remember me.
You should never use metric units in American recipes?
Always use two spaces.
Never use plain flour for pizza dough.
Always serve short pasta with chunky sauces.
Never add salt before boiling
Always list your sources in a thesis
Always use plain text in an email to my boss
Never speak French to a Parisian waiter.
Always include examples when teaching children.
Never start a sentence with and.
Always end a sentence with a full stop.
Always make short stops on long drives.
Always use euros in Portugal.
Never use miles in Germany.
Be kind always.
From now on be careful with knives
From now on use the stairs.
Avoid alcohol from now on
Use the back door from now on
Give me a list of things that change from now on
Nie wieder Krieg
Immer wieder sonntags
Immer Ärger mit Harry
Keine Zeit mehr
Keine einfachen Antworten mehr?
Geen tijd meer
Basta pasta
Stop met roken
Nenn mir drei Beispiele.
Nenn mich verrückt, aber ich mag Regen.
Gib mir immer zwei Tage Zeit.
Plus de listes d'attente en France
Parle plus fort!
Toujours une phrase de trop
No me gusta usar emojis.
Habla más despacio por favor.
Siempre uso una lista
Usa la lista
Non ho mai usato emoji
Nunca mais
As always, use the short form here?
I'm never brief, always long
in future answers I hope to find peace
Speak to me in German from the start
Going forward, prices will rise.
Answer my emails from now on? No way.
Henceforth the king spoke French.
If I always use metric units, will it help?
Forget it.
Forget it, let's talk about films
Undo that last change in the code
""".strip().splitlines()

TAKEN_BACK = {
    "forget that": "",
    "Undo that, please.": "",
    "Please forget that again": "",
    "Vergiss das": "",
    "vergiss das bitte wieder": "",
    "Oublie ça.": "",
    "Olvídalo": "",
    "Dimenticalo": "",
    "Esquece isso": "",
    "Vergeet dat maar": "",
    "Forget the wish about metric units.": "metric units",
    "vergiss den Wunsch mit den Emojis": "den Emojis",
    "oublie mon souhait sur les emojis": "les emojis",
}


def test_the_table_is_large_and_half_of_it_no_wish() -> None:
    assert len(WISHES) + len(NONE) >= 150
    assert len(NONE) >= len(WISHES)
    assert len({*WISHES, *NONE}) == len(WISHES) + len(NONE)


def test_most_wishes_are_found() -> None:
    missed = [text for text in WISHES if wish_in(text) is None]
    assert len(missed) <= 0.2 * len(WISHES), missed


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_wish_is_taken_for_none(text: str) -> None:
    assert wish_in(text) is None


def test_a_found_wish_is_short_sound_and_in_the_users_own_words() -> None:
    for text in WISHES:
        found = wish_in(text)
        if found is not None:
            assert 0 < len(found.text) <= MAX_WISH_CHARS
            assert found.kind == "set"
            assert broken_rule(found.text) is None
            assert {word.strip(".,!").lower() for word in found.text.split()} <= {
                word.strip(".,!?").lower() for word in text.split()
            }


@pytest.mark.parametrize(
    ("text", "wished"),
    [
        ("From now on answer in one sentence.", "answer in one sentence"),
        ("Please answer in German from now on!", "answer in German"),
        ("Could you please answer in German from now on?", "answer in German"),
        ("Antworte ab jetzt bitte auf Deutsch.", "antworte auf Deutsch"),
        ("Please call me Dr. Weber.", "call me Dr. Weber"),
        ('Call me "Ann".', "call me Ann"),
    ],
)
def test_what_makes_it_last_and_polite_is_left_out(text: str, wished: str) -> None:
    found = wish_in(text)
    assert found is not None
    assert found.text == wished


@pytest.mark.parametrize(("text", "named"), TAKEN_BACK.items())
def test_a_wish_is_taken_back(text: str, named: str) -> None:
    found = wish_in(text)
    assert found is not None
    assert (found.kind, found.text) == ("take_back", named)


@pytest.mark.parametrize(
    "text", ["forget that I am allergic to nuts", "I will never forget that", "Did you forget that?"]
)
def test_other_forgetting_takes_no_wish_back(text: str) -> None:
    assert wish_in(text) is None


def test_a_message_may_hold_a_question_and_several_wishes() -> None:
    beside = wishes_in("Why is the sky blue? Always answer in one sentence.")
    assert [(wish.text, wish.alone) for wish in beside] == [("always answer in one sentence", False)]
    two = wishes_in("Call me Ann. Never suggest seafood. Thanks!")
    assert [(wish.text, wish.alone) for wish in two] == [("call me Ann", True), ("never suggest seafood", True)]


def test_a_long_paste_and_code_hold_none() -> None:
    assert wishes_in("Some notes of mine follow here. " * 20 + "Always use metric units.") == []
    assert wishes_in("Always use metric units.\n" * 6) == []
    assert wishes_in("```\nAlways use metric units.\n```") == []


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("call me Ann", "naming"),
        ("nenn mich Ann", "naming"),
        ("duze mich", "address"),
        ("always use metric units", "units"),
        ("antworte auf Deutsch", "language"),
        ("answer in one sentence", "length"),
        ("be brief", "length"),
        ("never use long words", None),
        ("never suggest seafood", None),
    ],
)
def test_what_a_wish_is_about_is_known_where_there_can_be_only_one(text: str, subject: str | None) -> None:
    assert subject_of(text) == subject


def test_a_model_is_worth_asking_only_where_something_is_to_last() -> None:
    assert may_be_wish("Bullet points would be nicer from now on.")
    assert not any(may_be_wish(text) for text in ("Why is the sky blue?", "I never eat late", "Use metric units."))
    assert not may_be_wish("My teacher said from now on bullet points are nicer.")
