"""DATA_DIR: made, tried, and kept for one process where the embedded engines lie in it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from localmind.errors import ConfigurationError, DataDirInUse, DiskFull

if TYPE_CHECKING:
    from filelock import BaseFileLock


def make_folder(folder: Path) -> None:
    """The folder is there and can be written. Raises ConfigurationError, DiskFull."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / f".write-{os.getpid()}-{secrets.token_hex(4)}"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        if error.errno == 28:
            raise DiskFull(f"DATA_DIR {folder} is on a full disk.", hint="Free some space.") from error
        raise ConfigurationError(
            f"DATA_DIR {folder} can't be written: {error.strerror}.", hint="Set DATA_DIR to a folder that this user may write."
        ) from error


def lock_data_dir(folder: Path) -> BaseFileLock:
    """Taken; release() gives it back. The folder has to be there. Raises DataDirInUse."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise DataDirInUse(
            f"DATA_DIR {folder} is in use by another Local Mind.", hint="Use that one, stop it, or set another DATA_DIR."
        ) from error
    return lock
