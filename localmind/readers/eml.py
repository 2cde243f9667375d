"""Mails: who wrote to whom and when, then the text; the subject is the heading. Attachments are named, not read."""

from __future__ import annotations

import email
import email.policy
from contextlib import suppress
from email.message import EmailMessage

from localmind.model import Document
from localmind.readers import formats
from localmind.readers.building import DocumentBuilder
from localmind.readers.cleaning import one_line
from localmind.readers.encoding import decode
from localmind.readers.formats import Reading
from localmind.readers.html import add_html

_HEADERS = ("From", "To", "Cc", "Date")
MAX_DEPTH = 5
"""Mails within mails that are read; deeper ones are named only."""


def read(reading: Reading) -> Document:
    """Raises NoText."""
    data = reading.path.read_bytes()
    if data.startswith(b"From "):  # the line that mailbox files put before each mail
        data = data.partition(b"\n")[2]
    message = email.message_from_bytes(data, policy=email.policy.default)
    builder = DocumentBuilder()
    _add(builder, message, depth=0)
    sender, date = _header(message, "From"), _header(message, "Date")
    return builder.build(formats.EML, title=_header(message, "Subject"), meta={"author": sender, "date": date})


def _add(builder: DocumentBuilder, message: EmailMessage, depth: int) -> None:
    builder.heading(1 + depth, _header(message, "Subject") or "Mail")
    lines = [f"{name}: {value}" for name in _HEADERS if (value := _header(message, name))]
    builder.block("\n".join(lines))
    body = message.get_body(preferencelist=("plain", "html"))
    if isinstance(body, EmailMessage):
        _add_body(builder, body, depth)
    names = []
    for part in message.iter_attachments() if message.is_multipart() else ():
        inner = part.get_payload()
        if part.get_content_type() == "message/rfc822" and depth < MAX_DEPTH and isinstance(inner, list):
            for mail in inner:
                if isinstance(mail, EmailMessage):
                    _add(builder, mail, depth + 1)
        elif name := one_line(part.get_filename() or ""):
            names.append(name)
    if names:
        builder.block(f"Attachments: {', '.join(names)}")


def _add_body(builder: DocumentBuilder, body: EmailMessage, depth: int) -> None:
    payload = body.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return
    charset = body.get_content_charset()
    if charset is not None:
        with suppress(LookupError, UnicodeDecodeError):
            payload = payload.decode(charset).encode("utf-8", "replace")
    if body.get_content_type() == "text/html":
        add_html(builder, b"\xef\xbb\xbf" + decode(payload)[0].encode("utf-8", "replace"), level_offset=1 + depth, whole=True)
    else:
        builder.block(decode(payload)[0])


def _header(message: EmailMessage, name: str) -> str:
    """A header's words; "" where it is missing or too broken to be parsed."""
    try:
        value = message[name]
    except (ValueError, IndexError, AttributeError, TypeError):  # the parser of the standard library fails so on odd headers
        return ""
    return one_line(str(value)) if value is not None else ""
