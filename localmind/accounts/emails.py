"""E-mail addresses as accounts are known by."""

from __future__ import annotations

import re
import unicodedata

from localmind.errors import InvalidInput

SHAPE = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")


def canonical(email: str) -> str:
    """In lower case and one Unicode form, so that an address has one account. Raises InvalidInput for what is none."""
    address = unicodedata.normalize("NFKC", email).strip().lower()
    if SHAPE.fullmatch(address) is None or not address.isprintable():
        raise InvalidInput(f"{email[:100]!r} is not an e-mail address.", hint="Write it as name@example.org.")
    return address
