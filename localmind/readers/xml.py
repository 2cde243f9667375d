"""XML inside office files, parsed without entities, network or unbounded depth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from localmind.errors import Broken, LocalMindError
from localmind.readers.containers import Zip

_OPTIONS: dict[str, Any] = {"resolve_entities": False, "no_network": True, "load_dtd": False, "remove_comments": True, "remove_pis": True}


def parse(archive: Zip, name: str) -> Any:
    """The root element of a member. Raises Broken."""
    from lxml import etree

    try:
        return etree.fromstring(archive.read(name), etree.XMLParser(**_OPTIONS))
    except etree.XMLSyntaxError as error:
        raise broken(name) from error


def parse_if_there(archive: Zip, name: str) -> Any | None:
    """The same, but None where the member is missing or damaged: what it holds can be done without."""
    if name not in archive:
        return None
    try:
        return parse(archive, name)
    except Broken:
        return None


def children_of(stream: IO[bytes], parent: str, name: str) -> Iterator[Any]:
    """The children of `parent` (a qualified name), one by one and forgotten after: memory does not grow with the document."""
    from lxml import etree

    events = etree.iterparse(stream, events=("end",), **_OPTIONS)
    try:
        for _, element in events:
            above = element.getparent()
            if above is not None and above.tag == parent:
                yield element
                element.clear()
                while element.getprevious() is not None:
                    del above[0]
    except etree.XMLSyntaxError as error:
        raise broken(name) from error


def relations(archive: Zip, part: str) -> dict[str, tuple[str, str]]:
    """Relation id -> (kind, part) of an Office Open XML part; targets outside the file are left out."""
    folder, _, base = part.rpartition("/")
    root = parse_if_there(archive, f"{folder}/_rels/{base}.rels".lstrip("/"))
    found = {}
    for relation in root if root is not None else ():
        if relation.get("TargetMode") == "External":
            continue
        kind = (relation.get("Type") or "").rpartition("/")[2]
        found[relation.get("Id") or ""] = (kind, resolve(folder, relation.get("Target") or ""))
    return found


def resolve(folder: str, target: str) -> str:
    """A relative name inside a zip; it never leaves the zip, since names are only looked up."""
    steps = [] if target.startswith("/") else [step for step in folder.split("/") if step]
    for step in target.split("/"):
        if step == "..":
            del steps[-1:]
        elif step not in ("", "."):
            steps.append(step)
    return "/".join(steps)


def core_title(archive: Zip) -> tuple[str | None, dict[str, str]]:
    """Title and author of an Office Open XML file, where its writer gave them."""
    root = parse_if_there(archive, "docProps/core.xml")
    if root is None:
        return None, {}
    title = root.findtext("{http://purl.org/dc/elements/1.1/}title")
    author = root.findtext("{http://purl.org/dc/elements/1.1/}creator")
    return title, {"author": author or ""}


def broken(name: str) -> LocalMindError:
    return Broken(f"{name} inside the file is damaged.", hint="Open it in the program that made it and save it again.")
