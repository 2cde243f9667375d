"""The page's building blocks. Text is always set as text: the browser never takes it for HTML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement


class Text(TextElement):
    """A tag with text in it."""

    def __init__(self, tag: str, text: str, classes: str = "") -> None:
        super().__init__(tag=tag, text=text)
        self.classes(classes)


def box(classes: str = "", tag: str = "div") -> Element:
    return ui.element(tag).classes(classes)


def icon(name: str) -> Element:
    """One of the style sheet's icons; decoration, so screen readers pass it by."""
    element = box(f"icon icon-{name}", "span")
    element.props["aria-hidden"] = "true"
    return element


def button(label: str, on_click: Callable[..., Any] | None, *, symbol: str = "", classes: str = "", shows_label: bool = True) -> Element:
    """label: what the button does; told to screen readers and shown as a tooltip where shows_label is off."""
    element = box(f"button {classes}", "button")
    element.props["type"] = "button"
    if on_click:
        element.on("click", on_click, args=[])
    with element:
        if symbol:
            icon(symbol)
        if shows_label:
            Text("span", label)
    if not shows_label:
        element.props["aria-label"] = label
        element.props["title"] = label
    return element


def link(href: str, label: str | None = None, *, classes: str = "", new_tab: bool = False) -> Element:
    """Without a label: a link around the elements that are made inside it."""
    element = box(classes, "a") if label is None else Text("a", label, classes)
    element.props["href"] = href
    if new_tab:
        element.props["target"] = "_blank"
        element.props["rel"] = "noopener"
    return element


def set_prop(element: Element, name: str, value: Any) -> None:
    """Sets a property and sends it to the browser, unless it is what it was."""
    if element.props.get(name) != value:
        element.props[name] = value
        element.update()


def brand(home: str = "/") -> None:
    """The name, as a link home."""
    with link(home, classes="brand"):
        box("brand-mark", "span").props["aria-hidden"] = "true"
        Text("span", "Local Mind")


def notice(title: str, message: str, *, back: bool = False) -> None:
    """A page that has nothing but a message."""
    with box("notice", "main"):
        brand()
        Text("h1", title)
        Text("p", message)
        if back:
            link("/", "Back to your documents", classes="button button-primary")
