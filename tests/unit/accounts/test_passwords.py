"""Passwords, addresses, roles, and the keys that a service must not start with."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice

import pytest

from localmind.accounts.emails import canonical
from localmind.accounts.mode import check_secrets, needs_login
from localmind.accounts.model import Principal, Role, Scope
from localmind.accounts.opaque import new_api_key, prefix_of
from localmind.accounts.passwords import WAITING, Passwords, check_password
from localmind.errors import ConfigurationError, InvalidInput, Unavailable
from localmind.model import PERSONAL, TenantId
from localmind.settings import Settings

STRONG = "Vt5v0h7mQmYQ1cZk3r8sXw2nB6yD4uJf"
PASSWORD = "correct horse battery"


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(memory_kib=8, rounds=1)


def test_a_hash_verifies_its_password_alone(passwords: Passwords) -> None:
    kept = passwords.hash(PASSWORD)
    assert kept.startswith("$argon2id$") and kept != passwords.hash(PASSWORD)
    assert passwords.verify(PASSWORD, kept).is_right
    assert not passwords.verify("Correct horse battery", kept).is_right
    assert not passwords.verify(PASSWORD, "no hash").is_right


def test_nobody_has_a_password_but_costs_as_much(passwords: Passwords) -> None:
    assert not passwords.verify(PASSWORD, None).is_right
    assert passwords._nobodys.split("$")[:4] == passwords.hash(PASSWORD).split("$")[:4], "the same algorithm and parameters"


def test_a_hash_of_other_parameters_is_made_anew(passwords: Passwords) -> None:
    verdict = Passwords(memory_kib=16, rounds=1).verify(PASSWORD, passwords.hash(PASSWORD))
    assert verdict.is_right and verdict.new_hash is not None and "m=16," in verdict.new_hash


def test_a_flood_of_logins_is_sent_away(passwords: Passwords) -> None:
    cores = os.cpu_count() or 1
    for _ in range(cores):
        passwords._slots.acquire()  # every core is busy with a login
    places = cores * (1 + WAITING)
    with ThreadPoolExecutor(places + 3) as pool:
        logins = [pool.submit(passwords.verify, PASSWORD, None) for _ in range(places + 3)]
        sent_away = list(islice(as_completed(logins), 3))  # the others wait, so these are the first to end
        for _ in range(cores):
            passwords._slots.release()
    assert all(isinstance(login.exception(), Unavailable) for login in sent_away)
    assert sum(login.exception() is not None for login in logins) == 3
    assert passwords.verify(PASSWORD, passwords.hash(PASSWORD)).is_right


@pytest.mark.parametrize("password", ["short", "x" * 257, "aaaaaaaaaaaaaaa", "ann@example.org", "tab\tin the middle"])
def test_what_will_not_do_as_a_password(password: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_password(password, email="ann@example.org")
    assert password not in str(refused.value)


def test_an_address_has_one_form() -> None:
    assert canonical(" Ann@EXAMPLE.org ") == canonical("ann@example.org") == "ann@example.org"
    for wrong in ("", "ann", "a@b@c", "a b@example.org", "@example.org", "ann@", "x" * 65 + "@example.org"):
        with pytest.raises(InvalidInput):
            canonical(wrong)


def test_an_api_key_shows_its_prefix() -> None:
    prefix, text = new_api_key()
    assert prefix_of(text) == prefix and len(text) > 50
    for other in ("", "lm_x_y", "eyJ.a.b", "lmr_" + "x" * 43):
        assert prefix_of(other) is None


def test_roles_and_scopes() -> None:
    assert [role for role in Role if role.allows(Role.EDITOR)] == [Role.EDITOR, Role.ADMIN, Role.OWNER]
    login = Principal(PERSONAL, None, Role.OWNER)
    key = Principal(PERSONAL, None, Role.OWNER, key_id="k", scopes=frozenset({Scope.READ, Scope.WRITE}))  # type: ignore[arg-type]
    assert (login.role, key.role) == (Role.OWNER, Role.EDITOR)
    assert login.is_operator and not key.is_operator
    assert not Principal(TenantId("other"), None, Role.OWNER).is_operator


@pytest.mark.parametrize(
    ("host", "auth", "needed"),
    [("127.0.0.1", "auto", False), ("localhost", "auto", False), ("::1", "auto", False), ("127.0.0.1", "required", True)]
    + [(host, "auto", True) for host in ("0.0.0.0", "::", "192.168.1.5", "backend", "")],
)
def test_who_can_be_reached_from_elsewhere_needs_logins(host: str, auth: str, needed: bool) -> None:
    assert needs_login(Settings(_env_file=None, host=host, auth=auth)) is needed  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("secret", "fault"), [("", "not set"), ("Vt5v0h7m", "fewer than 32"), ("ab" * 20, "2 different"), ("changeme" + STRONG, "well-known")]
)
def test_a_weak_key_stops_the_start_with_one_line(secret: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_secrets(Settings(_env_file=None, auth="required", secret_key=secret))
    told = str(refused.value)
    assert "SECRET_KEY" in told and fault in told and "openssl rand" in told and "\n" not in told
    assert not secret or secret not in told


def test_a_weak_earlier_key_stops_it_too() -> None:
    check_secrets(Settings(_env_file=None, auth="required", secret_key=STRONG, secret_key_previous=f"{STRONG[::-1]}, "))
    with pytest.raises(ConfigurationError, match="SECRET_KEY_PREVIOUS"):
        check_secrets(Settings(_env_file=None, auth="required", secret_key=STRONG, secret_key_previous=f"{STRONG[::-1]},short"))


def test_without_logins_no_key_is_needed() -> None:
    check_secrets(Settings(_env_file=None))
