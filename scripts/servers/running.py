"""Up, down and what lies between: the servers started beside each other, each awaited until it answers a real question."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from servers.config import Config, StackError
from servers.engines import ENGINES, Engine
from servers.process import Process, resident_mib

START_TIMEOUT_S = 120.0


def up(config: Config, names: Iterable[str], say: Callable[[str], None]) -> None:
    """Starts what does not run. Returns when all answer; raises StackError with the first that doesn't, and leaves the others running."""
    chosen = [ENGINES[name] for name in names]
    with _alone(config):
        _check(chosen)
        for engine in chosen:
            if engine.download and not _runs(config, engine):
                say(f"{engine.name}: looking in the cache, else downloading (once) ...")
                engine.download(config)
        answered = {name: threading.Event() for name in ENGINES}
        for name in ENGINES.keys() - {engine.name for engine in chosen}:
            answered[name].set()
        failed = threading.Event()

        def bring_up(engine: Engine) -> None:
            started = time.monotonic()
            try:
                for other in engine.after:
                    _await(answered[other], failed)
                news = _start(config, engine, failed)
            except BaseException:
                failed.set()
                raise
            answered[engine.name].set()
            say(f"{engine.name}: {news} after {time.monotonic() - started:.1f} s, port {config.port(engine.port)}")

        with ThreadPoolExecutor(len(chosen) or 1) as threads:
            futures = [threads.submit(bring_up, engine) for engine in chosen]
        errors = [error for future in futures if (error := future.exception())]
        # Of several, the one that was not merely waiting for another.
        for error in sorted(errors, key=lambda error: isinstance(error, _Abandoned)):
            raise error


def down(config: Config, names: Iterable[str], say: Callable[[str], None]) -> None:
    """Stops what `up` started, Milvus before what it needs."""
    with _alone(config):
        first = [name for name in names if ENGINES[name].after]
        for group in (first, [name for name in names if name not in first]):
            with ThreadPoolExecutor(len(group) or 1) as threads:
                list(threads.map(lambda name: _stop(config, ENGINES[name], say), group))


def kill(config: Config, name: str, say: Callable[[str], None]) -> None:
    """SIGKILL: as a power cut would. PostgreSQL's children notice that their parent died and end by themselves."""
    killed = Process(config, name).stop(with_signal=signal.SIGKILL, patience_s=10.0)
    say(f"{name}: {'killed' if killed else 'does not run'}")


def reset(config: Config, say: Callable[[str], None]) -> None:
    """Stops everything and drops all data; what was downloaded stays."""
    down(config, list(ENGINES), say)
    for name in [*ENGINES, "logs", "pids"]:
        shutil.rmtree(config.data / name, ignore_errors=True)
    say(f"All data under {config.data} is gone.")


def status(config: Config) -> list[dict[str, object]]:
    """A server a row: name, up (it answers), pid (None when it is not ours), port, memory in MiB, why it is not up."""
    with ThreadPoolExecutor(len(ENGINES)) as threads:
        return list(threads.map(lambda engine: _state(config, engine), ENGINES.values()))


def _state(config: Config, engine: Engine) -> dict[str, object]:
    pid = Process(config, engine.name).pid
    problem = _problem(config, engine)
    memory = resident_mib(pid) if pid else None
    return {
        "name": engine.name,
        "up": problem is None,
        "pid": pid,
        "port": config.port(engine.port),
        "memory_mib": memory,
        "problem": problem,
    }


def _start(config: Config, engine: Engine, failed: threading.Event) -> str:
    process = Process(config, engine.name)
    if _problem(config, engine) is None:
        return "ran already" if process.pid else "ran already, started by somebody else"
    if process.pid is None:
        if _listening(config, engine):
            raise StackError(
                f"{engine.name}: port {config.port(engine.port)} is taken by another program. "
                f"Set STACK_{engine.port}_PORT to a free one, or stop that program."
            )
        launch = engine.launch(config)
        process.start(launch.command, folder=config.folder(engine.name), env=launch.env, user=launch.user)
    _until_it_answers(config, engine, process, failed)
    return "answers"


def _until_it_answers(config: Config, engine: Engine, process: Process, failed: threading.Event) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    settled = engine.settle is None
    problem: str | None = "never asked"
    while time.monotonic() < deadline:
        if process.pid is None:
            raise StackError(f"{engine.name} ended at once. Its log, {process.log}, ends with:\n{process.tail(15)}")
        if failed.is_set():
            raise _Abandoned(f"{engine.name}: given up, another server failed.")
        if not settled and _listening(config, engine):
            with contextlib.suppress(Exception):  # still starting; the question below says what is wrong if it stays so
                engine.settle(config)
                settled = True
        problem = _problem(config, engine) if settled else "not set up yet"
        if problem is None:
            return
        time.sleep(0.2)
    raise StackError(f"{engine.name} does not answer after {START_TIMEOUT_S:.0f} s: {problem}. Its log: {process.log}\n{process.tail(15)}")


def _stop(config: Config, engine: Engine, say: Callable[[str], None]) -> None:
    stopped = Process(config, engine.name).stop(with_signal=engine.stop, patience_s=engine.patience_s)
    if stopped:
        say(f"{engine.name}: stopped")
    elif _listening(config, engine):
        say(f"{engine.name}: left alone, it was not started here")


def _check(engines: Iterable[Engine]) -> None:
    pass


def _problem(config: Config, engine: Engine) -> str | None:
    """Why it does not answer; None when it does."""
    try:
        engine.ask(config)
    except Exception as error:  # whatever it is, it is no answer
        return str(error) or type(error).__name__
    return None


def _runs(config: Config, engine: Engine) -> bool:
    return Process(config, engine.name).pid is not None


def _listening(config: Config, engine: Engine) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((config["HOST"], config.port(engine.port)), 1.0):
        return True
    return False


def _await(event: threading.Event, failed: threading.Event) -> None:
    while not event.wait(0.1):
        if failed.is_set():
            raise _Abandoned("given up, another server failed.")


@contextlib.contextmanager
def _alone(config: Config) -> Iterator[None]:
    """One up or down at a time: a second waits for the first, then finds its work done."""
    config.data.mkdir(parents=True, exist_ok=True)
    with (config.data / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class _Abandoned(StackError):
    """Not the cause: it waited for a server that failed."""
