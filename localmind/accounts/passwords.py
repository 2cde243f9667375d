"""Passwords: argon2id hashes (RFC 9106), and what a password has to be."""

from __future__ import annotations

import base64
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher

from localmind.errors import InvalidInput, Unavailable

MIN_CHARS, MOST_CHARS = 12, 256
MIN_VARIETY = 5


class Verdict(NamedTuple):
    """new_hash: to be kept instead, where the parameters have changed since."""

    is_right: bool
    new_hash: str | None = None


WAITING = 8
"""Most logins that wait for a core, each. A flood of them must not take every thread that answers requests."""


class Passwords:
    """As many hashes at once as there are cores: each takes memory_kib, and more at once are no faster."""

    def __init__(self, *, memory_kib: int, rounds: int) -> None:
        self._hasher = PasswordHash((Argon2Hasher(time_cost=rounds, memory_cost=memory_kib, parallelism=1),))
        salt, key = (base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
        self._nobodys = f"$argon2id$v=19$m={memory_kib},t={rounds},p=1${salt}${key}"
        cores = os.cpu_count() or 1
        self._slots = threading.BoundedSemaphore(cores)
        self._places = threading.BoundedSemaphore(cores * (1 + WAITING))

    def hash(self, password: str) -> str:
        """Raises Unavailable where too many wait."""
        with self._turn():
            return self._hasher.hash(password)

    def verify(self, password: str, kept: str | None) -> Verdict:
        """kept: None for an account that is not there; that takes as long as a wrong password. Raises Unavailable where too many wait."""
        with self._turn():
            try:
                is_right, new_hash = self._hasher.verify_and_update(password[: MOST_CHARS + 1], kept or self._nobodys)
            except UnknownHashError:
                return Verdict(is_right=False)
        return Verdict(is_right and kept is not None, new_hash)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Unavailable("Too many logins at this moment.", hint="Try again in some seconds.")
        try:
            with self._slots:
                yield
        finally:
            self._places.release()


def check_password(password: str, *, email: str) -> None:
    """Whether it will do as a new one (after NIST SP 800-63B: length, not composition). Raises InvalidInput."""
    if not MIN_CHARS <= len(password) <= MOST_CHARS:
        raise InvalidInput(f"A password has {MIN_CHARS} to {MOST_CHARS} characters.", hint="Some words in a row are easy to keep in mind.")
    if len(set(password)) < MIN_VARIETY or password.lower() in (email, email.partition("@")[0] * 2):
        raise InvalidInput("The password is easy to guess.", hint="Choose one that is neither your address nor a repetition.")
    if not password.isprintable():
        raise InvalidInput("The password holds a character that can't be typed.", hint="Use letters, digits, signs and spaces.")
