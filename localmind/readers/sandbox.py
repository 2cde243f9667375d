"""Readers in child processes with limits on time and memory, so that one file costs one job and nothing else."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from localmind import errors
from localmind.errors import Broken, Cancelled, InvalidInput, LocalMindError, ReaderLimit
from localmind.model import Document, Part
from localmind.readers import formats, frames
from localmind.readers.process import Limits, ReaderProcess, Watch, memory_limit
from localmind.settings import Settings

MAX_FILES = 500
"""Files after which a process is replaced, whatever its state: parsers leak a little."""
MAX_IDLE_RESIDENT_BYTES = 150_000_000
"""A process that one large file has blown up is replaced, not kept."""
IDLE_S = 20.0

_log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


class Readers:
    """Reads files. Safe to share between threads: at most `settings.readers` files are read at once, other callers wait their turn.

    Processes are started when they are needed, kept while they are healthy, and end when nothing was read for `idle_s`.
    """

    def __init__(self, settings: Settings, *, idle_s: float = IDLE_S) -> None:
        self._settings = settings
        self._limits = Limits(settings.reader_timeout_s, settings.reader_stall_s, settings.reader_memory_mb)
        self._idle_s = idle_s
        self._slots = threading.BoundedSemaphore(settings.readers)
        self._lock = threading.Lock()
        self._idle: list[ReaderProcess] = []
        self._expiry: threading.Timer | None = None
        self._closed = False

    def open(self) -> None:
        """Nothing is started before the first file."""
        self._closed = False

    def close(self) -> None:
        """Ends idle processes; one that is reading ends with its file."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            if self._expiry is not None:
                self._expiry.cancel()
                self._expiry = None
        for process in idle:
            process.end()

    def detect(self, path: Path, filename: str) -> str:
        """The media type, by content. Raises UnsupportedType, Encrypted, Broken, NoText."""
        from localmind.readers.detect import detect

        try:
            return detect(path, filename)
        except LocalMindError as error:
            raise _named(error, filename) from error

    def read(
        self,
        path: Path,
        *,
        filename: str,
        media_type_hint: str | None = None,
        on_progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Document:
        """The file as a document.

        media_type_hint: what a sender said it is; heard only where content alone can't tell kinds of text apart.
        on_progress: (pages done, pages in all), from the calling thread. cancelled: asked about twenty times a second.
        Raises UnsupportedType, Encrypted, Broken, NoText, ReaderLimit, InvalidInput (a container: see `parts`), Cancelled.
        """
        media_type = self.detect(path, filename)
        if media_type in formats.CONTAINERS:
            raise InvalidInput(f"{filename or 'The file'} holds several documents.", hint="Ask for its parts.")
        if media_type_hint in formats.TEXT_KINDS and media_type in formats.TEXT_KINDS:
            media_type = media_type_hint
        while not self._slots.acquire(timeout=0.1):
            if cancelled is not None and cancelled():
                raise Cancelled("Reading was cancelled.")
        try:
            return self._read(self._request("read", path, filename, media_type), on_progress, cancelled)
        except LocalMindError as error:
            raise _named(error, filename) from error
        finally:
            self._slots.release()

    def parts(self, path: Path, *, filename: str) -> Parts | None:
        """The documents inside a container file, one by one as they are asked for; None for a file that is no container.

        They come from a process beside those that `read` counts, so that a part can be read while the next ones wait.
        Raises what `detect` raises; iterating raises Broken (damaged before the first part) and ReaderLimit.
        """
        media_type = self.detect(path, filename)
        if media_type not in formats.CONTAINERS:
            return None
        notes: list[str] = []
        return Parts(self._parts(self._request("parts", path, filename, media_type), notes), notes)

    def _request(self, call: str, path: Path, filename: str, media_type: str) -> dict[str, Any]:
        return {
            "call": call,
            "path": str(path.absolute()),
            "filename": filename,
            "media_type": media_type,
            "timeout_s": self._limits.timeout_s,
            "stall_s": self._limits.stall_s,
            "ocr": self._settings.ocr == "auto",
            "ocr_languages": self._settings.ocr_languages,
        }

    def _read(self, request: dict[str, Any], on_progress: Progress | None, cancelled: Callable[[], bool] | None) -> Document:
        process, watch = self._ask(request, cancelled)
        try:
            return self._collect(process, watch, on_progress)
        except (Broken, ReaderLimit):
            if not watch.died_unheard or process.files == 1:
                raise
        # It had read other files before, and may have been killed while it was idle: this file gets a process of its own.
        process = ReaderProcess(self._limits.memory_mb)
        process.ask(request)
        return self._collect(process, process.watch(self._limits, cancelled), on_progress)

    def _collect(self, process: ReaderProcess, watch: Watch, on_progress: Progress | None) -> Document:
        text = ""
        is_well = False
        try:
            while True:
                frame = watch.next()
                if frame.kind == frames.PROGRESS:
                    _pass_on(frame.fields, watch, on_progress)
                elif frame.kind == frames.TEXT:
                    text = frame.body.decode()
                elif frame.kind == frames.DOCUMENT:
                    document = frames.document_from(text, frame.fields)
                    is_well = True
                    return document
                else:
                    is_well = _is_well_after(frame.fields)
                    raise self._error(frame.fields)
        except (ValueError, KeyError, TypeError) as error:
            raise Broken("The reader gave no sense on this file.", hint="Save or download it again.") from error
        finally:
            self._give_back(process, is_well=is_well)

    def _parts(self, request: dict[str, Any], notes: list[str]) -> Iterator[Part]:
        process, watch = self._ask(request, None)
        data: bytes | bytearray = b""
        is_well = False
        try:
            while True:
                frame = watch.next()
                if frame.kind == frames.DATA:
                    data = frame.body
                elif frame.kind == frames.PART:
                    watch.progressed()
                    yield frames.part_from(data, frame.fields)
                elif frame.kind == frames.PROGRESS:
                    watch.progressed()
                elif frame.kind == frames.DONE:
                    notes.extend(map(str, frame.fields["notes"]))
                    is_well = True
                    return
                else:
                    is_well = _is_well_after(frame.fields)
                    raise _named(self._error(frame.fields), request["filename"])
        finally:
            self._give_back(process, is_well=is_well)

    # --- processes

    def _ask(self, request: dict[str, Any], cancelled: Callable[[], bool] | None) -> tuple[ReaderProcess, Watch]:
        process = self._take()
        try:
            process.ask(request)
        except BrokenPipeError:  # it went while it was idle: no fault of this file
            process.end()
            process = ReaderProcess(self._limits.memory_mb)
            process.ask(request)
        return process, process.watch(self._limits, cancelled)

    def _take(self) -> ReaderProcess:
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if process.alive:
                    return process
                process.end()
        return ReaderProcess(self._limits.memory_mb)

    def _give_back(self, process: ReaderProcess, *, is_well: bool) -> None:
        """Keeps a healthy process for the next file, ends any other."""
        if is_well and process.files < MAX_FILES and process.resident_bytes <= MAX_IDLE_RESIDENT_BYTES:
            with self._lock:
                if not self._closed and len(self._idle) < self._settings.readers:
                    process.idle_since = time.monotonic()
                    self._idle.append(process)
                    if self._expiry is None:
                        self._expire_in(self._idle_s)
                    return
        process.end()

    def _expire_in(self, seconds: float) -> None:
        self._expiry = threading.Timer(seconds, self._expire)
        self._expiry.daemon = True
        self._expiry.start()

    def _expire(self) -> None:
        """Ends processes that nobody needed for a while."""
        now = time.monotonic()
        with self._lock:
            self._expiry = None
            old = [process for process in self._idle if now - process.idle_since >= self._idle_s]
            self._idle = [process for process in self._idle if process not in old]
            if self._idle and not self._closed:
                self._expire_in(self._idle_s)
        for process in old:
            process.end()

    def _error(self, fields: dict[str, Any]) -> LocalMindError:
        """A reader's error by its name."""
        if fields.get("limit") == "memory":
            return memory_limit(self._limits.memory_mb)
        if "traceback" in fields:
            _log.warning("reader_failed", extra={"traceback": fields["traceback"]})
        kind = getattr(errors, str(fields.get("class")), Broken)
        if not (isinstance(kind, type) and issubclass(kind, LocalMindError)):
            kind = Broken
        return kind(str(fields.get("message")), hint=str(fields.get("hint", "")), **dict(fields.get("data") or {}))


def _is_well_after(fields: dict[str, Any]) -> bool:
    """A process that says what is wrong with a file is well; one that was surprised or ran out of memory may not be."""
    return "traceback" not in fields and "limit" not in fields


class Parts(Iterator[Part]):
    """A container's documents. notes: what a person should know (damage, say); complete when the iteration has ended."""

    def __init__(self, parts: Iterator[Part], notes: list[str]) -> None:
        self._parts = parts
        self._notes = notes

    def __next__(self) -> Part:
        return next(self._parts)

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes)


def read_text(text: str, *, markdown: bool = True) -> Document:
    """A text that was given as text, read here and now. Raises NoText."""
    if markdown:
        from localmind.readers.markdown import from_text

        return from_text(text)
    from localmind.readers.building import DocumentBuilder

    builder = DocumentBuilder()
    builder.block(text)
    return builder.build(formats.TEXT)


def _pass_on(fields: dict[str, Any], watch: Watch, on_progress: Progress | None) -> None:
    done, total = int(fields["done"]), int(fields["total"])
    watch.progressed(done)
    if on_progress is not None and total > 0:
        on_progress(min(done, total), total)


def _named(error: LocalMindError, filename: str) -> LocalMindError:
    """The error with the file's name in front, since a person may have put in a hundred."""
    if not filename or isinstance(error, Cancelled):
        return error
    name = filename if len(filename) <= 80 else filename[:77] + "..."
    return type(error)(f"{name}: {error.message}", hint=error.hint, **{**error.data, "filename": name})
