"""Who is asking: what each mode accepts, and what each refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from issuer_house import AUDIENCE, HERE, ISSUER, Issuer
from personaagent.app.cli import main
from personaagent.app.server import auth, keys, tokens
from personaagent.app.server.identity import ASSISTANTS_WRITE, STUDIO_USER, Identity, identify, studio_allowed
from personaagent.errors import IdentityUnavailable, NotSignedIn, SetupError
from personaagent.ownership import alignment_thread, is_alignment_thread, owner_of
from personaagent.settings import Settings

# --- development


async def test_dev_believes_whom_a_local_client_names() -> None:
    found = await identify({"X-User-Id": "ann"}, Settings(), peer=HERE)
    assert (found.user_id, found.scopes) == ("ann", frozenset({ASSISTANTS_WRITE}))
    assert (await identify({}, Settings(), peer="::1")).user_id == "dev"


@pytest.mark.parametrize("peer", ["10.0.0.7", "::ffff:10.0.0.7", "example.com", "", None])
async def test_dev_refuses_whoever_is_not_on_this_machine(peer: str | None) -> None:
    with pytest.raises(NotSignedIn, match="this machine only"):
        await identify({"X-User-Id": "ann"}, Settings(), peer=peer)


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"])
async def test_dev_refuses_what_came_through_a_proxy(header: str) -> None:
    with pytest.raises(NotSignedIn, match="this machine only"):
        await identify({header: "203.0.113.9"}, Settings(), peer=HERE)


async def test_dev_refuses_web_pages_of_other_sites_and_rebound_host_names() -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example:2024"}):
        with pytest.raises(NotSignedIn):
            await identify(headers, Settings(), peer=HERE)
    for headers in ({"Origin": "http://localhost:3000"}, {"Host": "localhost:2024"}, {"Host": "[::1]:2024"}):
        assert (await identify(headers, Settings(), peer=HERE)).user_id == "dev"


async def test_studios_origin_follows_the_setting() -> None:
    studio = {"Origin": "https://smith.langchain.com"}
    assert (await identify(studio, Settings(), peer=HERE)).user_id == "dev"
    with pytest.raises(NotSignedIn):
        await identify(studio, Settings(studio_access="off"), peer=HERE)


def test_studio_is_on_by_itself_only_in_development() -> None:
    assert studio_allowed(Settings())
    assert not studio_allowed(Settings(auth="jwt"))
    assert not studio_allowed(Settings(auth="api_key"))
    assert studio_allowed(Settings(auth="jwt", studio_access="on"))
    assert not studio_allowed(Settings(studio_access="off"))


@pytest.mark.parametrize("name", ["a\nb", "x" * 300, "  "])
async def test_a_name_that_cannot_be_a_user_id_signs_nobody_in(name: str) -> None:
    with pytest.raises(NotSignedIn, match="cannot be a user"):
        await identify({"X-User-Id": name}, Settings(), peer=HERE)


async def test_what_keeps_everybody_out_is_told_to_the_operator_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(auth, "SETTINGS", Settings(auth="jwt"))
    with pytest.raises(HTTPException) as refused:
        await auth.authenticate({"headers": [(b"authorization", b"Bearer x.y.z")]})
    assert refused.value.status_code == 503
    assert "SetupError" in refused.value.detail and "JWT" not in refused.value.detail
    assert "PERSONAAGENT_JWT_ISSUER" in caplog.text


async def test_a_users_name_may_have_any_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "SETTINGS", Settings())
    scope = {"headers": [(b"x-user-id", "Zoë/李".encode())], "client": (HERE, 1)}
    assert (await auth.authenticate(scope))["identity"] == "Zoë/李"


@given(st.text(min_size=1), st.text(min_size=1))
def test_marks_of_two_users_are_never_the_same_and_a_name_tells_no_thread(one: str, other: str) -> None:
    one, other = (name.encode("utf-8", "replace").decode() for name in (one, other))
    assert (owner_of(one) == owner_of(other)) is (one == other)
    assert (alignment_thread(one, "salt") == alignment_thread(other, "salt")) is (one == other)
    assert alignment_thread(one, "salt") != alignment_thread(one, "another"), "a name alone does not tell it"
    assert is_alignment_thread(alignment_thread(one, "salt"))
    assert not is_alignment_thread(uuid4())


# --- API keys


@pytest.fixture
def by_key(tmp_path: Path) -> Settings:
    return Settings(auth="api_key", api_keys_file=tmp_path / "keys.jsonl")


async def test_a_key_signs_its_user_in_by_either_header(by_key: Settings) -> None:
    key, _ = keys.add(keys.path_of(by_key), "ann", [ASSISTANTS_WRITE])
    for headers in ({"Authorization": f"Bearer {key}"}, {"X-Api-Key": key}):
        found = await identify(headers, by_key)
        assert found == Identity("ann", frozenset({ASSISTANTS_WRITE}), "ann")


async def test_naming_another_user_beside_a_key_changes_nothing(by_key: Settings) -> None:
    key, _ = keys.add(keys.path_of(by_key), "ann")
    assert (await identify({"X-Api-Key": key, "X-User-Id": "bob"}, by_key, peer=HERE)).user_id == "ann"


async def test_the_key_file_never_holds_a_key_and_is_the_owners_alone(by_key: Settings) -> None:
    key, _ = keys.add(keys.path_of(by_key), "ann")
    path = keys.path_of(by_key)
    assert key.split("_", 2)[2] not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


async def test_a_revoked_key_opens_nothing_from_the_next_request_on(by_key: Settings) -> None:
    path = keys.path_of(by_key)
    (lost, kept), (spare, _) = keys.add(path, "ann"), keys.add(path, "ann")
    assert (await identify({"X-Api-Key": lost}, by_key)).user_id == "ann"
    keys.revoke(path, kept)
    with pytest.raises(NotSignedIn, match="revoked"):
        await identify({"X-Api-Key": lost}, by_key)
    assert (await identify({"X-Api-Key": spare}, by_key)).user_id == "ann"


async def test_unknown_altered_and_missing_keys_are_refused_without_being_repeated(by_key: Settings) -> None:
    key, kept = keys.add(keys.path_of(by_key), "ann")
    wrong = [key[:-1] + ("a" if key[-1] != "a" else "b"), f"pa_{kept.id}_", f"pa_{kept.id}", kept.sha256, "pa__", "ä"]
    for sent in wrong:
        with pytest.raises(NotSignedIn) as refused:
            await identify({"X-Api-Key": sent}, by_key)
        assert sent not in str(refused.value)
    with pytest.raises(NotSignedIn, match="nobody is signed in"):
        await identify({"X-User-Id": "ann"}, by_key, peer=HERE)


async def test_two_different_credentials_in_one_request_are_refused(by_key: Settings) -> None:
    (one, _), (other, _) = keys.add(keys.path_of(by_key), "ann"), keys.add(keys.path_of(by_key), "bob")
    with pytest.raises(NotSignedIn, match="two different"):
        await identify({"X-Api-Key": one, "Authorization": f"Bearer {other}"}, by_key)


async def test_a_key_file_that_others_can_write_is_not_used(by_key: Settings) -> None:
    key, _ = keys.add(keys.path_of(by_key), "ann")
    keys.path_of(by_key).chmod(0o666)
    with pytest.raises(SetupError, match="chmod 600"):
        await identify({"X-Api-Key": key}, by_key)


@pytest.mark.parametrize("line", ["{", "[]", '{"id": "x", "revoked_at": "2026-01-01T00:00:00+00:00"}', '{"id": 1}'])
async def test_a_damaged_key_file_lets_nobody_in(by_key: Settings, line: str) -> None:
    key, _ = keys.add(keys.path_of(by_key), "ann")
    with keys.path_of(by_key).open("a") as out:
        out.write(line + "\n")
    with pytest.raises(SetupError, match="line 2"):
        await identify({"X-Api-Key": key}, by_key)


@pytest.mark.parametrize("torn", [b'{"id": "b1", "user', '{"id": "b1", "user_id": "ä'.encode()[:-1], bytes(40)])
async def test_a_line_that_was_never_written_to_its_end_keeps_nobody_out(by_key: Settings, torn: bytes) -> None:
    path = keys.path_of(by_key)
    key, _ = keys.add(path, "ann")
    with path.open("ab") as out:
        out.write(torn)  # the process was killed here
    assert (await identify({"X-Api-Key": key}, by_key)).user_id == "ann"
    other, _ = keys.add(path, "bob")
    for credential, user in ((key, "ann"), (other, "bob")):
        assert (await identify({"X-Api-Key": credential}, by_key)).user_id == user
    path.write_text(path.read_text().rstrip("\n"))  # the last line is whole but for its end
    keys.revoke(path, keys.read(path)[other.split("_")[1]])
    with pytest.raises(NotSignedIn, match="revoked"):
        await identify({"X-Api-Key": other}, by_key)


def test_no_key_is_made_in_a_file_that_lets_nobody_in(by_key: Settings) -> None:
    path = keys.path_of(by_key)
    keys.add(path, "ann")
    with path.open("a") as out:
        out.write("{\n")
    with pytest.raises(SetupError, match="line 2"):
        keys.add(path, "bob")


async def test_a_second_line_cannot_take_a_keys_id_for_another_user(by_key: Settings) -> None:
    path = keys.path_of(by_key)
    key, _ = keys.add(path, "ann")
    with path.open("a") as out:
        out.write(json.dumps(json.loads(path.read_text()) | {"user_id": "mallory"}) + "\n")
    with pytest.raises(SetupError, match="line 2"):
        await identify({"X-Api-Key": key}, by_key)


def test_the_command_line_shows_a_key_once_and_revokes_it(capsys: pytest.CaptureFixture[str]) -> None:
    def ran(*arguments: str) -> tuple[int, str]:
        code = main(("keys", *arguments))
        return code, capsys.readouterr().out

    _, key = ran("add", "--user", "ann")
    assert key.startswith("pa_")
    _, listed = ran("list", "--json")
    assert [one["user_id"] for one in json.loads(listed)] == ["ann"]
    assert key.strip() not in listed
    assert ran("revoke", "--user", "bob", "--yes")[0] == 1
    assert ran("revoke", "--user", "ann", "--yes")[0] == 0
    assert json.loads(ran("list", "--json")[1])[0]["revoked_at"]
    assert ran("add", "--user", "ann", "--scope", "everything")[0] == 1


# --- tokens


@pytest.fixture(scope="module")
def published() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.server.shutdown()
    issuer.server.server_close()


@pytest.fixture
def issuer(published: Issuer) -> Issuer:
    """The issuer as it began, and nothing known of it."""
    published.private = {"k1": published.first}
    published.extra, published.status, published.fetched = [], 200, 0
    tokens._key_set.cache_clear()
    return published


@pytest.fixture
def by_token(issuer: Issuer) -> Settings:
    return Settings(auth="jwt", jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_jwks_url=issuer.url)


async def signed_in(token: str, settings: Settings) -> Identity:
    return await identify({"Authorization": f"Bearer {token}"}, settings)


async def test_a_token_of_the_issuer_signs_its_subject_in(issuer: Issuer, by_token: Settings) -> None:
    token = issuer.token(name="Ann Smith", scope=f"openid {ASSISTANTS_WRITE}")
    found = await signed_in(token, by_token)
    assert found == Identity("ann", frozenset({"openid", ASSISTANTS_WRITE}), "Ann Smith")


async def test_the_claim_that_is_the_user_can_be_chosen(issuer: Issuer, by_token: Settings) -> None:
    settings = by_token.model_copy(update={"jwt_user_claim": "email"})
    assert (await signed_in(issuer.token(email="ann@example.com"), settings)).user_id == "ann@example.com"
    with pytest.raises(NotSignedIn, match="claim is missing"):
        await signed_in(issuer.token(), settings)
    with pytest.raises(NotSignedIn, match="no text"):
        await signed_in(issuer.token(email=7), settings)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://evil.example/"}, "somebody else"),
        ({"aud": "another"}, "another service"),
        ({"exp": int(time.time()) - 3600}, "expired"),
        ({"nbf": int(time.time()) + 3600}, "not valid yet"),
        ({"exp": None}, "claim is missing"),
        ({"aud": None}, "claim is missing"),
        ({"iss": None}, "claim is missing"),
        ({"sub": None}, "claim is missing"),
        ({"sub": ""}, "cannot be a user"),
        ({"sub": STUDIO_USER}, "Studio's own"),
    ],
)
async def test_a_token_that_says_the_wrong_thing_is_refused(
    issuer: Issuer, by_token: Settings, claims: dict[str, Any], reason: str
) -> None:
    with pytest.raises(NotSignedIn, match=reason):
        await signed_in(issuer.token(**claims), by_token)


async def test_clocks_may_differ_by_the_leeway_and_no_more(issuer: Issuer, by_token: Settings) -> None:
    late = issuer.token(exp=int(time.time()) - 100)
    assert (await signed_in(late, by_token.model_copy(update={"jwt_leeway_s": 200.0}))).user_id == "ann"
    with pytest.raises(NotSignedIn, match="expired"):
        await signed_in(late, by_token)


async def test_an_unsigned_token_and_one_signed_with_the_public_key_as_a_secret_are_refused(
    issuer: Issuer, by_token: Settings
) -> None:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": int(time.time()) + 300}
    unsigned = jwt.encode(claims, None, algorithm="none", headers={"kid": "k1"})
    by_hand = _hs256(claims, issuer.pem())
    for token in (unsigned, by_hand):
        with pytest.raises(NotSignedIn, match="algorithm"):
            await signed_in(token, by_token)


async def test_a_key_of_another_kind_than_the_token_says_is_refused(issuer: Issuer, by_token: Settings) -> None:
    mine = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(NotSignedIn):
        await signed_in(issuer.token(key=mine, alg="ES256"), by_token)
    with pytest.raises(NotSignedIn):  # the published key is for RS256
        await signed_in(issuer.token(alg="PS256"), by_token)


async def test_a_token_signed_by_somebody_elses_key_is_refused(issuer: Issuer, by_token: Settings) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(NotSignedIn, match="signature"):
        await signed_in(issuer.token(key=other), by_token)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "e30.e30.", "." * 50, "x" * 9000])
async def test_what_is_no_token_is_refused(by_token: Settings, token: str) -> None:
    with pytest.raises(NotSignedIn):
        await signed_in(token, by_token)


def test_symmetric_algorithms_cannot_even_be_configured() -> None:
    for name in ("none", "HS256"):
        with pytest.raises(ValidationError):
            Settings(jwt_algorithms=(name,))  # type: ignore[arg-type]


async def test_keys_are_fetched_once_and_again_when_the_issuer_rotates(
    issuer: Issuer, by_token: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "REFRESH_S", 0.0)
    for _ in range(3):
        await signed_in(issuer.token(), by_token)
    assert issuer.fetched == 1
    issuer.private["k2"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert (await signed_in(issuer.token(kid="k2"), by_token)).user_id == "ann"
    assert issuer.fetched == 2


async def test_made_up_key_ids_do_not_make_the_server_fetch_each_time(issuer: Issuer, by_token: Settings) -> None:
    await signed_in(issuer.token(), by_token)
    for n in range(20):
        with pytest.raises(NotSignedIn, match="does not publish"):
            await signed_in(issuer.token(kid=f"made-up-{n}", key=issuer.private["k1"]), by_token)
    assert issuer.fetched == 1


async def test_known_keys_serve_while_the_issuer_is_down_but_not_for_ever(
    issuer: Issuer, by_token: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = by_token.model_copy(update={"jwt_jwks_cache_s": 1e-9})
    monkeypatch.setattr(tokens, "REFRESH_S", 0.0)
    await signed_in(issuer.token(), settings)
    issuer.status = 503
    assert (await signed_in(issuer.token(), settings)).user_id == "ann"
    assert issuer.fetched >= 2
    monkeypatch.setattr(tokens, "STALE_S", 0.0)
    with pytest.raises(IdentityUnavailable):
        await signed_in(issuer.token(), settings)


async def test_a_key_that_is_not_known_cannot_be_told_from_a_new_one_while_the_issuer_is_down(
    issuer: Issuer, by_token: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "REFRESH_S", 0.0)
    await signed_in(issuer.token(), by_token)
    issuer.private["k2"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    issuer.status = 503
    with pytest.raises(IdentityUnavailable):
        await signed_in(issuer.token(kid="k2"), by_token)
    assert (await signed_in(issuer.token(), by_token)).user_id == "ann"
    issuer.status = 200
    monkeypatch.setattr(tokens, "RETRY_S", 0.0)
    assert (await signed_in(issuer.token(kid="k2"), by_token)).user_id == "ann"


async def test_without_any_keys_nobody_can_be_told(issuer: Issuer, by_token: Settings) -> None:
    issuer.status = 500
    with pytest.raises(IdentityUnavailable):
        await signed_in(issuer.token(), by_token)


async def test_published_keys_that_cannot_verify_are_left_out(issuer: Issuer, by_token: Settings) -> None:
    issuer.extra = [{"kty": "oct", "k": "c2VjcmV0", "kid": "k0", "alg": "HS256"}, {"kty": "RSA", "kid": "broken"}, 7]  # type: ignore[list-item]
    assert (await signed_in(issuer.token(), by_token)).user_id == "ann"


@pytest.mark.parametrize("url", ["http://id.example.com/jwks", "file:///etc/passwd", "ftp://id.example.com/x"])
def test_signing_keys_are_only_fetched_where_nobody_can_change_them(url: str) -> None:
    with pytest.raises(SetupError, match="https"):
        tokens.KeySet(url, 1.0)


async def test_a_public_key_file_serves_where_there_is_no_jwks(issuer: Issuer, tmp_path: Path) -> None:
    pem = tmp_path / "issuer.pem"
    pem.write_bytes(issuer.pem())
    settings = Settings(auth="jwt", jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_public_key_file=pem)
    assert (await signed_in(issuer.token(kid=None), settings)).user_id == "ann"
    with pytest.raises(NotSignedIn, match="signature"):
        other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        await signed_in(issuer.token(key=other), settings)
    assert issuer.fetched == 0


@pytest.mark.parametrize(
    "missing", [{}, {"jwt_issuer": ISSUER}, {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}], ids=len
)
async def test_a_mode_that_is_not_configured_says_what_is_missing(issuer: Issuer, missing: dict[str, str]) -> None:
    with pytest.raises(SetupError, match="PERSONAAGENT_JWT_"):
        await signed_in(issuer.token(), Settings(auth="jwt", **missing))  # type: ignore[arg-type]


async def test_a_private_key_in_place_of_the_public_one_is_refused(issuer: Issuer, tmp_path: Path) -> None:
    wrong = tmp_path / "x.pem"
    wrong.write_text("-----BEGIN PRIVATE KEY-----\n")
    settings = Settings(auth="jwt", jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_public_key_file=wrong)
    with pytest.raises(SetupError, match="public key"):
        await signed_in(issuer.token(), settings)


def _hs256(claims: dict[str, Any], secret: bytes) -> str:
    """A token signed as PyJWT refuses to sign it: with a public key as the shared secret."""
    import hmac
    from base64 import urlsafe_b64encode

    parts = [json.dumps({"alg": "HS256", "kid": "k1"}).encode(), json.dumps(claims).encode()]
    text = b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    return (text + b"." + urlsafe_b64encode(hmac.digest(secret, text, "sha256")).rstrip(b"=")).decode()


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1/", "http://127.0.0.1:2024/", "http://[fc00::1]/", "http://168.63.129.16/", "/threads", "x://["],
)
async def test_webhooks_do_not_go_into_the_deployments_own_network(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return [host]

    monkeypatch.setattr(auth, "resolve_host", resolve)
    with pytest.raises(HTTPException) as refused:
        await auth._check_webhook(url)
    assert refused.value.status_code == 422
    await auth._check_webhook("https://93.184.216.34/hook")
    monkeypatch.setattr(auth, "SETTINGS", Settings(webhook_hosts=frozenset({"10.0.0.1"})))
    await auth._check_webhook("http://10.0.0.1/hook")


def test_a_webhook_that_leads_on_into_a_private_network_is_stopped_where_the_server_connects() -> None:
    told = json.loads((Path(__file__).parents[2] / "langgraph.json").read_text())["webhooks"]
    program = """
import asyncio, httpx
from langgraph_api.http import ensure_webhook_http_client
from langgraph_api.lc_security import SSRFBlockedError
async def main():
    client = await ensure_webhook_http_client()
    for url in ("http://10.0.0.1/", "http://192.168.1.1/", "http://[fd00::1]/", "http://127.0.0.1:9/"):
        try:
            await client.client.get(url, timeout=2)
        except SSRFBlockedError:
            print("blocked")
asyncio.run(main())
"""
    env = os.environ | {"LANGGRAPH_WEBHOOKS": json.dumps(told), "DATABASE_URI": ":memory:", "REDIS_URI": "x"}
    env |= {"LANGGRAPH_RUNTIME_EDITION": "inmem"}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines().count("blocked") == 4, done.stderr[-1_000:]
