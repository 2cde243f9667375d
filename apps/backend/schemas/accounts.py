"""Bodies of /api/v1/auth, /tenants, /users, /spaces and /api-keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, JsonValue, StrictBool

from apps.backend.schemas.common import Clean, Filled, Id, NoBool, Reply, Request, Time
from localmind.accounts.keys import NewApiKey
from localmind.accounts.members import Invited, Profile
from localmind.accounts.model import ApiKey, Invitation, LoginRule, Role, Scope

MOST_PASSWORD_CHARS = 1024
"""Of what is sent; what a password may be is the library's to say."""

Name = Annotated[Filled, Field(min_length=1, max_length=200)]
Email = Annotated[Filled, Field(max_length=320)]
Password = Annotated[Clean, Field(min_length=1, max_length=MOST_PASSWORD_CHARS, json_schema_extra={"format": "password"})]
ConsentVersion = Annotated[Clean, Field(max_length=64, description="Of the text at /auth/consent, which the person agrees to.")]
Token = Annotated[Clean, Field(min_length=1, max_length=500)]


def _example(body: dict[str, JsonValue]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [body]})


class LoginIn(Request):
    model_config = _example({"email": "ann@example.org", "password": "correct horse battery"})

    email: Email
    password: Password
    tenant: Id | None = Field(None, description="Id of the tenant; needed by who belongs to several.")
    consent: ConsentVersion | None = None


class GoogleIn(Request):
    model_config = _example({"id_token": "eyJhbGciOi..."})

    id_token: Annotated[Clean, Field(min_length=1, max_length=16_384)] = Field(description="Of a Google button with our client id.")
    tenant: Id | None = Field(None, description="Id of the tenant; needed by who belongs to several.")


class RefreshIn(Request):
    model_config = _example({"refresh_token": "lmr_Yf0cQ2v..."})

    refresh_token: Token


class AcceptIn(Request):
    model_config = _example({"token": "lmi_8sQk1Z...", "password": "correct horse battery", "name": "Ann"})

    token: Token
    password: Password = Field(description="The new account's; of who has an account, the one of that.")
    name: Annotated[Filled, Field(max_length=200)] | None = None
    consent: ConsentVersion | None = None


class PasswordIn(Request):
    model_config = _example({"password": "correct horse battery", "new_password": "staple of four words"})

    password: Password
    new_password: Password


class TokensOut(Reply):
    """An access token for requests, and a refresh token for one new pair."""

    model_config = _example({"access_token": "eyJhbGciOi...", "refresh_token": "lmr_Yf0cQ2v...", "token_type": "bearer", "expires_in": 900})

    access_token: str
    refresh_token: str = Field(description="Used once; used twice, it ends the login.")
    token_type: str = "bearer"  # noqa: S105  a kind, no token
    expires_in: int = Field(description="Seconds that the access token holds.")


class TenantOut(Reply):
    id: str
    name: str
    role: Role = Field(description="Yours.")
    created_at: Time


class LoginRuleIn(Request):
    """What the tenant allows logins by a provider."""

    model_config = _example({"link_by_email": True, "join_domains": []})

    link_by_email: StrictBool = Field(description="Members come in whose address the provider confirms.")
    join_domains: Annotated[list[Annotated[Filled, Field(max_length=253)]], Field(max_length=100)] = Field(
        [], description="Whoever has an address there becomes a viewer. Only for an administrator of the first tenant."
    )


class LoginRuleOut(Reply):
    link_by_email: bool
    join_domains: list[str]

    @classmethod
    def of(cls, rule: LoginRule) -> LoginRuleOut:
        return cls(link_by_email=rule.link_by_email, join_domains=sorted(rule.join_domains))


class Renamed(Request):
    model_config = _example({"name": "Example Ltd"})

    name: Name


class MeOut(Reply):
    """Who asks."""

    user_id: str | None = Field(description="Null where the service runs without logins.")
    email: str | None
    name: str | None
    role: Role = Field(description="In the tenant, at most what the API key allows.")
    tenant: TenantOut
    api_key_id: str | None
    scopes: list[Scope] = Field(description="Of the API key; all for a login.")

    @classmethod
    def of(cls, profile: Profile) -> MeOut:
        who, account = profile.principal, profile.account
        return cls(
            user_id=who.user_id,
            email=account.email if account else None,
            name=account.name if account else None,
            role=who.role,
            tenant=TenantOut.model_validate(profile.tenant),
            api_key_id=who.key_id,
            scopes=sorted(who.scopes),
        )


class UserOut(Reply):
    user_id: str
    email: str
    name: str
    role: Role
    disabled: bool
    created_at: Time
    last_login_at: Time | None


class InviteIn(Request):
    model_config = _example({"email": "bob@example.org", "role": "editor"})

    email: Email
    role: Role = Role.VIEWER
    days: Annotated[int, Field(ge=1, le=30, description="Until it expires."), NoBool] = 7


class InvitationOut(Reply):
    id: str
    email: str
    role: Role
    created_at: Time
    expires_at: Time

    @classmethod
    def of(cls, invitation: Invitation) -> InvitationOut:
        return cls.model_validate(invitation)


class InvitedOut(InvitationOut):
    token: str = Field(description="For whoever is invited; shown only now.")

    @classmethod
    def with_token(cls, invited: Invited) -> InvitedOut:
        return cls(**InvitationOut.of(invited.invitation).model_dump(), token=invited.token)


class UserChange(Request):
    """What is left out stays."""

    model_config = _example({"role": "admin"})

    role: Role | None = None
    disabled: StrictBool | None = Field(None, description="True: logged out, and not let in again.")


class SpaceIn(Request):
    model_config = _example({"name": "Research", "restricted": True})

    name: Name
    restricted: StrictBool = Field(False, description="Only its members and the tenant's administrators see it.")


class SpaceChange(Request):
    """What is left out stays."""

    model_config = _example({"name": "Research", "restricted": False})

    name: Name | None = None
    restricted: StrictBool | None = None


class SpaceOut(Reply):
    id: str = Field(description="For the header X-Space.")
    name: str
    restricted: bool
    role: Role = Field(description="Yours in it.")
    is_default: bool = Field(description="The one that a request without X-Space means.")
    created_at: Time


class SpaceMemberIn(Request):
    model_config = _example({"role": "editor"})

    role: Role = Field(description="viewer, editor or admin: there, whatever it is in the tenant.")


class SpaceMemberOut(Reply):
    user_id: str
    email: str
    name: str
    role: Role


class ApiKeyIn(Request):
    model_config = _example({"name": "Nightly import", "scopes": ["write"], "days": 90})

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=3)] = Field(description="read, write, admin: each includes the former.")
    spaces: Annotated[list[Id], Field(min_length=1, max_length=100)] | None = Field(None, description="Ids of the only spaces it opens.")
    days: Annotated[int, Field(ge=1, le=3650, description="Until it expires; null: never."), NoBool] | None = None


class RotateIn(Request):
    model_config = _example({"overlap_hours": 24})

    overlap_hours: Annotated[float, Field(ge=0, le=720, description="How long the old key holds beside the new one."), NoBool] = 24


class ApiKeyOut(Reply):
    id: str
    user_id: str
    name: str
    prefix: str = Field(description="The key begins with lm_ and this.")
    scopes: list[Scope]
    spaces: list[str] | None
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None = Field(description="To the minute.")

    @classmethod
    def of(cls, key: ApiKey) -> ApiKeyOut:
        return cls(**_of_key(key))


class NewApiKeyOut(ApiKeyOut):
    key: str = Field(description="The key itself; shown only now.")

    @classmethod
    def with_key(cls, made: NewApiKey) -> NewApiKeyOut:
        return cls(**_of_key(made.key), key=made.text)


def _of_key(key: ApiKey) -> dict[str, object]:
    scopes = [scope for scope in Scope if scope in key.scopes]
    spaces = None if key.spaces is None else sorted(key.spaces)
    return {
        "id": key.id,
        "user_id": key.user_id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": scopes,
        "spaces": spaces,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
    }
