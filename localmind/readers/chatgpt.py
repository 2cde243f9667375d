"""A conversation of a ChatGPT export as a document whose headings are its turns, and the normal form in which it is kept.

OpenAI publishes no schema: what is read here is what exports of 2023 to 2026 hold. Unknown kinds of content are passed by.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from localmind.errors import Broken, NoText
from localmind.model import Document
from localmind.readers import formats, markdown
from localmind.readers.building import DocumentBuilder
from localmind.readers.canvas import Canvases
from localmind.readers.cleaning import clean, one_line
from localmind.readers.formats import Reading

MAX_OUTPUT_CHARS = 4000
"""A program's output beyond this is a listing, not knowledge."""
MAX_TITLE_CHARS = 80

_MARK = re.compile("\ue200[^\ue200\ue201]*\ue201|[\ue200-\ue202]")
_OLD_MARK = re.compile(r"【[^【】\n]{0,200}†[^【】\n]{0,500}】")
_HIDDEN = ("is_visually_hidden_from_conversation", "is_user_system_message")
_UNNAMED = frozenset(("", "new chat"))
_AUTHORS = {"user": "User", "assistant": "Assistant"}


@dataclass(slots=True)
class Turn:
    """What one side said. time: seconds since 1970, None where the export has none."""

    author: str
    time: float | None
    text: str

    @property
    def heading(self) -> str:
        """ "User, 2024-06-03 08:00 UTC", so that a citation says who and when."""
        moment = _moment(self.time)
        return f"{self.author}, {moment:%Y-%m-%d %H:%M} UTC" if moment else self.author


def read(reading: Reading) -> Document:
    """Raises Broken, NoText (a conversation without a turn)."""
    try:
        conversation = json.loads(reading.path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Broken("The conversation is no valid JSON.", hint="Export your data again and put in that file.") from error
    if not isinstance(conversation, dict):
        raise Broken("The file holds no conversation.", hint="Export your data again and put in that file.")
    found = turns(conversation)
    if not found:
        raise NoText("The conversation holds no turn.", hint="There is nothing to put in.")
    builder = DocumentBuilder()
    for turn in found:
        builder.heading(1, turn.heading)
        text = clean(turn.text)
        start = builder.cleaned_block(text)
        for heading in markdown.headings(text):
            builder.mark(heading.level + 1, heading.text, start + heading.start)
    created = _moment(_number(conversation.get("create_time")))
    meta = {"conversation_id": conversation_id(conversation) or "", "date": created.isoformat(timespec="seconds") if created else ""}
    return builder.build(formats.CONVERSATION, title=title_of(conversation, found), meta=meta)


def conversation_id(conversation: Mapping[str, Any]) -> str | None:
    value = conversation.get("conversation_id") or conversation.get("id")
    return value if isinstance(value, str) and value else None


def title_of(conversation: Mapping[str, Any], found: list[Turn]) -> str:
    """The conversation's title; where it was never named, how it begins."""
    given = conversation.get("title")
    title = one_line(given) if isinstance(given, str) else ""
    if title.casefold() in _UNNAMED and found:
        first = one_line(next((turn.text for turn in found if turn.author == "User"), found[0].text).partition("\n\n")[0])
        title = first if len(first) <= MAX_TITLE_CHARS else first[: MAX_TITLE_CHARS - 1].rstrip() + "…"
    return title or "Untitled conversation"


def normalise(conversation: Mapping[str, Any]) -> bytes:
    """What `read` looks at, on the branch that the user sees, in one order: equal bytes as long as nothing of that changed.

    Later exports add fields, sign addresses anew and update times of what was only opened: none of that is a new version.
    """
    nodes = {}
    last: str | None = None
    for node_id, message in branch(conversation):
        kept = _kept(message)
        if kept is not None:
            nodes[node_id] = {"parent": last, "message": kept}
            last = node_id
    fields = {
        "conversation_id": conversation_id(conversation),
        "create_time": _number(conversation.get("create_time")),
        "current_node": last,
        "mapping": nodes,
        "title": conversation.get("title") if isinstance(conversation.get("title"), str) else None,
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")


def _kept(message: Mapping[str, Any]) -> dict[str, Any] | None:
    if _is_hidden(message):
        return None
    author, metadata = _mapping(message.get("author")), _mapping(message.get("metadata"))
    references = [_mapping(item) for item in _list(metadata.get("content_references"))]
    citations = [_mapping(item) for item in _list(metadata.get("citations"))]
    return {
        "author": {"role": author.get("role"), "name": author.get("name")},
        "channel": message.get("channel"),
        "content": _kept_content(_mapping(message.get("content"))),
        "create_time": message.get("create_time"),
        "recipient": message.get("recipient"),
        "metadata": {
            "attachments": [{"name": _mapping(item).get("name")} for item in _list(metadata.get("attachments"))],
            "canvas": {"textdoc_id": _mapping(metadata.get("canvas")).get("textdoc_id")},
            "citations": [{"start_ix": c.get("start_ix"), "metadata": _named(_mapping(c.get("metadata")))} for c in citations],
            "content_references": [
                {
                    "matched_text": r.get("matched_text"),
                    "name": r.get("name"),
                    "items": [_named(_mapping(i)) for i in _list(r.get("items"))],
                }
                for r in references
            ],
        },
    }


def _kept_content(content: Mapping[str, Any]) -> dict[str, Any]:
    """Words alone: pointers to pictures and sound carry dates and sizes that change from export to export."""
    kept = {key: content[key] for key in ("content_type", "text", "title", "url", "domain") if isinstance(content.get(key), str)}
    parts: list[Any] = []
    for part in _list(content.get("parts")):
        if isinstance(part, str):
            parts.append(part)
        elif isinstance(part, dict):
            prompt = _mapping(_mapping(part.get("metadata")).get("dalle")).get("prompt")
            words = {"text": part.get("text")} if isinstance(part.get("text"), str) else {}
            picture = {"metadata": {"dalle": {"prompt": prompt}}} if isinstance(prompt, str) else {}
            if words or picture:
                parts.append({"content_type": part.get("content_type"), **words, **picture})
    return {**kept, "parts": parts} if "parts" in content else kept


def _named(page: Mapping[str, Any]) -> dict[str, Any]:
    return {key: page.get(key) for key in ("name", "title", "url")}


# --- the visible branch


def branch(conversation: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """(node id, message) from the first to the last that the user sees. No recursion: there are conversations of ten thousand nodes."""
    mapping = _mapping(conversation.get("mapping"))
    at = conversation.get("current_node")
    if not isinstance(at, str) or at not in mapping:
        at = _newest_leaf(mapping)
    found: list[tuple[str, Mapping[str, Any]]] = []
    seen: set[str] = set()
    while isinstance(at, str) and at not in seen and isinstance(mapping.get(at), dict):
        seen.add(at)
        node = mapping[at]
        if isinstance(node.get("message"), dict):
            found.append((at, node["message"]))
        at = node.get("parent")
    return found[::-1]


def _newest_leaf(mapping: Mapping[str, Any]) -> str | None:
    """Where no current node is given: the leaf with the latest time. In a circle there is no leaf, so any node may be it."""
    parents = {node.get("parent") for node in mapping.values() if isinstance(node, dict) and isinstance(node.get("parent"), str)}
    leaves = [node_id for node_id in mapping if node_id not in parents] or list(mapping)

    def time_of(node_id: str) -> float:
        return _number(_mapping(_mapping(mapping[node_id]).get("message")).get("create_time")) or 0.0

    return max(leaves, key=time_of, default=None)


# --- turns


def turns(conversation: Mapping[str, Any]) -> list[Turn]:
    """What was said, in order. A tool's useful output stands at the beginning of the answer that followed from it."""
    found: list[Turn] = []
    beside: list[str] = []
    canvases = Canvases()
    messages = [message for _, message in branch(conversation) if not _is_hidden(message)]
    canvases.learn(messages)
    for index, message in enumerate(messages):
        author = _AUTHORS.get(str(_mapping(message.get("author")).get("role")))
        content = _mapping(message.get("content"))
        if author is None:
            beside.extend(_tool_output(content))
            continue
        if message.get("recipient") not in (None, "all"):
            beside.extend(canvases.shown_at(index))
            continue
        if message.get("channel") == "analysis" or content.get("content_type") not in ("text", "multimodal_text"):
            continue
        pieces = [*_said(content, _mapping(message.get("metadata"))), *_attached(message)]
        if author == "Assistant" and pieces:
            pieces = [*beside, *pieces]
            beside.clear()
        if text := "\n\n".join(pieces).strip():
            found.append(Turn(author, _number(message.get("create_time")), text))
    if beside and found and found[-1].author == "Assistant":
        found[-1].text = "\n\n".join((found[-1].text, *beside))
    return found


def _is_hidden(message: Mapping[str, Any]) -> bool:
    metadata = _mapping(message.get("metadata"))
    return _mapping(message.get("author")).get("role") == "system" or any(metadata.get(name) for name in _HIDDEN)


def _said(content: Mapping[str, Any], metadata: Mapping[str, Any]) -> Iterator[str]:
    for part in _list(content.get("parts")):
        if isinstance(part, dict):
            part = part.get("text") if part.get("content_type") == "audio_transcription" else None
        if isinstance(part, str) and (text := _without_marks(part, metadata).strip()):
            yield text


def _attached(message: Mapping[str, Any]) -> Iterator[str]:
    attachments = (_mapping(item).get("name") for item in _list(_mapping(message.get("metadata")).get("attachments")))
    if names := [one_line(name) for name in attachments if isinstance(name, str) and name.strip()]:
        yield f"[Attached: {', '.join(names)}]"


def _tool_output(content: Mapping[str, Any]) -> Iterator[str]:
    kind, text = content.get("content_type"), content.get("text")
    if kind == "execution_output" and isinstance(text, str) and text.strip():
        yield f"Output:\n{text.strip()[:MAX_OUTPUT_CHARS]}"
    elif kind == "tether_quote" and isinstance(text, str) and text.strip():
        source = content.get("title") or content.get("url") or content.get("domain")
        yield f"Quoted from {source}:\n{text.strip()[:MAX_OUTPUT_CHARS]}" if source else text.strip()[:MAX_OUTPUT_CHARS]
    elif kind == "multimodal_text":
        for part in _list(content.get("parts")):
            prompt = _mapping(_mapping(_mapping(part).get("metadata")).get("dalle")).get("prompt")
            if isinstance(prompt, str) and prompt.strip():
                yield f"[Picture: {one_line(prompt)}]"


def _without_marks(text: str, metadata: Mapping[str, Any]) -> str:
    """The text with the address or name in the place of each citation's mark, or nothing where it is not known."""
    references = {r.get("matched_text"): r for r in map(_mapping, _list(metadata.get("content_references")))}
    citations = {c.get("start_ix"): _mapping(c.get("metadata")) for c in map(_mapping, _list(metadata.get("citations")))}

    def page(match: re.Match[str]) -> str:
        reference = references.get(match[0], {})
        pages = (_mapping(item).get("url") for item in _list(reference.get("items")))
        urls = [url for url in pages if isinstance(url, str) and url.startswith("http")]
        name = reference.get("name")
        return f"({', '.join(urls)})" if urls else name if isinstance(name, str) else ""

    # Positions are unreliable where a text was changed after it was cited; then the marks' order tells which is which.
    is_placed = any(match.start() in citations for match in _OLD_MARK.finditer(text))
    unplaced = iter(() if is_placed else citations.values())

    def file(match: re.Match[str]) -> str:
        cited = citations.get(match.start()) or next(unplaced, {})
        name = next((cited[key] for key in ("url", "title", "name") if isinstance(cited.get(key), str) and cited[key].strip()), None)
        return f" ({name})" if name else ""

    return _MARK.sub(page, _OLD_MARK.sub(file, text))


def _moment(seconds: float | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12 else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
