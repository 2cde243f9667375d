"""Extracted documents in the blob store: reading a file is done once a version."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict
from typing import Any

from localmind.blobs.port import Blobs
from localmind.catalog.sources import Revision
from localmind.errors import NotFound
from localmind.model import BlobKey, Document, Heading, Page, TenantId


def save(blobs: Blobs, tenant: TenantId, document: Document) -> BlobKey:
    packed = json.dumps(asdict(document) | {"meta": dict(document.meta)}, ensure_ascii=False, sort_keys=True)
    return blobs.put(tenant, zlib.compress(packed.encode(), 6))[0]


def load(blobs: Blobs, revision: Revision) -> Document:
    """The document of a revision that was read. Texts are read again: that is cheaper than keeping them twice.

    Raises NotFound where it was never read.
    """
    if revision.document_key is not None:
        fields: dict[str, Any] = json.loads(zlib.decompress(blobs.read(revision.tenant, revision.document_key)))
        fields["pages"] = tuple(Page(**page) for page in fields["pages"])
        fields["headings"] = tuple(Heading(**heading) for heading in fields["headings"])
        for name in ("empty_pages", "ocr_pages", "notes"):
            fields[name] = tuple(fields[name])
        return Document(**fields)
    if revision.is_text:
        from localmind.readers.sandbox import read_text

        return read_text(blobs.read(revision.tenant, revision.blob_key).decode())
    raise NotFound(f"{revision.title!r} has no text.", hint="It holds other documents, or was never read.")
