"""The command line of scripts/stack."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys

from servers import programs, running
from servers.config import Config, StackError, load, product_settings
from servers.engines import ENGINES
from servers.process import Process

NOT_LINUX = (
    "scripts/stack starts servers on Linux alone. On macOS: run it in a Linux machine (Lima, Colima or a container of Debian), "
    "or let the tests start the servers in a Docker engine: make test-stack STACK=testcontainers."
)


def main() -> int:
    """The process's exit code: 1 for a failure that a person can mend, and for a `status` with a server down."""
    if sys.platform != "linux":
        print(NOT_LINUX, file=sys.stderr)
        return 1
    arguments = _parser().parse_args()
    try:
        return int(arguments.act(load(), arguments) or 0)
    except StackError as error:
        print(f"scripts/stack: {error}", file=sys.stderr)
        return 1


def _up(config: Config, arguments: argparse.Namespace) -> None:
    running.up(config, arguments.names or list(ENGINES), _say, install=arguments.install)


def _prepare(config: Config, arguments: argparse.Namespace) -> None:
    running.prepare(config, list(ENGINES), _say, install=arguments.install, besides=programs.WATCHERS)


def _down(config: Config, arguments: argparse.Namespace) -> None:
    running.down(config, arguments.names or list(ENGINES), _say)


def _kill(config: Config, arguments: argparse.Namespace) -> None:
    running.kill(config, arguments.names, _say)


def _reset(config: Config, _: argparse.Namespace) -> None:
    running.reset(config, _say)


def _status(config: Config, _: argparse.Namespace) -> int:
    states = running.states(config)
    print(f"{'server':10}{'state':7}{'port':>6}{'pid':>9}{'MiB':>7}")
    for state in states:
        ours = state.pid or ("not ours" if state.up else "-")
        print(f"{state.name:10}{'up' if state.up else 'down':7}{state.port:>6}{ours:>9}{state.memory_mib or '-':>7}")
    return 0 if all(state.up for state in states) else 1


def _logs(config: Config, arguments: argparse.Namespace) -> None:
    for name in arguments.names or ENGINES:
        print(f"==> {config.log(name)} <==\n{Process(config, name).tail(arguments.lines)}")


def _env(config: Config, _: argparse.Namespace) -> None:
    for name, value in product_settings(config).items():
        print(f"{name}={value}")


def _run(config: Config, arguments: argparse.Namespace) -> int:
    """The command's exit code. What was down before is down again after it."""
    before = {state.name for state in running.states(config) if state.up}
    # An end by SIGTERM goes through `finally` too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        running.up(config, list(ENGINES), _say)
        # Whoever asks for the servers by this command wants a failure, not a skip, when one is away.
        return subprocess.run(arguments.words, env={"STACK": "local", **os.environ}).returncode
    except KeyboardInterrupt:
        return 130
    finally:
        running.down(config, [name for name in ENGINES if name not in before], _say)


def _say(line: str) -> None:
    # In one piece: several threads speak.
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/stack",
        description="The real servers as local processes on loopback. Ports, passwords and versions: infrastructure/stack/stack.env.",
        epilog="Data lie in $STACK_DIR, downloads in $STACK_CACHE.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, act: object, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(act=act)
        return command

    def servers(command: argparse.ArgumentParser, count: str) -> None:
        # choices with nargs="*" would refuse the empty list
        command.add_argument("names", nargs=count, type=_server, metavar="server", help=", ".join(ENGINES))

    def installs(command: argparse.ArgumentParser) -> None:
        command.add_argument("--install", action="store_true", help="install missing Debian packages")

    for name, act, count, text in (
        ("up", _up, "*", "start what does not run and wait until it answers"),
        ("start", _up, "+", "the same for single servers"),
        ("down", _down, "*", "stop what up started"),
        ("stop", _down, "+", "the same for single servers"),
        ("kill", _kill, "+", "end single servers as a power cut would"),
        ("logs", _logs, "*", "the last lines of the servers' logs"),
    ):
        command = add(name, act, text)
        servers(command, count)
        if act is _up:
            installs(command)
        if act is _logs:
            command.add_argument("-n", "--lines", type=int, default=40, help="how many (40)")
    installs(add("prepare", _prepare, "download and build what is missing, start nothing"))
    add("status", _status, "a line a server; exit code 1 when one is down")
    add("env", _env, "Local Mind's settings for these servers, NAME=value")
    add("reset", _reset, "stop all and drop their data")
    run = add("run", _run, "run a command with the servers up, then stop those that were down before")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="command", help="a program and its arguments")
    return parser


def _server(name: str) -> str:
    if name not in ENGINES:
        raise argparse.ArgumentTypeError(f"no server {name!r}; there are {', '.join(ENGINES)}")
    return name
