"""Passwords and keys that got into a file, by detect-secrets; what .secrets.json names is known to be none. --write: take all as known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from detect_secrets import SecretsCollection
from detect_secrets.settings import default_settings

ROOT = Path(__file__).parent.parent
KNOWN = ROOT / ".secrets.json"
"""Lists of hashes by file. No line numbers: they move with every edit."""

LEFT_OUT = ("requirements/", ".secrets.json")
"""Hashes are what lock files are made of."""


def main() -> int:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        print("No git checkout: secrets were not looked for.")
        return 0
    secrets = SecretsCollection(root=str(ROOT))
    with default_settings():
        for name in filter(None, listed.stdout.split("\0")):
            if not name.startswith(LEFT_OUT):
                secrets.scan_file(name)
    if "--write" in sys.argv:
        found = {name: sorted({secret.secret_hash for secret in secrets[name]}) for name in sorted(secrets.files)}
        KNOWN.write_text(json.dumps(found, indent=1) + "\n")
        return 0
    known = json.loads(KNOWN.read_text())
    new = [(name, secret) for name, secret in secrets if secret.secret_hash not in known.get(name, ())]
    for name, secret in new:
        print(f"{name}:{secret.line_number}: looks like a secret ({secret.type}). If it is none: python scripts/scan_secrets.py --write")
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main())
