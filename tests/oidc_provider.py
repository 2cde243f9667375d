"""A login provider in a thread: OpenID Connect over HTTP, with real RS256 keys. It logs in whoever `person` is, without a page.

with OIDCProvider() as provider:
    provider.person = {"sub": "1", "email": "ann@example.org", "email_verified": True}
    provider.claims = lambda claims: {**claims, "aud": "another"}      # what is wrong with the next ID tokens
    provider.sign = lambda claims: jwt.encode(claims, None, "none")    # or with how they are signed
    provider.rotate()                                                  # a new key; the one before is known no more
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

CLIENT_ID = "local-mind"
CLIENT_SECRET = "s3cret of the client"
Claims = dict[str, Any]


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@cache
def key_pair(number: int, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The same a number in a test process: making one takes a tenth of a second and more."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


class OIDCProvider:
    def __init__(self) -> None:
        self.person: Claims = {"sub": "248289761001", "email": "ann@example.org", "email_verified": True, "name": "Ann"}
        self.claims: Callable[[Claims], Claims] = lambda claims: claims
        self.sign: Callable[[Claims], str] = self.signed
        self.asked: list[str] = []
        """Paths, in order."""
        self._codes: dict[str, dict[str, str]] = {}
        self._rotations = 0
        self.rotate()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> OIDCProvider:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def rotate(self) -> None:
        self._rotations += 1
        self.key = key_pair(self._rotations % 2)
        self.kid = secrets.token_hex(4)

    @property
    def jwks(self) -> Claims:
        return {"keys": [{**RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True), "kid": self.kid, "use": "sig", "alg": "RS256"}]}

    def signed(self, claims: Claims) -> str:
        return jwt.encode(claims, self.key, "RS256", headers={"kid": self.kid})

    def id_token(self, **changes: Any) -> str:
        """An ID token without a code, as a Google button gives one."""
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, **self.person, **changes}
        return self.sign(self.claims(claims))

    # --- its endpoints

    def discovery(self) -> Claims:
        endpoints = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/jwks"}
        return {"issuer": self.issuer, **{name: self.issuer + path for name, path in endpoints.items()}}

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser is sent back to."""
        assert query["response_type"] == "code" and query["client_id"] == CLIENT_ID and "openid" in query["scope"].split()
        assert query["code_challenge_method"] == "S256" and len(query["nonce"]) >= 43 and len(query["state"]) >= 43
        code = secrets.token_urlsafe(16)
        self._codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state'], 'iss': self.issuer})}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, Claims]:
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode().split(":")
        if pair != [CLIENT_ID, CLIENT_SECRET.replace(" ", "%20")]:
            return 401, {"error": "invalid_client"}
        begun = self._codes.pop(form["code"], None)  # a code is good for one use
        proof = base64url(hashlib.sha256(form["code_verifier"].encode()).digest())
        if begun is None or proof != begun["code_challenge"] or form["redirect_uri"] != begun["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        access_token = secrets.token_urlsafe(16)
        at_hash = base64url(hashlib.sha256(access_token.encode()).digest()[:16])
        id_token = self.id_token(nonce=begun["nonce"], at_hash=at_hash)
        return 200, {"access_token": access_token, "token_type": "Bearer", "id_token": id_token}


def _handler(provider: OIDCProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            provider.asked.append(parts.path)
            if parts.path == "/authorize":
                self.send_response(302)
                self.send_header("Location", provider.authorize(dict(parse_qsl(parts.query))))
                self.end_headers()
                return
            answers = {"/.well-known/openid-configuration": provider.discovery, "/jwks": lambda: provider.jwks}
            self._answer(200, answers[parts.path]())

        def do_POST(self) -> None:
            provider.asked.append(self.path)
            form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self._answer(*provider.token(form, self.headers["Authorization"] or ""))

        def _answer(self, status: int, body: Claims) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
