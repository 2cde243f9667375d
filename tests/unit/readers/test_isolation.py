"""A parser that a file has taken over: what it can't do, and that it costs one job."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localmind.errors import Broken, ReaderLimit
from localmind.readers import isolation
from localmind.readers.sandbox import Readers
from localmind.settings import Settings

linux = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine not in isolation._MACHINES, reason="a system call filter needs Linux on x86_64 or aarch64"
)


@pytest.fixture
def listener() -> Iterator[int]:
    """A port of this machine that anybody may connect to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def read_with(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **limits: float) -> None:
    """Reads a PDF in a reader's process whose PDF parser is this code."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "pypdfium2.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path / "taken"))
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF-1.4")
    readers = Readers(Settings(_env_file=None, **limits))
    try:
        readers.read(path, filename="a.pdf")
    finally:
        readers.close()


CONNECT = """
import socket
try:
    {how}
except PermissionError:
    raise MemoryError  # told apart from any other end by the error that it becomes
"""
PYTHON = "socket.create_connection(('127.0.0.1', {port}), 2)"
C_CODE = "import ctypes, os; ctypes.CDLL(None, use_errno=True).socket(2, 1, 0) >= 0 or (_ for _ in ()).throw(PermissionError)"
PROGRAM = (
    "import subprocess, sys; code = 'import socket; socket.create_connection((\"127.0.0.1\", {port}), 2)';"
    " subprocess.run([sys.executable, '-c', code], stderr=subprocess.DEVNULL).returncode == 0 or (_ for _ in ()).throw(PermissionError)"
)


@linux
@pytest.mark.parametrize("how", [PYTHON, C_CODE, PROGRAM], ids=["Python code", "C code", "a program that it starts"])
def test_a_parser_has_no_network(listener: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    with pytest.raises(ReaderLimit, match="READER_MEMORY_MB"):
        read_with(CONNECT.format(how=how.replace("{port}", str(listener))), tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("code", "limits", "error"),
    [
        ("while True: pass", {"reader_timeout_s": 0.5}, ReaderLimit),
        ("held = []\nwhile True: held.append(bytearray(10_000_000))", {"reader_memory_mb": 160}, ReaderLimit),
        ("import os; os.abort()", {}, Broken),
        ("import ctypes; ctypes.string_at(0)", {}, Broken),
        ("import os; os._exit(0)", {}, Broken),
        ("raise SystemExit", {}, Broken),
        ("def f(): f()\nf()", {}, Broken),
    ],
    ids=["loops", "allocates", "aborts", "reads address 0", "exits", "leaves", "recurses"],
)
def test_a_parser_that_misbehaves_costs_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, limits: dict[str, float], error: type[Exception]
) -> None:
    began = time.monotonic()
    with pytest.raises(error, match=r"a\.pdf: ") as caught:
        read_with(code, tmp_path, monkeypatch, **limits)
    assert caught.value.hint  # type: ignore[attr-defined]
    assert time.monotonic() - began < 10


def test_a_parser_sees_no_secrets_of_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "told-to-nobody")
    told = tmp_path / "told"
    with pytest.raises(Broken):
        read_with(f"import os; open({str(told)!r}, 'w').write(str(dict(os.environ))); raise ValueError", tmp_path, monkeypatch)
    assert "told-to-nobody" not in told.read_text()


def test_where_there_is_no_filter_python_code_has_no_sockets() -> None:
    code = (
        "import sys; sys.platform = 'darwin'; from localmind.readers import isolation; isolation.cut_off(); import socket; socket.socket()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "PermissionError" in done.stderr


@pytest.mark.parametrize("machine", isolation._MACHINES.values(), ids=isolation._MACHINES)
def test_the_filter_lets_through_what_it_should_and_nothing_else(machine: isolation._Machine) -> None:
    denied = {*machine.denied, *isolation._DENIED_EVERYWHERE}
    for number in range(600):
        assert run_filter(machine, machine.audit, number) == (isolation._DENY if number in denied else isolation._ALLOW)
    assert run_filter(machine, 0x40000003, 102) == isolation._DENY, "32-bit calls have other numbers"
    assert run_filter(machine, machine.audit, isolation._FIRST_X32 + 41) == isolation._DENY


def run_filter(machine: isolation._Machine, audit: int, number: int) -> int:
    """The filter as the kernel would run it."""
    steps = list(struct.iter_unpack("HBBI", isolation._code(machine)))
    at, word = 0, 0
    while True:
        operation, if_so, if_not, value = steps[at]
        at += 1
        if operation == isolation._RETURN:
            return int(value)
        if operation == isolation._LOAD:
            word = {0: number, 4: audit}[value]
        else:
            at += if_so if (word == value if operation == isolation._EQUAL else word >= value) else if_not


def test_a_crash_is_not_taken_for_the_memory_of_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = bytearray(700 * 1024 * 1024)
    held[::4096] = bytes(len(held[::4096])).replace(b"\0", b"\1")  # touched: it is this process's, and a child's until it runs
    with pytest.raises(Broken, match="crashed"):
        read_with("import os; os.abort()", tmp_path, monkeypatch)
