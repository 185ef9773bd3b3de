"""An identity provider on loopback: it publishes its keys, and signs whatever tokens a test asks for."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HERE = "127.0.0.1"
ISSUER, AUDIENCE = "https://id.example.com/", "personaagent"


class Issuer:
    """An identity provider on loopback: its keys, how often they were asked for, and tokens signed by them."""

    def __init__(self) -> None:
        self.first = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.private = {"k1": self.first}
        self.fetched = 0
        self.status = 200
        self.extra: list[dict[str, Any]] = []
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.fetched += 1
                body = json.dumps({"keys": [*issuer.extra, *map(issuer.jwk, issuer.private)]}).encode()
                self.send_response(issuer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Keep the test output quiet."""

        self.server = ThreadingHTTPServer((HERE, 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://{HERE}:{self.server.server_address[1]}/jwks.json"

    def jwk(self, kid: str) -> dict[str, Any]:
        told: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(self.private[kid].public_key(), as_dict=True)
        return told | {"kid": kid, "use": "sig", "alg": "RS256"}

    def pem(self) -> bytes:
        return self.private["k1"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def token(self, kid: str | None = "k1", key: Any = None, alg: str = "RS256", **claims: Any) -> str:
        now = int(time.time())
        told = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 300} | claims
        told = {name: value for name, value in told.items() if value is not None}
        headers = {"kid": kid} if kid else None
        return jwt.encode(told, key or self.private[kid or "k1"], algorithm=alg, headers=headers)
