"""A reader's process: takes requests, reads files, sends what it found. A format's module is imported when it is needed."""

from __future__ import annotations

import fcntl
import importlib
import os
import resource
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from localmind.errors import Broken, LocalMindError, ReaderLimit
from localmind.readers import formats, frames, isolation

_PROGRESS_EVERY_S = 0.05
_GRACE_S = 10


def main(requests: int, answers: int, lifeline: int, memory_mb: int) -> None:
    """Serves requests until the service closes the pipe."""
    _die_with_parent(lifeline)
    _limit(memory_mb)
    isolation.cut_off()
    reader = frames.FrameReader(requests)
    while True:
        while (frame := reader.take()) is None:
            if not reader.fill():
                return
        request = frame.fields
        # The service stops a reader that takes too long; this is for the case that no service is there to do it.
        _rearm(request)
        _answer(answers, request)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _rearm(request: dict[str, Any]) -> None:
    signal.setitimer(signal.ITIMER_REAL, request["timeout_s"] + _GRACE_S)


def _die_with_parent(lifeline: int) -> None:
    """When the service is gone, even by kill -9, the kernel closes its end of the lifeline, and SIGIO ends this process group.

    It works while C code holds the interpreter, where a thread that waits would not run. PR_SET_PDEATHSIG is no way: Linux sends
    it when the thread that started the child ends, and worker threads come and go.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:  # it went before we listened
        os._exit(0)


def _limit(memory_mb: int) -> None:
    """The service watches resident memory; the address space is bounded for what grows faster than it looks. macOS has no such limit."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Bytecode caches and Tesseract's temporary files fit; a runaway writer does not fill the disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (64_000_000, 64_000_000))
    if sys.platform != "darwin":
        space = (memory_mb + 256) * 1_000_000
        resource.setrlimit(resource.RLIMIT_AS, (space, space))


def _answer(answers: int, request: dict[str, Any]) -> None:
    try:
        if request["call"] == "parts":
            _send_parts(answers, request)
        else:
            _send_document(answers, request)
    except LocalMindError as error:
        fields = {"class": type(error).__name__, "message": error.message, "hint": error.hint, "data": error.data}
        frames.send(answers, frames.ERROR, fields)
    except MemoryError:
        frames.send(answers, frames.ERROR, {"class": ReaderLimit.__name__, "limit": "memory"})
    except BrokenPipeError:
        os._exit(0)
    except Exception:  # the process boundary: whatever a parser throws at a bad file is an answer about that file
        fields = {"class": Broken.__name__, "message": "The file is damaged.", "hint": "Save or download it again."}
        frames.send(answers, frames.ERROR, {**fields, "traceback": traceback.format_exc()[-4000:]})


def _send_document(answers: int, request: dict[str, Any]) -> None:
    media_type = request["media_type"]
    module = importlib.import_module(f"localmind.readers.{formats.READER_MODULES[media_type]}")
    frames.send_document(answers, module.read(_reading(answers, request)))


def _send_parts(answers: int, request: dict[str, Any]) -> None:
    from localmind.readers import chatgpt_export

    notes: list[str] = []
    for part in chatgpt_export.parts(_reading(answers, request), notes):
        frames.send_part(answers, part)
        _rearm(request)
    frames.send(answers, frames.DONE, {"notes": notes})


def _reading(answers: int, request: dict[str, Any]) -> formats.Reading:
    last = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PROGRESS_EVERY_S or done == total:
            last = now
            frames.send(answers, frames.PROGRESS, {"done": done, "total": total})

    return formats.Reading(
        path=Path(request["path"]),
        filename=request["filename"],
        media_type=request["media_type"],
        progress=progress,
        deadline=time.monotonic() + 0.85 * request["timeout_s"],
        stall_s=request["stall_s"],
        ocr=request["ocr"],
        ocr_languages=request["ocr_languages"],
    )
