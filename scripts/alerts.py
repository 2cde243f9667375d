"""Makes Prometheus' rules and docs/alerts.md from infrastructure/prometheus/alerts.toml; --check only says whether they are up to date."""

import sys

from localmind.operations.alerts import write

check = "--check" in sys.argv[1:]
stale = write(check=check)
for path in stale:
    print(f"{path} {'is not what alerts.toml says: run `python scripts/alerts.py`' if check else 'written'}")
sys.exit(bool(check and stale))
