"""DATA_DIR/service.json: how the command line finds the service that has a data directory open."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Running(NamedTuple):
    """instance: what /livez of that process answers; another process may have its port or pid by now."""

    url: str
    pid: int
    instance: str


def path_in(data_dir: Path) -> Path:
    return data_dir / "service.json"


@contextmanager
def announced(data_dir: Path, running: Running) -> Iterator[None]:
    """The file is there while the service runs; only its owner may read it."""
    path = path_in(data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{running.pid}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(running._asdict(), file)
    fresh.replace(path)
    try:
        yield
    finally:
        if read(data_dir) == running:
            path.unlink(missing_ok=True)


def read(data_dir: Path) -> Running | None:
    """What the file says, true or not; None without one that can be read."""
    try:
        return Running(**json.loads(path_in(data_dir).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
