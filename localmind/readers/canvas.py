"""Canvas documents of a ChatGPT conversation: each is shown once, as it was after its last change."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_CREATE = "canmore.create_textdoc"
_UPDATE = "canmore.update_textdoc"


class Canvases:
    """The documents of one conversation. A change names its document in the tool's answer after it; where it does not, it is the last."""

    def __init__(self) -> None:
        self._texts: dict[str, tuple[str, str]] = {}
        self._shown: dict[int, str] = {}

    def learn(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Goes through the visible messages in order."""
        last = ""
        shown_at: dict[str, int] = {}
        for index, message in enumerate(messages):
            recipient = message.get("recipient")
            if recipient not in (_CREATE, _UPDATE):
                continue
            call = _call(message)
            document = _document_of(messages, index) or (f"#{index}" if recipient == _CREATE else last)
            if recipient == _CREATE and isinstance(call.get("content"), str):
                self._texts[document] = (str(call.get("name") or "Canvas"), call["content"])
            elif document in self._texts:
                name, text = self._texts[document]
                self._texts[document] = (name, _updated(text, call.get("updates")))
            else:
                continue
            last = document
            shown_at[document] = index
        self._shown = {index: document for document, index in shown_at.items()}

    def shown_at(self, index: int) -> Iterator[str]:
        """The document whose last change is the message at `index`."""
        if (document := self._shown.get(index)) is not None:
            name, text = self._texts[document]
            if text.strip():
                yield f"Canvas: {name}\n\n{text.strip()}"


def _call(message: Mapping[str, Any]) -> Mapping[str, Any]:
    content = message.get("content")
    fields = content if isinstance(content, dict) else {}
    parts = fields.get("parts")
    text = fields.get("text") or (parts[0] if isinstance(parts, list) and parts else "")
    try:
        call = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return {}
    return call if isinstance(call, dict) else {}


def _document_of(messages: Sequence[Mapping[str, Any]], index: int) -> str | None:
    """The id in the tool's answer, which is the next message."""
    if index + 1 >= len(messages):
        return None
    metadata = messages[index + 1].get("metadata")
    canvas = metadata.get("canvas") if isinstance(metadata, dict) else None
    value = canvas.get("textdoc_id") if isinstance(canvas, dict) else None
    return value if isinstance(value, str) else None


def _updated(text: str, updates: Any) -> str:
    for update in updates if isinstance(updates, list) else ():
        if not isinstance(update, dict) or not isinstance(update.get("pattern"), str) or not isinstance(update.get("replacement"), str):
            continue
        replacement = update["replacement"]
        try:
            # The words stand as they are written: a backslash in them is no reference to a group.
            text = re.sub(
                update["pattern"], lambda _, words=replacement: words, text, count=0 if update.get("multiple") else 1, flags=re.DOTALL
            )
        except (re.error, RecursionError, OverflowError):
            continue
    return text
