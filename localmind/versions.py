"""Which versions of the servers will do. Asked once when a server is opened: what is too old fails there, and not in the middle of work."""

from __future__ import annotations

import re

from localmind.errors import ConfigurationError

LEAST = {"PostgreSQL": (13,), "Neo4j": (5, 23), "Milvus": (2, 3), "Redis": (6,)}


def check_version(server: str, found: str) -> None:
    """Raises ConfigurationError. found: as the server says it, `15.10 (Debian)` or `v2.3.5`; what names no version will do."""
    numbers = re.match(r"\D{0,2}(\d+(?:\.\d+)*)", found)
    least = LEAST[server]
    if numbers is None or tuple(map(int, numbers[1].split("."))) >= least:
        return
    raise too_old(server, f"is version {numbers[1]}")


def too_old(server: str, told: str) -> ConfigurationError:
    wanted = ".".join(map(str, LEAST[server]))
    return ConfigurationError(f"{server} {told}; {wanted} or newer is needed.", hint=f"Update {server}, or use another.")
