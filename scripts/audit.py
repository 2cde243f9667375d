"""Known vulnerabilities in what the lock files pin, from PyPI's advisory database. Says plainly what it could not ask.

Status 1: a vulnerability that docs/security.md does not argue. Status 3 with --required: some packages could not be asked about.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements" / "dev.lock"
"""Holds all that the others hold."""

ARGUED = re.compile(r"\b(?:GHSA(?:-[0-9a-z]{4}){3}|PYSEC-\d{4}-\d+|CVE-\d{4}-\d{4,})\b")
NOT_ASKED = 3


def main() -> int:
    argued = set(ARGUED.findall((ROOT / "docs" / "security.md").read_text("utf-8")))
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "-r",
        str(LOCK),
        "--disable-pip",
        "--require-hashes",
        "--format",
        "json",
        "--timeout",
        "20",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"NOT AUDITED: the advisory database could not be asked. {reason[:300]}")
        return unasked()
    found = [(package, advisory) for package in packages for advisory in package.get("vulns", ()) if not names(advisory) & argued]
    for package, advisory in found:
        print(f"{package['name']} {package['version']}: {advisory['id']}; mended in {', '.join(advisory['fix_versions']) or 'no version'}")
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if skipped:
        print(
            f"NOT AUDITED: the advisory database told nothing of {len(skipped)} of {len(packages)} packages ({', '.join(skipped[:5])} ...)."
        )
    else:
        print(f"{len(packages)} packages audited, {len(found)} vulnerabilities that docs/security.md does not argue.")
    if found:
        return 1
    return unasked() if skipped else 0


def names(advisory: dict[str, Any]) -> set[str]:
    return {advisory["id"], *advisory.get("aliases", ())}


def unasked() -> int:
    return NOT_ASKED if "--required" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
