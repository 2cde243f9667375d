"""Makes infrastructure/grafana/dashboards/ from scripts/grafana/boards.py; --check only says whether they are up to date."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from grafana.boards import BOARDS
from grafana_foundation_sdk.cog.encoder import JSONEncoder

FOLDER = Path(__file__).parent.parent / "infrastructure" / "grafana" / "dashboards"


def main() -> int:
    check = "--check" in sys.argv[1:]
    wanted = {f"{name}.json": JSONEncoder(sort_keys=True, indent=2).encode(made().build()) + "\n" for name, made in BOARDS.items()}
    there = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.json")}
    stale = sorted(name for name in {*wanted, *there} if wanted.get(name) != there.get(name))
    for name in stale:
        print(f"{name} {'is not what boards.py says: run `python scripts/dashboards.py`' if check else 'written'}")
        if not check:
            (FOLDER / name).unlink(missing_ok=True) if name not in wanted else (FOLDER / name).write_text(wanted[name], "utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
