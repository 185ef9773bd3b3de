"""What an interaction goes through before it is stored: nothing that a database cannot hold, and no secret.

What looks like a key, a card number or a password is masked, so secrets never become memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from personaagent.inputs import Feedback
from personaagent.types import Interaction

MAX_DEPTH = 32  # of metadata and tool arguments
TOO_DEEP = "[left out: nested too deeply]"

_PEM = re.compile(
    r"-----BEGIN (?P<kind>(?:[A-Z0-9]+ ){0,3})PRIVATE KEY(?: BLOCK)?-----"
    r".*?(?:-----END (?P=kind)PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)

_API_KEY = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"sk-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{20,}"  # OpenAI, Anthropic and others
    r"|(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{16,}"  # Stripe
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}"  # AWS
    r"|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{40,}"
    r"|glpat-[A-Za-z0-9_-]{20,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}"  # Slack
    r"|AIza[A-Za-z0-9_-]{35}"  # Google
    r"|hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}"
    r"|lsv2_(?:pt|sk)_[A-Za-z0-9_]{32,}"
    r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"
    r")(?![A-Za-z0-9])"
)

_JWT = re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")
_BEARER = re.compile(
    r"\b(?P<lead>bearer\s+)(?=[A-Za-z._~+/-]*[0-9])(?P<secret>[A-Za-z0-9._~+/-]{16,}=*)", re.IGNORECASE
)
_URL_PASSWORD = re.compile(r"(?P<lead>\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,100}:)(?P<secret>[^\s/@]{1,200})(?=@)")

# a name of a secret, then a sign or a verb, then one word
_NAMED = re.compile(
    r"(?P<lead>\b(?P<name>[A-Za-z0-9_]{0,40}(?:password|passwd|passphrase|pwd|passwort|contraseña|mot de passe"
    r"|api[_ -]?key|secret[_ -]?key|access[_ -]?key|access[_ -]?token|auth[_ -]?token|client[_ -]?secret"
    r"|pin code|pin))"
    r"[\"']?(?P<sign>\s{0,3}(?::=|=>|[:=])\s{0,3}|\s{1,3}(?:is now|is|was|ist|es|est)\s{0,3}:?\s{1,3}))"
    r"(?P<quote>[\"'`]?)(?P<secret>[^\s\"'`<>]{3,200})",
    re.IGNORECASE,
)

_DIGITS = re.compile(r"(?<![\d.,/\w-])\d(?:[ -]?\d){12,18}(?![\d\w]|[.,/-]\d)")
_CARD_LENGTHS = {"2": {16}, "3": {14, 15}, "4": {13, 16, 19}, "5": {16}, "6": {16, 17, 18, 19}}

_NO_SECRETS = frozenset(
    re.findall(
        r"\S+",
        """none null true false required optional empty missing needed necessary important wrong correct incorrect
        invalid valid expired reset changed forgotten lost stolen secret safe secure insecure weak strong long short
        encrypted hashed protected set unset blank ready fine good bad different same visible hidden updated over
        accepted rejected what how why and not please yes too unknown undefined string str text here there below above
        os.environ getpass.getpass() xxx *** **** password""",
    )
)


def mask_secrets(text: str) -> str:
    """Replace secrets by marks such as ``[masked: card number]``; everything else stays to the letter.

    Masked: private keys in PEM, API keys of known makers, JSON web and bearer tokens, passwords in URLs, the word after
    "password is", "api_key=" and the like, and card numbers that pass their check digit. Idempotent; linear time.
    """
    for pattern, mark in _RULES:
        text = pattern.sub(mark, text)
    return text


def _mark(kind: str) -> Callable[[re.Match[str]], str]:
    return lambda match: f"{match.groupdict().get('lead', '')}[masked: {kind}]"


def _named(match: re.Match[str]) -> str:
    secret = match["secret"].rstrip(".,;:?)]}")
    tail = match["secret"][len(secret) :]
    name = match["name"].lower()
    if secret.startswith("[masked") or secret.lower() in _NO_SECRETS:
        return match[0]
    if name.endswith(("pin", "pin code")):
        found = re.fullmatch(r"\d{4,8}", secret) is not None
    elif re.search("[:=]", match["sign"]):
        found = len(secret) >= 3
    else:
        # after a verb a plain word is a secret only where the clause ends with it: "is swordfish." but not "is a must"
        odd = re.search(r"[0-9_]|[^\w'-]|[a-z][A-Z]", secret) is not None
        ends = tail != "" or match.end() == len(match.string) or match.string[match.end()] == "\n"
        found = len(secret) >= 3 and (odd or ends)
    kind = "password" if re.search("pass|pwd|contrase|pin", name) else "key"
    return f"{match['lead']}{match['quote']}[masked: {kind}]{tail}" if found else match[0]


def _card(match: re.Match[str]) -> str:
    digits = re.sub("[ -]", "", match[0])
    groups = [len(group) for group in re.split("[ -]", match[0])]
    if len(set(re.findall("[ -]", match[0]))) > 1 or len(digits) not in _CARD_LENGTHS.get(digits[0], set()):
        return match[0]
    grouped = len(groups) == 1 or set(groups[:-1]) == {4} or groups in ([4, 6, 5], [4, 6, 4])
    return "[masked: card number]" if grouped and _luhn(digits) else match[0]


def _luhn(digits: str) -> bool:
    doubled = (2 * int(d) if i % 2 else int(d) for i, d in enumerate(reversed(digits)))
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (_PEM, _mark("private key")),
    (_JWT, _mark("token")),
    (_API_KEY, _mark("API key")),
    (_BEARER, _mark("token")),
    (_URL_PASSWORD, _mark("password")),
    (_NAMED, _named),
    (_DIGITS, _card),
)


def storable(interaction: Interaction) -> Interaction:
    """The interaction with every text masked: what was asked, answered and said of it, tools and metadata.

    Blocking and linear in the text's length (20 ms at 32,000 characters). Idempotent.
    """
    return replace(
        interaction,
        query=storable_text(interaction.query),
        response=_maybe(interaction.response),
        ground_truth=_maybe(interaction.ground_truth),
        comment=_maybe(interaction.comment),
        rejected=_maybe(interaction.rejected),
        choices=tuple(storable_text(choice) for choice in interaction.choices),
        task=_maybe(interaction.task),
        tools=tuple(
            replace(trace, arguments=_inside(trace.arguments), brief=storable_text(trace.brief))
            for trace in interaction.tools
        ),
        metadata=_inside(interaction.metadata),
    )


def storable_feedback(given: Feedback) -> Feedback:
    """The feedback with every text masked; raises InvalidLabel where one is too long then."""
    texts = {name: _maybe(getattr(given, name)) for name in ("ground_truth", "comment", "rejected")}
    return replace(given, **texts)  # type: ignore[arg-type]


def deep(value: Any, levels: int = MAX_DEPTH) -> bool:
    """Whether a plain value is nested deeper than what every reader of it can follow; never deeper than that itself."""
    if not isinstance(value, Mapping | list | tuple):
        return False
    inner = value.values() if isinstance(value, Mapping) else value
    return levels == 0 or any(deep(one, levels - 1) for one in inner)


def storable_text(text: str) -> str:
    """The text without secrets, without NUL (Postgres refuses it) and without lone surrogates (UTF-8 has none)."""
    return mask_secrets(text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode())


def _maybe(text: str | None) -> str | None:
    return None if text is None else storable_text(text)


def _inside(value: Any, levels: int = MAX_DEPTH) -> Any:
    """The value with its texts masked; what is nested deeper than anybody can read it is left out."""
    if isinstance(value, str):
        return storable_text(value)
    if not isinstance(value, Mapping | list | tuple):
        return value
    if not levels:
        return TOO_DEEP
    if isinstance(value, Mapping):
        return {storable_text(str(key)): _keyed(str(key), inner, levels - 1) for key, inner in value.items()}
    return [_inside(inner, levels - 1) for inner in value]


def _keyed(key: str, value: Any, levels: int) -> Any:
    """A value whose key says that it is a secret (``{"password": "hunter2"}``) is judged together with its key."""
    if not isinstance(value, str):
        return _inside(value, levels)
    lead = f"{key}: "
    together = storable_text(lead + value)
    return together.removeprefix(lead) if together.startswith(lead) else storable_text(value)
