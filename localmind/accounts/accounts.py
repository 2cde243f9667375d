"""Everything of accounts, as doors use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from localmind.accounts.keys import ApiKeys
from localmind.accounts.members import Members
from localmind.accounts.passwords import Passwords
from localmind.accounts.single_sign_on import SingleSignOn, build_single_sign_on
from localmind.accounts.spaces import Spaces
from localmind.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable

    from localmind.accounts.authentication import Authentication
    from localmind.accounts.logins import Logins
    from localmind.catalog.catalog import Catalog
    from localmind.model import TenantId
    from localmind.settings import Settings


@dataclass(frozen=True)
class Accounts:
    members: Members
    spaces: Spaces
    api_keys: ApiKeys
    single_sign_on: SingleSignOn
    _authentication: Authentication | None
    _logins: Logins | None

    @property
    def logins(self) -> Logins:
        """Raises Conflict where the service runs without."""
        if self._logins is None:
            raise _without_logins()
        return self._logins

    @property
    def authentication(self) -> Authentication:
        """Raises Conflict where the service runs without logins."""
        if self._authentication is None:
            raise _without_logins()
        return self._authentication


def build_accounts(settings: Settings, catalog: Catalog, *, empty: Callable[[TenantId], None], with_logins: bool) -> Accounts:
    """empty: removes what a space's partition holds. with_logins: else whoever asks is the owner; see mode.needs_login.

    Raises ConfigurationError for keys that can't be used.
    """
    passwords = Passwords(memory_kib=settings.password_memory_kib, rounds=settings.password_rounds)
    spaces = Spaces(catalog, empty)
    authentication, logins = _build_logins(settings, catalog, passwords) if with_logins else (None, None)
    return Accounts(
        members=Members(catalog, passwords, logins, authentication),
        spaces=spaces,
        api_keys=ApiKeys(catalog, spaces, authentication),
        single_sign_on=build_single_sign_on(settings, catalog, logins),
        _authentication=authentication,
        _logins=logins,
    )


def _build_logins(settings: Settings, catalog: Catalog, passwords: Passwords) -> tuple[Authentication, Logins]:
    from localmind.accounts.authentication import Authentication
    from localmind.accounts.logins import Logins
    from localmind.accounts.mode import check_secrets
    from localmind.accounts.tokens import build_tokens

    check_secrets(settings)
    tokens = build_tokens(settings)
    authentication = Authentication(tokens, catalog.sessions, catalog.api_keys)
    return authentication, Logins(catalog, passwords, tokens, authentication, refresh_days=settings.refresh_token_days)


def _without_logins() -> Conflict:
    return Conflict("This service runs without logins.", hint="AUTH=required turns them on.")
