"""Cuts a reader's process off: no sockets, no look into other processes. It holds for C code and for programs that it starts."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys
from typing import Any, NamedTuple


class _Machine(NamedTuple):
    """audit: the kernel's name for the machine. denied: numbers of the system calls socket, ptrace, process_vm_readv, _writev."""

    audit: int
    denied: tuple[int, ...]


_MACHINES = {
    "x86_64": _Machine(0xC000003E, (41, 101, 310, 311)),
    "aarch64": _Machine(0xC00000B7, (198, 117, 270, 271)),
}
_DENIED_EVERYWHERE = (425, 438)
"""io_uring_setup, which can open sockets past the filter, and pidfd_getfd, which takes them from other processes."""

_FIRST_X32 = 0x40000000
"""x86_64 answers to a second set of numbers from here on."""

_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # BPF's operations on a word
_ALLOW = 0x7FFF0000
_DENY = 0x00050000 | errno.EACCES


def cut_off() -> None:
    """To be called before the first untrusted byte is read. It can't be undone.

    Linux: a seccomp filter, which needs no privilege and is allowed in containers. Elsewhere Python's own audit hook, which stops
    Python code and no C code.
    """
    machine = _MACHINES.get(platform.machine()) if sys.platform == "linux" else None
    if machine is None or not _filter(machine):
        sys.addaudithook(_refuse_sockets)


def _filter(machine: _Machine) -> bool:
    """False where the kernel has no seccomp."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))

    code = _code(machine)
    program = Program(len(code) // 8, code)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong]
    if prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0) == 0)


def _code(machine: _Machine) -> bytes:
    """The filter: struct sock_filter, eight bytes an instruction. The two jumps count the instructions that are passed over."""
    denied = (*machine.denied, *_DENIED_EVERYWHERE)
    steps = [
        (_LOAD, 0, 0, 4),  # seccomp_data.arch
        (_EQUAL, 0, len(denied) + 3, machine.audit),
        (_LOAD, 0, 0, 0),  # seccomp_data.nr
        (_AT_LEAST, len(denied) + 1, 0, _FIRST_X32),
        *((_EQUAL, len(denied) - place, 0, number) for place, number in enumerate(denied)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _DENY),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _refuse_sockets(event: str, _: tuple[Any, ...]) -> None:
    if event.startswith("socket."):
        raise PermissionError(errno.EACCES, "A reader has no network")
