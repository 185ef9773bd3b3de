"""Which texts speak of a matter that the user names."""

from __future__ import annotations

import pytest

from personaagent.errors import InputError
from personaagent.memory.about import About


@pytest.mark.parametrize(
    ("matter", "told", "other"),
    [
        (
            "my divorce",
            ["I'm getting divorced", "DIVORCE!", "My divorce-lawyer", "two divorces"],
            ["My wife", "diverse"],
        ),
        ("my son", ["My sons are ill"], ["I am ill", "the sun", "Sonja"]),
        ("the war", ["War and peace"], ["It is warm", "the peace"]),
        ("Paula", ["Paula called"], ["Paul called"]),
        ("my ex-wife", ["My ex wife Jane"], ["My wife", "my ex boss"]),
        ("being gay", ["I am gay"], ["Being there"]),
        ("order 4242", ["The order number is 4242"], ["order 4243", "4242"]),
        ("meine Scheidung", ["Die Scheidungen", "nach der Scheidung"], ["Meine Katze", "der Schein"]),
        ("ma femme", ["Les femmes"], ["Ma fille"]),
        ("mi divorcio", ["El divorcio", "Estoy divorciado"], ["Mi mujer"]),
        ("моём разводе", ["Мой развод", "о разводах"], ["разговор", "о моём сыне"]),  # noqa: RUF001
        ("我的离婚", ["我正在离婚"], ["我很好", "我的猫"]),
        ("離婚", ["去年離婚しました"], ["結婚しました"]),
        ("이혼", ["이혼했어요"], ["결혼했어요"]),
    ],
)
def test_a_text_speaks_of_what_all_of_its_words_are_in_in_any_form(
    matter: str, told: list[str], other: list[str]
) -> None:
    about = About(matter)
    assert [text for text in told if text not in about] == []
    assert [text for text in other if text in about] == []


@pytest.mark.parametrize("nothing", ["", "  ", "it", "what I did", "...", "x" * 201])
def test_what_tells_nothing_apart_is_refused(nothing: str) -> None:
    with pytest.raises(InputError):
        About(nothing)
