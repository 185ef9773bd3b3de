"""Secrets are masked before anything is stored, and nothing else is touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaagent.masking import mask_secrets

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nabc==\n-----END RSA PRIVATE KEY-----"

SECRETS = [
    ("use sk-proj-aB3dE5fG7hI9jK1lM3nO5pQ7 please", "use [masked: API key] please"),
    ("sk-ant-api03-aaaaaaaaaaaaaaaaaaaaaaaa", "[masked: API key]"),
    ("key AKIAIOSFODNN7EXAMPLE.", "key [masked: API key]."),
    ("ghp_" + "a1B2c3D4e5" * 4, "[masked: API key]"),
    ("github_pat_" + "11ABCDEFG0_" * 5, "[masked: API key]"),
    ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "[masked: API key]"),
    ("AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY", "[masked: API key]"),
    ("xoxb-123456789012-abcdef", "[masked: API key]"),
    (f"token {JWT} here", "token [masked: token] here"),
    ("Authorization: Bearer abcDEF1234567890xyz", "Authorization: Bearer [masked: token]"),
    (f"before\n{PEM}\nafter", "before\n[masked: private key]\nafter"),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r", "[masked: private key]"),
    ("card 4111 1111 1111 1111, thanks", "card [masked: card number], thanks"),
    ("4111111111111111", "[masked: card number]"),
    ("5555-5555-5555-4444", "[masked: card number]"),
    ("amex 3782 822463 10005", "amex [masked: card number]"),
    ("378282246310005.", "[masked: card number]."),
    ("My password is hunter2.", "My password is [masked: password]."),
    ("my password is swordfish", "my password is [masked: password]"),
    ("my password is: Tr0ub4dor&3 ok?", "my password is: [masked: password] ok?"),
    ("password: correct-horse", "password: [masked: password]"),
    ('{"password": "s3cr3t!"}', '{"password": "[masked: password]"}'),
    ("DB_PASSWORD=letmein", "DB_PASSWORD=[masked: password]"),
    ("pwd = 'qwerty'", "pwd = '[masked: password]'"),
    ("the PIN is 4821", "the PIN is [masked: password]"),
    ("api_key=0123456789abcdef", "api_key=[masked: key]"),
    ("AWS_SECRET_ACCESS_KEY: wJalrXUtnFEMI/K7MDENG", "AWS_SECRET_ACCESS_KEY: [masked: key]"),
    ("postgres://bob:s3cret@db:5432/x", "postgres://bob:[masked: password]@db:5432/x"),
]

ORDINARY = [
    "",
    "order 4111111111111112 has not arrived",  # fails the check digit
    "order no. 1234567890123456",
    "ISBN 978-3-16-148410-0 and 9780306406157",
    "call +1 415 555 2671 or +49 170 1234567",
    "on 2026-11-23 12:34:56 it cost $1,299.99",
    "IBAN DE89 3704 0044 0532 0130 00",
    "0000 0000 0000 0000",
    "tracking 1Z999AA10123456784",
    "timestamp 1795392000000000",
    "The password is required and was changed yesterday",
    "my password is not working",
    "I forgot my password: what now?",
    "password reset does not work",
    "a password manager is a must",
    "the PIN was wrong, the pin is on the map",
    "the bearer of good news brought understanding",
    "skating, risk-taking and sk-learn pipelines",
    "sk-this-is-a-very-long-hyphenated-phrase",
    "https://example.org/a:b@c and user@example.org",
    "the secret is patience",
    "pi is 3.14159265358979323846",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "uuid 123e4567-e89b-12d3-a456-426614174000",
]


@pytest.mark.parametrize(("text", "masked"), SECRETS, ids=range(len(SECRETS)))
def test_a_secret_is_masked_and_its_surroundings_stay(text: str, masked: str) -> None:
    assert mask_secrets(text) == masked


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays_to_the_letter(text: str) -> None:
    assert mask_secrets(text) == text


@pytest.mark.parametrize("text", [text for text, _ in SECRETS])
def test_masking_again_changes_nothing(text: str) -> None:
    once = mask_secrets(text)
    assert mask_secrets(once) == once


@given(st.text(alphabet="abc xyz,.?!\n'\"()äß東😀"))
def test_text_of_letters_alone_is_never_changed(text: str) -> None:
    assert mask_secrets(text) == text
