"""Up, down and what lies between: the servers started beside each other, each awaited until it answers a real question."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from servers import programs
from servers.config import Config, StackError
from servers.engines import ENGINES, Engine
from servers.process import Process, resident_mib
from servers.programs import Need

START_TIMEOUT_S = 120.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class State:
    """up: it answers. pid: None where it is not ours. problem: why it is not up."""

    name: str
    up: bool
    port: int
    pid: int | None
    memory_mib: int | None
    problem: str | None


def up(config: Config, names: Sequence[str], say: Say, *, install: bool = False) -> None:
    """Starts what does not run, and returns when all answer. Raises StackError with the cause; what started until then goes on."""
    with _alone(config):
        prepare(config, names, say, install=install)
        _Start(config, names, say).all()


def prepare(config: Config, names: Sequence[str], say: Say, *, install: bool = False, besides: Iterable[Need] = ()) -> None:
    """Sees to it that all programs are there, the downloads included, and others besides; starts nothing."""
    engines = [ENGINES[name] for name in names]
    absent = [engine.download for engine in engines if engine.download and not engine.download.cached(config)]
    needs = [need for engine in engines for need in engine.needs] + [need for download in absent for need in download.needs]
    needs += besides
    lacking = programs.missing(needs)
    if lacking and not install:
        raise StackError(programs.explain(lacking))
    if lacking:
        say(f"installing {', '.join(need.package for need in lacking)} ...")
        programs.install(lacking)
    for download in absent:
        started = time.monotonic()
        say(f"{download.name}: {download.how} ...")
        download.get(config)
        say(f"{download.name}: in the cache after {time.monotonic() - started:.0f} s")


def down(config: Config, names: Iterable[str], say: Say) -> None:
    """Stops what `up` started, Milvus before the servers that it needs."""
    with _alone(config):
        _stop_all(config, list(names), say)


def kill(config: Config, names: Iterable[str], say: Say) -> None:
    """As a power cut would."""
    for name in names:
        say(f"{name}: {'killed' if Process(config, name).kill() else 'does not run'}")


def reset(config: Config, say: Say) -> None:
    """Stops everything and drops all data; what was downloaded stays."""
    with _alone(config):
        _stop_all(config, list(ENGINES), say)
        for name in [*ENGINES, "logs", "pids"]:
            shutil.rmtree(config.data / name, ignore_errors=True)
    say(f"The data in {config.data} is gone.")


def states(config: Config) -> list[State]:
    with ThreadPoolExecutor(len(ENGINES)) as threads:
        return list(threads.map(lambda engine: _state(config, engine), ENGINES.values()))


def _state(config: Config, engine: Engine) -> State:
    pid, problem = Process(config, engine.name).pid, _problem(config, engine)
    memory = resident_mib(pid) if pid else None
    return State(engine.name, problem is None, config.port(engine.port), pid, memory, problem)


class _Start:
    """Several servers at once; the first that fails ends the waiting of the others."""

    def __init__(self, config: Config, names: Sequence[str], say: Say) -> None:
        self._config = config
        self._engines = [ENGINES[name] for name in names]
        self._say = say
        self._answered = {name: threading.Event() for name in names}
        self._failed = threading.Event()

    def all(self) -> None:
        with ThreadPoolExecutor(max(1, len(self._engines))) as threads:
            futures = [threads.submit(self._one, engine) for engine in self._engines]
        errors = [error for future in futures if (error := future.exception())]
        # The cause first: others may have given up because of it.
        for error in sorted(errors, key=lambda error: isinstance(error, _GivenUp)):
            raise error

    def _one(self, engine: Engine) -> None:
        started = time.monotonic()
        try:
            for other in engine.after:
                self._wait_for(other)
            news = self._bring_up(engine)
        except BaseException:
            self._failed.set()
            raise
        self._answered[engine.name].set()
        self._say(f"{engine.name}: {news} on port {self._config.port(engine.port)} after {time.monotonic() - started:.1f} s")

    def _wait_for(self, name: str) -> None:
        while name in self._answered and not self._answered[name].wait(0.1):
            if self._failed.is_set():
                raise _GivenUp("another server failed.")

    def _bring_up(self, engine: Engine) -> str:
        process = Process(self._config, engine.name)
        if _problem(self._config, engine) is None:
            return "answers as before" if process.pid else "answers, started by somebody else,"
        if process.pid is None:
            if _listening(self._config, engine):
                port = self._config.port(engine.port)
                raise StackError(f"{engine.name}: another program has port {port}. Stop it, or set STACK_{engine.port}_PORT to a free one.")
            launch = engine.launch(self._config)
            process.start(launch.command, folder=self._config.folder(engine.name), env=launch.env, user=launch.user)
        self._until_it_answers(engine, process)
        return "answers"

    def _until_it_answers(self, engine: Engine, process: Process) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        problem: str | None = "it does not listen"
        while time.monotonic() < deadline:
            if process.pid is None:
                raise StackError(f"{engine.name} ended at once. Its log, {process.log}, ends with:\n{process.tail(15)}")
            if self._failed.is_set():
                raise _GivenUp(f"{engine.name}: another server failed.")
            problem = _problem(self._config, engine)
            if problem is None:
                return
            # A new server has no account of ours yet; while it still starts this fails as the question did.
            if engine.settle and _listening(self._config, engine):
                with contextlib.suppress(Exception):
                    engine.settle(self._config)
            time.sleep(0.2)
        raise StackError(
            f"{engine.name} gave no answer in {START_TIMEOUT_S:.0f} s: {problem}. {process.log} ends with:\n{process.tail(15)}"
        )


class _GivenUp(StackError):
    """Not a cause: it waited for a server that failed."""


def _stop_all(config: Config, names: list[str], say: Say) -> None:
    dependent = [name for name in names if ENGINES[name].after]
    for group in (dependent, [name for name in names if name not in dependent]):
        with ThreadPoolExecutor(max(1, len(group))) as threads:
            list(threads.map(lambda name: _stop(config, ENGINES[name], say), group))


def _stop(config: Config, engine: Engine, say: Say) -> None:
    if Process(config, engine.name).stop(with_signal=engine.stop, patience_s=engine.patience_s):
        say(f"{engine.name}: stopped")
    elif _listening(config, engine):
        say(f"{engine.name}: left alone, it was not started by this command")


def _problem(config: Config, engine: Engine) -> str | None:
    """Why it does not answer; None when it does."""
    try:
        engine.ask(config)
    except Exception as error:  # whatever it is, it is no answer
        return str(error) or type(error).__name__
    return None


def _listening(config: Config, engine: Engine) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((config["HOST"], config.port(engine.port)), 1.0):
        return True
    return False


@contextlib.contextmanager
def _alone(config: Config) -> Iterator[None]:
    """One up or down at a time: a second waits for the first, then finds its work done."""
    config.data.mkdir(parents=True, exist_ok=True)
    with (config.data / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
