"""The words of a question that can tell something."""

from __future__ import annotations

import re

READ_CHARS = 2_000  # of a question

_WORD = re.compile(r"[^\W\d_]{4,20}")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "about after again also because been before being between both could does doing down during each from have "
        "having here into just more most other over same should some such than that their them then there these they "
        "this those through under very were what when where which while will with would your",
    )
)


def words_in(text: str) -> set[str]:
    """Words of 4 to 20 letters in lower case, without the commonest English ones."""
    return set(_WORD.findall(text[:READ_CHARS].casefold())) - _COMMON
