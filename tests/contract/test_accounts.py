"""What accounts promise, on SQLite and PostgreSQL: logins, keys, people and spaces, over the catalog that keeps them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from localmind.accounts.accounts import Accounts, build_accounts
from localmind.accounts.authentication import Credentials
from localmind.accounts.model import OWNER_HERE, Principal, Role, Scope
from localmind.catalog.account_tables import api_key, invitation, login_attempt, refresh_token, session
from localmind.catalog.account_tables import space as space_table
from localmind.catalog.catalog import Catalog
from localmind.errors import Conflict, Forbidden, InvalidInput, NotFound, TooManyAttempts, Unauthenticated
from localmind.model import PERSONAL, TenantId
from localmind.settings import Settings
from tests.postgresql_server import Open, catalog_fixture, server_fixture, template_fixture  # noqa: F401 - fixtures

SECRET = "Vt5v0h7mQmYQ1cZk3r8sXw2nB6yD4uJf"
PASSWORD = "correct horse battery"
HERE = "192.0.2.1"
CHEAP = {"auth": "required", "secret_key": SECRET, "password_memory_kib": 8, "password_rounds": 1}


@pytest.fixture
def catalog(another: Open) -> Catalog:
    return Catalog(another())


def accounts_over(catalog: Catalog, emptied: list[TenantId] | None = None) -> Accounts:
    settings = Settings(_env_file=None, **CHEAP)  # type: ignore[arg-type]
    return build_accounts(settings, catalog, empty=(emptied if emptied is not None else []).append, with_logins=True)


@pytest.fixture
def accounts(catalog: Catalog) -> Accounts:
    return accounts_over(catalog)


Enter = Callable[..., Principal]


@pytest.fixture
def enter(accounts: Accounts) -> Enter:
    """A member of that role, logged in."""

    def make(email: str, role: Role = Role.VIEWER, tenant: str = PERSONAL) -> Principal:
        accounts.members.create_user(email, PASSWORD, role, tenant=tenant)
        return who(accounts, accounts.logins.log_in(email, PASSWORD, address=HERE).access)

    return make


def who(accounts: Accounts, token: str) -> Principal:
    return accounts.authentication.authenticate(Credentials(token=token))


# --- logging in


def test_a_password_gives_tokens_that_say_who_asks(accounts: Accounts) -> None:
    made = accounts.members.create_user("Ann@Example.org", PASSWORD, Role.EDITOR)
    principal = who(accounts, accounts.logins.log_in("ann@example.ORG ", PASSWORD, address=HERE).access)
    assert (principal.user_id, principal.tenant, principal.role) == (made.user_id, PERSONAL, Role.EDITOR)


def test_a_wrong_password_and_nobody_are_refused_alike(accounts: Accounts, enter: Enter) -> None:
    enter("ann@example.org")
    told = []
    for email in ("ann@example.org", "nobody@example.org"):
        with pytest.raises(Unauthenticated) as refused:
            accounts.logins.log_in(email, "wrong password", address=HERE)
        told.append(str(refused.value))
    assert told[0] == told[1]


def test_who_belongs_to_several_tenants_names_one(accounts: Accounts, enter: Enter) -> None:
    enter("ann@example.org", Role.OWNER)
    other = accounts.members.create_user("ann@example.org", PASSWORD, Role.VIEWER, tenant="Other Ltd").tenant
    with pytest.raises(InvalidInput, match=other):
        accounts.logins.log_in("ann@example.org", PASSWORD, address=HERE)
    there = who(accounts, accounts.logins.log_in("ann@example.org", PASSWORD, address=HERE, tenant=other).access)
    assert (there.tenant, there.role) == (other, Role.VIEWER)
    with pytest.raises(Unauthenticated):
        accounts.logins.log_in("ann@example.org", PASSWORD, address=HERE, tenant="elsewhere")
    assert {tenant.id for tenant in accounts.members.tenants(there)} == {PERSONAL, other}


def test_a_refresh_token_is_good_for_one_use(accounts: Accounts, enter: Enter) -> None:
    enter("ann@example.org")
    first = accounts.logins.log_in("ann@example.org", PASSWORD, address=HERE)
    second = accounts.logins.refresh(first.refresh)
    assert who(accounts, second.access).role is Role.VIEWER
    with pytest.raises(Unauthenticated):  # a thief, or the person after a thief: nobody knows
        accounts.logins.refresh(first.refresh)
    with pytest.raises(Unauthenticated):
        accounts.logins.refresh(second.refresh)
    with pytest.raises(Unauthenticated, match="taken back"):
        who(accounts, second.access)


def test_of_two_uses_at_once_one_succeeds(another: Open, accounts: Accounts, enter: Enter) -> None:
    enter("ann@example.org")
    token = accounts.logins.log_in("ann@example.org", PASSWORD, address=HERE).refresh
    doors = [accounts_over(Catalog(another())) for _ in range(2)]
    ready = threading.Barrier(2)

    def use(door: Accounts) -> bool:
        ready.wait()
        try:
            door.logins.refresh(token)
        except Unauthenticated:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(use, doors)) == [False, True]


def test_logging_out_takes_the_tokens_back(accounts: Accounts, enter: Enter) -> None:
    principal = enter("ann@example.org")
    pair = accounts.logins.log_in("ann@example.org", PASSWORD, address=HERE)
    accounts.logins.log_out(who(accounts, pair.access))
    for use in (lambda: who(accounts, pair.access), lambda: accounts.logins.refresh(pair.refresh)):
        with pytest.raises(Unauthenticated):
            use()
    assert principal.session_id is not None


def test_logging_out_everywhere_ends_every_login(accounts: Accounts, enter: Enter) -> None:
    principal = enter("ann@example.org")
    others = enter("bob@example.org")
    pairs = [accounts.logins.log_in("ann@example.org", PASSWORD, address=HERE) for _ in range(2)]
    cookie = accounts.logins.log_in_page("ann@example.org", PASSWORD, address=HERE)
    assert accounts.authentication.authenticate(Credentials(cookie=cookie)).user_id == principal.user_id
    accounts.logins.log_out_everywhere(principal)
    for pair in pairs:
        with pytest.raises(Unauthenticated):
            who(accounts, pair.access)
    with pytest.raises(Unauthenticated):
        accounts.authentication.authenticate(Credentials(cookie=cookie))
    bobs = accounts.logins.log_in("bob@example.org", PASSWORD, address=HERE)
    assert who(accounts, bobs.access).user_id == others.user_id


def test_a_new_password_ends_every_login(accounts: Accounts, enter: Enter) -> None:
    principal = enter("ann@example.org")
    accounts.logins.change_password(principal, PASSWORD, "another long password", address=HERE)
    with pytest.raises(Unauthenticated):
        accounts.logins.log_in("ann@example.org", PASSWORD, address=HERE)
    accounts.logins.log_in("ann@example.org", "another long password", address=HERE)


def test_what_is_secret_is_not_kept(catalog: Catalog, accounts: Accounts, enter: Enter) -> None:
    principal = enter("ann@example.org", Role.OWNER)
    pair = accounts.logins.log_in("ann@example.org", PASSWORD, address=HERE)
    cookie = accounts.logins.log_in_page("ann@example.org", PASSWORD, address=HERE)
    key = accounts.api_keys.make(principal, "k", [Scope.READ]).text
    invited = accounts.members.invite(principal, "bob@example.org", Role.VIEWER).token
    with catalog.database.read() as connection:
        tables = (refresh_token, session, api_key, invitation)
        kept = " ".join(str(row) for table in tables for row in connection.execute(sa.select(table)))
    for secret in (pair.refresh, cookie, key, invited):
        assert secret not in kept and secret.rpartition("_")[2] not in kept


# --- guessing


def test_failures_lock_an_account_for_the_address_that_they_come_from(accounts: Accounts, enter: Enter) -> None:
    enter("ann@example.org")
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            accounts.logins.log_in("ann@example.org", "wrong password", address=HERE)
    with pytest.raises(TooManyAttempts) as locked:
        accounts.logins.log_in("ann@example.org", PASSWORD, address=HERE)
    assert 1 <= locked.value.data["retry_after_s"] <= 3
    accounts.logins.log_in("ann@example.org", PASSWORD, address="192.0.2.2")


def test_failures_from_everywhere_lock_it_for_all(accounts: Accounts, enter: Enter) -> None:
    enter("ann@example.org")
    for number in range(20):
        with pytest.raises(Unauthenticated):
            accounts.logins.log_in("ann@example.org", "wrong password", address=f"192.0.2.{number + 10}")
    with pytest.raises(TooManyAttempts):
        accounts.logins.log_in("ann@example.org", PASSWORD, address="198.51.100.1")


def test_a_login_forgets_the_failures_before_it(accounts: Accounts, enter: Enter) -> None:
    enter("ann@example.org")
    for _ in range(2):
        for _ in range(4):
            with pytest.raises(Unauthenticated):
                accounts.logins.log_in("ann@example.org", "wrong password", address=HERE)
        accounts.logins.log_in("ann@example.org", PASSWORD, address=HERE)


def test_each_failure_doubles_the_lock(catalog: Catalog, accounts: Accounts) -> None:
    locks = []
    for _ in range(8):
        with pytest.raises((Unauthenticated, TooManyAttempts)):
            accounts.logins.log_in("nobody@example.org", "wrong password", address=HERE)
        with catalog.database.write() as connection:
            left = sa.func.max(login_attempt.c.locked_until - login_attempt.c.updated_at)
            locks.append(round(connection.execute(sa.select(left)).scalar_one()))
            connection.execute(sa.update(login_attempt).values(locked_until=0.0))
    assert locks[4:] == [2, 4, 8, 16]


def test_attempts_at_once_do_not_outrun_the_lock(another: Open, accounts: Accounts, enter: Enter) -> None:
    enter("ann@example.org")
    doors = [accounts_over(Catalog(another())) for _ in range(2)]
    told: list[type[Exception]] = []

    def guess(number: int) -> None:
        try:
            doors[number % 2].logins.log_in("ann@example.org", f"wrong password {number}", address=HERE)
        except (Unauthenticated, TooManyAttempts) as error:
            told.append(type(error))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(guess, range(16)))
    assert told.count(Unauthenticated) == 5 and told.count(TooManyAttempts) == 11


# --- people


def test_an_invitation_is_taken_once(accounts: Accounts, enter: Enter) -> None:
    owner = enter("ann@example.org", Role.OWNER)
    invited = accounts.members.invite(owner, "bob@example.org", Role.EDITOR)
    bob = accounts.members.accept(invited.token, PASSWORD, name="Bob", address=HERE)
    assert accounts.members.get(owner, bob.account.id).role is Role.EDITOR
    for token in (invited.token, "lmi_unknown"):
        with pytest.raises(Unauthenticated):
            accounts.members.accept(token, PASSWORD, address=HERE)
    with pytest.raises(Conflict, match="member"):
        accounts.members.invite(owner, "bob@example.org", Role.ADMIN)


def test_who_has_an_account_accepts_with_its_password(accounts: Accounts, enter: Enter) -> None:
    owner = enter("ann@example.org", Role.OWNER)
    enter("bob@example.org", Role.VIEWER, tenant="Other Ltd")
    invited = accounts.members.invite(owner, "bob@example.org", Role.EDITOR)
    with pytest.raises(Unauthenticated):
        accounts.members.accept(invited.token, "another long password", address=HERE)
    assert accounts.members.accept(invited.token, PASSWORD, address=HERE).tenant == PERSONAL


def test_an_invitation_can_be_replaced_and_taken_back(accounts: Accounts, enter: Enter) -> None:
    owner = enter("ann@example.org", Role.OWNER)
    first = accounts.members.invite(owner, "bob@example.org", Role.EDITOR)
    second = accounts.members.invite(owner, "bob@example.org", Role.VIEWER)
    assert [one.id for one in accounts.members.invitations(owner)] == [second.invitation.id]
    accounts.members.withdraw(owner, second.invitation.id)
    for token in (first.token, second.token):
        with pytest.raises(Unauthenticated):
            accounts.members.accept(token, PASSWORD, address=HERE)


def test_a_role_that_changed_outdates_the_tokens_that_say_the_old_one(accounts: Accounts, enter: Enter) -> None:
    owner, bob = enter("ann@example.org", Role.OWNER), enter("bob@example.org", Role.EDITOR)
    pair = accounts.logins.log_in("bob@example.org", PASSWORD, address=HERE)
    cookie = accounts.logins.log_in_page("bob@example.org", PASSWORD, address=HERE)
    assert accounts.authentication.authenticate(Credentials(cookie=cookie)).role is Role.EDITOR
    assert bob.user_id is not None
    accounts.members.change(owner, bob.user_id, role=Role.VIEWER)
    with pytest.raises(Unauthenticated):
        who(accounts, pair.access)
    assert who(accounts, accounts.logins.refresh(pair.refresh).access).role is Role.VIEWER
    assert accounts.authentication.authenticate(Credentials(cookie=cookie)).role is Role.VIEWER


@pytest.mark.parametrize("end", ["disable", "remove"])
def test_who_is_out_is_out_with_every_token_and_key(accounts: Accounts, enter: Enter, end: str) -> None:
    owner, bob = enter("ann@example.org", Role.OWNER), enter("bob@example.org", Role.EDITOR)
    assert bob.user_id is not None
    pair = accounts.logins.log_in("bob@example.org", PASSWORD, address=HERE)
    key = accounts.api_keys.make(bob, "nightly", [Scope.WRITE]).text
    assert who(accounts, key).role is Role.EDITOR
    if end == "disable":
        accounts.members.change(owner, bob.user_id, disabled=True)
    else:
        accounts.members.remove(owner, bob.user_id)
    for use in (
        lambda: who(accounts, pair.access),
        lambda: accounts.logins.refresh(pair.refresh),
        lambda: who(accounts, key),
        lambda: accounts.logins.log_in("bob@example.org", PASSWORD, address=HERE),
    ):
        with pytest.raises(Unauthenticated):
            use()
    if end == "disable":
        accounts.members.change(owner, bob.user_id, disabled=False)
        accounts.logins.log_in("bob@example.org", PASSWORD, address=HERE)


def test_a_tenant_keeps_an_owner(accounts: Accounts, enter: Enter) -> None:
    owner = enter("ann@example.org", Role.OWNER)
    assert owner.user_id is not None
    for change in (
        lambda: accounts.members.change(owner, owner.user_id, role=Role.ADMIN),  # type: ignore[arg-type]
        lambda: accounts.members.change(owner, owner.user_id, disabled=True),  # type: ignore[arg-type]
        lambda: accounts.members.remove(owner, owner.user_id),  # type: ignore[arg-type]
    ):
        with pytest.raises(Conflict, match="last owner"):
            change()
    enter("bob@example.org", Role.OWNER)
    accounts.members.remove(owner, owner.user_id)


def test_an_administrator_makes_and_changes_no_owner(accounts: Accounts, enter: Enter) -> None:
    owner, admin, bob = enter("ann@example.org", Role.OWNER), enter("adm@example.org", Role.ADMIN), enter("bob@example.org")
    assert owner.user_id is not None and bob.user_id is not None
    for change in (
        lambda: accounts.members.change(admin, bob.user_id, role=Role.OWNER),  # type: ignore[arg-type]
        lambda: accounts.members.change(admin, owner.user_id, role=Role.VIEWER),  # type: ignore[arg-type]
        lambda: accounts.members.remove(admin, owner.user_id),  # type: ignore[arg-type]
        lambda: accounts.members.invite(admin, "eve@example.org", Role.OWNER),
        lambda: accounts.members.all(bob, limit=10),
        lambda: accounts.members.invite(bob, "eve@example.org", Role.VIEWER),
    ):
        with pytest.raises(Forbidden, match="needs the role"):
            change()


def test_another_tenants_people_are_not_there(accounts: Accounts, enter: Enter) -> None:
    mine, other = enter("ann@example.org", Role.OWNER), enter("eve@example.org", Role.OWNER, tenant="Other Ltd")
    assert mine.user_id is not None
    invited = accounts.members.invite(mine, "bob@example.org", Role.VIEWER).invitation
    assert [member.email for member in accounts.members.all(other, limit=10).items] == ["eve@example.org"]
    for look in (
        lambda: accounts.members.get(other, mine.user_id),  # type: ignore[arg-type]
        lambda: accounts.members.change(other, mine.user_id, role=Role.VIEWER),  # type: ignore[arg-type]
        lambda: accounts.members.remove(other, mine.user_id),  # type: ignore[arg-type]
        lambda: accounts.members.withdraw(other, invited.id),
        lambda: accounts.members.rename_tenant(other, PERSONAL, "Mine"),
    ):
        with pytest.raises(NotFound):
            look()
    assert accounts.members.invitations(other) == []


def test_people_are_listed_in_pages(accounts: Accounts, enter: Enter) -> None:
    owner = enter("b@example.org", Role.OWNER)
    for name in "ca":
        accounts.members.create_user(f"{name}@example.org", PASSWORD, Role.VIEWER)
    first = accounts.members.all(owner, limit=2)
    rest = accounts.members.all(owner, limit=2, cursor=first.next_cursor)
    assert [member.email[0] for member in (*first.items, *rest.items)] == ["a", "b", "c"] and rest.next_cursor is None


# --- API keys


def test_a_key_does_what_its_scopes_say_and_no_more_than_its_user_may(accounts: Accounts, enter: Enter) -> None:
    admin, bob = enter("adm@example.org", Role.ADMIN), enter("bob@example.org", Role.VIEWER)
    assert who(accounts, accounts.api_keys.make(admin, "r", [Scope.READ]).text).role is Role.VIEWER
    assert who(accounts, accounts.api_keys.make(admin, "w", [Scope.READ, Scope.WRITE]).text).role is Role.EDITOR
    with pytest.raises(Forbidden):
        accounts.api_keys.make(bob, "w", [Scope.WRITE])
    with pytest.raises(Forbidden):  # nor does a key make one that may more
        accounts.api_keys.make(who(accounts, accounts.api_keys.make(admin, "r", [Scope.READ]).text), "w", [Scope.WRITE])


def test_a_key_manages_keys_and_logins_only_for_administration(accounts: Accounts, enter: Enter) -> None:
    admin = enter("adm@example.org", Role.ADMIN)
    other = accounts.api_keys.make(admin, "other", [Scope.READ]).key
    writer = who(accounts, accounts.api_keys.make(admin, "w", [Scope.WRITE]).text)
    for manage in (
        lambda: accounts.api_keys.make(writer, "again", [Scope.READ]),
        lambda: accounts.api_keys.rotate(writer, other.id, overlap_hours=1),
        lambda: accounts.api_keys.delete(writer, other.id),
    ):
        with pytest.raises(Forbidden):
            manage()
    with pytest.raises(Conflict):
        accounts.logins.log_out_everywhere(writer)
    accounts.api_keys.delete(who(accounts, accounts.api_keys.make(admin, "a", [Scope.ADMIN]).text), other.id)


def test_a_key_expires(accounts: Accounts, catalog: Catalog, enter: Enter) -> None:
    made = accounts.api_keys.make(enter("ann@example.org"), "k", [Scope.READ], days=1)
    assert who(accounts, made.text).key_id == made.key.id
    with catalog.database.write() as connection:
        connection.execute(sa.update(api_key).values(expires_at=1.0))
    accounts.authentication.forget()
    with pytest.raises(Unauthenticated):
        who(accounts, made.text)


def test_a_rotated_key_holds_for_the_overlap(accounts: Accounts, enter: Enter) -> None:
    ann = enter("ann@example.org")
    old = accounts.api_keys.make(ann, "k", [Scope.READ], days=30)
    fresh = accounts.api_keys.rotate(ann, old.key.id, overlap_hours=1)
    assert {who(accounts, key.text).key_id for key in (old, fresh)} == {old.key.id, fresh.key.id}
    assert fresh.key.expires_at is not None and old.key.expires_at is not None and fresh.key.expires_at >= old.key.expires_at
    with pytest.raises(Conflict, match="rotated"):
        accounts.api_keys.rotate(ann, old.key.id, overlap_hours=1)
    last = accounts.api_keys.rotate(ann, fresh.key.id, overlap_hours=0)
    with pytest.raises(Unauthenticated):
        who(accounts, fresh.text)
    assert who(accounts, last.text).key_id == last.key.id


def test_a_deleted_key_holds_no_more(accounts: Accounts, enter: Enter) -> None:
    ann = enter("ann@example.org")
    made = accounts.api_keys.make(ann, "k", [Scope.READ])
    assert who(accounts, made.text)
    accounts.api_keys.delete(ann, made.key.id)
    with pytest.raises(Unauthenticated):
        who(accounts, made.text)


def test_a_key_with_the_right_prefix_and_a_wrong_secret_does_not_hold(accounts: Accounts, enter: Enter) -> None:
    made = accounts.api_keys.make(enter("ann@example.org"), "k", [Scope.READ])
    with pytest.raises(Unauthenticated):
        who(accounts, made.text[:-3] + "abc")


def test_the_use_of_a_key_is_noted(accounts: Accounts, enter: Enter) -> None:
    ann = enter("ann@example.org")
    made = accounts.api_keys.make(ann, "k", [Scope.READ])
    assert accounts.api_keys.get(ann, made.key.id).last_used_at is None
    who(accounts, made.text)
    assert accounts.api_keys.get(ann, made.key.id).last_used_at is not None


def test_anothers_keys_are_for_administrators_to_see_and_delete(accounts: Accounts, enter: Enter) -> None:
    ann, bob, admin = enter("ann@example.org"), enter("bob@example.org"), enter("adm@example.org", Role.ADMIN)
    eve = enter("eve@example.org", Role.OWNER, tenant="Other Ltd")
    made = accounts.api_keys.make(ann, "k", [Scope.READ])
    for stranger in (bob, eve):
        assert accounts.api_keys.all(stranger, limit=10).items == ()
        with pytest.raises(NotFound):
            accounts.api_keys.delete(stranger, made.key.id)
    assert [key.id for key in accounts.api_keys.all(admin, limit=10).items] == [made.key.id]
    with pytest.raises(Forbidden):
        accounts.api_keys.rotate(admin, made.key.id, overlap_hours=1)
    accounts.api_keys.delete(admin, made.key.id)


# --- spaces


def test_a_space_is_a_partition_of_its_own(accounts: Accounts, enter: Enter) -> None:
    owner = enter("ann@example.org", Role.OWNER)
    space = accounts.spaces.make(owner, "Research", restricted=False)
    assert accounts.spaces.enter(owner, None).partition == PERSONAL
    assert accounts.spaces.enter(owner, space.id).partition == space.id != PERSONAL
    assert [one.is_default for one in accounts.spaces.all(owner)] == [True, False]


def test_a_restricted_space_is_not_there_for_who_is_no_member(accounts: Accounts, enter: Enter) -> None:
    owner, bob = enter("ann@example.org", Role.OWNER), enter("bob@example.org", Role.EDITOR)
    assert bob.user_id is not None
    space = accounts.spaces.make(owner, "Board", restricted=True)
    with pytest.raises(NotFound) as closed:
        accounts.spaces.enter(bob, space.id)
    with pytest.raises(NotFound) as missing:
        accounts.spaces.enter(bob, "0" * 32)
    assert str(closed.value).replace(space.id, "0" * 32) == str(missing.value)
    accounts.spaces.put_member(owner, space.id, bob.user_id, Role.VIEWER)
    assert accounts.spaces.enter(bob, space.id).role is Role.VIEWER
    accounts.spaces.drop_member(owner, space.id, bob.user_id)
    with pytest.raises(NotFound):
        accounts.spaces.enter(bob, space.id)
    assert [one.id for one in accounts.spaces.all(bob)] == [PERSONAL]


def test_a_member_may_more_or_less_in_a_space_than_in_the_tenant(accounts: Accounts, enter: Enter) -> None:
    owner, bob, cid = enter("ann@example.org", Role.OWNER), enter("bob@example.org", Role.EDITOR), enter("cid@example.org", Role.VIEWER)
    assert bob.user_id is not None and cid.user_id is not None
    space = accounts.spaces.make(owner, "Open", restricted=False)
    assert accounts.spaces.enter(bob, space.id).role is Role.EDITOR
    accounts.spaces.put_member(owner, space.id, bob.user_id, Role.VIEWER)
    accounts.spaces.put_member(owner, space.id, cid.user_id, Role.ADMIN)
    assert accounts.spaces.enter(bob, space.id).role is Role.VIEWER
    assert accounts.spaces.enter(cid, space.id).role is Role.ADMIN
    accounts.spaces.change(cid, space.id, name="Cid's")
    with pytest.raises(Forbidden):
        accounts.spaces.change(bob, space.id, name="Bob's")
    with pytest.raises(InvalidInput):
        accounts.spaces.put_member(owner, space.id, bob.user_id, Role.OWNER)


def test_a_key_is_bounded_by_its_scopes_and_spaces(accounts: Accounts, enter: Enter) -> None:
    owner = enter("ann@example.org", Role.OWNER)
    one, two = (accounts.spaces.make(owner, name, restricted=True) for name in ("One", "Two"))
    key = who(accounts, accounts.api_keys.make(owner, "k", [Scope.READ], spaces=[one.id]).text)
    assert accounts.spaces.enter(key, None) == accounts.spaces.enter(key, one.id)
    assert accounts.spaces.enter(key, one.id).role is Role.VIEWER
    for closed in (two.id, PERSONAL):
        with pytest.raises(NotFound):
            accounts.spaces.enter(key, closed)
    assert [space.id for space in accounts.spaces.all(key)] == [one.id]
    assert not key.is_operator


def test_another_tenants_space_is_not_there(accounts: Accounts, enter: Enter) -> None:
    owner, eve = enter("ann@example.org", Role.OWNER), enter("eve@example.org", Role.OWNER, tenant="Other Ltd")
    space = accounts.spaces.make(owner, "Research", restricted=False)
    for wanted in (space.id, PERSONAL):
        with pytest.raises(NotFound):
            accounts.spaces.enter(eve, wanted)
    for change in (lambda: accounts.spaces.delete(eve, space.id), lambda: accounts.spaces.members(eve, space.id)):
        with pytest.raises(NotFound):
            change()
    assert eve.user_id is not None
    with pytest.raises(NotFound):  # nor can somebody of another tenant be let in
        accounts.spaces.put_member(owner, space.id, eve.user_id, Role.VIEWER)


def test_a_deleted_space_is_emptied_also_where_that_was_cut_off(catalog: Catalog) -> None:
    emptied: list[TenantId] = []
    accounts = accounts_over(catalog, emptied)
    space = accounts.spaces.make(OWNER_HERE, "Research", restricted=False)
    accounts.spaces.enter(OWNER_HERE, space.id)
    accounts.spaces.delete(OWNER_HERE, space.id)
    with pytest.raises(NotFound):
        accounts.spaces.enter(OWNER_HERE, space.id)
    assert emptied == []  # cut off here; the next start goes on
    accounts_over(catalog, emptied).spaces.finish()
    assert emptied == [space.id]
    with catalog.database.write() as connection:  # for a while it is looked through again
        connection.execute(sa.update(space_table).values(deleted_at=1.0))
    for _ in range(2):
        accounts_over(catalog, emptied).spaces.finish()
    assert emptied == [space.id] * 2
    with pytest.raises(Conflict):
        accounts.spaces.delete(OWNER_HERE, PERSONAL)
