"""How long a text is for a model, near enough for budgets."""

from __future__ import annotations

CHARS_A_TOKEN = 4


def count_tokens(text: str) -> int:
    """Return about how many tokens the text has: its characters over four, rounded up; 0 for an empty text.

    The true count is the tokenizer's, which differs by model and is not at hand for an endpoint (tiktoken would
    download its tables). Four characters a token is right within a third for English; scripts with a token a
    character are counted too low.
    """
    return -(-len(text) // CHARS_A_TOKEN)
