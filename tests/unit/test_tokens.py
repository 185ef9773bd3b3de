# ruff: noqa: RUF001  # texts of many languages
"""A text's length for a model, script by script."""

from __future__ import annotations

import pytest

from personaagent.models.tokens import count_tokens


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("", 0, 0), ("a", 1, 1), ("word " * 400, 350, 450), ("中" * 1000, 700, 1000), ("السلام " * 100, 200, 300),
     ("🙂" * 10, 10, 30), ("größer " * 100, 150, 200)],
)  # fmt: skip
def test_a_text_is_counted_by_its_script(text: str, least: int, most: int) -> None:
    assert least <= count_tokens(text) <= most


# with the true count of Qwen2.5's tokenizer
@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("I am afraid that we cannot refund the full amount of £348.50, because the guarantee ended in January.", 26),
        ("hey can u help me w my resume? i got laid off last week lol, dont really know how 2 sell it tbh", 27),
        ("Kannst du mir bitte kurz sagen, wie lange man Eier kochen muss? Wir haben heute Abend Besuch.", 26),
        ("Künftig müssen die Behörden innerhalb von sechs Monaten entscheiden, andernfalls gilt der Antrag.", 27),
        ("Ciao, vorrei cucinare qualcosa per la mia ragazza questo fine settimana, non mangia carne.", 25),
        ("我家的猫最近总是不吃饭，带它去看兽医，医生说可能是天气太热了。请问有没有什么办法可以让它多吃一点？", 31),
        ("機械学習モデルの学習過程は、通常、データの前処理、特徴抽出、学習、評価の四段階に分けられる。", 38),
        ("昨日はスーパーで野菜と果物を買いましたが、家に帰ってから卵を買い忘れたことに気づきました。", 28),
        ("ذهبت أمس إلى السوق واشتريت بعض الخضروات والفواكه، ثم عدت إلى البيت.", 24),
        ("إِنَّ الحَمْدَ لِلَّهِ نَحْمَدُهُ وَنَسْتَعِينُهُ وَنَسْتَغْفِرُهُ", 58),
        ("नमस्ते, मैं इस सप्ताहांत अपनी प्रेमिका के लिए खाना बनाना चाहता हूँ", 63),
        ("Γεια σας, θέλω να μαγειρέψω κάτι για την κοπέλα μου", 42),
        ("SELECT u.id, COUNT(o.id) AS orders\nFROM users u\nLEFT JOIN orders o ON o.user_id = u.id\nLIMIT 50;", 32),
        ('int main(void) {\n    for (int i = 0; i < n; i++) printf("%d", xs[i]);\n    return 0;\n}\n', 33),
        ("I love it 😍 so much ❤️ thanks 🙏 see you 👋", 17),
        ("🥺🫶🫠🪩🦥🧋🛼🪴🦩🧸", 22),
    ],
)
def test_the_count_is_near_a_tokenizers_in_languages_code_and_emoji(text: str, true: int) -> None:
    assert count_tokens(text) == pytest.approx(true, rel=0.15, abs=1)
