"""Which files are put in."""

from __future__ import annotations

from pathlib import Path

from apps.cli.folders import plan

MANY = 10**9


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(files: list[Path]) -> list[str]:
    return [file.name for file in files]


def test_folders_are_walked_in_order_and_hidden_files_left_alone(tmp_path: Path) -> None:
    write(tmp_path, b="text b", a__c="text c", a__b="text b2")
    write(tmp_path / ".git", config="hidden")
    write(tmp_path / "node_modules" / "x", readme="not ours")
    write(tmp_path, **{".env": "hidden"})
    made = plan([tmp_path], max_bytes=MANY)
    assert names(made.files) == ["b", "b", "c"]
    assert made.hidden == 3
    assert made.bytes == sum(file.stat().st_size for file in made.files)


def test_what_can_not_be_read_is_left_out_of_a_folder_but_not_when_named(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 64)
    (tmp_path / "empty.txt").touch()
    made = plan([tmp_path], max_bytes=MANY)
    assert made.files == [] and sorted(path.name for path, _ in made.left_out) == ["empty.txt", "x.png"]
    assert names(plan([tmp_path / "x.png"], max_bytes=MANY).files) == ["x.png"]


def test_a_file_that_is_named_twice_is_sent_once(tmp_path: Path) -> None:
    write(tmp_path, a="text")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert len(plan([tmp_path, tmp_path / "a", tmp_path / "link"], max_bytes=MANY).files) == 1


def test_links_that_lead_in_circles_or_nowhere_do_no_harm(tmp_path: Path) -> None:
    write(tmp_path, a="text")
    (tmp_path / "circle").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    made = plan([tmp_path], max_bytes=MANY)
    assert names(made.files) == ["a"]
    assert [path.name for path, _ in made.left_out] == ["nowhere"]


def test_a_file_over_the_limit_is_left_out_with_both_figures(tmp_path: Path) -> None:
    write(tmp_path, a="x" * 2_000_000)
    reason = plan([tmp_path / "a"], max_bytes=1_000_000).left_out[0][1]
    assert "2 MB of 1 MB" in reason


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    assert plan([tmp_path], max_bytes=MANY).left_out[0][1] == "is not a file"
