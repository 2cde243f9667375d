"""Secrets as container engines hand them over: a file each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.backend import config
from localmind.errors import ConfigurationError


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config, "SECRETS_DIR", tmp_path / "secrets")
    config.get_settings.cache_clear()
    yield
    config.get_settings.cache_clear()


def test_a_file_named_as_a_setting_is_its_value(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "NEO4J_PASSWORD").write_text("from a file\n")
    (tmp_path / "secrets" / "something_else").write_text("x")
    assert config.get_settings().neo4j_password.get_secret_value() == "from a file"


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "neo4j_password").write_text("from a file")
    monkeypatch.setenv("NEO4J_PASSWORD", "from the environment")
    assert config.get_settings().neo4j_password.get_secret_value() == "from the environment"


def test_without_the_folder_there_is_no_word_of_it() -> None:
    assert config.get_settings().neo4j_password.get_secret_value() == ""


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "secret_key").write_text("x")

    def refuse(self: Path, *_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(ConfigurationError, match=r"can't be read: .*Permission denied: '.*secret_key'"):
        config.get_settings()
