"""Who has a page open, and in which space. Every action on a page asks anew whether they still may: a page outlives a login."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from fastapi import Request
from nicegui import ui

from apps.backend.access import COOKIE
from apps.web.calls import call
from localmind.accounts.authentication import Credentials
from localmind.accounts.members import Profile
from localmind.accounts.model import OWNER_HERE, Access, Principal, Role, Space, require
from localmind.errors import LocalMindError, NotFound, Unauthenticated
from localmind.model import TenantId

if TYPE_CHECKING:
    from localmind.wiring import LocalMind

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Visit:
    """credentials: None where the service runs without logins. space: as the page's address names it; None: the default one.

    access: as it was when the page was opened. profile, spaces: what a person sees of themselves; None where nobody logs in.
    """

    mind: LocalMind
    credentials: Credentials | None
    space: str | None
    access: Access
    profile: Profile | None
    spaces: tuple[Space, ...]

    @property
    def may_change(self) -> bool:
        """Whether to show what changes documents and conversations; enter() is what decides."""
        return self.access.role.allows(Role.EDITOR)

    def enter(self, needed: Role = Role.VIEWER) -> TenantId:
        """The space's partition, for who has that role there now. May wait for the catalog.

        Raises Unauthenticated where the login has ended, NotFound where the space is closed to them, Forbidden.
        """
        found = enter_space(self.mind, self._principal(), self.space)
        require(found.role, needed)
        return found.partition

    async def read(self, verb: Callable[Concatenate[TenantId, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a verb on the space, in a thread."""
        return await call(lambda: verb(self.enter(), *args, **kwargs))

    async def change(self, verb: Callable[Concatenate[TenantId, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for a verb that editors may use."""
        return await call(lambda: verb(self.enter(Role.EDITOR), *args, **kwargs))

    async def watch(self) -> None:
        """Leaves a page whose login has ended, or whose space is closed: what it shows is not to be seen any longer."""
        try:
            await call(self.enter)
        except (Unauthenticated, NotFound):
            ui.navigate.reload()
        except LocalMindError:
            return  # a store is away; who asks for something is told so

    def address(self, path: str) -> str:
        """A path of ours, in this space."""
        if self.space is None:
            return path
        return f"{path}{'&' if '?' in path else '?'}space={self.space}"

    def _principal(self) -> Principal:
        return OWNER_HERE if self.credentials is None else self.mind.accounts.authentication.authenticate(self.credentials)


async def open_visit(mind: LocalMind, request: Request, space: str) -> Visit:
    """For a page that is being built; the gate has recognised who asks. space: "" for the default one. Raises NotFound."""
    return await call(_open, mind, request, space or None)


def _open(mind: LocalMind, request: Request, space: str | None) -> Visit:
    principal: Principal = request.state.principal
    access = enter_space(mind, principal, space)
    if principal.user_id is None:
        return Visit(mind, None, space, access, None, ())
    credentials = Credentials(cookie=request.cookies.get(COOKIE))
    return Visit(mind, credentials, space, access, mind.accounts.members.profile(principal), tuple(mind.accounts.spaces.all(principal)))


def enter_space(mind: LocalMind, principal: Principal, space: str | None) -> Access:
    return mind.accounts.spaces.enter(principal, space)
