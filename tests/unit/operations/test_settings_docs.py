"""The settings class, .env.example and docs/settings.md say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic_settings import SettingsConfigDict

from localmind.operations import settings_docs
from localmind.settings import Settings

ROOT = Path(__file__).parents[3]


def test_env_example_is_what_the_class_says() -> None:
    assert (ROOT / ".env.example").read_text() == settings_docs.env_example(), "run: python scripts/settings_docs.py"


def test_docs_page_is_what_the_class_says() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == settings_docs.markdown(), "run: python scripts/settings_docs.py"


def test_every_setting_stands_in_a_section_once_and_in_order() -> None:
    listed = [name for section in settings_docs.sections() for name in section.names]
    assert listed == list(Settings.model_fields)


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_env_example_with_every_line_in_force_gives_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    active = re.sub(r"^# ([A-Z_0-9]+=)", r"\1", settings_docs.env_example(), flags=re.MULTILINE)
    (tmp_path / ".env").write_text(active)

    class FromFile(Settings):
        model_config = SettingsConfigDict(env_file=tmp_path / ".env")

    assert FromFile().model_dump() == Settings(_env_file=None).model_dump()
