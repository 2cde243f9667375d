"""The command line of scripts/stack."""

from __future__ import annotations

import argparse
import sys

from servers import running
from servers.config import Config, StackError, load, product_settings
from servers.engines import ENGINES


def main() -> int:
    arguments = _parser().parse_args()
    config = load()
    names = getattr(arguments, "names", None) or list(ENGINES)
    try:
        if arguments.command in ("up", "start"):
            running.up(config, names, _say)
        elif arguments.command in ("down", "stop"):
            running.down(config, names, _say)
        elif arguments.command == "kill":
            for name in names:
                running.kill(config, name, _say)
        elif arguments.command == "reset":
            running.reset(config, _say)
        elif arguments.command == "status":
            return _status(config)
        elif arguments.command == "env":
            for name, value in product_settings(config).items():
                print(f"{name}={value}")
    except StackError as error:
        print(f"scripts/stack: {error}", file=sys.stderr)
        return 1
    return 0


def _status(config: Config) -> int:
    rows = running.status(config)
    for row in rows:
        print(row)
    return 0 if all(row["up"] for row in rows) else 1


def _say(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for c in ("up","down","reset","status","env"):
        commands.add_parser(c)
    for c in ("start","stop","kill"):
        commands.add_parser(c).add_argument("names", nargs="+", choices=list(ENGINES))
    return parser
