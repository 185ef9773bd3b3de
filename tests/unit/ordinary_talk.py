"""How people go on in a conversation: sentences and dialogues of our own in four languages, for the rules to read."""

from __future__ import annotations

# fmt: off
ENGLISH = """
It is raining in my city
I wanted to ask about the dentist too
Great Gatsby summary please
No idea what to cook tonight
No worries, I found it
No thanks
No, thank you
Nothing else for today
No rush, but can you look at the second file
Not right now
Not what I expected, life is strange
Wrong number called me three times yesterday
Wrong turns make the best holidays
It's my birthday tomorrow
It is what it is
It was a long day at the office
It should be sunny on Sunday
It should be easy to fix the tap
It should have been a quiet evening, then the dog ran off
That should have been simple
I meant to call my mother
I mean, who does not like bread
I mean it as a present for my sister
I meant well
I wanted a dog as a child
I really wanted to see that concert
I actually meant to go to bed early
I want a list of rivers in Asia
Actually I live in Lima now
Actually, let's talk about trains
Actually, it is a cat
Thanks to the rain the garden is green
Thanks in advance for the list
Thanks, now do the same for Norway
Thanks, but shorter
Thank you letter for my teacher please
Thanksgiving recipes for four
Perfect pancakes, how thick are they
Perfect tense of to go
Exactly two eggs are left in my fridge
Exactly how many moons has Mars
Great, now in Italian
Great wall of China length
Great Danes need a lot of room
Correct the spelling in this line: teh hous
Correct me when I make mistakes
Right, next topic
That is right next to the station
That's right after lunch for me
That's perfect weather for a walk
That's it for the kitchen, now the bathroom
That is wrong on so many levels, says my boss
This is not right for my skin type
This isn't my first marathon
True or false: a tomato is a fruit
The right answer to a proposal is rarely no
The right one for me was always blue
The correct answer key is in the drawer
No one told me about the meeting
No parking signs are everywhere here
No Country for Old Men plot
No, tell me more about it
No, go on
No, I have not tried that yet
No, I mean seriously
No, I wanted to sleep
No, I live alone
No, it is fine
No, it's okay, leave it
No, we are vegetarians
No, because my knee hurts
No, that was last week
No, my brother did
No, I meant to say that I was tired
No, I meant for children
No, I meant in Python
No, I meant it as a joke
No, I meant a shorter version
No, I meant the other one
Nope, never been there
Okay, what about dinner
Ok cool
Yes, please
Yes, and a coffee
Yes, I did
Hm, I am not so sure
Interesting
Tell me a story about foxes
My flight leaves at nine, wake me at six
And in winter
What is the capital of Peru
What about jazz
Is it jazz
Isn't that wrong
Should it have been jazz
Did you mean rock
""".strip().splitlines()

GERMAN = """
Es regnet bei uns
Ich wollte noch nach dem Zahnarzt fragen
Ich wollte eigentlich früher aufstehen
Ich wollte schon immer nach Peru
Ich meine ja nur
Ich meinte es gut
Ich meinte, dass wir später essen
Stimmt es dass Lima am Meer liegt
Stimmt die Adresse noch
Stimmt so, sagte ich dem Kellner
Genau um acht fängt es an
Genauer bitte
Genau dort war ich im Sommer
Danke sagen auf Japanisch
Danke im Voraus
Danke, aber kürzer
Danke, jetzt noch auf Englisch
Dankeskarte für meine Oma
Perfekt von gehen
Perfekte Spiegeleier, wie geht das
Vielen Dank im Namen des Vereins, so beginnt der Brief
Nein danke
Nein, lieber nicht
Nein, erzähl weiter
Nein, ich war noch nie dort
Nein, das war letzte Woche
Nein, ich meinte es nur im Scherz
Nein, ich meinte in Bayern
Nein, ich wollte schlafen
Nein, weil mein Knie weh tut
Falsche Pilze sind gefährlich
Falsch abgebogen, jetzt bin ich in Ulm
Nicht richtig kalt heute
Nicht was ich gestern sagte zählt, sondern heute
Das ist nicht mein Tag
Das ist falsch herum montiert, wie drehe ich es
Das stimmt mich traurig
Das ist richtig weit weg
Richtig ist, wer früh bucht, zahlt weniger
Eigentlich wohne ich in Kiel
Eigentlich mag ich Katzen
Es ist mein Geburtstag
Es sollte morgen schön werden
Ja, bitte
Ja, und einen Kaffee
Ok, was gibt es zum Abendessen
Mein Zug fährt um neun
Und im Winter
Was ist die Hauptstadt von Peru
Ist das Jazz
Super, dann lass uns anfangen
Gut, weiter
""".strip().splitlines()

FRENCH = """
Il pleut chez moi
Merci en allemand
Merci d'avance
Merci, mais plus court
Merci, maintenant en anglais
Merci de corriger cette phrase
Merci pour le chocolat, c'est un film de qui
Je voulais aussi parler du dentiste
Je voulais dormir
Je voulais dire au revoir à ma tante
Non merci
Non, raconte encore
Non, je n'y suis jamais allé
Non, c'était la semaine dernière
Non, je voulais dire en Bretagne
Non, je voulais partir
Non, parce que mon genou me fait mal
Parfait du verbe aller
Parfaite cuisson des œufs
Exactement combien de lunes a Mars
Exactement à huit heures
C'est parfait pour une promenade
C'est ça ou rien, dit mon chef
C'est juste à côté de la gare
C'est mon anniversaire
C'est faux de dire que les chats sont froids
Ce n'est pas mon jour
Faux amis en anglais
Faux plafond, quel prix
Incorrect sur les formulaires, mon nom est toujours coupé
En fait j'habite à Lyon
En fait, parlons de trains
La bonne réponse à une invitation
Oui, s'il te plaît
Oui, et un café
Quelle est la capitale du Pérou
Est-ce du jazz
Et en hiver
Mon train part à neuf heures
D'accord, on continue
""".strip().splitlines()

SPANISH = """
Está lloviendo en mi ciudad
Gracias en alemán
Gracias de antemano
Gracias, pero más corto
Gracias, ahora en inglés
Gracias a la lluvia el jardín está verde
Quería preguntar también por el dentista
Quería dormir
Quería decir adiós a mi tía
No gracias
No, sigue contando
No, nunca he estado
No, fue la semana pasada
No, quería decir en Galicia
No, quería irme
No, porque me duele la rodilla
No es mi día
No es correcto hablar con la boca llena
No sé qué cocinar
No hay prisa
Perfecto de haber
Perfecto para un paseo, este tiempo
Exacto a las ocho empieza
Exactamente cuántas lunas tiene Marte
Es mi cumpleaños
Es correcto el acento en río
Eso es lo que dijo mi jefe
Así es la vida
Está mal de la espalda mi padre
Incorrecto o no, me gusta
En realidad vivo en Lima
En realidad, hablemos de trenes
La respuesta correcta a una invitación
Sí, por favor
Sí, y un café
Cuál es la capital de Perú
Es jazz
Y en invierno
Mi tren sale a las nueve
Vale, seguimos
Cuéntame un cuento
""".strip().splitlines()

ORDINARY = (*ENGLISH, *GERMAN, *FRENCH, *SPANISH)

# question | answer | next message
DIALOGUES = [tuple(line.split(" | ")) for line in """
What is Rust? | A programming language. | It is raining in my city
Capital of Norway? | Oslo | And of Sweden?
Capital of Norway? | Oslo | I wanted to go there last year
Who wrote Dracula? | Bram Stoker | Great Gatsby summary please
Which genre is this? | jazz | Actually I play the cello
Which genre is this? | jazz | I wanted to be a drummer once
Which genre is this? | jazz | rock concerts are too loud for me
Which genre is this? | jazz | No rock band ever came to our village
Which genre is this? | jazz | It was folk night yesterday
Which genre is this? | jazz | No, folk music makes me sleepy
Which genre is this? | jazz | The rock is heavy
Which genre is this? | jazz | I meant well when I bought that record
Do you know Ulm? | Yes, a city on the Danube. | No, really
Do you want more? | Shall I go on? | No.
Do you want more? | Shall I go on? | Yes, exactly
Name a film. | Did you mean a comedy or a drama? | No, I meant a western
Name a film. | Alien | No, I meant for children
Name a film. | Alien | No, I meant something older
Name a film. | Alien | No, I have seen that one
Name a film. | Alien | No, not tonight
Name a film. | Alien | Seen it, another one
Name a film. | Alien | It should have been a short evening
Name a film. | Alien | Thanks, another
Name a film. | Alien | Great, and a book?
Name a film. | Alien | Perfect. Now make it a list of ten.
Name a film. | I cannot recommend films. | Thanks
Name a film. | Sorry, I do not know any. | Thank you!
Write an essay on trains. | Trains changed how we live, and they still do so in every land with a coast, a plain or a pass, as the oldest books tell us, page by page. | No, I meant ships
How long to boil an egg? | Eight minutes. | My egg timer is broken
How long to boil an egg? | Eight minutes. | No salt?
How long to boil an egg? | Eight minutes. | No salt in my house
How long to boil an egg? | Eight minutes. | Isn't that wrong?
How long to boil an egg? | Eight minutes. | Thanks, but I like them soft
How long to boil an egg? | Eight minutes. | Correct my sentence: I has egg
Hello | Hello! How can I help? | Thanks, I need a recipe
Hello | Hi there. | It is a nice day
Thanks | You are welcome. | Perfect
Thanks! | Any time. | Great!
Translate "cat". | gato | And "dog"
Translate "cat". | gato | That's right next to "pato" in my book
Translate "cat". | gato | Is that right?
Translate "cat". | gato | right
Translate "cat". | gato | Wrong language, I know, but what is it in Basque
Pick one of two. | jazz | not right now
Pick one of two. | jazz | No idea why I ask
Pick one of two. | jazz | wrong day for this
Pick one of two. | jazz | Nope, never mind
Pick one of two. | jazz | That's not it for today, one more
What day is it? | Tuesday | It should be Monday, I wish
What day is it? | Tuesday | The right day for a haircut
What day is it? | Tuesday | I meant to go shopping
What day is it? | Tuesday | No way
What day is it? | Tuesday | No, it can't be
What day is it? | Tuesday | ok
What day is it? | Tuesday | yes
What day is it? | Tuesday | 🙂
Wie heißt der Fluss? | Donau | Es regnet bei uns
Wie heißt der Fluss? | Donau | Stimmt es dass Lima am Meer liegt
Wie heißt der Fluss? | Donau | Stimmt das
Wie heißt der Fluss? | Donau | Nein, ich war nie dort
Wie heißt der Fluss? | Donau | Nein, ich meinte in Bayern
Wie heißt der Fluss? | Donau | Ich wollte schwimmen gehen
Wie heißt der Fluss? | Donau | Danke, und der Berg
Wie heißt der Fluss? | Donau | Danke auf Polnisch
Wie heißt der Fluss? | Donau | Genau dort wohnt meine Tante
Wie heißt der Fluss? | Donau | Perfekt zum Baden
Wie heißt der Fluss? | Das weiß ich leider nicht, tut mir leid. | Danke
Wie heißt der Fluss? | Donau | Nein danke
Wie heißt der Fluss? | Donau | Ist das nicht falsch?
Wie heißt der Fluss? | Donau | Falsch geparkt, 40 Euro
Wie heißt der Fluss? | Donau | Das ist richtig schön dort
Wie heißt der Fluss? | Donau | Eigentlich mag ich Seen
Wie heißt der Fluss? | Donau | Was kostet ein Boot
Wie heißt der Fluss? | Meinst du den in Ulm? | Genau
Wie heißt der Fluss? | Donau | Ja
Quel fleuve ? | La Seine | Merci en allemand
Quel fleuve ? | La Seine | Merci, et la montagne
Quel fleuve ? | La Seine | Non, je n'y vais pas
Quel fleuve ? | La Seine | Non, je voulais dire en Bretagne
Quel fleuve ? | La Seine | Je voulais nager
Quel fleuve ? | La Seine | C'est faux de nager là
Quel fleuve ? | La Seine | C'est juste à côté
Quel fleuve ? | La Seine | Parfait pour nager
Quel fleuve ? | La Seine | Exactement combien de kilomètres
Quel fleuve ? | La Seine | Il pleut ici
Quel fleuve ? | Je ne sais pas. | Merci
Quel fleuve ? | La Seine | C'est vrai ?
Quel fleuve ? | La Seine | En fait j'aime les lacs
Quel fleuve ? | La Seine | Oui
¿Qué río? | El Ebro | Gracias en alemán
¿Qué río? | El Ebro | Gracias, y la montaña
¿Qué río? | El Ebro | No, nunca fui
¿Qué río? | El Ebro | No, quería decir en Galicia
¿Qué río? | El Ebro | Quería nadar
¿Qué río? | El Ebro | No es correcto nadar ahí
¿Qué río? | El Ebro | Perfecto para nadar
¿Qué río? | El Ebro | Eso es todo un viaje
¿Qué río? | El Ebro | Está lloviendo
¿Qué río? | No lo sé. | Gracias
¿Qué río? | El Ebro | ¿Es correcto?
¿Qué río? | El Ebro | En realidad me gustan los lagos
¿Qué río? | El Ebro | Sí
Which wine goes with fish? | Riesling | Thanks. My sister gets married on Saturday.
Which wine goes with fish? | Riesling | thanks for nothing
Which wine goes with fish? | Riesling | Perfect storm is on TV tonight
Which wine goes with fish? | Riesling | Great, thanks, now for cheese
Which wine goes with fish? | Riesling | Exactly what my ex would say
Which wine goes with fish? | Riesling | "No, I meant Merlot" is what he answered
Which wine goes with fish? | Riesling | No, I meant whcih* which one is dry
Which wine goes with fish? | Riesling | *wine for fish soup, sorry typo
Which wine goes with fish? | Riesling | Sorry, I meant fish soup
Which wine goes with fish? | Riesling | sorry, I meant "which red wine"
Which wine goes with fish? | Riesling | I meant red wine
Which wine goes with fish? | Riesling | No, I meant the red one for steak
Which wine goes with fish? | Riesling | No, I meant which red wine goes with duck
Which wine goes with fish? | Riesling | Actually, make that meat
Which wine goes with fish? | Riesling | No. 5 by Chanel
Which wine goes with fish? | Riesling | Wrong Way is the title of a song
Which wine goes with fish? | Riesling | Correct me if I'm wrong but that is German
Which wine goes with fish? | Riesling | Correct. And yet I doubt it.
Which wine goes with fish? | Riesling | that's right, doubt everything
Which wine goes with fish? | Riesling | Thank you, captain obvious
Which wine goes with fish? | Riesling | Oh great, thanks, my glass just broke
Which wine goes with fish? | Riesling | Great. Now my cat is sick.
Which wine goes with fish? | Riesling | Perfect. Just perfect. It started to rain.
Which wine goes with fish? | Riesling | thank you for your service, soldier
Which wine goes with fish? | Riesling | Thanks but no thanks
Which wine goes with fish? | Riesling | Thanks, though I do not drink
Which wine goes with fish? | Riesling | > No, I meant Merlot
Which wine goes with fish? | Riesling | Bob: No, I meant Merlot.
Which wine goes with fish? | Riesling | The right answer is a matter of taste
Which wine goes with fish? | Riesling | The correct answer is always 42, says Adams
Which wine goes with fish? | Riesling | Wrong, it was yesterday
Which wine goes with fish? | Riesling | No, it is Friday
Which wine goes with fish? | Riesling | No, it's my turn
Which wine goes with fish? | Riesling | No, it was me
Which wine goes with fish? | Riesling | No, I meant no offence
Which wine goes with fish? | Riesling | That's not right, I feel sick
Which wine goes with fish? | Riesling | That's not it chief, says everybody
Which wine goes with fish? | Riesling | Not Riesling again
Which wine goes with fish? | Riesling | Not Riesling, please
Which wine goes with fish? | Riesling | Not today, Satan
Which wine goes with fish? | Riesling | It's Monday, not Tuesday
Which wine goes with fish? | Riesling | It's raining, not snowing
Which wine goes with fish? | Riesling | It's me, not you
Who wrote Faust? | Goethe | Das ist richtig schwer zu lesen
Who wrote Faust? | Goethe | Danke. Meine Oma wird morgen achtzig.
Wer schrieb Faust? | Goethe | Danke für gar nichts
Wer schrieb Faust? | Goethe | Na danke, jetzt regnet es
Wer schrieb Faust? | Goethe | Perfekt, dann jetzt auf Englisch
Wer schrieb Faust? | Goethe | Perfekt. Und mein Auto springt nicht an.
Wer schrieb Faust? | Goethe | Genau genommen lese ich nie
Wer schrieb Faust? | Goethe | Stimmt die Rechnung
Wer schrieb Faust? | Goethe | Nein, ich meinte natürlich Fuast* Faust II
Wer schrieb Faust? | Goethe | Nein, ich meinte die Oper
Wer schrieb Faust? | Goethe | Ich meinte die Oper
Wer schrieb Faust? | Goethe | „Nein, ich meinte Schiller“, sagte der Lehrer
Wer schrieb Faust? | Goethe | Nein, es war gestern
Wer schrieb Faust? | Goethe | Nein, es ist Montag
Wer schrieb Faust? | Goethe | Falscher Film
Wer schrieb Faust? | Goethe | Das ist falsch herum aufgehängt
Wer schrieb Faust? | Goethe | Nein, gemeint war das als Witz
Wer schrieb Faust? | Goethe | Richtig ist, was gefällt
Wer schrieb Faust? | Goethe | Super, danke für die Sonne heute
Wer schrieb Faust? | Goethe | Wie alt wurde er
¿Quién escribió Faust? | Goethe | Gracias por nada
¿Quién escribió Faust? | Goethe | Gracias. Mañana cumple años mi abuela.
¿Quién escribió Faust? | Goethe | Perfecto, ahora en inglés
¿Quién escribió Faust? | Goethe | Exacto, y otra cosa
¿Quién escribió Faust? | Goethe | No, quería decir la ópera
¿Quién escribió Faust? | Goethe | Quería decir la ópera
¿Quién escribió Faust? | Goethe | «No, quería decir Schiller», dijo el profesor
¿Quién escribió Faust? | Goethe | No, era broma
¿Quién escribió Faust? | Goethe | No, es lunes
¿Quién escribió Faust? | Goethe | No, es que no puedo leer
¿Quién escribió Faust? | Goethe | Está mal el tiempo hoy
¿Quién escribió Faust? | Goethe | Correcto no significa bueno
¿Quién escribió Faust? | Goethe | La respuesta correcta es siempre la más corta, dicen
¿Quién escribió Faust? | Goethe | ¿Seguro que no era Schiller?
¿Quién escribió Faust? | Goethe | Sí, perfecto, pero más largo
Qui a écrit Faust ? | Goethe | Merci. Ma grand-mère a cent ans demain.
Qui a écrit Faust ? | Goethe | Merci pour rien
Qui a écrit Faust ? | Goethe | Parfait, maintenant en anglais
Qui a écrit Faust ? | Goethe | Merci, mais plus court
Qui a écrit Faust ? | Goethe | Non, je voulais dire l'opéra
Qui a écrit Faust ? | Goethe | « Non, je voulais dire Schiller », dit le professeur
Qui a écrit Faust ? | Goethe | Non, c'était pour rire
Qui a écrit Faust ? | Goethe | Non, c'est lundi
Qui a écrit Faust ? | Goethe | C'est faux comme un jeton
Qui a écrit Faust ? | Goethe | Faux départ
Qui a écrit Faust ? | Goethe | Juste, mais pourquoi
Qui a écrit Faust ? | Goethe | Exact, sauf la date
Qui a écrit Faust ? | Goethe | C'est ça, moque-toi
Qui a écrit Faust ? | Goethe | C'est ça oui, et moi je suis le pape
Qui a écrit Faust ? | Goethe | C'était pas Schiller ?
谁写了浮士德？ | 歌德 | 今天下雨
谁写了浮士德？ | 歌德 | 谢谢，再翻译成英文
谁写了浮士德？ | 歌德 | 不是吧
谁写了浮士德？ | 歌德 | 不对，我打错字了，是「浮士德二」
谁写了浮士德？ | 歌德 | 应该是下雨了
谁写了浮士德？ | 歌德 | 他是哪里人？
谁写了浮士德？ | 歌德 | 他是哪里人
谁写了浮士德？ | 歌德 | 我明天去德国
谁写了浮士德？ | 歌德 | “不，我是说席勒”，老师说
谁写了浮士德？ | 歌德 | 对了，明天天气怎么样
谁写了浮士德？ | 歌德 | 不，谢谢
谁写了浮士德？ | 歌德 | 对不起，我要走了
ファウストを書いたのは？ | ゲーテ | 今日は雨です
ファウストを書いたのは？ | ゲーテ | ありがとう、英語にして
ファウストを書いたのは？ | ゲーテ | いいえ、結構です
ファウストを書いたのは？ | ゲーテ | 違う話だけど、明日の天気は
ファウストを書いたのは？ | ゲーテ | そうですか
ファウストを書いたのは？ | ゲーテ | 「いや、シラーだ」と先生が言った
ファウストを書いたのは？ | ゲーテ | すみません、打ち間違えました
ファウストを書いたのは？ | ゲーテ | そうだ、京都へ行こう
ファウストを書いたのは？ | ゲーテ | 彼はどこの人ですか？
Which film? | Alien | No, it's a trap
Which film? | Alien | No, it's late, good night
Which film? | Alien | No, he is Swedish
Which film? | Alien | No, the film is too scary
Which film? | Alien | No, the film is Swedish
Which film? | Alien | No, it is Mum calling
Which film? | Alien | no, it's ok
Which film? | Alien | No, this is Patrick
Which film? | Alien | Nein, das ist Quatsch
Which film? | Alien | Nein, es ist Winter
Which film? | Alien | Nein, mein Name ist Paul
Which film? | Alien | No, my name is Paul
Which film? | Alien | No, that's Bob over there
Which film? | Alien | Sorry, I meant Film noir
Which film? | Alien | Thanks a lot for ruining it
Which film? | Alien | Great. Thanks. I lost my job.
Which film? | Alien | Not Alien, I am tired of it
Which film? | Alien | I like Solaris, not Alien
Which film? | Alien | She said Solaris, not Alien
Which film? | Alien | Tell me about Solaris, not Alien
""".strip().splitlines()]  # noqa: E501, RUF001

# question | answer | next message | what the user wanted
REACTIONS = [tuple(line.split(" | ")) for line in """
Which music do I like? | rock | No, I meant jazz | jazz
Which music do I like? | rock | No, I meant jazz, not rock. | jazz
Which music do I like? | rock | No. I meant jazz. | jazz
Which music do I like? | rock | That's wrong, the right answer is jazz. | jazz
Which music do I like? | rock | The answer should have been jazz | jazz
Which music do I like? | rock | Wrong, it should have been Jazz | Jazz
Which music do I like? | rock | Nope, I really meant free jazz | free jazz
Which film? | Alien | No, I meant Paris, Texas. | Paris, Texas
Which film? | Alien | Perfect, thanks! | Alien
Which film? | Alien | Exactly. | Alien
Which film? | Alien | That's the one, thank you | Alien
Which film? | Alien | thanks a lot 🙏 | Alien
Which film? | Alien | Great! What about a book? | Alien
Which film? | Alien | Not Alien, Solaris | Solaris
Capital of Australia? | Sydney | That is not correct. It should have been Canberra. | Canberra
Capital of Australia? | Sydney | It's Canberra, not Sydney | Canberra
Welche Stadt? | Ulm | Nein, ich meinte Kiel. | Kiel
Welche Stadt? | Ulm | Das stimmt nicht, richtig ist Kiel | Kiel
Welche Stadt? | Ulm | Falsch, gemeint war Bad Aibling | Bad Aibling
Welche Stadt? | Ulm | Genau, danke! | Ulm
Welche Stadt? | Ulm | Vielen Dank! | Ulm
Welche Stadt? | Ulm | Hättest du doch Kiel gesagt | Kiel
Quelle ville ? | Lyon | Non, je voulais dire Nice. | Nice
Quelle ville ? | Lyon | C'est faux, la bonne réponse est Nice | Nice
Quelle ville ? | Lyon | Merci beaucoup ! | Lyon
Quelle ville ? | Lyon | Oui, c'est ça | Lyon
¿Qué ciudad? | Lugo | No, me refería a Vigo. | Vigo
¿Qué ciudad? | Lugo | No, quise decir Vigo | Vigo
¿Qué ciudad? | Lugo | ¡Muchas gracias! | Lugo
¿Qué ciudad? | Lugo | Exacto, gracias | Lugo
""".strip().splitlines()]

# further ones, written before the rules were tried on them: language | question | answer | next message | wanted
UNSEEN = [tuple(line.split(" | ")) for line in """
en | Who painted it? | Monet | No, it was Manet. | Manet
en | Who painted it? | Monet | Sorry, I meant Manet | Manet
en | Which colour? | blue | Wrong, the correct answer is green. | green
en | Which colour? | blue | No, the answer is green | green
en | Which team? | Ajax | That's incorrect, it should have been Feyenoord. | Feyenoord
en | Which team? | Ajax | That's not right. The correct one is Feyenoord. | Feyenoord
en | Which team? | Ajax | Yes, that's it, thank you! | Ajax
en | Which team? | Ajax | That's exactly what I needed, thanks. | Ajax
en | Which team? | Ajax | Perfect! | Ajax
en | Which team? | Ajax | Correct, well done | Ajax
en | Which team? | Ajax | thx | Ajax
en | Which team? | Ajax | Thank you so much, that helps a lot | Ajax
de | Wer war es? | Bach | Nein, es war Telemann. | Telemann
de | Wer war es? | Bach | Nein, ich meinte Händel | Händel
de | Wer war es? | Bach | Falsch, richtig wäre Telemann gewesen | Telemann
de | Wer war es? | Bach | Das ist falsch. Gemeint war Händel. | Händel
de | Wer war es? | Bach | Stimmt nicht, die richtige Antwort ist Händel | Händel
de | Wer war es? | Bach | Super, danke! | Bach
de | Wer war es? | Bach | Ja, genau das, danke dir | Bach
de | Wer war es? | Bach | Stimmt, danke schön | Bach
de | Wer war es? | Bach | Perfekt, vielen Dank | Bach
de | Wer war es? | Bach | Danke, das hat geholfen | Bach
fr | Quel auteur ? | Zola | Non, c'était Hugo. | Hugo
fr | Quel auteur ? | Zola | Non, je voulais dire Hugo | Hugo
fr | Quel auteur ? | Zola | Faux, la bonne réponse était Hugo | Hugo
fr | Quel auteur ? | Zola | Ce n'est pas ça, la bonne réponse est Hugo | Hugo
fr | Quel auteur ? | Zola | Incorrect, ça aurait dû être Hugo | Hugo
fr | Quel auteur ? | Zola | Parfait, merci ! | Zola
fr | Quel auteur ? | Zola | Merci, c'est exactement ça | Zola
fr | Quel auteur ? | Zola | Oui, exactement | Zola
fr | Quel auteur ? | Zola | Super, merci beaucoup | Zola
es | ¿Qué autor? | Lorca | No, era Machado. | Machado
es | ¿Qué autor? | Lorca | No, quería decir Machado | Machado
es | ¿Qué autor? | Lorca | Incorrecto, la respuesta correcta es Machado | Machado
es | ¿Qué autor? | Lorca | No es eso, me refería a Machado | Machado
es | ¿Qué autor? | Lorca | Está mal, debería haber sido Machado | Machado
es | ¿Qué autor? | Lorca | Perfecto, gracias | Lorca
es | ¿Qué autor? | Lorca | Sí, exactamente eso | Lorca
es | ¿Qué autor? | Lorca | Muchas gracias, eso es | Lorca
es | ¿Qué autor? | Lorca | Correcto, gracias | Lorca
en | Capital of Brazil? | Rio | No, it's Brasília. | Brasília
en | Capital of Brazil? | Rio | No, the capital is Brasília | Brasília
en | Capital of Brazil? | Rio | That's wrong. It's Brasília. | Brasília
en | Capital of Brazil? | Rio | Not Rio, Brasília. | Brasília
en | Capital of Brazil? | Rio | Wrong! The correct answer is Brasília! | Brasília
en | Capital of Brazil? | Rio | nope, should have been Brasília | Brasília
en | Capital of Brazil? | Rio | No, I meant Brasília instead of Rio | Brasília
en | Capital of Brazil? | Rio | No - I wanted Brasília | Brasília
en | Capital of Brazil? | Rio | that's it, thank you very much! | Rio
en | Capital of Brazil? | Rio | Awesome, thank you! | Rio
en | Capital of Brazil? | Rio | Yep, that's right. | Rio
en | Capital of Brazil? | Rio | Great answer, thanks | Rio
en | Capital of Brazil? | Rio | Cheers! | Rio
en | Capital of Brazil? | Rio | That's correct. | Rio
en | Capital of Brazil? | Rio | No. Brasília. | Brasília
de | Hauptstadt von Brasilien? | Rio | Nein, es ist Brasília. | Brasília
de | Hauptstadt von Brasilien? | Rio | Nein, das ist falsch. Es ist Brasília. | Brasília
de | Hauptstadt von Brasilien? | Rio | Nicht Rio, sondern Brasília | Brasília
de | Hauptstadt von Brasilien? | Rio | Falsch, die richtige Antwort ist Brasília | Brasília
de | Hauptstadt von Brasilien? | Rio | Nein, richtig ist Brasília | Brasília
de | Hauptstadt von Brasilien? | Rio | Es hätte Brasília sein müssen | Brasília
de | Hauptstadt von Brasilien? | Rio | Nö, ich meinte Brasília | Brasília
de | Hauptstadt von Brasilien? | Rio | Dankeschön! | Rio
de | Hauptstadt von Brasilien? | Rio | Richtig, danke. | Rio
de | Hauptstadt von Brasilien? | Rio | Prima, danke! | Rio
de | Hauptstadt von Brasilien? | Rio | Ja, das stimmt. | Rio
de | Hauptstadt von Brasilien? | Rio | Genau so wollte ich es, danke | Rio
es | ¿Capital de Brasil? | Río | No, es Brasilia. | Brasilia
es | ¿Capital de Brasil? | Río | Incorrecto, es Brasilia | Brasilia
es | ¿Capital de Brasil? | Río | No es Río, es Brasilia | Brasilia
es | ¿Capital de Brasil? | Río | No, la respuesta correcta es Brasilia | Brasilia
es | ¿Capital de Brasil? | Río | No, me refería a Brasilia | Brasilia
es | ¿Capital de Brasil? | Río | Debería haber sido Brasilia | Brasilia
es | ¿Capital de Brasil? | Río | Genial, gracias | Río
es | ¿Capital de Brasil? | Río | Vale, gracias | Río
es | ¿Capital de Brasil? | Río | Sí, eso es | Río
es | ¿Capital de Brasil? | Río | ¡Perfecto! | Río
es | ¿Capital de Brasil? | Río | Mil gracias | Río
es | ¿Capital de Brasil? | Río | Eso mismo, gracias | Río
fr | Capitale du Brésil ? | Rio | Non, c'est Brasilia. | Brasilia
fr | Capitale du Brésil ? | Rio | Faux, c'est Brasilia | Brasilia
fr | Capitale du Brésil ? | Rio | Pas Rio, Brasilia | Brasilia
fr | Capitale du Brésil ? | Rio | Non, la bonne réponse est Brasilia | Brasilia
fr | Capitale du Brésil ? | Rio | Non, je voulais dire Brasilia | Brasilia
fr | Capitale du Brésil ? | Rio | Ça aurait dû être Brasilia | Brasilia
fr | Capitale du Brésil ? | Rio | Merci ! | Rio
fr | Capitale du Brésil ? | Rio | Génial, merci | Rio
fr | Capitale du Brésil ? | Rio | C'est exact, merci | Rio
fr | Capitale du Brésil ? | Rio | D'accord, merci beaucoup | Rio
fr | Capitale du Brésil ? | Rio | Exactement ! | Rio
zh | 巴西的首都是哪里？ | 里约 | 不对，是巴西利亚。 | 巴西利亚
zh | 巴西的首都是哪里？ | 里约 | 不，我是说巴西利亚 | 巴西利亚
zh | 巴西的首都是哪里？ | 里约 | 错了，应该是巴西利亚 | 巴西利亚
zh | 巴西的首都是哪里？ | 里约 | 不是里约，是巴西利亚 | 巴西利亚
zh | 巴西的首都是哪里？ | 里约 | 正确答案是巴西利亚 | 巴西利亚
zh | 巴西的首都是哪里？ | 里约 | 谢谢！ | 里约
zh | 巴西的首都是哪里？ | 里约 | 对，谢谢 | 里约
zh | 巴西的首都是哪里？ | 里约 | 没错 | 里约
zh | 巴西的首都是哪里？ | 里约 | 非常感谢 | 里约
zh | 巴西的首都是哪里？ | 里约 | 完美 | 里约
ja | ブラジルの首都は？ | リオ | いいえ、ブラジリアです。 | ブラジリア
ja | ブラジルの首都は？ | リオ | 違います。ブラジリアです。 | ブラジリア
ja | ブラジルの首都は？ | リオ | リオではなくブラジリアです | ブラジリア
ja | ブラジルの首都は？ | リオ | 正解はブラジリアです | ブラジリア
ja | ブラジルの首都は？ | リオ | ありがとう！ | リオ
ja | ブラジルの首都は？ | リオ | ありがとうございます。 | リオ
ja | ブラジルの首都は？ | リオ | その通りです | リオ
ja | ブラジルの首都は？ | リオ | 正解です、ありがとう | リオ
en | What's my favourite band? | The Beatles | No, I meant the Rolling Stones | the Rolling Stones
en | What's my favourite band? | The Beatles | Not the Beatles, the Kinks | the Kinks
en | When was it built? | 1887 | No, it was 1889. | 1889
en | Which colour? | blue | No, I meant teal | teal
en | Who is the CEO? | Tim Cook | That's not correct, the right answer is Jane Doe | Jane Doe
en | Which film? | Alien | Great, thank you so much! | Alien
de | Wo wohne ich? | München | Nein, nicht München, sondern Ulm | Ulm
fr | Où habite-t-il ? | Paris | Non, pas Paris, mais Lille | Lille
es | ¿Dónde vive? | Madrid | No, no Madrid, sino Toledo | Toledo
""".strip().splitlines()]  # noqa: RUF001

# the same form, of which nothing is to be learnt
UNSEEN_ORDINARY = [tuple(line.split(" | ")) for line in """
en | Who painted it? | Monet | No, it was raining that day
en | Who painted it? | Monet | Sorry, I meant to write earlier
en | Who painted it? | Monet | The answer is blowing in the wind, as they sing
en | Who painted it? | Monet | No, the answer is too long for my slide
en | Which team? | Ajax | Thanks to you I passed my exam
en | Which team? | Ajax | Correct the date in my letter
en | Which team? | Ajax | Perfect, now translate it
en | Which team? | Ajax | It was Sunday when they played
en | Which team? | Ajax | That helps a lot of people, but not me
en | Which team? | Ajax | No, it was fun
de | Wer war es? | Bach | Nein, es war kalt
de | Wer war es? | Bach | Super, jetzt als Liste
de | Wer war es? | Bach | Stimmt das auch für Italien
de | Wer war es? | Bach | Danke für die Blumen, sagt meine Oma
de | Wer war es? | Bach | Die richtige Antwort kenne ich selbst nicht
de | Wer war es? | Bach | Falsch verbunden
de | Wer war es? | Bach | Nein, es war ein langer Tag
de | Wer war es? | Bach | Perfekt vorbereitet war ich nie
de | Wer war es? | Bach | Das hat geholfen, aber nicht mir
fr | Quel auteur ? | Zola | Non, c'était hier
fr | Quel auteur ? | Zola | Super, et en espagnol
fr | Quel auteur ? | Zola | Merci de le traduire
fr | Quel auteur ? | Zola | La bonne réponse, je ne la connais pas
fr | Quel auteur ? | Zola | Non, c'était trop long
fr | Quel auteur ? | Zola | Parfait pour mon frère
fr | Quel auteur ? | Zola | Je voulais dire bonjour
es | ¿Qué autor? | Lorca | No, era tarde
es | ¿Qué autor? | Lorca | Gracias por traducirlo al francés
es | ¿Qué autor? | Lorca | La respuesta correcta no la sé
es | ¿Qué autor? | Lorca | Era un día largo
es | ¿Qué autor? | Lorca | Correcto sería decir nada
es | ¿Qué autor? | Lorca | No, era muy largo
""".strip().splitlines()]
# fmt: on


def figures() -> dict[str, dict[str, int | float]]:
    """By language: real reactions, how many are found, how many labels of all messages are wrong, what that makes."""
    from fakes_alignment import interaction

    from personaagent.labels.implicit import reaction

    def label(query: str, answer: str, message: str) -> str | None:
        found = reaction(interaction(1, query, None, response=answer), message)
        return None if found is None else found.truth

    told: dict[str, dict[str, int | float]] = {}
    for language in ("en", "de", "fr", "es", "zh", "ja"):
        real = [(label(*line[1:4]), line[4]) for line in [*_with_language(REACTIONS), *UNSEEN] if line[0] == language]
        plain = [label(*line[1:4]) for line in [*_with_language(DIALOGUES), *UNSEEN_ORDINARY] if line[0] == language]
        right = sum(truth == wanted for truth, wanted in real)
        wrong = sum(truth is not None and truth != wanted for truth, wanted in real) + sum(t is not None for t in plain)
        told[language] = {"real": len(real), "found": right, "ordinary": len(plain), "wrong": wrong,
                          "recall": round(right / len(real), 2),
                          "precision": round(right / (right + wrong), 2) if right + wrong else 1.0}  # fmt: skip
    return told


def _with_language(lines: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    starts = {"Wie": "de", "Welche S": "de", "Quel": "fr", "¿": "es"}
    return [(next((told for mark, told in starts.items() if line[0].startswith(mark)), "en"), *line) for line in lines]


if __name__ == "__main__":  # PYTHONPATH=.:tests/unit:tests python tests/unit/ordinary_talk.py
    for name, found in figures().items():
        print(name, found)  # noqa: T201
