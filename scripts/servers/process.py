"""Processes that outlive the command that started them, and are ended by their pid alone."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import time
from pathlib import Path

from servers.config import Config, StackError

KEPT = ("PATH", "HOME", "JAVA_HOME", "TMPDIR", "TZ")


class Process:
    """A server's process. Its pid lies in a file, with its start time: a pid that the system gave to somebody else is not ours."""

    def __init__(self, config: Config, name: str) -> None:
        self.name = name
        self.log = config.log(name)
        self._file = config.data / "pids" / name

    @property
    def pid(self) -> int | None:
        """None when it does not run."""
        try:
            pid, started = self._file.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if _started(int(pid)) == started else None

    def start(self, command: list[str], *, folder: Path, env: dict[str, str], user: str | None = None) -> None:
        """Detached from this terminal, its output appended to the log."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=folder,
                # Nothing else of ours: MINIO_ACCESS_KEY and the like are settings of the product, and the servers read them as theirs.
                env={**{name: os.environ[name] for name in KEPT if name in os.environ}, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                extra_groups=[] if user else None,
            )
        self._file.write_text(f"{process.pid} {_started(process.pid)}")

    def stop(self, *, with_signal: signal.Signals, patience_s: float) -> bool:
        """False when it did not run. Killed when the signal did not end it in time."""
        if self.pid is None:
            return False
        if not self._ended_by([self.pid], with_signal, patience_s):
            self.kill()
        self._file.unlink(missing_ok=True)
        return True

    def kill(self) -> bool:
        """SIGKILL to it and its children, as a power cut. False when it did not run."""
        pid = self.pid
        if pid is None:
            return False
        # PostgreSQL's children outlive it for a moment, and a new server would not start beside them.
        if not self._ended_by([pid, *_children(pid)], signal.SIGKILL, 10.0):
            raise StackError(f"{self.name} (pid {pid}) does not end.")
        self._file.unlink(missing_ok=True)
        return True

    @staticmethod
    def _ended_by(pids: list[int], with_signal: signal.Signals, patience_s: float) -> bool:
        alive = {pid: _started(pid) for pid in pids}
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, with_signal)
        deadline = time.monotonic() + patience_s
        while any(started is not None and _started(pid) == started for pid, started in alive.items()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def tail(self, lines: int) -> str:
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""


def alive(pid: int) -> bool:
    """False for a zombie too."""
    return _started(pid) is not None


def _started(pid: int) -> str | None:
    """When it started, in clock ticks since boot; None when it ended, a zombie included.

    Of a killed JVM the first thread is a zombie while others still hold its port and its files: it has not ended yet.
    """
    with contextlib.suppress(ChildProcessError):  # a child of this very command would stay a zombie
        os.waitpid(pid, os.WNOHANG)
    try:
        # The command's name stands in parentheses and may hold spaces.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, threads, started = fields[0], int(fields[17]), fields[19]  # proc_pid_stat(5)
    return None if state == "Z" and threads <= 1 else started


def resident_mib(pid: int) -> int:
    """Memory of the process and its children (PostgreSQL forks), shared pages counted once: proportional set size."""
    total = 0
    for each in [pid, *_children(pid)]:
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{each}/smaps_rollup").read_text(encoding="utf-8").splitlines()
            total += int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return total // 1024


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]
    return []
