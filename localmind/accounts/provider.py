"""An OpenID Connect provider as a relying party needs it: its discovery document and its keys, fetched and kept for a while."""

from __future__ import annotations

import base64
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

import jwt

from localmind.accounts.mode import is_loopback
from localmind.errors import ConfigurationError, Unauthenticated, Unavailable

if TYPE_CHECKING:
    import httpx

KEPT_S = 3600.0
"""What was fetched is fetched anew after so long: a key that the provider took back holds no longer than that."""

REFETCH_S = 10.0
"""A token of a key that is not known has the keys fetched anew, no oftener: else strangers could have us ask all day."""

TIMEOUT_S = 10.0
MOST_BYTES = 1_000_000
ALGORITHMS = ("RS256", "ES256")
"""Signatures by a key pair alone: with HS256, whoever knows a public key could sign."""

MIN_RSA_BITS = 2048


class Metadata(NamedTuple):
    """OpenID Connect Discovery 1.0, section 3. basic: the token endpoint takes the client's secret as HTTP Basic."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    basic: bool


class Provider:
    """Thread-safe. ca_file: PEM of the authority that signed its certificate; "": the system's."""

    def __init__(self, issuer: str, *, ca_file: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self.issuer = issuer
        self._ca_file = ca_file
        self._clock = clock
        self._lock = threading.Lock()
        self._metadata: Metadata | None = None
        self._metadata_at = self._keys_at = float("-inf")
        self._keys: Mapping[str | None, jwt.PyJWK] = {}

    @property
    def metadata(self) -> Metadata:
        """Raises Unavailable, ConfigurationError where the address has no provider or another one."""
        with self._lock:
            return self._known_metadata()

    def key(self, kid: str | None) -> jwt.PyJWK:
        """The key that a token's header names; None: the only one there is. Raises Unauthenticated, Unavailable."""
        with self._lock:
            age_s = self._clock() - self._keys_at
            found = self._keys.get(kid)
            if age_s > KEPT_S or (found is None and age_s > REFETCH_S):
                self._keys = _keys(self._answer("GET", self._known_metadata().jwks_uri))
                self._keys_at = self._clock()
                found = self._keys.get(kid)
        if found is None:
            raise Unauthenticated("The login provider does not know the key of this ID token.", hint="Log in again.")
        return found

    def redeem(self, form: Mapping[str, str], *, client_id: str, secret: str) -> Mapping[str, Any]:
        """What the token endpoint gives for a code (RFC 6749, 4.1.3). Raises Unauthenticated where it refuses, Unavailable."""
        metadata = self.metadata
        fields, headers = {**form, "client_id": client_id}, {}
        if secret and metadata.basic:
            pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        elif secret:
            fields["client_secret"] = secret
        return self._answer("POST", metadata.token_endpoint, data=fields, headers=headers)

    def _known_metadata(self) -> Metadata:
        if self._metadata is None or self._clock() - self._metadata_at > KEPT_S:
            found = self._answer("GET", self.issuer.rstrip("/") + "/.well-known/openid-configuration")
            self._metadata = _metadata(found, self.issuer)
            self._metadata_at = self._clock()
        return self._metadata

    def _answer(self, method: str, url: str, **options: Any) -> Mapping[str, Any]:
        """The JSON object there; redirects are not followed, and no more than MOST_BYTES are read."""
        import httpx

        try:
            with httpx.Client(timeout=TIMEOUT_S, verify=_tls(self._ca_file)) as client, client.stream(method, url, **options) as response:
                if method == "POST" and 400 <= response.status_code < 500:
                    raise Unauthenticated("The login provider does not take the login's code.", hint="Log in again.")
                if response.status_code != 200:
                    raise Unavailable(f"The login provider {self.issuer} answered {response.status_code}.", hint="Try again later.")
                return _object(response)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise Unavailable(f"The login provider {self.issuer} does not answer.", hint="Check OIDC_ISSUER, and try again.") from error


@cache
def _tls(ca_file: str) -> ssl.SSLContext:
    """Reading the system's certificates takes longer than asking."""
    return ssl.create_default_context(cafile=ca_file or None)


def _object(response: httpx.Response) -> Mapping[str, Any]:
    """Raises ValueError for what is none."""
    import json

    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > MOST_BYTES:
            raise ValueError("too long")
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _metadata(found: Mapping[str, Any], issuer: str) -> Metadata:
    """The issuer has to be the one that was asked for, to the letter: else a provider could speak for another (section 4.3)."""
    if found.get("issuer") != issuer:
        raise ConfigurationError(
            f"OIDC_ISSUER is {issuer}, and the provider there calls itself otherwise.", hint="Copy its issuer exactly."
        )
    endpoints = [str(found.get(name)) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
    if not all(map(is_safe, endpoints)):
        raise ConfigurationError(f"The login provider {issuer} names no endpoints that can be used.", hint="They have to be https.")
    methods = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    authorization, token, keys = endpoints
    return Metadata(authorization, token, keys, basic="client_secret_basic" in methods)


def is_safe(url: str) -> bool:
    """https; on this machine http will do."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")))


def _keys(found: Mapping[str, Any]) -> dict[str | None, jwt.PyJWK]:
    """By kid, those that can be used; under None, the only one where there is one."""
    keys = [key for jwk in _list(found.get("keys")) if isinstance(jwk, dict) and (key := _key(jwk)) is not None]
    return {**({None: keys[0]} if len(keys) == 1 else {}), **{key.key_id: key for key in keys if key.key_id is not None}}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _key(jwk: dict[str, Any]) -> jwt.PyJWK | None:
    """None for a key that is for something else, of another algorithm, or too weak."""
    if jwk.get("kty") not in ("RSA", "EC") or jwk.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK.from_dict(jwk)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    is_strong = jwk["kty"] == "EC" or key.key.key_size >= MIN_RSA_BITS
    return key if key.algorithm_name in ALGORITHMS and is_strong else None
