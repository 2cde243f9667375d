"""Access tokens: JWT (RFC 7519) signed with HS256 or RS256, verified without asking anybody."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from localmind.accounts.mode import previous_secrets
from localmind.accounts.model import Principal, Role, SessionId, UserId
from localmind.errors import ConfigurationError, MissingExtra, Unauthenticated
from localmind.ids import is_id, random_id
from localmind.model import TenantId
from localmind.settings import Settings

ISSUER = AUDIENCE = "localmind"
NEEDED = ["sub", "tid", "role", "sv", "gen", "iat", "exp", "jti", "iss", "aud"]
LEEWAY_S = 5
"""By how much the clocks of a fleet's machines may differ."""

MIN_RSA_BITS = 2048


@dataclass(frozen=True)
class Key:
    """kid: what a token's header names it by. An algorithm belongs to a key, so that a token can't choose another."""

    kid: str
    algorithm: str
    signing: Any
    verifying: Any


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. generation: of its session; see SessionTable.outdate."""

    principal: Principal
    generation: int
    expires_at: float


class Tokens:
    """Signs with the first key, and takes tokens of any."""

    def __init__(self, keys: Sequence[Key], *, lasts_s: int) -> None:
        self.lasts_s = lasts_s
        self._current = keys[0]
        self._keys = {key.kid: key for key in keys}

    def sign(self, tenant: TenantId, user_id: UserId, role: Role, session_id: SessionId, generation: int) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user_id,
            "tid": tenant,
            "role": role.value,
            "sv": session_id,
            "gen": generation,
            "iat": now,
            "exp": now + self.lasts_s,
            "jti": random_id(),
        }
        return jwt.encode(claims, self._current.signing, self._current.algorithm, headers={"kid": self._current.kid})

    def verify(self, token: str) -> Claims:
        """Raises Unauthenticated, without saying what is wrong with it but that it has expired."""
        try:
            key = self._keys[str(jwt.get_unverified_header(token).get("kid"))]
            said = jwt.decode(
                token,
                key.verifying,
                algorithms=[key.algorithm],
                audience=AUDIENCE,
                issuer=ISSUER,
                leeway=LEEWAY_S,
                options={"require": NEEDED},
            )
            return _claims(said)
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("The access token has expired.", hint="Ask for a new one with the refresh token.") from error
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError) as error:
            raise Unauthenticated("The access token does not hold.", hint="Log in again.") from error


def build_tokens(settings: Settings) -> Tokens:
    """Raises ConfigurationError for a key file that can't be used."""
    keys = [_secret_key(settings.secret_key.get_secret_value()), *map(_secret_key, previous_secrets(settings))]
    if settings.token_key_file_previous:
        keys.insert(0, _rsa_key("TOKEN_KEY_FILE_PREVIOUS", settings.token_key_file_previous))
    if settings.token_key_file:
        keys.insert(0, _rsa_key("TOKEN_KEY_FILE", settings.token_key_file))
    elif settings.token_key_file_previous:
        keys.append(keys.pop(0))  # back to SECRET_KEY: it signs again
    return Tokens(keys, lasts_s=settings.access_token_minutes * 60)


def _claims(said: dict[str, Any]) -> Claims:
    tenant, user_id, session_id = said["tid"], said["sub"], said["sv"]
    if not all(isinstance(one, str) and is_id(one) for one in (tenant, user_id, session_id)):
        raise ValueError("an id that is none")
    principal = Principal(TenantId(tenant), UserId(user_id), Role(said["role"]), session_id=SessionId(session_id))
    return Claims(principal, int(said["gen"]), float(said["exp"]))


def _secret_key(secret: str) -> Key:
    """A key of its own for this use, derived from the secret."""
    derived = hmac.new(secret.encode(), b"localmind access tokens", hashlib.sha256).digest()
    return Key(_kid(derived), "HS256", derived, derived)


def _rsa_key(setting: str, path: str) -> Key:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{setting} needs the package cryptography.", hint="pip install 'localmind[servers]'") from error
    try:
        private = serialization.load_pem_private_key(Path(path).expanduser().read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        hint = f"Make one: `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out {Path(path).name}`."
        raise ConfigurationError(f"{setting} {path} is not a private key that can be read.", hint=hint) from error
    if not isinstance(private, RSAPrivateKey) or private.key_size < MIN_RSA_BITS:
        raise ConfigurationError(f"{setting} {path} is not an RSA key of {MIN_RSA_BITS} bits or more.", hint="RS256 needs one.")
    public = private.public_key()
    encoded = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Key(_kid(encoded), "RS256", private, public)


def _kid(material: bytes) -> str:
    return hashlib.sha256(b"kid" + material).hexdigest()[:16]
