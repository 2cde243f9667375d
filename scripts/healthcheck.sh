#!/bin/sh
# Whether this container is well; exit code 1 and a line that says why where it is not. For health checks of images and engines.
#   scripts/healthcheck.sh backend   /readyz: the catalog answers (another server that is away makes it degraded, not unwell)
#   scripts/healthcheck.sh worker    /metrics at WORKER_METRICS_PORT: it runs, and one of its processes has the stores open
set -eu

case "${1:-}" in
    backend) url="http://127.0.0.1:${PORT:-8000}/readyz" ;;
    worker) url="http://127.0.0.1:${WORKER_METRICS_PORT:-9101}/metrics" ;;
    *) sed -n '2,4s/^# //p' "$0" >&2; exit 2 ;;
esac

# -I -S: without site-packages, a fortieth of a second.
exec python3 -I -S - "$1" "$url" <<'PYTHON'
import sys, urllib.error, urllib.request

who, url = sys.argv[1:]
try:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=4) as answer:
        if who == "worker" and not any(line.startswith(b"worker_processes_open ") for line in answer):
            sys.exit("none of its processes could open the stores yet: the log has worker_not_open with the reason")
except urllib.error.HTTPError as error:
    sys.exit(f"{url} answers {error.code}: {error.read(500).decode(errors='replace')}")
except OSError as error:
    sys.exit(f"{url} does not answer: {error}")
PYTHON
