#!/bin/sh
# Makes the first account: scripts/create_admin_user.sh ann@example.org [owner|admin|editor|viewer] [TENANT]
# The password is asked for, read from standard input, or taken from LOCALMIND_ADMIN_PASSWORD.
set -eu

if [ $# -lt 1 ] || [ $# -gt 3 ]; then
    sed -n '2,3s/^# //p' "$0" >&2
    exit 2
fi
localmind=$(dirname "$0")/../.venv/bin/localmind
[ -x "$localmind" ] || localmind=localmind
exec "$localmind" admin create-user --email "$1" --role "${2:-owner}" ${3:+--tenant "$3"}
