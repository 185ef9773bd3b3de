"""Tokens of an identity provider on a real server process: who gets in, and what everybody else is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from issuer_house import AUDIENCE, ISSUER, Issuer
from personaagent.app.server.auth import RETRY_AFTER_S
from personaagent.app.server.tokens import RETRY_S
from personaagent.ownership import owner_of
from server_house import langgraph_dev
from stub_endpoint import endpoint

pytestmark = pytest.mark.server

TURN = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "Which film tonight?"}]}}


@dataclass
class House:
    """The server, its issuer, and what the server answered while the issuer did not."""

    url: str
    issuer: Issuer
    down: list[httpx.Response]

    def post(self, path: str, token: str | None = None, body: Any = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.post(f"{self.url}{path}", headers=headers, json=body or {}, timeout=60)

    def get(self, path: str, token: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", headers={"Authorization": f"Bearer {token}"}, timeout=60)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    issuer = Issuer()
    issuer.status = 500
    settings = {
        "PERSONAAGENT_AUTH": "jwt",
        "PERSONAAGENT_JWT_ISSUER": ISSUER,
        "PERSONAAGENT_JWT_AUDIENCE": AUDIENCE,
        "PERSONAAGENT_JWT_JWKS_URL": issuer.url,
    }
    with endpoint() as (base_url, _), langgraph_dev(tmp_path_factory.mktemp("home"), base_url, **settings) as url:
        house = House(url, issuer, [])
        token = issuer.token()
        house.down = [house.post("/threads", token), house.post("/runs/wait", token, TURN)]
        house.down += [house.get("/api/v1/me/persona", token)]
        issuer.status = 200
        until = time.monotonic() + 10 * RETRY_S
        while house.post("/threads", token).is_error and time.monotonic() < until:
            time.sleep(0.5)
        yield house
    issuer.server.shutdown()
    issuer.server.server_close()


def test_while_the_issuer_does_not_answer_it_is_503_by_name_with_what_to_do_and_no_address(server: House) -> None:
    for answer in server.down:
        assert answer.status_code == 503, answer.text
        assert server.issuer.url not in answer.text
    for answer in server.down[:2]:
        assert answer.json()["detail"].startswith("IdentityUnavailable: the identity provider's signing keys")
        assert "personaagent doctor" in answer.json()["detail"]
        assert answer.headers["retry-after"] == RETRY_AFTER_S


def test_once_the_issuer_answers_its_token_opens_threads_turns_and_our_own_routes(server: House) -> None:
    token = server.issuer.token(sub="ann")
    thread = server.post("/threads", token)
    assert thread.status_code == 200
    assert thread.json()["metadata"]["owner"] == owner_of("ann")
    turn = server.post(f"/threads/{thread.json()['thread_id']}/runs/wait", token, TURN)
    assert turn.json()["answer"] == "You said: Which film tonight?"
    kept = server.get("/api/v1/me/memories", token).json()
    assert [memory["user_id"] for memory in kept["memories"]] == ["ann"]
    assert server.get("/api/v1/me/memories", server.issuer.token(sub="bob")).json()["count"] == 0


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"aud": "another-service"}, "for another service"),
        ({"iss": "https://evil.example/"}, "by somebody else"),
        ({"exp": int(time.time()) - 3600}, "has expired"),
        ({"exp": None}, "a claim is missing"),
        ({"key": rsa.generate_private_key(public_exponent=65537, key_size=2048)}, "signature is wrong"),
        ({"kid": "k9", "key": rsa.generate_private_key(public_exponent=65537, key_size=2048)}, "does not publish"),
    ],
    ids=["audience", "issuer", "expired", "no expiry", "another key", "an unknown key"],
)
def test_any_other_token_is_401_with_the_reason_everywhere(server: House, claims: dict[str, Any], why: str) -> None:
    token = server.issuer.token(**claims)
    for answer in (
        server.post("/threads", token),
        server.post("/runs/wait", token, TURN),
        server.get("/api/v1/me/memories", token),
    ):
        assert answer.status_code == 401, answer.text
        assert why in answer.text
        assert token not in answer.text


def test_without_a_token_and_with_a_name_alone_it_is_401(server: House) -> None:
    assert server.post("/threads").status_code == 401
    named = httpx.post(f"{server.url}/threads", headers={"X-User-Id": "ann"}, json={})
    assert named.status_code == 401


def test_a_token_does_not_open_another_users_run(server: House) -> None:
    refused = server.post("/runs/wait", server.issuer.token(sub="bob"), TURN | {"context": {"user_id": "ann"}})
    assert refused.status_code == 403
