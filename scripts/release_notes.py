"""The changelog's section of a version, as a release's notes; status 1 where the version is not the one that would be released."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def notes_of(version: str, changelog: str) -> str | None:
    """What stands under `## [1.2.3] - 2026-01-31`; None where there is no such heading, or nothing under it."""
    found = re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## \[|\Z)", changelog, flags=re.MULTILINE | re.DOTALL)
    return (found[1].strip() or None) if found else None


def main(version: str) -> int:
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    if version != ours:
        print(f"The tag says {version}, pyproject.toml says {ours}: set the version, commit, and tag that commit.", file=sys.stderr)
        return 1
    notes = notes_of(version, (ROOT / "CHANGELOG.md").read_text("utf-8"))
    if notes is None:
        print(f"CHANGELOG.md has nothing under `## [{version}] - YYYY-MM-DD`: name the Unreleased section so.", file=sys.stderr)
        return 1
    print(notes)
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Usage: scripts/release_notes.py 1.2.3")
    sys.exit(main(sys.argv[1]))
