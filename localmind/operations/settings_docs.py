"""`.env.example` and docs/settings.md, written from the settings class, so that they can't say anything else."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from localmind.settings import Settings, default_data_dir

HEAD_ENV = "# Every setting with its default. Copy to .env and take out the # before what you change.\n"
HEAD_PAGE = """# Settings

Read from the environment and from `.env` in the folder that the service is started in; the environment wins.
An empty value means the default. This page and `.env.example` are written by `python scripts/settings_docs.py`.
"""


class Section(NamedTuple):
    title: str
    names: list[str]


def env_example() -> str:
    parts = [HEAD_ENV]
    for section in sections():
        parts.append(f"\n# --- {section.title}\n")
        parts += [
            f"\n# {field.description}{_bounds(field)}\n# {name.upper()}={_default(name, field)}\n" for name, field in _fields(section)
        ]
    return "".join(parts)


def markdown() -> str:
    parts = [HEAD_PAGE]
    for section in sections():
        parts.append(f"\n## {section.title[0].upper()}{section.title[1:]}\n\n| setting | default | what it does |\n|---|---|---|\n")
        for name, field in _fields(section):
            default = _default(name, field)
            told = f"{field.description}{_bounds(field)}".replace("|", "\\|")
            parts.append(f"| `{name.upper()}` | {f'`{default}`' if default else ''} | {told} |\n")
    return "".join(parts)


def write(root: Path) -> None:
    """Into a checkout."""
    (root / ".env.example").write_text(env_example())
    (root / "docs" / "settings.md").write_text(markdown())


def sections() -> list[Section]:
    """The settings in the class's order, under the headings that its comments give (`# --- title`)."""
    found: list[Section] = []
    for line in inspect.getsource(Settings).splitlines():
        if heading := re.fullmatch(r"    # --- (.+)", line):
            found.append(Section(heading[1], []))
        elif (named := re.match(r"    (\w+): ", line)) and named[1] in Settings.model_fields:
            found[-1].names.append(named[1])
    return found


def _fields(section: Section) -> Iterator[tuple[str, FieldInfo]]:
    return ((name, Settings.model_fields[name]) for name in section.names)


def _default(name: str, field: FieldInfo) -> str:
    default: Any = field.get_default(call_default_factory=True)
    if default == default_data_dir():
        return "~/.localmind"
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(default)
    assert isinstance(default, str | int | float), f"{name} has a default that .env can't hold"
    return str(default)


def _bounds(field: FieldInfo) -> str:
    """The values that are taken, in brackets, where the type or a bound says."""
    if get_origin(field.annotation) is Literal:
        return f" ({', '.join(map(str, get_args(field.annotation)))})"
    bounds = {type(bound).__name__: bound for bound in field.metadata}
    low = getattr(bounds.get("Ge"), "ge", None), getattr(bounds.get("Gt"), "gt", None)
    high = getattr(bounds.get("Le"), "le", None)
    if high is None:
        return ""
    return f" ({low[0]} to {high})" if low[0] is not None else f" (over {low[1]}, at most {high})"
