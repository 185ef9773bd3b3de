"""Whether a message says something of the user or only asks, and which facts may stand on it."""

from __future__ import annotations

import pytest

from personaagent.memory.earnest import bears, of_oneself, tells


@pytest.mark.parametrize(
    "message",
    [
        "Hello, I am Hana. I'm vegetarian and allergic to nuts.",
        "I'm allergic to nuts. What shall I cook?",
        "my daughter is four",
        "Ich esse kein Fleisch.",
        "Je suis végétarien",
        "Soy alérgica a las nueces.",
        "Sono vegetariana.",
        "我对花生过敏。晚饭做什么？",  # noqa: RUF001
        "ナッツアレルギーがあります",
        "As a vegetarian, what can I eat in Peru?",
    ],
)
def test_what_the_user_says_of_themselves_tells(message: str) -> None:
    assert tells(message)


@pytest.mark.parametrize(
    "message",
    [
        "What should I cook tonight?",
        "what can I cook for my guests",
        "Recommend a film for tonight",
        "Was soll ich kochen?",
        "Que puedo cocinar",
        "No, I meant rock.",
        "Suppose I were a pilot.",
        'Translate: "I am allergic to nuts and to a lot of other things."',
        "",
    ],
)
def test_a_question_a_task_and_a_supposition_do_not(message: str) -> None:
    assert not tells(message)


# what a user said | a fact of a careless model | whether it may stand on that
# fmt: off
SAID = [line.split(" | ") for line in """
I used to be vegetarian | The user is vegetarian. | no
I was a nurse before I retired | The user is a nurse. | no
I am no longer vegetarian | The user is vegetarian. | no
I'm not vegetarian | The user is vegetarian. | no
I am not allergic to nuts | The user is allergic to nuts. | no
I don't eat meat | The user eats meat. | no
I don't eat meat | The user does not eat meat. | yes
I never drink coffee | The user drinks coffee. | no
I never drink coffee | The user never drinks coffee. | yes
I hate jazz | The user loves jazz. | no
I hate jazz | The user hates jazz. | yes
My wife is a vegetarian and I am not | The user is a vegetarian. | no
My wife is allergic to nuts, what can I cook? | The user is allergic to nuts. | no
What can I cook for my wife, who is allergic to nuts? | The user is allergic to nuts. | no
My brother lives in Bonn and I live in Ulm | The user lives in Bonn. | no
My brother lives in Bonn and I live in Ulm | The user lives in Ulm. | yes
He said "I am a doctor" | The user is a doctor. | no
She says that she is a doctor | The user is a doctor. | no
Bob is a doctor | The user is a doctor. | no
Is he a doctor? | The user is a doctor. | no
What does a doctor earn? | The user is a doctor. | no
How do vegetarians get iron? | The user is a vegetarian. | no
Oh sure, I just love waiting two hours for the bus | The user loves waiting for the bus. | no
Yeah right, I am totally a morning person | The user is a morning person. | no
I wish I were a doctor | The user is a doctor. | no
I wish I had a dog | The user has a dog. | no
If I had a dog, what would I feed it? | The user has a dog. | no
I would like to be a pilot | The user is a pilot. | no
I want to become a vegetarian | The user is a vegetarian. | no
I almost became a priest | The user is a priest. | no
Write a bio: I am a pilot from Kiel and love jazz | The user is a pilot. | no
Correct this: I is a doctor | The user is a doctor. | no
Fix my English: I am go to school in Ulm | The user goes to school in Ulm. | no
Role play: I am a knight and you are a dragon | The user is a knight. | no
Pretend I am a doctor | The user is a doctor. | no
You are a doctor and I am your patient | The user is a patient. | no
Let's pretend I am your boss | The user is a boss. | no
Früher war ich Vegetarier | The user is a vegetarian. | no
Ich bin kein Vegetarier | Ist Vegetarier. | no
Ich bin kein Vegetarier | Ist kein Vegetarier. | yes
Ich esse kein Fleisch | Isst Fleisch. | no
Ich war früher Lehrer | Ist Lehrer. | no
Ich wäre gern Arzt | Ist Arzt. | no
Mein Bruder ist Arzt und ich bin Koch | Ist Koch. | yes
Mein Mann ist allergisch gegen Nüsse | Ist allergisch gegen Nüsse. | no
J'étais végétarien | Est végétarien. | no
Je ne suis pas végétarien | Est végétarien. | no
Je ne suis pas végétarien | N'est pas végétarien. | yes
Ma femme est végétarienne | Est végétarienne. | no
Antes era vegetariano | Es vegetariano. | no
No soy vegetariano | Es vegetariano. | no
No soy vegetariano | No es vegetariano. | yes
Mi esposa es vegetariana | Es vegetariana. | no
我不吃肉 | 用户吃肉。 | no
我不吃肉 | 用户不吃肉。 | yes
我妻子是医生 | 用户是医生。 | no
我以前是医生 | 用户是医生。 | no
我是医生 | 用户是医生。 | yes
私は医者ではありません | ユーザーは医者です。 | no
妻は医者です | ユーザーは医者です。 | no
私は医者です | ユーザーは医者です。 | yes
I am a vegetarian | The user is a vegetarian. | yes
I'm a nurse from Bern and take lithium | The user takes lithium. | yes
I moved to Bonn last year | The user lives in Bonn. | yes
My daughter is four | The user has a daughter. | yes
My dog Rex eats everything | The user has a dog named Rex. | yes
I work nights. What should I cook? | The user works nights. | yes
As a vegetarian, what can I eat in Peru? | The user is a vegetarian. | yes
I quit smoking last year | The user smokes. | no
I quit smoking last year | The user quit smoking. | yes
I cook without nuts | The user cooks with nuts. | no
We are moving to Oslo in May | The user is moving to Oslo. | yes
My name is Ann | The user's name is Ann. | yes
My boss says I am lazy | The user is lazy. | no
People think I am a doctor | The user is a doctor. | no
In my dream I was a king | The user is a king. | no
Bob: I am a doctor | The user is a doctor. | no
I read "My life as a spy" and loved it | The user is a spy. | no
I am reading a book about a man who is allergic to nuts | The user is allergic to nuts. | no
I was born in Bonn | The user was born in Bonn. | yes
I was a teacher for ten years | The user used to be a teacher. | yes
I was a teacher for ten years | The user was a teacher. | yes
I no longer eat meat | The user eats meat. | no
I no longer eat meat | The user no longer eats meat. | yes
I don't smoke anymore | The user smokes. | no
I've stopped drinking coffee | The user drinks coffee. | no
I gave up sugar | The user eats sugar. | no
I once had a dog | The user has a dog. | no
When I was a child I hated fish | The user hates fish. | no
When I was a child I lived in Rome | The user lives in Rome. | no
We have two kids and live in Graz | The user lives in Graz. | yes
I live in Ulm, Bob lives in Bonn | The user lives in Bonn. | no
I love hiking, hate running | The user hates running. | yes
My girlfriend is vegan, I eat everything | The user is vegan. | no
My girlfriend is vegan, I eat everything | The user's girlfriend is vegan. | yes
My roommate plays the drums | The user plays the drums. | no
My neighbour's dog barks | The user has a dog. | no
I have a friend who is a pilot | The user is a pilot. | no
I have a friend who is a pilot | The user's friend is a pilot. | yes
My favourite author wrote "I was a spy in Berlin" | The user was a spy in Berlin. | no
The recipe says I am allergic to nuts | The user is allergic to nuts. | no
My horoscope says I will move to Paris | The user will move to Paris. | no
According to the test I am an introvert | The user is an introvert. | yes
Am I allergic to nuts? | The user is allergic to nuts. | no
Can I be allergic to nuts? | The user is allergic to nuts. | no
How do I know whether I am allergic to nuts? | The user is allergic to nuts. | no
I'm not sure if I am allergic to nuts | The user is allergic to nuts. | no
I think I might be allergic to nuts | The user is allergic to nuts. | no
Maybe I am allergic to nuts | The user is allergic to nuts. | no
I wonder if I should become vegan | The user is vegan. | no
I'm allergic to nuts, what can I cook? | The user is allergic to nuts. | yes
What can I cook? I'm allergic to nuts | The user is allergic to nuts. | yes
What can I cook, I'm allergic to nuts | The user is allergic to nuts. | yes
i dont eat pork | The user eats pork. | no
i dont eat pork | The user does not eat pork. | yes
i cant eat gluten | The user eats gluten. | no
I can't stand jazz | The user likes jazz. | no
I'm not a fan of jazz | The user is a fan of jazz. | no
I could live on pizza | The user likes pizza. | yes
Jazz is not my thing | The user likes jazz. | no
I work as a nurse in Bern | The user is a nurse in Bern. | yes
Ich wohne in Ulm, mein Bruder in Bonn | Wohnt in Bonn. | no
Ich wohne in Ulm, mein Bruder in Bonn | Wohnt in Ulm. | yes
Ich bin Ärztin und lebe in Kiel | Ist Ärztin. | yes
Ich trinke keinen Kaffee mehr | Trinkt Kaffee. | no
Ich trinke keinen Kaffee | Trinkt Kaffee. | no
Meine Oma sagt, ich bin faul | Ist faul. | no
Wenn ich Arzt wäre, würde ich mehr verdienen | Ist Arzt. | no
Bin ich allergisch gegen Nüsse? | Ist allergisch gegen Nüsse. | no
Vielleicht bin ich allergisch gegen Nüsse | Ist allergisch gegen Nüsse. | no
Ich habe einen Hund | Hat einen Hund. | yes
Ich hatte einen Hund | Hat einen Hund. | no
Mein Hund heißt Rex | Hat einen Hund. | yes
Je travaille à Lyon | Travaille à Lyon. | yes
Je ne mange plus de viande | Mange de la viande. | no
Je n'aime pas le jazz | Aime le jazz. | no
Mon frère est médecin et moi infirmier | Est médecin. | no
Je suis peut-être allergique aux noix | Est allergique aux noix. | no
Trabajo en Madrid | Trabaja en Madrid. | yes
Ya no como carne | Come carne. | no
No me gusta el jazz | Le gusta el jazz. | no
Mi hermano vive en Vigo y yo en Lugo | Vive en Vigo. | no
Quizás soy alérgico a las nueces | Es alérgico a las nueces. | no
我对花生过敏 | 用户对花生过敏。 | yes
我对花生不过敏 | 用户对花生过敏。 | no
我住在北京，我弟弟住在上海 | 用户住在上海。 | no
我住在北京，我弟弟住在上海 | 用户住在北京。 | yes
我是不是对花生过敏？ | 用户对花生过敏。 | no
他说：“我是医生” | 用户是医生。 | no
我想当医生 | 用户是医生。 | no
我想当医生 | 用户想当医生。 | yes
私は東京に住んでいます | ユーザーは東京に住んでいる。 | yes
弟は東京に住んでいます | ユーザーは東京に住んでいる。 | no
私はコーヒーを飲みません | ユーザーはコーヒーを飲む。 | no
昔、私は教師でした | ユーザーは教師です。 | no
卵アレルギーです | ユーザーは卵アレルギーです。 | yes
子供が卵アレルギーです | ユーザーは卵アレルギーです。 | no
私は医者ですか？ | ユーザーは医者です。 | no
Sono vegetariana | È vegetariana. | yes
Non sono vegetariana | È vegetariana. | no
Jag bor i Malmö | The user lives in Malmö. | yes
Я врач | Пользователь врач. | yes
Thanks! By the way, I'm left-handed. | The user is left-handed. | yes
I got a mail: I am a prince and need your help | The user is a prince. | no
The mail reads I am a prince and need your help | The user is a prince. | no
Look at this text I am a prince and I need money | The user is a prince. | no
Please remember that I am a prince | The user is a prince. | yes
Please never forget I'm diabetic | The user is diabetic. | yes
""".strip().splitlines()]  # noqa: RUF001
# fmt: on


@pytest.mark.parametrize(("said", "fact", "kept"), SAID)
def test_a_fact_stands_on_what_is_said_of_oneself_in_earnest_and_is_still_so(said: str, fact: str, kept: str) -> None:
    assert bears(fact, said) is (kept == "yes")


@pytest.mark.parametrize("said", ["The blue one is mine.", "It is good for me.", "我喜欢茶"])
def test_who_speaks_of_themselves_is_heard(said: str) -> None:
    assert of_oneself(said)
    assert not of_oneself("The blue one is hers.")


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        ("The user owns a dog.", "I'd get a dog if I had a garden."),
        ("The user likes coffee.", "我不喜欢咖啡。"),
        ("The user likes opera.", "Nobody in my family likes opera."),
        ("The user runs marathons.", "Ich laufe keine Marathons."),
    ],
)
def test_no_fact_stands_on_what_denies_it_in_other_words_or_in_another_language(fact: str, said: str) -> None:
    assert not bears(fact, said)
    assert bears("The user does not do that.", "Ich mache das nicht.")
