"""Logging in and out, and who one is."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from apps.backend import cookies
from apps.backend.access import OPEN, Member, address_of
from apps.backend.dependencies import Mind
from apps.backend.schemas.accounts import AcceptIn, LoginIn, MeOut, PasswordIn, RefreshIn, TokensOut
from apps.backend.schemas.common import problems
from localmind.accounts.logins import Pair

router = APIRouter(prefix="/api/v1/auth", tags=["accounts"])

WITHOUT = "The service runs without logins."
LOGIN = problems(_400="Several tenants: name one.", _401="Wrong address or password.", _409=WITHOUT, _429="Too many failures: locked.")


@router.post("/login", responses=LOGIN, dependencies=[OPEN])
def log_in(mind: Mind, body: LoginIn, request: Request) -> TokensOut:
    """Tokens for an address and a password."""
    return tokens_of(mind.accounts.logins.log_in(body.email, body.password, address=address_of(request), tenant=body.tenant))


@router.post("/cookie", status_code=204, responses=LOGIN, dependencies=[OPEN])
def log_in_page(mind: Mind, body: LoginIn, request: Request, response: Response) -> None:
    """The same for a browser: a cookie that scripts can't read."""
    cookie = mind.accounts.logins.log_in_page(body.email, body.password, address=address_of(request), tenant=body.tenant)
    cookies.put_session(response, request, cookie, days=mind.settings.refresh_token_days)


@router.post("/refresh", responses=problems(_401="It does not hold.", _409=WITHOUT), dependencies=[OPEN])
def refresh(mind: Mind, body: RefreshIn) -> TokensOut:
    """A new pair for a refresh token, which is used up. One that was used before ends the login that it belongs to."""
    return tokens_of(mind.accounts.logins.refresh(body.refresh_token))


@router.post(
    "/accept-invitation",
    responses=problems(_400="The password will not do.", _401="It does not hold.", _409=WITHOUT, _429="Too many failures: locked."),
    dependencies=[OPEN],
)
def accept_invitation(mind: Mind, body: AcceptIn, request: Request) -> TokensOut:
    """Become a member, with a new account or the one that the address has, and log in."""
    accepted = mind.accounts.members.accept(body.token, body.password, name=body.name or "", address=address_of(request))
    return tokens_of(mind.accounts.logins.enter(accepted.account, accepted.tenant))


@router.post("/logout", status_code=204, responses=problems(_409="There is no login to end."))
def log_out(mind: Mind, who: Member, response: Response) -> None:
    """End this login: its tokens hold no more."""
    mind.accounts.logins.log_out(who)
    cookies.drop_session(response)


@router.post("/logout-everywhere", status_code=204, responses=problems(_409=WITHOUT))
def log_out_everywhere(mind: Mind, who: Member, response: Response) -> None:
    """End every login of yours, in every tenant. API keys stay."""
    mind.accounts.logins.log_out_everywhere(who)
    cookies.drop_session(response)


@router.post("/password", status_code=204, responses=problems(_400="The new one will not do.", _409=WITHOUT, _429="Locked."))
def change_password(mind: Mind, who: Member, body: PasswordIn, request: Request) -> None:
    """Change the password, and end every login of yours."""
    mind.accounts.logins.change_password(who, body.password, body.new_password, address=address_of(request))


@router.get("/me", responses=problems())
def me(mind: Mind, who: Member) -> MeOut:
    """Who you are, and what you may."""
    return MeOut.of(mind.accounts.members.profile(who))


def tokens_of(pair: Pair) -> TokensOut:
    return TokensOut(access_token=pair.access, refresh_token=pair.refresh, expires_in=pair.expires_in_s)
