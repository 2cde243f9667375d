"""Login by a provider: OpenID Connect's authorization code flow, with PKCE (RFC 7636), state and nonce."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import NamedTuple
from urllib.parse import urlencode

from localmind.accounts.id_tokens import verify
from localmind.accounts.model import Identity
from localmind.accounts.opaque import FLOW, new_token
from localmind.accounts.provider import Provider
from localmind.errors import Unauthenticated, Unavailable

MOST_CHARS = 4096


class Started(NamedTuple):
    """url: where the browser goes. flow: a secret for its cookie, that finish() takes."""

    url: str
    flow: str


class Returned(NamedTuple):
    """What the browser comes back with. issuer: who sends it, where the provider says so (RFC 9207)."""

    state: str
    code: str
    issuer: str | None = None


class CodeFlow:
    """Nothing is kept here between the two steps: state, nonce and verifier are derived from the browser's secret.

    So a code or a token of somebody else's login can't be put into one's own, and a code alone is of no use.
    """

    def __init__(self, provider: Provider, *, client_id: str, secret: str, scopes: str) -> None:
        """secret: "" for a public client."""
        self._provider = provider
        self._client_id = client_id
        self._secret = secret
        self._scopes = scopes

    def start(self, redirect_uri: str) -> Started:
        """Raises Unavailable where the provider does not answer."""
        endpoint = self._provider.metadata.authorization_endpoint
        flow = new_token(FLOW)
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "scope": self._scopes,
            "state": _derived(flow, "state"),
            "nonce": _derived(flow, "nonce"),
            "code_challenge": _encoded(hashlib.sha256(_derived(flow, "verifier").encode()).digest()),
            "code_challenge_method": "S256",
        }
        return Started(f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}", flow)

    def finish(self, flow: str, returned: Returned, *, redirect_uri: str) -> Identity:
        """Who logged in. Raises Unauthenticated where anything does not fit, Unavailable."""
        if not flow or not hmac.compare_digest(returned.state.encode("utf-8", "replace"), _derived(flow, "state").encode()):
            raise Unauthenticated("This login was not begun in this browser, or too long ago.", hint="Log in again.")
        if returned.issuer is not None and returned.issuer != self._provider.issuer:
            raise Unauthenticated("Another provider answered than was asked.", hint="Log in again.")
        if not returned.code or len(returned.code) > MOST_CHARS:
            raise Unauthenticated("The provider gave no code for the login.", hint="Log in again.")
        form = {
            "grant_type": "authorization_code",
            "code": returned.code,
            "redirect_uri": redirect_uri,
            "code_verifier": _derived(flow, "verifier"),
        }
        given = self._provider.redeem(form, client_id=self._client_id, secret=self._secret)
        token, access_token = given.get("id_token"), given.get("access_token")
        if not isinstance(token, str):
            raise Unavailable("The login provider gave no ID token.", hint="OIDC_SCOPES has to hold openid.")
        return verify(
            token,
            self._provider,
            client_id=self._client_id,
            nonce=_derived(flow, "nonce"),
            access_token=access_token if isinstance(access_token, str) else None,
        )


def _derived(flow: str, purpose: str) -> str:
    """43 characters, from which nobody gets to the flow or to what is derived for another purpose."""
    return _encoded(hmac.new(flow.encode("utf-8", "replace"), purpose.encode(), hashlib.sha256).digest())


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
