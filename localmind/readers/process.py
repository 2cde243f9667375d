"""One reader process seen from the service: started, asked, watched, ended."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from localmind.errors import Broken, Cancelled, ReaderLimit
from localmind.readers import frames
from localmind.readers.frames import Frame, FrameReader

_HAS_PROC = Path("/proc/self/statm").exists()
_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024
_TICK_S = 0.05
_EXIT_WAIT_S = 1.0
_SHARE_OF_MEMORY = 0.6
"""A process that crashed with this share of its memory in use is taken to have died of that limit."""


class Limits(NamedTuple):
    timeout_s: float
    stall_s: float
    memory_mb: int


class ReaderProcess:
    """Not for several threads at once."""

    def __init__(self, memory_mb: int) -> None:
        requests, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        lifeline, self._lifeline = os.pipe()
        # -S and -I: nothing of the environment or of site's start files; the service's own path makes `localmind` found.
        path = [entry or str(os.getcwd()) for entry in sys.path]  # noqa: PTH109
        # Linux counts the memory of whoever starts a process as that process's own, up to its first instruction: getrusage(2), exec.
        self._inherited_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_BYTES
        call = f"main({requests}, {answers}, {lifeline}, {memory_mb})"
        start = f"import sys; sys.path[:] = {path!r}; from localmind.readers.child import main; {call}"
        try:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-S", "-X", "utf8", "-c", start],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(requests, answers, lifeline),
                start_new_session=True,
                env={name: os.environ[name] for name in ("PATH", "TESSDATA_PREFIX", "TMPDIR") if name in os.environ},
            )
        except BaseException:
            for descriptor in (self._requests, self._answers, self._lifeline):
                os.close(descriptor)
            raise
        finally:
            for descriptor in (requests, answers, lifeline):
                os.close(descriptor)
        self._frames = FrameReader(self._answers)
        self._memory_mb = memory_mb
        self._ended = False
        self._peak_bytes = self._seen_bytes = 0
        self.files = 0
        self.idle_since = time.monotonic()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        self._reap(os.WNOHANG)
        return not self._ended and self._process.returncode is None

    @property
    def resident_bytes(self) -> int:
        """0 where the system does not tell or the process is gone."""
        now = resident_bytes(self.pid)
        self._seen_bytes = max(self._seen_bytes, now)
        return now

    def ask(self, request: Mapping[str, Any]) -> None:
        """Raises BrokenPipeError when the process has gone since it was last used."""
        self.files += 1
        frames.send(self._requests, frames.REQUEST, request)

    def watch(self, limits: Limits, cancelled: Callable[[], bool] | None = None) -> Watch:
        return Watch(self, self._frames, self._answers, limits, cancelled)

    def end(self) -> int:
        """Kills the process and what it started, frees everything. Its highest resident memory in bytes, as far as known. Twice is safe."""
        if self._ended:
            return self._peak_bytes
        self._ended = True
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._reap(0)
        for descriptor in (self._requests, self._answers, self._lifeline):
            os.close(descriptor)
        return self._peak_bytes

    def crash(self) -> Broken | ReaderLimit:
        """Why a process went that nobody stopped."""
        until = time.monotonic() + _EXIT_WAIT_S
        while self._process.returncode is None and time.monotonic() < until:
            self._reap(os.WNOHANG)
            time.sleep(0.005)
        if self.end() >= _SHARE_OF_MEMORY * self._memory_mb * 1_000_000 or self._process.returncode == -signal.SIGKILL:
            return memory_limit(self._memory_mb)
        return Broken("The reader crashed on this file: it is damaged.", hint="Open it in the program that made it and save it again.")

    def _reap(self, options: int) -> None:
        """Popen does the same but forgets the memory that was used."""
        if self._process.returncode is not None:
            return
        with suppress(ChildProcessError):
            pid, status, usage = os.wait4(self.pid, options)
            if pid:
                self._process.returncode = os.waitstatus_to_exitcode(status)
                peak = usage.ru_maxrss * _MAXRSS_BYTES
                self._peak_bytes = peak if peak > self._inherited_bytes else self._seen_bytes


class Watch:
    """Waits for a process's answers within limits. Only the time spent waiting counts, not what the caller does between two answers."""

    def __init__(
        self, process: ReaderProcess, reader: FrameReader, descriptor: int, limits: Limits, cancelled: Callable[[], bool] | None
    ) -> None:
        self._process = process
        self._reader = reader
        self._limits = limits
        self._cancelled = cancelled
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN | select.POLLHUP)
        self._waited_s = 0.0
        self._since_progress_s = 0.0
        self._done = 0
        self._heard = False
        self.died_unheard = False
        """Whether the process went without a word: then its fault may be older than this file."""

    def next(self) -> Frame:
        """The next answer. Raises ReaderLimit, Cancelled, Broken (it crashed); the process is ended then."""
        try:
            return self._next()
        except BaseException:
            self._process.end()
            raise

    def progressed(self, done: int | None = None) -> None:
        """The reader got on: to page `done`, or by a whole part."""
        if done is None or done != self._done:
            self._since_progress_s = 0.0
        self._done = done if done is not None else self._done

    def _next(self) -> Frame:
        checked = began = time.monotonic()
        while True:
            try:
                if (frame := self._reader.take()) is not None:
                    return frame
                if self._poll.poll(_TICK_S * 1000):
                    if not self._reader.fill():
                        self.died_unheard = not self._heard
                        raise self._process.crash()
                    self._heard = True
            except ValueError as error:
                raise Broken("The reader gave no sense on this file.", hint="Save or download it again.") from error
            finally:
                now = time.monotonic()
                self._waited_s += now - began
                self._since_progress_s += now - began
                began = now
            if now - checked >= _TICK_S:
                checked = now
                self._check()

    def _check(self) -> None:
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("Reading was cancelled.")
        if self._process.resident_bytes > self._limits.memory_mb * 1_000_000:
            raise memory_limit(self._limits.memory_mb)
        if self._waited_s > self._limits.timeout_s:
            raise ReaderLimit(
                f"Reading took longer than {self._limits.timeout_s:g} s (READER_TIMEOUT_S).",
                hint="Split the file, or raise READER_TIMEOUT_S.",
                limit="reader_timeout_s",
            )
        if self._since_progress_s > self._limits.stall_s:
            where = f" after page {self._done}" if self._done else ""
            raise ReaderLimit(
                f"Reading did not get on{where} for {self._limits.stall_s:g} s (READER_STALL_S).",
                hint="Print the file anew as a PDF, or raise READER_STALL_S.",
                limit="reader_stall_s",
            )


def memory_limit(memory_mb: int) -> ReaderLimit:
    return ReaderLimit(
        f"Reading needed more than {memory_mb} MB of memory (READER_MEMORY_MB).",
        hint="Split the file, print it anew as a PDF, or raise READER_MEMORY_MB.",
        limit="reader_memory_mb",
    )


def resident_bytes(pid: int) -> int:
    """A process's resident memory; 0 when it is gone or the system does not tell."""
    if _HAS_PROC:
        try:
            with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 called twenty times a second
                return int(file.read().split()[1]) * resource.getpagesize()
        except (OSError, IndexError):
            return 0
    listed = subprocess.run(["/bin/ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603
    return int(listed.stdout.strip() or 0) * 1024
