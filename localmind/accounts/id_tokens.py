"""ID tokens: what a provider says about who logged in, checked as OpenID Connect Core 1.0, section 3.1.3.7 asks."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import jwt

from localmind.accounts.emails import canonical
from localmind.accounts.model import Identity
from localmind.accounts.provider import Provider
from localmind.errors import InvalidInput, Unauthenticated

LEEWAY_S = 60
"""By how much the provider's clock may differ from ours."""

NEEDED = ["iss", "sub", "aud", "exp", "iat"]
MOST_CHARS = 16_384
MOST_SUBJECT_CHARS = 255
MOST_NAME_CHARS = 200

GOOGLE = "https://accounts.google.com"
GOOGLE_MAIL = "@gmail.com"


def verify(token: str, provider: Provider, *, client_id: str, nonce: str | None = None, access_token: str | None = None) -> Identity:
    """Who the token is about. nonce: what it has to repeat; None: it was not asked for by us, as with a Google button.

    access_token: the one that came along; a hash of it in the token is compared.
    Raises Unauthenticated, without saying what is wrong with it; Unavailable where the provider's keys are needed and can't be had.
    """
    if len(token) > MOST_CHARS:
        raise _refused()
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        key = provider.key(kid if isinstance(kid, str) else None)
        said = jwt.decode(
            token,
            key.key,
            algorithms=[str(key.algorithm_name)],
            audience=client_id,
            issuer=_issuers(provider.issuer),
            leeway=LEEWAY_S,
            options={"require": NEEDED},
        )
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise _refused() from error
    subject = said["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= MOST_SUBJECT_CHARS or not subject.isprintable():
        raise _refused()
    if not (_is_for(said, client_id) and _repeats(said, nonce) and _goes_with(said, access_token)):
        raise _refused()
    return Identity(provider.issuer, subject, _email(said, provider.issuer), _name(said))


def _issuers(issuer: str) -> list[str]:
    """Google's tokens may leave out the scheme, as its documentation says."""
    return [issuer, issuer.removeprefix("https://")] if issuer == GOOGLE else [issuer]


def _is_for(said: Mapping[str, Any], client_id: str) -> bool:
    """Of several audiences, the party that it was issued to has to be us; a named one always."""
    several = isinstance(said["aud"], list) and len(said["aud"]) > 1
    return bool(said.get("azp", None if several else client_id) == client_id)


def _repeats(said: Mapping[str, Any], nonce: str | None) -> bool:
    return nonce is None or hmac.compare_digest(str(said.get("nonce", "")).encode(), nonce.encode())


def _goes_with(said: Mapping[str, Any], access_token: str | None) -> bool:
    """at_hash: the left half of the SHA-256, which both algorithms that are taken sign with."""
    if "at_hash" not in said or access_token is None:
        return access_token is None or "at_hash" not in said
    half = hashlib.sha256(access_token.encode("utf-8", "replace")).digest()[:16]
    return hmac.compare_digest(str(said["at_hash"]).encode(), base64.urlsafe_b64encode(half).rstrip(b"="))


def _email(said: Mapping[str, Any], issuer: str) -> str | None:
    """The address, where the provider says that it is theirs. Google answers only for its own addresses and its customers' (hd)."""
    try:
        email = canonical(said["email"]) if isinstance(said.get("email"), str) else None
    except InvalidInput:
        return None
    is_verified = said.get("email_verified") is True
    if issuer == GOOGLE and email is not None:
        is_verified = is_verified and (email.endswith(GOOGLE_MAIL) or bool(said.get("hd")))
    return email if is_verified else None


def _name(said: Mapping[str, Any]) -> str:
    name = said.get("name")
    return name.strip()[:MOST_NAME_CHARS] if isinstance(name, str) and name.isprintable() else ""


def _refused() -> Unauthenticated:
    return Unauthenticated("The ID token does not hold.", hint="Log in again.")
