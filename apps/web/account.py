"""The part of the top bar that says who is logged in, leads to their other spaces, and logs out. Not there without logins."""

from __future__ import annotations

from nicegui import ui

from apps.web.elements import Text, box, button, link
from apps.web.visit import Visit

WATCH_S = 3.0
"""So often a page looks whether its login still holds."""


def build_account(visit: Visit) -> None:
    profile = visit.profile
    if profile is None or profile.account is None:
        return
    ui.timer(WATCH_S, visit.watch, immediate=False)
    with box("account"):
        if len(visit.spaces) > 1:
            _build_spaces(visit)
        with (
            button(profile.account.email, None, symbol="person", classes="button-quiet account-button") as opener,
            ui.menu().classes("menu").props('anchor="bottom right" self="top right"'),
        ):
            opener.props["aria-label"] = profile.account.email  # on a phone only the symbol is shown
            with box("account-facts"):
                Text("strong", profile.account.name)
                Text("span", profile.account.email)
                Text("span", f"{profile.tenant.name} · {visit.access.role}")
            _build_form("/logout", "Log out")
            _build_form("/logout/everywhere", "Log out on all devices")


def _build_spaces(visit: Visit) -> None:
    here = next((space for space in visit.spaces if space.id == visit.access.partition), None)
    with button(here.name if here else "Space", None, symbol="folder", classes="button-quiet account-button") as opener:
        opener.props["aria-label"] = f"Space: {here.name}" if here else "Space"
        with ui.menu().classes("menu").props('anchor="bottom right" self="top right"'):
            for space in visit.spaces:
                entry = link("/" if space.is_default else f"/?space={space.id}", space.name, classes="button menu-item")
                if space.id == visit.access.partition:
                    entry.props["aria-current"] = "true"


def _build_form(action: str, label: str) -> None:
    """A form, so that the answer can take the cookie away; a WebSocket can't."""
    with box("", "form") as form, box("button menu-item", "button") as element:
        form.props.update({"method": "post", "action": action})
        element.props["type"] = "submit"
        Text("span", label)
