"""Access tokens: what holds, what does not, and how keys take over from each other."""

from __future__ import annotations

import base64
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from localmind.accounts.model import Role, SessionId, UserId
from localmind.accounts.tokens import Tokens, build_tokens
from localmind.errors import ConfigurationError, Unauthenticated
from localmind.model import TenantId
from localmind.settings import Settings

ONE, TWO = "Vt5v0h7mQmYQ1cZk3r8sXw2nB6yD4uJf", "p9Kq3LxW7eR2tY6uI1oA5sD8fG4hJ0zC"


def tokens(**settings: Any) -> Tokens:
    return build_tokens(Settings(_env_file=None, auth="required", **{"secret_key": ONE, **settings}))


def signed(by: Tokens) -> str:
    return by.sign(TenantId("acme"), UserId("ann"), Role.EDITOR, SessionId("s1"), 3)


def key_file(folder: Path, name: str, bits: int = 2048) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    path = folder / name
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(pem)
    return str(path)


def forged(token: str, key: Any, **claims: Any) -> str:
    """The token with other claims, signed with the key again; a claim that is None is left out."""
    said = jwt.decode(token, options={"verify_signature": False}) | claims
    kept = {name: value for name, value in said.items() if value is not None}
    return jwt.encode(kept, key, "HS256", headers={"kid": jwt.get_unverified_header(token)["kid"]})


def part(value: dict[str, Any] | bytes) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_a_token_says_who_it_is_for() -> None:
    claims = tokens().verify(signed(tokens()))
    who = claims.principal
    assert (who.tenant, who.user_id, who.role, who.session_id, claims.generation) == ("acme", "ann", Role.EDITOR, "s1", 3)
    assert 890 < claims.expires_at - time.time() <= 900


def test_a_token_names_its_key_and_algorithm() -> None:
    header = jwt.get_unverified_header(signed(tokens()))
    assert header["alg"] == "HS256" and len(header["kid"]) == 16 and ONE not in json.dumps(header)


def test_a_token_of_the_key_before_holds_and_of_one_that_is_gone_does_not() -> None:
    old = signed(tokens())
    assert tokens(secret_key=TWO, secret_key_previous=ONE).verify(old)
    with pytest.raises(Unauthenticated):
        tokens(secret_key=TWO).verify(old)


def test_rs256_with_a_key_file_and_its_rotation(tmp_path: Path) -> None:
    first, second = key_file(tmp_path, "one.pem"), key_file(tmp_path, "two.pem")
    old = signed(tokens(token_key_file=first))
    assert jwt.get_unverified_header(old)["alg"] == "RS256"
    assert tokens(token_key_file=second, token_key_file_previous=first).verify(old)
    assert tokens(token_key_file=first).verify(signed(tokens())), "those of SECRET_KEY hold while a file takes over"
    back = tokens(token_key_file_previous=first)
    assert back.verify(old) and jwt.get_unverified_header(signed(back))["alg"] == "HS256"
    with pytest.raises(Unauthenticated):
        tokens(token_key_file=second).verify(old)


def test_a_key_cannot_be_used_for_another_algorithm(tmp_path: Path) -> None:
    """A token signed with the public key as if that were a shared secret."""
    path = key_file(tmp_path, "one.pem")
    by = tokens(token_key_file=path)
    private = serialization.load_pem_private_key(Path(path).read_bytes(), None)
    public = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    token = signed(by)
    body = f"{part(jwt.get_unverified_header(token) | {'alg': 'HS256'})}.{token.split('.')[1]}"
    with pytest.raises(Unauthenticated):
        by.verify(f"{body}.{part(hmac.digest(public, body.encode(), 'sha256'))}")


def test_a_token_without_signature_does_not_hold() -> None:
    token = signed(tokens())
    header = jwt.get_unverified_header(token) | {"alg": "none"}
    with pytest.raises(Unauthenticated):
        tokens().verify(f"{part(header)}.{token.split('.')[1]}.")


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"iss": "another"},
        {"sub": None},
        {"tid": None},
        {"sv": None},
        {"exp": None},
        {"iat": None},
        {"jti": None},
        {"role": "king"},
        {"tid": "../x"},
        {"gen": "x"},
        {"exp": int(time.time()) - 60},
    ],
    ids=lambda claims: str(claims)[:30],
)
def test_a_token_that_says_something_else_does_not_hold(claims: dict[str, Any]) -> None:
    by = tokens()
    with pytest.raises(Unauthenticated):
        by.verify(forged(signed(by), by._current.signing, **claims))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é.é.é", "." * 50, signed(tokens())[:-4] + "AAAA"])
def test_what_is_no_token_does_not_hold(token: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens().verify(token)


def test_a_key_file_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("no key")
    for path in (tmp_path / "missing.pem", tmp_path / "text.pem", key_file(tmp_path, "weak.pem", 1024)):
        with pytest.raises(ConfigurationError, match="TOKEN_KEY_FILE"):
            tokens(token_key_file=str(path))
