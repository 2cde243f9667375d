"""What is the folder's own: its layout, its leftovers, its errors."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import resource
import stat
from pathlib import Path

import pytest

from localmind.blobs.local import LocalBlobs
from localmind.errors import DiskFull, StoreUnavailable
from localmind.model import PERSONAL

CONTENT = b"content" * 10_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def blobs(folder: Path) -> LocalBlobs:
    store = LocalBlobs(folder)
    store.open()
    return store


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_blob_lies_under_its_tenant_by_its_hash(blobs: LocalBlobs, folder: Path) -> None:
    blobs.put(PERSONAL, CONTENT)
    assert files(folder) == [f"personal/{DIGEST[:2]}/{DIGEST[2:]}"]
    assert (folder / files(folder)[0]).read_bytes() == CONTENT


def test_what_a_killed_writer_left_goes_at_the_next_start(blobs: LocalBlobs, folder: Path) -> None:
    (folder / ".incoming" / "tmpx").write_bytes(b"half a fi")
    blobs.open()
    assert files(folder) == []


def test_what_another_process_is_writing_stays(blobs: LocalBlobs, folder: Path) -> None:
    with (folder / ".incoming" / "tmpx").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        blobs.open()
        assert files(folder) == [".incoming/tmpx"]


def test_a_blob_is_whole_or_not_there(blobs: LocalBlobs, folder: Path) -> None:
    """While a stream is read nothing has the blob's name, so a kill leaves no half of one."""

    class Watching(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert not blobs.exists(PERSONAL, DIGEST)  # type: ignore[arg-type]
            assert list(blobs.keys(PERSONAL)) == []
            return super().read(size)

    blobs.put(PERSONAL, Watching(CONTENT))
    assert files(folder) == [f"personal/{DIGEST[:2]}/{DIGEST[2:]}"]


def test_it_is_on_disk_before_it_has_its_name(blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut can't be had in a test; the order of the calls that guard against it can."""
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def watched_fsync(handle: int) -> None:
        calls.append("sync folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "sync file")
        fsync(handle)

    def watched_replace(path: Path, target: Path) -> Path:
        calls.append("rename")
        return replace(path, target)

    blobs.put(PERSONAL, b"so that the tenant's folder exists")
    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    blobs.put(PERSONAL, CONTENT)
    assert calls == ["sync file", "sync folder", "rename", "sync folder"]


def test_other_files_in_the_folder_are_no_blobs(blobs: LocalBlobs, folder: Path) -> None:
    (folder / "personal" / "ab").mkdir(parents=True)
    (folder / "personal" / "ab" / "notes.txt").write_text("mine")
    (folder / "lost+found").mkdir()
    (folder / "README").write_text("mine")
    assert list(blobs.keys(PERSONAL)) == []
    assert blobs.tenants() == []


def test_a_full_disk_is_said_and_leaves_nothing(blobs: LocalBlobs, folder: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # the write fails in the middle, as on a full disk
    try:
        with pytest.raises(DiskFull):
            blobs.put(PERSONAL, CONTENT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(folder) == []
    blobs.put(PERSONAL, CONTENT)


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file in the way")
    with pytest.raises(StoreUnavailable):
        LocalBlobs(tmp_path / "blobs").open()
