#!/bin/sh
# Whether this container is well; exit code 1 and a line that says why where it is not. For health checks of images and engines.
#   scripts/healthcheck.sh backend   /readyz: the catalog answers (another server that is away makes it degraded, not unwell)
#   scripts/healthcheck.sh worker    /metrics at WORKER_METRICS_PORT: its main process runs
set -eu

case "${1:-}" in
    backend) url="http://127.0.0.1:${PORT:-8000}/readyz" ;;
    worker) url="http://127.0.0.1:${WORKER_METRICS_PORT:-9101}/metrics" ;;
    *) sed -n '2,4s/^# //p' "$0" >&2; exit 2 ;;
esac

# -I -S: without site-packages, a fortieth of a second.
exec python3 -I -S - "$url" <<'PYTHON'
import sys, urllib.error, urllib.request

url = sys.argv[1]
try:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=4).close()
except urllib.error.HTTPError as error:
    sys.exit(f"{url} answers {error.code}: {error.read(500).decode(errors='replace')}")
except OSError as error:
    sys.exit(f"{url} does not answer: {error}")
PYTHON
