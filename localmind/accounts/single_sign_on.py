"""From who somebody is to a login provider to an account, and into the tenants that allow it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from localmind.accounts.model import Account, Identity, LoginRule, Principal, Role, UserId, require
from localmind.errors import ConfigurationError, Conflict, Forbidden, InvalidInput, MissingExtra
from localmind.ids import random_id
from localmind.model import TenantId

if TYPE_CHECKING:
    from localmind.accounts.logins import Logins, Pair
    from localmind.accounts.oidc import CodeFlow, Returned, Started
    from localmind.catalog.catalog import Catalog
    from localmind.settings import Settings

DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")
MOST_DOMAINS = 100


VerifyToken = Callable[[str], Identity]


class Entry(NamedTuple):
    """An account, and the tenants that it may enter by its provider."""

    account: Account
    tenants: frozenset[TenantId]


class SingleSignOn:
    def __init__(self, catalog: Catalog, logins: Logins | None, oidc: CodeFlow | None, google: VerifyToken | None) -> None:
        """logins: None where a service runs without. google: what an ID token of Google's says."""
        self._catalog = catalog
        self._logins = logins
        self._oidc = oidc
        self._google = google

    @property
    def has_oidc(self) -> bool:
        return self._logins is not None and self._oidc is not None

    # --- logging in

    def start(self, redirect_uri: str) -> Started:
        """Raises Conflict where no provider is configured, Unavailable where it does not answer."""
        _, oidc = self._configured()
        return oidc.start(redirect_uri)

    def finish(self, flow: str, returned: Returned, *, redirect_uri: str, tenant: str | None = None) -> str:
        """A page's login: its cookie's content. Raises Unauthenticated, Forbidden for who has no place here, Unavailable."""
        logins, oidc = self._configured()
        entry = self.entry(oidc.finish(flow, returned, redirect_uri=redirect_uri))
        return logins.enter_page(entry.account, tenant, only=entry.tenants)

    def log_in_google(self, id_token: str, *, tenant: str | None = None) -> Pair:
        """The same by an ID token that a Google button gave. Raises Conflict where GOOGLE_CLIENT_ID is not set."""
        if self._logins is None or self._google is None:
            raise Conflict("This service takes no logins by Google.", hint="GOOGLE_CLIENT_ID turns them on.")
        entry = self.entry(self._google(id_token))
        return self._logins.enter(entry.account, tenant, only=entry.tenants)

    def _configured(self) -> tuple[Logins, CodeFlow]:
        if self._logins is None or self._oidc is None:
            raise Conflict("This service has no login provider.", hint="OIDC_ISSUER and OIDC_CLIENT_ID name one.")
        return self._logins, self._oidc

    # --- from an identity to an account

    def entry(self, identity: Identity) -> Entry:
        """The account: the one that the identity has, else one of the same confirmed address, else a new one where a domain may join.

        A tenant is entered by a provider only while its rule allows that. Raises Forbidden.
        """
        with self._catalog.database.write():
            self._catalog.database.hold(f"identity {identity.email or identity.subject}")
            account = self._known(identity) or self._linked(identity) or self._joined(identity)
        if account is None:
            raise _no_place()
        places = [place.tenant for place in self._catalog.accounts.places(account.id) if not place.disabled]
        rules = self._catalog.identities.rules(places)
        allowed = frozenset(tenant for tenant in places if rules[tenant].admits(account.email))
        if not allowed:
            raise _no_place()
        return Entry(account, allowed)

    def _known(self, identity: Identity) -> Account | None:
        user_id = self._catalog.identities.user_of(identity.issuer, identity.subject)
        return None if user_id is None else self._catalog.accounts.by_id(user_id)

    def _linked(self, identity: Identity) -> Account | None:
        """The account of the same address, where one of its tenants lets members in by that."""
        account = None if identity.email is None else self._catalog.accounts.by_email(identity.email)
        if account is None:
            return None
        if self._catalog.identities.subject_of(identity.issuer, account.id) is not None:
            return None  # the address was given to somebody else at the provider
        places = [place.tenant for place in self._catalog.accounts.places(account.id) if not place.disabled]
        if not any(rule.link_by_email for rule in self._catalog.identities.rules(places).values()):
            return None
        self._catalog.identities.add(identity.issuer, identity.subject, account.id)
        return account

    def _joined(self, identity: Identity) -> Account | None:
        """A new viewer of the tenant that the address's domain may join.

        Never an account that is there already: whoever made that with a password of theirs would come along into the tenant.
        """
        if identity.email is None or self._catalog.accounts.by_email(identity.email) is not None:
            return None
        tenant = self._catalog.identities.joined_by(identity.email.rpartition("@")[2])
        if tenant is None:
            return None
        account = Account(UserId(random_id()), identity.email, identity.name or identity.email.partition("@")[0], None)
        self._catalog.accounts.add(account.id, email=account.email, name=account.name, password_hash=None)
        self._catalog.accounts.join(tenant, account.id, Role.VIEWER)
        self._catalog.identities.add(identity.issuer, identity.subject, account.id)
        return account

    # --- what a tenant allows

    def rule(self, principal: Principal) -> LoginRule:
        require(principal.role, Role.ADMIN)
        return self._catalog.identities.rule(principal.tenant)

    def set_rule(self, principal: Principal, rule: LoginRule) -> LoginRule:
        """Raises Forbidden for domains by who does not look after the service: nobody shall claim those of others."""
        require(principal.role, Role.ADMIN)
        if rule.join_domains != self.rule(principal).join_domains and not principal.is_operator:
            raise Forbidden("Domains are given by who runs the service, an administrator of its first tenant.", hint="Ask them.")
        for domain in rule.join_domains:
            if DOMAIN.fullmatch(domain) is None:
                raise InvalidInput(f"{domain[:100]!r} is no domain.", hint="Write it as example.org, in lower case.")
        if len(rule.join_domains) > MOST_DOMAINS:
            raise InvalidInput(f"At most {MOST_DOMAINS} domains may join a tenant.")
        self._catalog.identities.set_rule(principal.tenant, rule)
        return rule


def build_single_sign_on(settings: Settings, catalog: Catalog, logins: Logins | None) -> SingleSignOn:
    """Raises ConfigurationError for settings that contradict each other, MissingExtra."""
    issuer, client_id = settings.oidc_issuer, settings.oidc_client_id
    if bool(issuer) != bool(client_id):
        raise ConfigurationError("Of OIDC_ISSUER and OIDC_CLIENT_ID one is missing.", hint="Set both, or none.")
    if logins is None or not (issuer or settings.google_client_id):
        return SingleSignOn(catalog, logins, None, None)
    _require_cryptography()
    from localmind.accounts.id_tokens import GOOGLE, verify
    from localmind.accounts.oidc import CodeFlow
    from localmind.accounts.provider import Provider

    oidc = google = None
    if issuer:
        secret = settings.oidc_client_secret.get_secret_value()
        provider = Provider(issuer, ca_file=settings.tls_ca_file)
        oidc = CodeFlow(provider, client_id=client_id, secret=secret, scopes=settings.oidc_scopes)
    if settings.google_client_id:
        google = partial(verify, provider=Provider(GOOGLE), client_id=settings.google_client_id)
    return SingleSignOn(catalog, logins, oidc, google)


def _require_cryptography() -> None:
    try:
        import cryptography  # noqa: F401 - what PyJWT verifies signatures of key pairs with
    except ModuleNotFoundError as error:
        raise MissingExtra("Logins by a provider need the package cryptography.", hint="pip install 'localmind[servers]'") from error


def _no_place() -> Forbidden:
    return Forbidden(
        "The provider knows you, and no tenant here lets you in by that.",
        hint="Ask an administrator of your tenant, or log in with a password.",
    )
