"""A session of the page ends with what opened it: a revoked key, a token that runs out, a key that is withdrawn."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from issuer_house import AUDIENCE, ISSUER, Issuer
from page_house import Browser, key_of, services_in
from personaagent.app.server import keys, tokens
from personaagent.app.server.session import COOKIE, kept_secret
from personaagent.graph.services import Services


@pytest.fixture
async def by_key(own_settings: Path) -> AsyncIterator[Services]:
    services = services_in(own_settings, auth="api_key")
    yield services
    await services.close()


@pytest.fixture(scope="module")
def published() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.server.shutdown()
    issuer.server.server_close()


@pytest.fixture
def issuer(published: Issuer) -> Issuer:
    published.private, published.status = {"k1": published.first}, 200
    tokens._key_set.cache_clear()
    return published


def told(issuer: Issuer) -> dict[str, Any]:
    return {"auth": "jwt", "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwt_jwks_url": issuer.url}


@pytest.fixture
async def by_token(own_settings: Path, issuer: Issuer) -> AsyncIterator[Services]:
    services = services_in(own_settings, **told(issuer))
    yield services
    await services.close()


async def signed_in(services: Services, credential: str) -> Browser:
    browser = Browser(services, peer="192.0.2.7")
    assert (await browser.sign_in(credential)).status_code == 303
    assert (await browser.get("/me")).status_code == 200
    return browser


def claims_of(browser: Browser) -> dict[str, Any]:
    told: dict[str, Any] = jwt.decode(browser.http.cookies[COOKIE], options={"verify_signature": False})
    return told


async def is_over(browser: Browser, services: Services) -> bool:
    """Whether nothing is shown and nothing is taken any more."""
    seen = (await browser.get("/me")).status_code == 200
    exported = (await browser.get("/me/data/export")).status_code == 200
    taken = (await browser.post("/me/pins", text="after the end")).status_code == 303
    assert (await services.personas.pins("ann") != []) is taken
    assert seen is exported is taken
    return not seen


async def test_revoking_the_key_ends_the_sessions_that_it_opened_and_no_other(
    by_key: Services, own_settings: Path
) -> None:
    one = await signed_in(by_key, key_of(own_settings, "ann"))
    two = await signed_in(by_key, key_of(own_settings, "ann"))
    path = keys.path_of(by_key.settings)
    revoked = keys.read(path)[claims_of(one)["key"]]
    keys.revoke(path, revoked)
    assert await is_over(one, by_key)
    assert not await is_over(two, by_key)


async def test_a_session_ends_when_the_key_is_taken_out_of_the_file_or_given_to_another(
    by_key: Services, own_settings: Path
) -> None:
    browser = await signed_in(by_key, key_of(own_settings, "ann"))
    path = keys.path_of(by_key.settings)
    kept = path.read_text()
    path.write_text(json.dumps(json.loads(kept) | {"user_id": "bob"}) + "\n")
    assert await is_over(browser, by_key)
    path.unlink()
    assert await is_over(browser, by_key)


async def test_a_key_file_that_cannot_be_trusted_opens_no_page_and_says_so(
    by_key: Services, own_settings: Path
) -> None:
    browser = await signed_in(by_key, key_of(own_settings, "ann"))
    keys.path_of(by_key.settings).chmod(0o666)
    response = await browser.get("/me")
    assert response.status_code == 503
    assert str(own_settings) not in response.text


async def test_a_session_is_not_longer_than_the_token_that_opened_it(by_token: Services, issuer: Issuer) -> None:
    now = int(time.time())
    leeway = by_token.settings.jwt_leeway_s
    short = claims_of(await signed_in(by_token, issuer.token(exp=now + 120)))
    assert short["exp"] == now + 120 + leeway
    long = claims_of(await signed_in(by_token, issuer.token(exp=now + 90_000)))
    assert long["exp"] - long["iat"] == by_token.settings.session_minutes * 60


async def test_a_session_whose_time_is_over_shows_nothing(by_token: Services, issuer: Issuer) -> None:
    browser = await signed_in(by_token, issuer.token())
    secret = kept_secret(by_token.settings.home / "session_secret")
    over = jwt.encode(claims_of(browser) | {"exp": int(time.time()) - 1}, secret)
    browser.http.cookies.clear()
    browser.http.cookies.set(COOKIE, over)
    assert await is_over(browser, by_token)


async def test_a_session_ends_when_the_issuer_withdraws_the_key_that_signed_the_token(
    by_token: Services, issuer: Issuer
) -> None:
    browser = await signed_in(by_token, issuer.token())
    issuer.private = {"k2": rsa.generate_private_key(public_exponent=65537, key_size=2048)}
    tokens._key_set.cache_clear()  # as when the time for which keys are kept is over
    assert await is_over(browser, by_token)


async def test_where_the_keys_cannot_be_fetched_the_page_says_so_instead_of_guessing(
    by_token: Services, issuer: Issuer
) -> None:
    browser = await signed_in(by_token, issuer.token())
    issuer.status = 500
    tokens._key_set.cache_clear()
    response = await browser.get("/me")
    assert response.status_code == 503
    assert "Not available at present" in response.text


@pytest.mark.parametrize("other", [{"jwt_issuer": "https://other.example/"}, {"jwt_audience": "other"}], ids=str)
async def test_a_session_of_another_issuer_or_for_another_service_is_worth_nothing(
    by_token: Services, issuer: Issuer, own_settings: Path, other: dict[str, str]
) -> None:
    before = await signed_in(by_token, issuer.token())
    services = services_in(own_settings, **told(issuer) | other)
    after = Browser(services)
    after.http.cookies = before.http.cookies
    assert (await after.get("/me")).status_code == 303
    await services.close()


async def test_a_session_of_development_mode_is_worth_nothing_on_another_machine(own_settings: Path) -> None:
    services = services_in(own_settings)
    here = Browser(services)
    await here.sign_in("ann")
    assert (await here.get("/me")).status_code == 200
    there = Browser(services, peer="192.0.2.7")
    there.http.cookies = here.http.cookies
    assert (await there.get("/me")).status_code == 403
    await services.close()


@pytest.mark.parametrize("held", [b"", b"x", b"x" * 31, bytes(64), b"ab" * 32])
def test_a_secret_that_is_too_short_to_sign_with_is_made_anew(tmp_path: Path, held: bytes) -> None:
    path = tmp_path / "session_secret"
    path.write_bytes(held)
    made = kept_secret(path)
    assert len(made) >= 32 and made != held
    assert kept_secret(path) == made
    assert path.stat().st_mode & 0o077 == 0
