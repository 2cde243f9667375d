"""Logging in and out, and who one is."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from apps.backend import cookies
from apps.backend.access import OPEN, Member, address_of
from apps.backend.dependencies import Mind
from apps.backend.schemas.accounts import AcceptIn, LoginIn, MeOut, PasswordIn, RefreshIn, TokensOut
from apps.backend.schemas.common import problems
from apps.backend.schemas.privacy import ConsentIn, ConsentOut
from localmind.accounts.authentication import Credentials
from localmind.accounts.logins import Pair

router = APIRouter(prefix="/api/v1/auth", tags=["accounts"])

WITHOUT = "The service runs without logins."
LOGIN = problems(_400="Several tenants: name one.", _401="Wrong address or password.", _409=WITHOUT, _429="Too many failures: locked.")


@router.post("/login", responses=LOGIN, dependencies=[OPEN])
def log_in(mind: Mind, body: LoginIn, request: Request) -> TokensOut:
    """Tokens for an address and a password."""
    _check(mind, body.consent)
    pair = mind.accounts.logins.log_in(body.email, body.password, address=address_of(request), tenant=body.tenant)
    _keep(mind, body.consent, Credentials(token=pair.access))
    return tokens_of(pair)


@router.post("/cookie", status_code=204, responses=LOGIN, dependencies=[OPEN])
def log_in_page(mind: Mind, body: LoginIn, request: Request, response: Response) -> None:
    """The same for a browser: a cookie that scripts can't read."""
    _check(mind, body.consent)
    cookie = mind.accounts.logins.log_in_page(body.email, body.password, address=address_of(request), tenant=body.tenant)
    _keep(mind, body.consent, Credentials(cookie=cookie))
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
    _check(mind, body.consent)
    accepted = mind.accounts.members.accept(body.token, body.password, name=body.name or "", address=address_of(request))
    if body.consent is not None:
        mind.privacy.consents.keep(accepted.tenant, accepted.account.id, body.consent)
    return tokens_of(mind.accounts.logins.enter(accepted.account, accepted.tenant))


@router.get("/consent", responses=problems(), dependencies=[OPEN])
def show_consent(mind: Mind) -> ConsentOut:
    """What people agree to before they come in. Its version goes with a login, an accepted invitation, or below."""
    return ConsentOut.model_validate(mind.privacy.consents)


@router.post("/accept-consent", status_code=204, responses=problems(_400="Another text is shown now.", _409="Not a person's login."))
def accept_consent(mind: Mind, who: Member, body: ConsentIn) -> None:
    """Agree to it while logged in."""
    mind.privacy.consents.accept(who, body.version)


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


def _check(mind: Mind, consent: str | None) -> None:
    """First: a login must not count where its consent does not."""
    if consent is not None:
        mind.privacy.consents.check(consent)


def _keep(mind: Mind, consent: str | None, credentials: Credentials) -> None:
    if consent is not None:
        mind.privacy.consents.accept(mind.accounts.authentication.authenticate(credentials), consent)


def tokens_of(pair: Pair) -> TokensOut:
    return TokensOut(access_token=pair.access, refresh_token=pair.refresh, expires_in=pair.expires_in_s)
