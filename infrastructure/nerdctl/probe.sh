#!/usr/bin/env bash
# Whether a server in this container answers: probe.sh PORT PATH. Bash alone: not every image has curl or wget.
exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$2" >&3
read -r -t 4 _ status _ <&3
[ "$status" = 200 ] || { echo "port $1 answers ${status:-nothing}"; exit 1; }
