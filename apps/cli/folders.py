"""Which files of the paths that a person names are put in, and which are left out and why."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from localmind.errors import LocalMindError, NoText, UnsupportedType
from localmind.readers.detect import detect

NOT_ENTERED = frozenset({"node_modules", "__pycache__", "venv"})
"""Folders beside the hidden ones that hold what programs wrote for programs."""


@dataclass(slots=True)
class Plan:
    """files in the order in which they are sent. left_out: with the reason. bytes: of all files together."""

    files: list[Path] = field(default_factory=list)
    left_out: list[tuple[Path, str]] = field(default_factory=list)
    hidden: int = 0
    bytes: int = 0


def plan(paths: Iterable[Path], *, max_bytes: int) -> Plan:
    """Files that are named are always sent, if they aren't too large; of folders, the ones that can be read."""
    made = Plan()
    seen: set[Path] = set()
    for path in paths:
        inside = path.is_dir()
        for file in _walk(path, made) if inside else [path]:
            absolute = file.resolve()
            if absolute in seen:
                continue
            seen.add(absolute)
            reason = _too_large(absolute, max_bytes) or (_unreadable(absolute) if inside else None)
            if reason is not None:
                made.left_out.append((file, reason))
            else:
                made.files.append(absolute)
                made.bytes += absolute.stat().st_size
    return made


def _walk(folder: Path, made: Plan) -> Iterator[Path]:
    """Files below the folder, sorted; links to folders are not followed, as they may lead in circles."""
    for root, folders, files in os.walk(folder):
        shown = sorted(name for name in folders if not name.startswith(".") and name not in NOT_ENTERED)
        made.hidden += len(folders) - len(shown) + sum(1 for name in files if name.startswith("."))
        folders[:] = shown
        yield from (Path(root, name) for name in sorted(files) if not name.startswith("."))


def _too_large(path: Path, max_bytes: int) -> str | None:
    try:
        size = path.stat().st_size
    except OSError as error:
        return f"can't be read: {error.strerror}"
    if size > max_bytes:
        return f"is larger than MAX_UPLOAD_MB ({size / 1e6:.0f} MB of {max_bytes / 1e6:.0f} MB)"
    return None


def _unreadable(path: Path) -> str | None:
    """Why there is no point in sending it. An encrypted or broken document is sent: its job tells what to do."""
    if not path.is_file():
        return "is not a file"
    try:
        detect(path, path.name)
    except (UnsupportedType, NoText) as error:
        return error.message
    except LocalMindError:
        return None
    except OSError as error:
        return f"can't be read: {error.strerror}"
    return None
