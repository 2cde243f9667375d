"""ChatGPT exports: hundreds of MB of JSON, read conversation by conversation with bounded memory, as far as damage allows."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from typing import IO, Any

from localmind.errors import Broken
from localmind.model import Part
from localmind.readers import formats
from localmind.readers.chatgpt import conversation_id, normalise, title_of, turns
from localmind.readers.containers import DAMAGE, open_zip
from localmind.readers.formats import Reading

MAX_MEMBER_BYTES = 4_000_000_000
MAX_CONVERSATION_CHARS = 64_000_000
_READ_BYTES = 1 << 18
_MAX_SKIPPED_CHARS = 1_000_000

_NOTHING = object()

MEMBER = re.compile(r"(?:[^/]+/)?conversations(?:-(\d+))?\.json")
_ARRAY = re.compile(r'\s*(?:\[|\{(?:(?!"mapping").){0,4000}?"conversations"\s*:\s*\[)', re.DOTALL)
_BETWEEN = re.compile(r"[\s,]*")
_BEGINNING = re.compile(r'[,\[]\s*(?=\{\s*"(?:title|id|conversation_id|create_time|mapping)"\s*:)')


def parts(reading: Reading, notes: list[str]) -> Iterator[Part]:
    """The conversations that hold a turn; each id once. What a person should know is added to `notes`.

    Raises Broken when the file is damaged before its first conversation.
    """
    damaged: list[str] = []
    count = 0
    seen: set[str] = set()
    for conversation in _conversations(reading, damaged):
        count += 1
        found = turns(conversation)
        key = conversation_id(conversation)
        if found and key is not None and key not in seen:
            seen.add(key)
            yield Part(f"chatgpt:{key}", title_of(conversation, found), formats.CONVERSATION, normalise(conversation))
        reading.progress(count, 0)
    if damaged and count == 0:
        raise Broken("The export is damaged before its first conversation.", hint="Download the export again.")
    way_out = f"{count} conversations could be read. Download the export again for the rest."
    notes.extend(f"{name} is damaged or cut off: {way_out}" for name in damaged)


def _conversations(reading: Reading, damaged: list[str]) -> Iterator[dict[str, Any]]:
    if reading.media_type == formats.CHATGPT_JSON:
        with reading.path.open("rb") as stream:
            yield from read_array(stream, lambda: damaged.append(reading.filename or "The file"))
        return
    with open_zip(reading.path) as archive:
        members = sorted((int(match[1] or -1), name) for name in archive.names if (match := MEMBER.fullmatch(name)))
        for _, name in members:
            try:
                with archive.open(name, limit=MAX_MEMBER_BYTES) as stream:
                    yield from read_array(stream, lambda name=name: damaged.append(name))  # type: ignore[misc]
            except Broken:
                damaged.append(name)


def read_array(stream: IO[bytes], on_damage: Callable[[], None]) -> Iterator[dict[str, Any]]:
    """The objects of a JSON array. Damage is reported once; then the next conversation that begins behind it is looked for.

    The buffer doubles until it holds a whole object, so that each is parsed at most twice its length.
    """
    source = _Text(stream)
    if not source.skip(_ARRAY):
        on_damage()
        return
    decoder = json.JSONDecoder()
    is_damaged = False
    while True:
        source.skip(_BETWEEN)
        if source.rest.startswith("]") and not is_damaged:
            return
        value = source.decode(decoder)
        if value is _NOTHING:
            if not is_damaged:
                on_damage()
            is_damaged = True
            if not source.seek(_BEGINNING):
                return
        elif isinstance(value, dict) and ("mapping" in value or not is_damaged):
            yield value


class _Text:
    """A stream's text from a place that only moves on."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._at_end = False
        self.rest = ""

    def skip(self, pattern: re.Pattern[str]) -> bool:
        """Passes what `pattern` matches here; a match that touches the buffer's end may go on behind it."""
        while (match := pattern.match(self.rest)) is None or match.end() == len(self.rest):
            if len(self.rest) > _MAX_SKIPPED_CHARS or not self._fill():
                break
        if match is None:
            return False
        self.rest = self.rest[match.end() :]
        return True

    def decode(self, decoder: json.JSONDecoder) -> Any:
        """The value that begins here, passed over; _NOTHING where no whole value does (null is a value)."""
        while True:
            try:
                value, end = decoder.raw_decode(self.rest)
            except (ValueError, RecursionError):
                if len(self.rest) > MAX_CONVERSATION_CHARS or not self._fill(len(self.rest)):
                    return _NOTHING
                continue
            self.rest = self.rest[end:]
            return value

    def seek(self, pattern: re.Pattern[str]) -> bool:
        """Passes on to behind the next place where `pattern` is found. False at the end."""
        self.rest = self.rest[1:]
        while (match := pattern.search(self.rest)) is None:
            self.rest = self.rest[-200:]
            if not self._fill():
                return False
        self.rest = self.rest[match.end() :]
        return True

    def _fill(self, at_least: int = 0) -> bool:
        """Reads on. False at the end, which damage to the compressed data also is."""
        if self._at_end:
            return False
        try:
            data = self._stream.read(max(_READ_BYTES, at_least))
        except DAMAGE:
            data = b""
        self._at_end = not data
        text = self._decoder.decode(data, final=self._at_end)
        self.rest += text
        return bool(text) or not self._at_end
