"""From credentials to who asks. A token is verified without the catalog; what it can't say is asked for every few seconds."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from localmind.accounts.model import Principal, SessionId
from localmind.accounts.opaque import digest, prefix_of
from localmind.accounts.recent import RECENT_S, Recent
from localmind.errors import Unauthenticated, Unavailable

if TYPE_CHECKING:
    from localmind.accounts.tokens import Claims, Tokens
    from localmind.catalog.api_keys import ApiKeyTable
    from localmind.catalog.sessions import SessionTable

REFRESH_S = 10.0
"""How old the list of revoked sessions gets. Where the catalog is away it serves on for RECENT_S, and then nobody comes in."""

USED_EVERY_S = 60
"""last_used_at of an API key is written no oftener."""

MOST_CHARS = 4096


class Credentials(NamedTuple):
    """What a request came with. token: an access token or an API key. cookie: of a page's login."""

    token: str | None = None
    cookie: str | None = None


class Revocations:
    """Sessions whose access tokens hold no more, read anew every few seconds. Thread-safe."""

    def __init__(self, read: Callable[[], Mapping[SessionId, int]], clock: Callable[[], float] = time.monotonic) -> None:
        """read: of sessions that changed lately, the least generation that holds."""
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self._taken_at = float("-inf")
        self._least: Mapping[SessionId, int] = {}

    @property
    def is_fresh(self) -> bool:
        return self._clock() - self._taken_at <= REFRESH_S

    def refresh(self) -> None:
        """Raises Unavailable where what is known is too old, and the catalog can't be asked."""
        with self._lock:
            if self.is_fresh:
                return
            began = self._clock()
            try:
                self._least = self._read()
            except Unavailable:
                if began - self._taken_at > RECENT_S:
                    raise
            else:
                self._taken_at = began

    def holds(self, session_id: SessionId, generation: int) -> bool:
        return generation >= self._least.get(session_id, 0)

    def forget(self) -> None:
        """The next question is asked of the catalog."""
        self._taken_at = float("-inf")


class _Cookie(NamedTuple):
    principal: Principal
    session_id: SessionId
    generation: int


class _ApiKey(NamedTuple):
    principal: Principal
    ends_at: float | None


class Authentication:
    def __init__(self, tokens: Tokens, sessions: SessionTable, keys: ApiKeyTable, *, now: Callable[[], float] = time.time) -> None:
        self._tokens = tokens
        self._sessions = sessions
        self._keys = keys
        self._now = now
        self._revocations = Revocations(lambda: sessions.changed_within(tokens.lasts_s + 60))
        self._recent_tokens: Recent[str, Claims] = Recent()  # a signature takes 0.1 ms to verify, as much as the rest of a route
        self._recent_keys: Recent[str, _ApiKey] = Recent()
        self._recent_cookies: Recent[str, _Cookie] = Recent()

    def known(self, credentials: Credentials) -> Principal | None:
        """Who asks, as far as this process knows without waiting for the catalog; None: authenticate() has to tell.

        Raises Unauthenticated.
        """
        _check(credentials)
        token = credentials.token
        if not self._revocations.is_fresh:
            return None
        if token is None:
            return self._known_cookie(credentials.cookie)
        return self._by_token(token) if prefix_of(token) is None else self._known_key(digest(token))

    def authenticate(self, credentials: Credentials) -> Principal:
        """Who asks. Raises Unauthenticated; Unavailable where the catalog is needed and does not answer."""
        _check(credentials)
        self._revocations.refresh()
        if credentials.token is None:
            return self._by_cookie(credentials.cookie or "")
        prefix = prefix_of(credentials.token)
        return self._by_token(credentials.token) if prefix is None else self._by_key(prefix, digest(credentials.token))

    def forget(self) -> None:
        """What this process knows may have changed: sessions, keys, roles."""
        self._revocations.forget()
        self._recent_keys.forget()
        self._recent_cookies.forget()

    def _by_token(self, token: str) -> Principal:
        claims = self._recent_tokens.get(token)
        if claims is None or claims.expires_at <= self._now():
            claims = self._tokens.verify(token)
            self._recent_tokens.put(token, claims)
        assert claims.principal.session_id is not None
        if not self._revocations.holds(claims.principal.session_id, claims.generation):
            raise Unauthenticated("The access token was taken back.", hint="Ask for a new one with the refresh token, or log in again.")
        return claims.principal

    def _by_key(self, prefix: str, hash_: str) -> Principal:
        known = self._known_key(hash_)
        if known is not None:
            return known
        found = self._keys.use(prefix)
        if found is None or not hmac.compare_digest(found.hash, hash_):
            raise Unauthenticated("The API key does not hold.", hint="It may have expired, or been deleted. Make a new one.")
        key = found.key
        principal = Principal(found.tenant, key.user_id, found.role, key_id=key.id, scopes=key.scopes, spaces=key.spaces)
        if key.last_used_at is None or self._now() - key.last_used_at.timestamp() > USED_EVERY_S:
            self._keys.touch(found.tenant, key.id)
        self._recent_keys.put(hash_, _ApiKey(principal, None if key.expires_at is None else key.expires_at.timestamp()))
        return principal

    def _known_key(self, hash_: str) -> Principal | None:
        found = self._recent_keys.get(hash_)
        if found is None or (found.ends_at is not None and found.ends_at <= self._now()):
            return None
        return found.principal

    def _by_cookie(self, cookie: str) -> Principal:
        known = self._known_cookie(cookie)
        if known is not None:
            return known
        hash_ = digest(cookie)
        session = self._sessions.by_cookie(hash_)
        if session is None:
            raise Unauthenticated("The login has ended.", hint="Log in again.")
        principal = Principal(session.tenant, session.user_id, session.role, session_id=session.id)
        self._recent_cookies.put(hash_, _Cookie(principal, session.id, session.generation))
        return principal

    def _known_cookie(self, cookie: str | None) -> Principal | None:
        found = None if cookie is None else self._recent_cookies.get(digest(cookie))
        if found is None or not self._revocations.holds(found.session_id, found.generation):
            return None
        return found.principal


def _check(credentials: Credentials) -> None:
    text = credentials.cookie if credentials.token is None else credentials.token
    if not text:
        raise Unauthenticated("Credentials are needed.", hint="Send an access token or an API key: Authorization: Bearer ...")
    if len(text) > MOST_CHARS:
        raise Unauthenticated("The credentials are longer than any that were given out.", hint="Log in again.")
