"""An answer as HTML that is safe to show: its Markdown without anything that loads or leads elsewhere, its [n] as links."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from functools import cache
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

from localmind.model import Citation

MARK = re.compile(r"\[(\d{1,3})\]")


Address = Callable[[str], str]
"""A path of ours, as the page has to ask for it; see Visit.address."""


def source_address(citation: Citation, address: Address = str) -> str:
    """The source, opened at the citation's page with its quote marked."""
    page = f"page={citation.page}&" if citation.page else ""
    return address(f"/sources/{citation.source_id}?{page}start={citation.start}&end={citation.end}")


def answer_html(text: str, citations: Sequence[Citation], address: Address = str) -> str:
    """The text comes from documents and models, so nothing of it is trusted.

    HTML in it is shown as text; images, links and references are not understood. A [n] without a citation (yet) is marked, but no link.
    """
    return str(_markdown().render(text, {"citations": {one.n: one for one in citations}, "address": address}))


@cache
def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True})
    markdown.enable(["table", "strikethrough"])
    markdown.disable(["image", "link", "autolink", "reference", "html_block", "html_inline", "code", "lheading"])
    markdown.add_render_rule("text", _text)
    return markdown


def _text(_: RendererHTML, tokens: Sequence[Token], index: int, _options: OptionsDict, env: MutableMapping[str, Any]) -> str:
    citations: Mapping[int, Citation] = env["citations"]
    # Escaping first is fine: neither brackets nor digits are escaped.
    return MARK.sub(lambda match: _mark(int(match[1]), citations, env["address"]), escape(tokens[index].content))


def _mark(n: int, citations: Mapping[int, Citation], to: Address) -> str:
    if (citation := citations.get(n)) is None:
        return f'<span class="mark">{n}</span>'
    place = escape(f"{citation.title}, page {citation.page}" if citation.page else citation.title)
    address = escape(source_address(citation, to))
    return f'<a class="mark" href="{address}" title="{place}" aria-label="Source {n}: {place}">{n}</a>'
