"""What is believed of a login provider, asked over HTTP, and whom its logins let in."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from localmind.accounts.accounts import Accounts, build_accounts
from localmind.accounts.id_tokens import GOOGLE, verify
from localmind.accounts.model import OWNER_HERE, Identity, LoginRule, Principal, Role
from localmind.accounts.oidc import CodeFlow, Returned
from localmind.accounts.provider import KEPT_S, REFETCH_S, Provider
from localmind.accounts.single_sign_on import SingleSignOn
from localmind.catalog.catalog import Catalog
from localmind.catalog.database import Database
from localmind.errors import ConfigurationError, Conflict, Forbidden, InvalidInput, Unauthenticated, Unavailable
from localmind.model import PERSONAL, TenantId
from localmind.settings import Settings
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, Claims, OIDCProvider, key_pair

BACK = "http://127.0.0.1:8000/api/v1/auth/oidc/callback"
PASSWORD = "correct horse battery"
CHEAP = {
    "auth": "required",
    "secret_key": "Vt5v0h7mQmYQ1cZk3r8sXw2nB6yD4uJf",
    "password_memory_kib": 8,
    "password_rounds": 1,
}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[OIDCProvider]:
    with OIDCProvider() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider(server: OIDCProvider, clock: Clock) -> Provider:
    return Provider(server.issuer, clock=clock)


@pytest.fixture
def flow(provider: Provider) -> CodeFlow:
    return CodeFlow(provider, client_id=CLIENT_ID, secret=CLIENT_SECRET, scopes="openid email profile")


def at_provider(url: str) -> Returned:
    """What the browser is sent back with after it went there."""
    location = httpx.get(url).headers["location"]
    assert location.startswith(BACK)
    query = parse_qs(urlsplit(location).query)
    return Returned(query["state"][0], query["code"][0], query["iss"][0])


def log_in(flow: CodeFlow) -> Identity:
    started = flow.start(BACK)
    return flow.finish(started.flow, at_provider(started.url), redirect_uri=BACK)


# --- the authorization code flow


def test_a_login_says_who_it_was(flow: CodeFlow, server: OIDCProvider) -> None:
    assert log_in(flow) == Identity(server.issuer, "248289761001", "ann@example.org", "Ann")


def test_what_the_provider_says_of_itself_is_asked_once(flow: CodeFlow, server: OIDCProvider) -> None:
    log_in(flow)
    log_in(flow)
    assert server.asked.count("/.well-known/openid-configuration") == server.asked.count("/jwks") == 1


def test_a_code_is_good_for_one_use(flow: CodeFlow) -> None:
    started = flow.start(BACK)
    returned = at_provider(started.url)
    flow.finish(started.flow, returned, redirect_uri=BACK)
    with pytest.raises(Unauthenticated):
        flow.finish(started.flow, returned, redirect_uri=BACK)


def test_a_login_that_another_browser_began_is_not_taken(flow: CodeFlow, server: OIDCProvider) -> None:
    mine, theirs = flow.start(BACK), flow.start(BACK)
    returned = at_provider(theirs.url)
    for secret in (mine.flow, "", "lmf_x"):
        with pytest.raises(Unauthenticated, match="not begun in this browser"):
            flow.finish(secret, returned, redirect_uri=BACK)
    assert "/token" not in server.asked


def test_a_stolen_code_is_of_no_use_in_a_login_of_ones_own(flow: CodeFlow) -> None:
    mine, stolen = flow.start(BACK), at_provider(flow.start(BACK).url)
    state = parse_qs(urlsplit(mine.url).query)["state"][0]
    with pytest.raises(Unauthenticated):
        flow.finish(mine.flow, stolen._replace(state=state), redirect_uri=BACK)


def test_an_answer_in_the_name_of_another_provider_is_not_taken(flow: CodeFlow) -> None:
    started = flow.start(BACK)
    with pytest.raises(Unauthenticated, match="Another provider"):
        flow.finish(started.flow, at_provider(started.url)._replace(issuer="https://evil.example"), redirect_uri=BACK)


@pytest.mark.parametrize("code", ["", "x" * 5000, "no-such-code"])
def test_a_code_that_is_none_is_refused(flow: CodeFlow, code: str) -> None:
    started = flow.start(BACK)
    with pytest.raises(Unauthenticated):
        flow.finish(started.flow, at_provider(started.url)._replace(code=code), redirect_uri=BACK)


def wrong(**changes: Any) -> Callable[[Claims], Claims]:
    """None takes a claim out; a timedelta is that long from now."""

    def changed(claims: Claims) -> Claims:
        said = {name: value for name, value in {**claims, **changes}.items() if value is not None}
        return {name: int(time.time() + value.total_seconds()) if isinstance(value, timedelta) else value for name, value in said.items()}

    return changed


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another-client"},
        {"aud": [CLIENT_ID, "another-client"]},
        {"azp": "another-client"},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"exp": timedelta(seconds=-120)},
        {"exp": None},
        {"iat": timedelta(seconds=600)},
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
        {"sub": 7},
    ],
    ids=str,
)
def test_an_id_token_that_says_something_else_is_refused(flow: CodeFlow, server: OIDCProvider, changes: Claims) -> None:
    server.claims = wrong(**changes)
    with pytest.raises(Unauthenticated, match="ID token does not hold"):
        log_in(flow)


@pytest.mark.parametrize("changes", [{"aud": [CLIENT_ID, "another"], "azp": CLIENT_ID}, {"at_hash": None}, {"exp": timedelta(seconds=-30)}])
def test_what_the_standard_leaves_free_is_taken(flow: CodeFlow, server: OIDCProvider, changes: Claims) -> None:
    server.claims = wrong(**changes)
    assert log_in(flow).subject == "248289761001"


# --- signatures


def unsigned(claims: Claims, server: OIDCProvider) -> str:
    return jwt.encode(claims, None, "none", headers={"kid": server.kid})


def signed_with_the_public_key(claims: Claims, server: OIDCProvider) -> str:
    """HS256 keyed with what everybody knows; by hand, since the library refuses to."""
    import hashlib
    import hmac

    pem = server.key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    parts = [{"alg": "HS256", "typ": "JWT", "kid": server.kid}, claims]
    body = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    signature = hmac.new(pem, body.encode(), hashlib.sha256).digest()
    return f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def signed_by_another(claims: Claims, server: OIDCProvider) -> str:
    return jwt.encode(claims, key_pair(2), "RS256", headers={"kid": server.kid})


def with_a_key_of_its_own(claims: Claims, server: OIDCProvider) -> str:
    """Its header names where the key is, and no kid of the provider's."""
    return jwt.encode(claims, server.key, "RS256", headers={"kid": "mine", "jku": "https://evil.example/jwks"})


def no_token(claims: Claims, server: OIDCProvider) -> str:
    return "no.token.at-all"


def in_another_algorithm(claims: Claims, server: OIDCProvider) -> str:
    return jwt.encode(claims, server.key, "RS512", headers={"kid": server.kid})


@pytest.mark.parametrize(
    "forge",
    [unsigned, signed_with_the_public_key, signed_by_another, with_a_key_of_its_own, in_another_algorithm, no_token],
)
def test_a_forged_signature_is_refused(flow: CodeFlow, server: OIDCProvider, forge: Callable[[Claims, OIDCProvider], str]) -> None:
    server.sign = partial(forge, server=server)
    with pytest.raises(Unauthenticated):
        log_in(flow)


def test_a_new_key_is_fetched_and_the_one_before_holds_no_more(server: OIDCProvider, provider: Provider, clock: Clock) -> None:
    old = server.id_token()
    verify(old, provider, client_id=CLIENT_ID)
    server.rotate()
    clock.now += REFETCH_S + 1
    verify(server.id_token(), provider, client_id=CLIENT_ID)
    with pytest.raises(Unauthenticated):
        verify(old, provider, client_id=CLIENT_ID)


def test_a_key_that_was_taken_back_holds_no_longer_than_the_cache(server: OIDCProvider, provider: Provider, clock: Clock) -> None:
    old = server.id_token()
    verify(old, provider, client_id=CLIENT_ID)
    server.rotate()
    clock.now += KEPT_S + 1
    with pytest.raises(Unauthenticated):
        verify(old, provider, client_id=CLIENT_ID)


def test_unknown_keys_do_not_have_us_ask_at_every_token(server: OIDCProvider, provider: Provider) -> None:
    verify(server.id_token(), provider, client_id=CLIENT_ID)
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            verify(jwt.encode({}, server.key, "RS256", headers={"kid": "unknown"}), provider, client_id=CLIENT_ID)
    assert server.asked.count("/jwks") == 1


def test_a_weak_key_is_none(server: OIDCProvider, provider: Provider) -> None:
    server.key = key_pair(3, bits=1024)
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = server.id_token()
    with pytest.raises(Unauthenticated):
        verify(token, provider, client_id=CLIENT_ID)


# --- the provider


def test_a_provider_that_calls_itself_otherwise_is_not_used(server: OIDCProvider, flow: CodeFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "discovery", lambda: {"issuer": "https://evil.example"})
    with pytest.raises(ConfigurationError, match="calls itself otherwise"):
        flow.start(BACK)


def test_endpoints_without_tls_are_not_used(server: OIDCProvider, flow: CodeFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {**server.discovery(), "token_endpoint": "http://login.example/token"}
    monkeypatch.setattr(server, "discovery", lambda: found)
    with pytest.raises(ConfigurationError, match="https"):
        flow.start(BACK)


def test_a_provider_that_is_away_is_worth_a_retry(server: OIDCProvider, flow: CodeFlow) -> None:
    server.__exit__()
    with pytest.raises(Unavailable):
        flow.start(BACK)


def test_an_issuer_is_https_or_here() -> None:
    for issuer in ("http://login.example", "login.example", "https://login.example?x", "http://127.0.0.1.evil.example"):
        with pytest.raises(ValueError, match="no issuer that can be trusted"):
            Settings(_env_file=None, oidc_issuer=issuer)
    assert Settings(_env_file=None, oidc_issuer="https://login.example/realms/a").oidc_issuer


# --- addresses


@pytest.mark.parametrize("verified", [False, None, "true", 1])
def test_an_address_that_is_not_confirmed_is_none(server: OIDCProvider, provider: Provider, verified: object) -> None:
    assert verify(server.id_token(email_verified=verified), provider, client_id=CLIENT_ID).email is None


@pytest.mark.parametrize(
    ("claims", "email"),
    [
        ({"email": "ann@gmail.com"}, "ann@gmail.com"),
        ({"email": "ann@example.org", "hd": "example.org"}, "ann@example.org"),
        ({"email": "ann@example.org", "hd": None}, None),
    ],
)
@pytest.mark.parametrize("issuer", [GOOGLE, "accounts.google.com"])
def test_google_answers_for_its_own_addresses_alone(
    server: OIDCProvider, provider: Provider, claims: Claims, email: str | None, issuer: str
) -> None:
    provider.metadata  # noqa: B018  asked before it passes for Google
    provider.issuer = GOOGLE
    found = verify(server.id_token(iss=issuer, **claims), provider, client_id=CLIENT_ID)
    assert (found.issuer, found.email) == (GOOGLE, email)


# --- whom it lets in


ISSUER = "https://login.example"


@pytest.fixture
def accounts(catalog_url: str) -> Iterator[Accounts]:
    database = Database(catalog_url)
    settings = Settings(_env_file=None, oidc_issuer=ISSUER, oidc_client_id=CLIENT_ID, **CHEAP)  # type: ignore[arg-type]
    yield build_accounts(settings, Catalog(database), empty=lambda _: None, with_logins=True)
    database.close()


@pytest.fixture
def sign_on(accounts: Accounts) -> SingleSignOn:
    return accounts.single_sign_on


def person(email: str | None, subject: str = "1", issuer: str = ISSUER) -> Identity:
    return Identity(issuer, subject, email, "Ann")


def allow(sign_on: SingleSignOn, tenant: str = PERSONAL, *, link: bool = False, domains: tuple[str, ...] = ()) -> None:
    """By who looks after the service, whichever tenant it is."""
    sign_on._catalog.identities.set_rule(TenantId(tenant), LoginRule(link, frozenset(domains)))


def test_nobody_comes_in_where_no_tenant_allows_it(accounts: Accounts, sign_on: SingleSignOn) -> None:
    accounts.members.create_user("ann@example.org", PASSWORD, Role.EDITOR)
    for email in ("ann@example.org", "bob@example.org", None):
        with pytest.raises(Forbidden):
            sign_on.entry(person(email))


def test_a_member_is_known_by_a_confirmed_address_and_then_without(accounts: Accounts, sign_on: SingleSignOn) -> None:
    made = accounts.members.create_user("ann@example.org", PASSWORD, Role.EDITOR)
    allow(sign_on, link=True)
    with pytest.raises(Forbidden):
        sign_on.entry(person(None))
    assert sign_on.entry(person("ann@example.org")).account.id == made.user_id
    assert sign_on.entry(person(None)).account.id == made.user_id
    assert sign_on.entry(person("ann.new@example.org")).account.id == made.user_id


def test_only_the_tenants_that_allow_it_are_entered(accounts: Accounts, sign_on: SingleSignOn) -> None:
    accounts.members.create_user("ann@example.org", PASSWORD, Role.EDITOR)
    other = accounts.members.create_user("ann@example.org", PASSWORD, Role.OWNER, tenant="Other Ltd").tenant
    allow(sign_on, other, link=True)
    entry = sign_on.entry(person("ann@example.org"))
    assert entry.tenants == {other}
    with pytest.raises(Unauthenticated):
        accounts.logins.enter(entry.account, PERSONAL, only=entry.tenants)
    allow(sign_on, other, link=False)
    with pytest.raises(Forbidden):
        sign_on.entry(person("ann@example.org"))


def test_an_address_that_was_given_to_somebody_else_opens_nothing(accounts: Accounts, sign_on: SingleSignOn) -> None:
    accounts.members.create_user("ann@example.org", PASSWORD, Role.EDITOR)
    allow(sign_on, link=True)
    sign_on.entry(person("ann@example.org", "1"))
    with pytest.raises(Forbidden):
        sign_on.entry(person("ann@example.org", "2"))
    with pytest.raises(Forbidden):
        sign_on.entry(person(None, "1", issuer="https://another.example"))


def test_a_domain_that_may_join_makes_viewers(accounts: Accounts, sign_on: SingleSignOn) -> None:
    allow(sign_on, domains=("example.org",))
    entry = sign_on.entry(person("ann@example.org"))
    assert (entry.tenants, [place.role for place in sign_on._catalog.accounts.places(entry.account.id)]) == ({PERSONAL}, [Role.VIEWER])
    assert sign_on.entry(person("ann@example.org")).account.id == entry.account.id
    for email in ("bob@sub.example.org", "bob@notexample.org", "example.org@evil.example", None):
        with pytest.raises(Forbidden):
            sign_on.entry(person(email, "2"))
    with pytest.raises(Unauthenticated):
        accounts.logins.log_in("ann@example.org", PASSWORD, address="192.0.2.1")


def test_an_account_made_beforehand_does_not_come_along_by_its_domain(accounts: Accounts, sign_on: SingleSignOn) -> None:
    """Somebody who makes an account of another's address, with a password of theirs, would come in with them."""
    accounts.members.create_user("ann@example.org", PASSWORD, Role.VIEWER, tenant="Evil Ltd")
    allow(sign_on, domains=("example.org",))
    with pytest.raises(Forbidden):
        sign_on.entry(person("ann@example.org"))


def test_who_is_shut_out_does_not_join_again(accounts: Accounts, sign_on: SingleSignOn) -> None:
    allow(sign_on, domains=("example.org",))
    entry = sign_on.entry(person("ann@example.org"))
    accounts.members.change(OWNER_HERE, entry.account.id, disabled=True)
    with pytest.raises(Forbidden):
        sign_on.entry(person("ann@example.org"))


def test_who_was_removed_leaves_no_identity(accounts: Accounts, sign_on: SingleSignOn) -> None:
    allow(sign_on, domains=("example.org",))
    entry = sign_on.entry(person("ann@example.org"))
    accounts.members.remove(OWNER_HERE, entry.account.id)
    assert sign_on._catalog.identities.user_of(ISSUER, "1") is None


def test_domains_are_given_by_who_looks_after_the_service(accounts: Accounts, sign_on: SingleSignOn) -> None:
    other = accounts.members.create_user("eve@example.org", PASSWORD, Role.OWNER, tenant="Other Ltd")
    eve = Principal(other.tenant, other.user_id, Role.OWNER)
    assert sign_on.set_rule(eve, LoginRule(True)) == sign_on.rule(eve) == LoginRule(True)
    with pytest.raises(Forbidden):
        sign_on.set_rule(eve, LoginRule(True, frozenset({"example.org"})))
    sign_on.set_rule(OWNER_HERE, LoginRule(False, frozenset({"example.org"})))
    with pytest.raises(Conflict, match=r"example\.org"):
        allow(sign_on, other.tenant, domains=("example.org",))
    for domain in ("org", "@example.org", "exa mple.org", "*.example.org", "Example.org"):
        with pytest.raises(InvalidInput):
            sign_on.set_rule(OWNER_HERE, LoginRule(False, frozenset({domain})))


def test_half_a_configuration_is_refused(accounts: Accounts) -> None:
    settings = Settings(_env_file=None, oidc_issuer=ISSUER, **CHEAP)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="OIDC_CLIENT_ID"):
        build_accounts(settings, accounts.single_sign_on._catalog, empty=lambda _: None, with_logins=True)
