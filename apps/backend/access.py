"""Who asks, and what they may do: every route says what it needs by the type of a parameter, or by OPEN.

def search(mind: Mind, space: Reader, ...)      a partition that the asker may read
def invite(mind: Mind, admin: Administrator)    a principal with that role in the tenant
APIRouter(dependencies=[OPEN])                  anybody, before or without a login
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any, NamedTuple, TypeVar

from anyio import to_thread
from fastapi import Depends, FastAPI, Header, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from apps.backend.security import is_same_origin
from localmind.accounts import acting
from localmind.accounts.authentication import Credentials
from localmind.accounts.mode import is_loopback
from localmind.accounts.model import OWNER_HERE, Access, Principal, Role, require
from localmind.errors import Forbidden, Unauthenticated
from localmind.model import TenantId

COOKIE = "localmind_session"
BEARER = "bearer "
NOTHING = "nothing"

Dependency = TypeVar("Dependency", bound=Callable[..., Any])


async def recognise(connection: HTTPConnection) -> Principal:
    """Who asks. Raises Unauthenticated; Unavailable while the service starts."""
    return await _authenticated(connection, credentials_of(connection.headers, connection.cookies.get(COOKIE)))


async def recognise_visitor(connection: HTTPConnection) -> Principal:
    """Who opens a page or something on it, by the cookie alone. Raises as recognise() does.

    A link from elsewhere may lead here, and a login provider does: to show a page changes nothing, and no other page can read it.
    """
    is_ours = _follows_a_link(connection) or is_same_origin(connection.headers)
    return await _authenticated(connection, Credentials(cookie=connection.cookies.get(COOKIE) if is_ours else None))


async def _authenticated(connection: HTTPConnection, credentials: Credentials) -> Principal:
    if not connection.app.state.has_logins:
        _require_near(connection)
        return OWNER_HERE
    authentication = connection.app.state.service.mind.accounts.authentication
    known: Principal | None = authentication.known(credentials)
    return known if known is not None else await to_thread.run_sync(authentication.authenticate, credentials)


def _follows_a_link(connection: HTTPConnection) -> bool:
    """What a browser says of a request for a page in a tab of its own."""
    is_get = connection.scope["type"] == "http" and connection.scope["method"] in ("GET", "HEAD")
    headers = connection.headers
    return is_get and (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")


async def principal(request: Request) -> Principal:
    """The gate knows already, where there is one."""
    recognised: Principal | None = getattr(request.state, "principal", None)
    who = recognised if recognised is not None else await recognise(request)
    acting.act_as(who)
    return who


async def access(
    request: Request,
    who: Annotated[Principal, Depends(principal)],
    x_space: Annotated[str | None, Header(max_length=64, description="Id of the space; else the tenant's default one.")] = None,
    space: Annotated[str | None, Query(max_length=64, description="The same, where a header can't be set.")] = None,
) -> Access:
    """Raises NotFound for a space that the principal may not see."""
    spaces = request.app.state.service.mind.accounts.spaces
    wanted = x_space if x_space is not None else space
    known = spaces.known(who, wanted)
    return known if known is not None else await to_thread.run_sync(spaces.enter, who, wanted)


def credentials_of(headers: Headers, cookie: str | None) -> Credentials:
    """A cookie counts only for requests of our own pages: a browser sends it along with any (CSRF)."""
    given = headers.get("authorization", "")
    if given[: len(BEARER)].lower() == BEARER:
        return Credentials(token=given[len(BEARER) :].strip())
    if key := headers.get("x-api-key"):
        return Credentials(token=key.strip())
    return Credentials(cookie=cookie if is_same_origin(headers) else None)


def address_of(connection: HTTPConnection) -> str:
    """Where a request comes from, for counting: behind TRUSTED_PROXIES what they say. A Unix socket has no address."""
    return connection.client.host if connection.client else "local"


def _require_near(connection: HTTPConnection) -> None:
    """Without logins the service answers this machine alone, whatever address the server above us was told to bind."""
    host = (connection.scope.get("server") or ("", None))[0]
    if _is_address(host) and not is_loopback(host):
        raise Unauthenticated(
            f"This service runs without logins, and answers only on loopback; it was reached at {host}.",
            hint="Set HOST to the address that it binds, or AUTH=required.",
        )


def _is_address(host: str) -> bool:
    return host.replace(".", "").isdigit() or ":" in host


def _in_space(needed: Role) -> Callable[..., Awaitable[TenantId]]:
    async def partition(found: Annotated[Access, Depends(access)]) -> TenantId:
        require(found.role, needed)
        return found.partition

    return _declares(partition, needed.value)


def _in_tenant(needed: Role) -> Callable[..., Awaitable[Principal]]:
    async def allowed(who: Annotated[Principal, Depends(principal)]) -> Principal:
        require(who.role, needed)
        return who

    return _declares(allowed, f"tenant {needed}")


async def _operator(who: Annotated[Principal, Depends(principal)]) -> Principal:
    if not who.is_operator:
        raise Forbidden("This concerns the whole service, and needs an administrator of its first tenant.", hint="Ask whoever runs it.")
    return who


async def _open() -> None:
    """Anybody."""


class Declared(NamedTuple):
    """A route and what it says that it needs; None: it says nothing, which a test does not let pass."""

    path: str
    methods: frozenset[str]
    needs: str | None
    in_schema: bool


def declared(app: FastAPI) -> Iterator[Declared]:
    """Every route of the API."""
    for found in iter_route_contexts(app.routes):
        if isinstance(found.original_route, APIRoute):
            yield Declared(str(found.path_format), frozenset(found.methods or ()), _needs(found.dependant), found.include_in_schema)


def _needs(dependant: Dependant) -> str | None:
    waiting, needs = [dependant], None
    while waiting:
        each = waiting.pop()
        needs = getattr(each.call, "needs", needs)
        waiting += each.dependencies
    return needs


def _declares(dependency: Dependency, needed: str) -> Dependency:
    """What a test reads to see that every route says whom it is for."""
    dependency.needs = needed  # type: ignore[attr-defined]
    return dependency


OPEN = Depends(_declares(_open, NOTHING))
Asker = Annotated[Principal, Depends(principal)]
"""Who asks, beside what the route needs; says nothing of that."""
Reader = Annotated[TenantId, Depends(_in_space(Role.VIEWER))]
Editor = Annotated[TenantId, Depends(_in_space(Role.EDITOR))]
Admin = Annotated[TenantId, Depends(_in_space(Role.ADMIN))]
Member = Annotated[Principal, Depends(_in_tenant(Role.VIEWER))]
Administrator = Annotated[Principal, Depends(_in_tenant(Role.ADMIN))]
Operator = Annotated[Principal, Depends(_declares(_operator, "operator"))]
