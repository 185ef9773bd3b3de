"""Everyday answers of different shapes, and users who edit each of them by a rule of their own."""

# ruff: noqa: E501  # answers as they come

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from fakes_alignment import interaction

from personaagent.form import features, sentences
from personaagent.types import Interaction

ANSWERS = (
    (
        "How do I keep basil alive?",
        "Great question! Basil needs light and water. Put it on a sunny windowsill, about 12 inches from the glass. Water "
        "it when the soil feels dry, perhaps every second day. Pinch off the flowers, so that it keeps making leaves. "
        "Let me know if you need more help!",
    ),
    (
        "What should I pack for a weekend in Rome?",
        "Sure! Here are some things to pack:\n\n- **Shoes** that you can walk in all day\n- A light jacket for the "
        "evening\n- Sunscreen and a hat\n- A bottle for the public fountains\n- Your **passport** and a copy of it\n\n"
        "Have a great trip! 😊",
    ),
    (
        "Is it safe to eat rice the next day?",
        "It depends on how it was stored. Rice that was cooled within an hour and kept in the fridge is safe to eat the "
        "next day. Rice that stood on the stove overnight should be thrown away. Reheat it until it is steaming hot.",
    ),
    (
        "How do I boil an egg?",
        "Boiling an egg is easy.\n\n1. Bring a pot of water to the boil.\n2. Lower the egg into the water with a spoon.\n"
        "3. Wait for seven minutes.\n4. Cool it under cold water.\n\nIt's ready to peel and eat. Would you like it softer?",
    ),
    (
        "Why is my laptop slow?",
        "## Common reasons\n\nA slow laptop usually has too many programs open. Check the task manager, and close what "
        "you don't need.\n\n## What to do\n\nRestart it once a week. If the disk is nearly full, delete old files. "
        "Adding memory is maybe the best upgrade.",
    ),
    (
        "Tell me about the Eiffel Tower.",
        "The Eiffel Tower is an iron tower in Paris. It was built for the World's Fair of 1889, and it is 1,083 feet tall. "
        "Gustave Eiffel's company designed it. Millions of people visit it every year! I think that the view at night is "
        "the best one.",
    ),
    (
        "Can I run in the rain?",
        "Hello! You can run in the rain as long as there is no storm. Wear a cap and a light jacket; it keeps the water "
        "out of your eyes. Don't wear cotton (it gets heavy). Run 3 miles or so, then change into dry clothes. I hope this "
        "helps!",
    ),
    (
        "How do I write a thank-you note?",
        "I'd be happy to help! A thank-you note should be short and warm. Begin with the gift, and say what you like about "
        "it. Then mention how you will use it. Finish with your plans to meet again. Good luck! ✨",
    ),
    (
        "What is inflation?",
        "Inflation means that prices rise over time, so that money buys less. It's measured by the cost of a basket of "
        "goods. A little of it is normal, perhaps two percent a year. Central banks raise interest rates when it gets too "
        "high. That makes loans more expensive, and people spend less.",
    ),
    (
        "Should I learn Python or Java first?",
        "Both are good choices. **Python** is easier to read, and you can write useful things in a few lines. **Java** "
        "teaches you more about types. If you want to work with data, start with Python. Otherwise it's really a matter of "
        "taste. Which of the two do you like better?",
    ),
    (
        "How far is the moon?",
        "The moon is about 238,855 miles away on average. Its path is not a circle, so the distance changes by some 26,000 "
        "miles. Light needs a little more than one second for the way! It's moving away from us by 1.5 inches a year.",
    ),
    (
        "What can I cook with eggs and tomatoes?",
        "Of course! Shakshuka is a good choice. Fry an onion and two peppers in oil. Add a can of tomatoes, and let it "
        "simmer for ten minutes. Make four hollows, and crack an egg into each. Cover the pan until the eggs are set. "
        "Enjoy your meal! 🍳",
    ),
)


def body(text: str) -> list[str]:
    """The sentences that say something: without openers, closings, headings."""
    told = []
    for sentence in sentences(text):
        form = features(f"{sentence} It is.")
        closing = features(f"It is. {sentence}").signoff
        if not (form.filler or form.greeting or closing or sentence.startswith("#") or sentence.endswith(":")):
            told.append(re.sub(r"\*\*", "", sentence))
    return told


def first_words(count: int) -> Callable[[str], str]:
    return lambda text: " ".join(" ".join(body(text)).split()[:count])


def replaced(*pairs: tuple[str, str]) -> Callable[[str], str]:
    def style(text: str) -> str:
        for pattern, new in pairs:
            text = re.sub(pattern, new, text)
        return text.strip()

    return style


def plain(text: str) -> str:
    text = re.sub(r"(?m)^(?:#+|[-*]|\d+\.)\s+", "", text)
    return re.sub(r"\s+", " ", text.replace("**", "")).strip()


def without(wanted: Callable[[str], bool]) -> Callable[[str], str]:
    """Leaves out the sentences that are not wanted, keeping line breaks."""

    def style(text: str) -> str:
        for sentence in sentences(text):
            if not wanted(sentence):
                text = text.replace(sentence, "")
        return re.sub(r" {2,}", " ", text).strip()

    return style


def in_pairs(said: Sequence[str]) -> str:
    return "\n\n".join(" ".join(said[n : n + 2]) for n in range(0, len(said), 2))


def in_metric(text: str) -> str:
    return replaced(
        (r"([\d,.]+) miles", "400 kilometres"), (r"([\d,.]+) feet", "330 metres"), (r"([\d,.]+) inches", "30 cm")
    )(text)


GERMAN = (
    "Das ist einfach, und es geht ohne viel Arbeit. Man nimmt, was in der Küche ist, und wartet auf das Ergebnis.",
    "Die Antwort ist nicht schwer. Sie hängt von dem Wetter und der Zeit ab, die man hat.",
    "Man sollte es nicht zu oft tun. Für den Anfang ist das aber eine gute Wahl, und es kostet auch nicht viel.",
)

# name, what the user makes of an answer, what the clause must say
STYLES: Sequence[tuple[str, Callable[[str], str], str]] = (
    ("one sentence", lambda text: body(text)[0], r"^Answer in one sentence of at most \d+ words, without lists\.$"),
    ("two sentences", lambda text: " ".join(body(text)[:2]), r"^Answer in (?:at most )?two sentences and at most \d+ words"),
    ("twenty words", first_words(20), r"^Answer in at most 20 words"),
    (
        "three bullets",
        lambda text: "\n".join(f"- {sentence}" for sentence in body(text)[:3]),
        r"^Answer as a bulleted list of exactly 3 items of at most \d+ words each, with nothing before or after it\.$",
    ),
    ("bullets", lambda text: "\n".join(f"- {s}" for s in body(text)), r"^Answer as a bulleted list"),
    ("steps", lambda text: "\n".join(f"{n}. {s}" for n, s in enumerate(body(text), 1)), r"^Answer as a numbered list"),
    ("plain", plain, r"^Use no Markdown: plain sentences only\.$"),
    ("no opener", without(lambda s: not (features(s).filler or features(s).greeting)), r"^Do not open with .*filler"),
    ("no closing", without(lambda s: not features(f"It is. {s}").signoff), r"^End with the answer itself"),
    ("sign-off", lambda text: f"{text}\n\nCheers, Ann", r'^End every answer with the line "Cheers, Ann"\.$'),
    ("label", lambda text: f"In short: {text}", r'^Begin every answer with "In short:"\.$'),
    ("bold summary", lambda text: f"**{body(text)[0]}**\n\n{text}", r"^Begin each answer with a one-line summary in bold"),
    ("lower case", str.lower, r"^Write everything in lower case"),
    ("capitals", str.upper, r"^Write everything in CAPITAL LETTERS"),
    ("no emoji", replaced((r"[😊✨🍳]", "")), r"^Use no emoji\.$"),
    ("metric", in_metric, r"^Use metric units only\.$"),
    ("no exclamation", replaced((r"!", ".")), r"^Use no exclamation marks\.$"),
    ("no contractions", replaced((r"\b([Dd])on't", r"\1o not"), (r"\bIt's", "It is"), (r"\bit's", "it is"),
                                 (r"I'd", "I would")), r"^Use no contractions"),
    ("a word", replaced((r"\babout\b", "around")), r'^Write "around", never "about"\.$'),
    ("German", lambda text: GERMAN[len(text) % 3], r"^Write in German\.$"),
    ("question", lambda text: f"{' '.join(body(text)[:4])} What do you want to know next?",
     r'^End every answer with ("What do you want to know next\?"|one question)'),
    ("points", lambda text: "\n".join(f"• {s}" for s in body(text)), r'^Answer as a bulleted list \("•"\)'),
    ("step 1", lambda text: "\n".join(f"Step {n}: {s}" for n, s in enumerate(body(text), 1)),
     r'^Answer as a numbered list \("Step 1:"\)'),
    ("signed", lambda text: f"{text}\n\nBest wishes,\nSam", r'^End every answer with the lines "Best wishes," and "Sam"\.$'),
    ("a star", lambda text: f"✨ {text}", r'^Begin every answer with "✨"\.$'),
    ("pairs", lambda text: in_pairs(sentences(plain(text))), r"^Write short paragraphs, of at most 2 sentences each\.$"),
    ("digits", replaced((r"\bseven\b", "7"), (r"\bten\b", "10"), (r"\btwo\b", "2"), (r"\bfour\b", "4")),
     r"^Write numbers as digits"),
    ("a line each", lambda text: "\n".join(s for s in sentences(plain(text))), r"^Put each sentence on a line of its own"),
    ("long", lambda text: f"{plain(text)} {' '.join(body(ANSWERS[len(text) % 12][1]) * 2)}", r"^Answer in at least \d+ words"),
)  # fmt: skip


def edited(style: Callable[[str], str], count: int = len(ANSWERS), start: int = 0) -> list[Interaction]:
    """What a user of that style makes of the first answers, one an hour; answers that need no change are rated."""
    rows = []
    for number, (query, answer) in enumerate(ANSWERS[:count], start):
        result = style(answer)
        source = "rating" if result == answer else "edit"
        rows.append(interaction(number, query, result, response=answer, truth_source=source, task=None))
    return rows
