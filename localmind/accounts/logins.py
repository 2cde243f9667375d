"""Logging in, staying in, getting out."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from localmind.accounts.emails import canonical
from localmind.accounts.model import Account, Principal, SessionId, UserId
from localmind.accounts.opaque import COOKIE, REFRESH, digest, new_token
from localmind.catalog.attempts import Rule
from localmind.catalog.audit import Event
from localmind.catalog.sessions import Session, Use
from localmind.errors import Conflict, InvalidInput, TooManyAttempts, Unauthenticated
from localmind.ids import random_id, stable_id
from localmind.model import PERSONAL

if TYPE_CHECKING:
    from localmind.accounts.authentication import Authentication
    from localmind.accounts.passwords import Passwords
    from localmind.accounts.tokens import Tokens
    from localmind.catalog.accounts import Place
    from localmind.catalog.catalog import Catalog
    from localmind.model import TenantId

FROM_ONE_PLACE = Rule(free=5, first_s=2, most_s=900)
FROM_ANYWHERE = Rule(free=20, first_s=5, most_s=300)
"""Looser: else a stranger could keep somebody out by failing in their name."""


class Pair(NamedTuple):
    """access: a JWT. refresh: good for one use. expires_in_s: of the access token."""

    access: str
    refresh: str
    expires_in_s: int


class Logins:
    def __init__(
        self, catalog: Catalog, passwords: Passwords, tokens: Tokens, authentication: Authentication, *, refresh_days: int
    ) -> None:
        self._catalog = catalog
        self._accounts = catalog.accounts
        self._attempts = catalog.attempts
        self._sessions = catalog.sessions
        self._passwords = passwords
        self._tokens = tokens
        self._authentication = authentication
        self._lasts_s = refresh_days * 86_400

    def log_in(self, email: str, password: str, *, address: str, tenant: str | None = None) -> Pair:
        """address: where the attempt comes from. tenant: needed by who belongs to several.

        Raises Unauthenticated, in the same words and time for a wrong password and for an account that is not there;
        TooManyAttempts; InvalidInput where the tenant has to be named.
        """
        account = self.prove(email, password, address=address)
        return self._pair(self._begin(account.id, tenant))

    def log_in_page(self, email: str, password: str, *, address: str, tenant: str | None = None) -> str:
        """The same for a browser's cookie: its content."""
        return self.enter_page(self.prove(email, password, address=address), tenant)

    def prove(self, email: str, password: str, *, address: str) -> Account:
        """The account, if that is its password. Every door that takes a password goes through here, and counts failures."""
        email = canonical(email)
        rules = {stable_id("login", email, address): FROM_ONE_PLACE, stable_id("login", email): FROM_ANYWHERE}
        wait_s = self._attempts.begin(rules)
        if wait_s:
            seconds = max(1, round(wait_s + 0.5))
            raise TooManyAttempts("Logins to this account failed too often.", hint=f"Try again in {seconds} s.", retry_after_s=seconds)
        account = self._accounts.by_email(email)
        verdict = self._passwords.verify(password, account.password_hash if account else None)
        if account is None or not verdict.is_right:
            self._note_failure(account)
            raise _refused()
        self._attempts.clear(list(rules))
        if verdict.new_hash is not None:
            self._accounts.set_password(account.id, verdict.new_hash)
        return account

    def enter(self, account: Account, tenant: str | None = None, *, only: Collection[TenantId] | None = None) -> Pair:
        """For an account that has proved who it is in another way. only: the tenants that this way leads to; None: all of its."""
        return self._pair(self._begin(account.id, tenant, only=only))

    def enter_page(self, account: Account, tenant: str | None = None, *, only: Collection[TenantId] | None = None) -> str:
        """The same for a browser's cookie: its content."""
        cookie = new_token(COOKIE)
        self._begin(account.id, tenant, only=only, cookie_hash=digest(cookie))
        return cookie

    def refresh(self, token: str) -> Pair:
        """A new pair for a refresh token, which is used up. One that was used before ends the login. Raises Unauthenticated."""
        successor = new_token(REFRESH)
        used = self._sessions.use_refresh_token(digest(token), successor=digest(successor))
        if used.session is None:
            if used.outcome is Use.REUSED:
                self._authentication.forget()
            raise Unauthenticated("The refresh token does not hold.", hint="Log in again.")
        return Pair(self._sign(used.session), successor, self._tokens.lasts_s)

    def log_out(self, principal: Principal) -> None:
        """Ends the login. Raises Conflict for an API key, which is deleted instead."""
        if principal.session_id is None:
            raise Conflict("There is no login to end.", hint="An API key is deleted, not logged out.")
        with self._catalog.database.write():
            self._sessions.revoke(principal.tenant, principal.session_id)
            self._catalog.audit.record(Event.LOGOUT, principal.tenant)
        self._authentication.forget()

    def log_out_everywhere(self, principal: Principal) -> None:
        """Ends every login of the person, in every tenant. API keys stay, and can't do this."""
        if principal.key_id is not None:
            raise Conflict("An API key ends no logins.", hint="Log in for that.")
        with self._catalog.database.write():
            self._sessions.revoke_all(_person(principal))
            self._catalog.audit.record(Event.LOGOUT, principal.tenant, everywhere=True)
        self._authentication.forget()

    def change_password(self, principal: Principal, old: str, new: str, *, address: str) -> None:
        """Ends every login of the person."""
        from localmind.accounts.passwords import check_password

        account = self._accounts.by_id(_person(principal))
        if account is None:
            raise _refused()
        self.prove(account.email, old, address=address)
        check_password(new, email=account.email)
        hashed = self._passwords.hash(new)
        with self._catalog.database.write():
            self._accounts.set_password(account.id, hashed)
            self._catalog.audit.record(Event.PASSWORD_CHANGED, principal.tenant)
        self.log_out_everywhere(principal)

    def _begin(
        self, user_id: UserId, tenant: str | None, *, only: Collection[TenantId] | None = None, cookie_hash: str | None = None
    ) -> Session:
        places = [place for place in self._accounts.places(user_id) if not place.disabled and (only is None or place.tenant in only)]
        place = self._choose(user_id, places, tenant)
        session_id = SessionId(random_id())
        with self._catalog.database.write():
            self._sessions.add(place.tenant, user_id, session_id, lasts_s=self._lasts_s, cookie_hash=cookie_hash)
            self._accounts.logged_in(user_id)
            self._catalog.audit.record(Event.LOGIN, place.tenant, tenant=place.tenant, user_id=user_id, session=session_id)
        self._sessions.drop_ended()
        self._attempts.forget()
        return Session(session_id, place.tenant, user_id, place.role, generation=1)

    def _choose(self, user_id: UserId, places: list[Place], tenant: str | None) -> Place:
        """Somebody who may enter nowhere is told what somebody unknown is."""
        fitting = [place for place in places if tenant is None or place.tenant == tenant]
        if not fitting:
            raise _refused()
        if len(fitting) > 1:
            known = {one.id: one.name for one in self._accounts.tenants_of(user_id)}
            ids = [place.tenant for place in fitting]
            hint = f"Name one as `tenant`: {', '.join(ids)}."
            raise InvalidInput("You belong to several tenants.", hint=hint, tenants=ids, names=[known.get(one, one) for one in ids])
        return fitting[0]

    def _note_failure(self, account: Account | None) -> None:
        """In every tenant of the account; for an address without one, which is not written down, in the first tenant."""
        places = [] if account is None else self._accounts.places(account.id)
        user_id = None if account is None else account.id
        for tenant in [place.tenant for place in places] or [PERSONAL]:
            self._catalog.audit.record(Event.LOGIN_FAILED, tenant, tenant=tenant, user_id=user_id, known=account is not None)

    def _pair(self, session: Session) -> Pair:
        refresh = new_token(REFRESH)
        self._sessions.add_refresh_token(session.tenant, session.id, digest(refresh))
        return Pair(self._sign(session), refresh, self._tokens.lasts_s)

    def _sign(self, session: Session) -> str:
        return self._tokens.sign(session.tenant, session.user_id, session.role, session.id, session.generation)


def _refused() -> Unauthenticated:
    return Unauthenticated("The address or the password is wrong.", hint="After some failures the account is locked for a while.")


def _person(principal: Principal) -> UserId:
    if principal.user_id is None:
        raise Conflict("This service runs without logins.", hint="AUTH=required turns them on.")
    return principal.user_id
