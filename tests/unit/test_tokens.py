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
