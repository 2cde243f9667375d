from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from localmind.errors import Broken, Cancelled, Encrypted, InvalidInput, ReaderLimit, UnsupportedType
from localmind.readers import formats
from localmind.readers.process import resident_bytes
from localmind.readers.sandbox import Readers
from localmind.settings import Settings
from tests.unit.readers import pdf_files


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note.md"
    path.write_text("# Title\n\nWords.")
    return path


def with_limits(**limits: float) -> Readers:
    return Readers(Settings(_env_file=None, **limits))


def wait_until(holds: Callable[[], bool], timeout_s: float = 10) -> bool:
    until = time.monotonic() + timeout_s
    while not holds() and time.monotonic() < until:
        time.sleep(0.01)
    return holds()


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_file_read_in_a_process_comes_back_whole(readers: Readers, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("---\ntitle: Tïtle 🎃\nauthor: Ada\n---\n# Höading\n\nWörds and 𝔘nicode.", encoding="utf-8")
    document = readers.read(path, filename="x.md")
    assert document.text == "# Höading\n\nWörds and 𝔘nicode."
    assert (document.title, document.meta["author"], document.media_type) == ("Tïtle 🎃", "Ada", formats.MARKDOWN)
    assert document.headings[0].text == "Höading"


def test_one_process_serves_many_files(readers: Readers, note: Path) -> None:
    readers.read(note, filename="note.md")
    (process,) = readers._idle
    for _ in range(50):
        readers.read(note, filename="note.md")
    assert [p.pid for p in readers._idle] == [process.pid]


def test_errors_name_the_file_and_the_process_lives_on(readers: Readers, tmp_path: Path, note: Path) -> None:
    readers.read(note, filename="note.md")
    before = [process.pid for process in readers._idle]
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4 nothing")
    with pytest.raises(Broken, match=r"my report\.pdf: The PDF is damaged") as caught:
        readers.read(tmp_path / "a.pdf", filename="my report.pdf")
    assert caught.value.hint
    assert [process.pid for process in readers._idle] == before


def test_what_can_be_refused_by_its_content_starts_no_process(tmp_path: Path) -> None:
    readers = with_limits()
    (tmp_path / "a").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(10))
    with pytest.raises(UnsupportedType, match=r"a\.png: The file is a PNG picture"):
        readers.read(tmp_path / "a", filename="a.png")
    (tmp_path / "b").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"))
    with pytest.raises(Encrypted):
        readers.read(tmp_path / "b", filename="b.docx")
    assert readers._idle == []


def test_a_senders_word_counts_only_between_kinds_of_text(readers: Readers, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("Plain words.")
    assert readers.read(tmp_path / "a", filename="", media_type_hint="text/markdown").media_type == formats.MARKDOWN
    assert readers.read(tmp_path / "a", filename="", media_type_hint="application/pdf").media_type == formats.TEXT


def test_progress_goes_page_by_page_to_the_end(readers: Readers, tmp_path: Path) -> None:
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(tmp_path / "a.pdf"))
    for number in range(30):
        canvas.drawString(72, 700, f"Page {number}")
        canvas.showPage()
    canvas.save()
    seen: list[tuple[int, int]] = []
    readers.read(tmp_path / "a.pdf", filename="a.pdf", on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (30, 30)
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("make", "limits", "setting"),
    [
        (lambda p: pdf_files.nested_forms(p, depth=9, fan_out=10), {"reader_memory_mb": 160}, "READER_MEMORY_MB"),
        (lambda p: pdf_files.inflated_content(p, megabytes=100), {"reader_memory_mb": 160}, "READER_MEMORY_MB"),
        (lambda p: pdf_files.nested_forms(p, depth=9, fan_out=10), {"reader_memory_mb": 4096, "reader_stall_s": 0.4}, "READER_STALL_S"),
        (lambda p: pdf_files.nested_forms(p, depth=9, fan_out=10), {"reader_memory_mb": 4096, "reader_timeout_s": 0.4}, "READER_TIMEOUT_S"),
    ],
    ids=["forms within forms: memory", "twice packed: memory", "forms within forms: stall", "forms within forms: time"],
)
def test_a_hostile_pdf_of_a_few_kb_costs_one_clear_error(
    tmp_path: Path, note: Path, make: Callable[[Path], Path], limits: dict[str, float], setting: str
) -> None:
    path = make(tmp_path / "bad.pdf")
    assert path.stat().st_size < 5000
    readers = with_limits(**limits)
    others = {process.pid for process in processes(os.getpid())}
    pids: set[int] = set()

    def look() -> bool:
        pids.update(process.pid for process in processes(os.getpid()) if process.pid not in others)
        return False

    began = time.monotonic()
    with pytest.raises(ReaderLimit) as caught:
        readers.read(path, filename="bad.pdf", cancelled=look)
    assert setting in caught.value.message
    assert setting in caught.value.hint
    assert time.monotonic() - began < 8
    assert pids
    assert wait_until(lambda: not any(is_running(pid) for pid in pids))
    assert readers.read(note, filename="note.md").title == "Title"
    readers.close()


@pytest.mark.skipif(sys.platform == "darwin", reason="looks into /proc")
def test_memory_is_watched_and_not_left_to_the_address_space(tmp_path: Path) -> None:
    path = pdf_files.nested_forms(tmp_path / "bad.pdf", depth=9, fan_out=10)
    readers = with_limits(reader_memory_mb=160)
    others = {process.pid for process in processes(os.getpid())}
    peak = 0

    def look() -> bool:
        nonlocal peak
        peak = max([peak, *(resident_bytes(process.pid) for process in processes(os.getpid()) if process.pid not in others)])
        return False

    with pytest.raises(ReaderLimit, match="READER_MEMORY_MB"):
        readers.read(path, filename="bad.pdf", cancelled=look)
    assert peak < 260_000_000


def processes(parent: int) -> list[psutil.Process]:
    return list(psutil.Process(parent).children())


def test_cancelling_stops_a_reader_at_once(tmp_path: Path) -> None:
    path = pdf_files.nested_forms(tmp_path / "bad.pdf", depth=9, fan_out=10)
    readers = with_limits(reader_memory_mb=4096)
    began = time.monotonic()
    with pytest.raises(Cancelled):
        readers.read(path, filename="bad.pdf", cancelled=lambda: time.monotonic() - began > 0.2)
    assert time.monotonic() - began < 2


def test_a_process_killed_while_idle_costs_no_file(note: Path) -> None:
    readers = with_limits()
    readers.read(note, filename="note.md")
    os.kill(readers._idle[0].pid, signal.SIGKILL)
    assert readers.read(note, filename="note.md").title == "Title"
    readers.close()


def test_a_process_killed_while_it_reads_is_an_error_and_no_hang(tmp_path: Path) -> None:
    path = pdf_files.nested_forms(tmp_path / "bad.pdf", depth=9, fan_out=10)
    readers = with_limits(reader_memory_mb=4096)

    others = {process.pid for process in processes(os.getpid())}

    def kill() -> bool:
        for process in processes(os.getpid()):
            if process.pid not in others:
                process.kill()
        return False

    with pytest.raises(ReaderLimit):  # SIGKILL from outside is what the kernel does when memory runs out
        readers.read(path, filename="bad.pdf", cancelled=kill)


def test_idle_processes_end(note: Path) -> None:
    readers = Readers(Settings(_env_file=None), idle_s=0.1)
    readers.read(note, filename="note.md")
    pid = readers._idle[0].pid
    assert wait_until(lambda: not Path(f"/proc/{pid}").exists())
    assert readers._idle == []
    assert readers.read(note, filename="note.md").title == "Title"
    readers.close()


def test_close_ends_all_and_may_be_called_twice(note: Path) -> None:
    readers = with_limits()
    readers.read(note, filename="note.md")
    pid = readers._idle[0].pid
    readers.close()
    readers.close()
    assert not Path(f"/proc/{pid}").exists()


def test_threads_share_the_readers_and_wait_their_turn(note: Path) -> None:
    readers = with_limits(readers=2)
    others = {process.pid for process in processes(os.getpid())}
    failures: list[BaseException] = []
    most = 0

    def work() -> None:
        nonlocal most
        try:
            for _ in range(10):
                assert readers.read(note, filename="note.md").title == "Title"
                most = max(most, len([process for process in processes(os.getpid()) if process.pid not in others]))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert most <= 2
    readers.close()


def test_a_caller_that_waits_can_be_cancelled(tmp_path: Path, note: Path) -> None:
    readers = with_limits(readers=1, reader_memory_mb=4096)
    slow = pdf_files.nested_forms(tmp_path / "bad.pdf", depth=9, fan_out=10)
    stop, started = threading.Event(), threading.Event()

    def read_slowly() -> None:
        with pytest.raises(Cancelled):
            readers.read(slow, filename="bad.pdf", cancelled=lambda: started.set() or stop.is_set())

    thread = threading.Thread(target=read_slowly)
    thread.start()
    assert started.wait(10)
    with pytest.raises(Cancelled):
        readers.read(note, filename="note.md", cancelled=lambda: True)
    stop.set()
    thread.join()


@pytest.mark.skipif(sys.platform == "darwin", reason="looks into /proc")
def test_a_reader_dies_with_its_parent_even_by_kill_9(tmp_path: Path) -> None:
    path = pdf_files.nested_forms(tmp_path / "bad.pdf", depth=9, fan_out=10)
    program = textwrap.dedent(f"""
        from pathlib import Path
        from localmind.readers.sandbox import Readers
        from localmind.settings import Settings
        readers = Readers(Settings(_env_file=None, reader_memory_mb=8192))
        readers.read(Path({str(path)!r}), filename="bad.pdf")
    """)
    parent = subprocess.Popen([sys.executable, "-c", program])
    try:
        found: list[psutil.Process] = []
        assert wait_until(lambda: bool(found.extend(processes(parent.pid)) or found))
        (child,) = {process.pid for process in found}
        assert wait_until(lambda: _cpu_s(child) > 0.3), "the reader is at work"
    finally:
        parent.kill()
        parent.wait()
    assert wait_until(lambda: not is_running(child), timeout_s=2)


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def test_a_bomb_in_a_workbook_is_one_error(readers: Readers, tmp_path: Path) -> None:
    path = tmp_path / "b.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", bytes(100_000_000))
    with pytest.raises(ReaderLimit, match="unfolds to more"):
        readers.read(path, filename="b.xlsx")


def test_a_container_is_read_by_its_parts(readers: Readers, tmp_path: Path, note: Path) -> None:
    (tmp_path / "c.json").write_text('[{"title": "T", "create_time": 1.0, "mapping": {}, "current_node": null}]')
    with pytest.raises(InvalidInput, match="several documents"):
        readers.read(tmp_path / "c.json", filename="c.json")
    assert readers.parts(note, filename="note.md") is None


def test_importing_the_sandbox_is_light() -> None:
    heavy = ("lxml", "pypdfium2", "numpy", "charset_normalizer", "httpx")
    code = f"import sys, localmind.readers.sandbox; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
