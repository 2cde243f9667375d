"""How little the catalog is asked, and that what was taken back is noticed all the same."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from localmind.accounts.authentication import REFRESH_S, Authentication, Credentials, Revocations
from localmind.accounts.model import Principal, Role, SessionId
from localmind.accounts.recent import MOST, RECENT_S, Recent
from localmind.accounts.tokens import Claims
from localmind.errors import StoreUnavailable, Unauthenticated
from localmind.model import PERSONAL

S1 = SessionId("s1")


class Catalog:
    """Counts how often it is asked, and can be away."""

    def __init__(self) -> None:
        self.least: dict[SessionId, int] = {}
        self.asked = 0
        self.is_away = False

    def read(self) -> Mapping[SessionId, int]:
        self.asked += 1
        if self.is_away:
            raise StoreUnavailable("away")
        return dict(self.least)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_catalog_is_asked_once_in_a_while() -> None:
    catalog, clock = Catalog(), Clock()
    revocations = Revocations(catalog.read, clock)
    for _ in range(100):
        revocations.refresh()
        assert revocations.is_fresh and revocations.holds(S1, 1)
    assert catalog.asked == 1
    catalog.least[S1] = 2
    clock.now += REFRESH_S + 1
    assert not revocations.is_fresh
    revocations.refresh()
    assert catalog.asked == 2 and not revocations.holds(S1, 1) and revocations.holds(S1, 2)


def test_where_the_catalog_is_away_what_is_known_serves_for_half_a_minute() -> None:
    catalog, clock = Catalog(), Clock()
    revocations = Revocations(catalog.read, clock)
    revocations.refresh()
    catalog.is_away = True
    clock.now += RECENT_S - 1
    revocations.refresh()
    clock.now += 2
    with pytest.raises(StoreUnavailable):
        revocations.refresh()


def test_a_change_of_this_process_is_seen_at_once() -> None:
    catalog, clock = Catalog(), Clock()
    revocations = Revocations(catalog.read, clock)
    revocations.refresh()
    catalog.least[S1] = 2
    revocations.forget()
    revocations.refresh()
    assert not revocations.holds(S1, 1)


def test_a_token_that_is_remembered_is_looked_at_again_when_it_ends() -> None:
    verified = []

    class Tokens:
        lasts_s = 900

        def verify(self, token: str) -> Claims:
            verified.append(token)
            if len(verified) > 1:
                raise Unauthenticated("expired")
            return Claims(Principal(PERSONAL, None, Role.VIEWER, session_id=S1), 1, expires_at=1010.0)

    class Sessions:
        def changed_within(self, seconds: float) -> dict[SessionId, int]:
            return {}

    clock = Clock()
    authentication = Authentication(Tokens(), Sessions(), None, now=clock)  # type: ignore[arg-type]
    for _ in range(3):
        assert authentication.authenticate(Credentials(token="a.b.c")).session_id == S1
    assert len(verified) == 1
    clock.now += 10
    with pytest.raises(Unauthenticated):
        authentication.authenticate(Credentials(token="a.b.c"))


def test_what_was_looked_up_lasts_for_half_a_minute_and_does_not_pile_up() -> None:
    clock = Clock()
    recent: Recent[int, str] = Recent(clock)
    recent.put(1, "one")
    clock.now += RECENT_S
    assert recent.get(1) == "one"
    clock.now += 1
    assert recent.get(1) is None
    for number in range(MOST + 10):
        recent.put(number, "x")
    assert len(recent._kept) <= MOST
