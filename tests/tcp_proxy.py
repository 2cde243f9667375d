"""A door before a real server that a test can shut, open again, or leave open with nobody behind."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from types import TracebackType


class TcpProxy:
    """Listens on a port of its own and passes on what comes. A context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener: socket.socket | None = None
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._silent = False
        self.port = 0

    def __enter__(self) -> TcpProxy:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.shut()

    def open(self) -> None:
        """On the same port as before."""
        self._silent = False
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def shut(self) -> None:
        """As when the server is killed: connections break, new ones are refused."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def hush(self) -> None:
        """As when the server hangs: connections stay and new ones are taken, and nothing is answered."""
        self._silent = True

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                inner, _ = listener.accept()
            except OSError:
                return
            try:
                outer = socket.create_connection(self._target)
            except OSError:  # nobody behind the door: it closes again, for this one
                inner.close()
                continue
            self._pairs.append((inner, outer))
            threading.Thread(target=self._pass_on, args=(inner, outer), daemon=True).start()

    def _pass_on(self, inner: socket.socket, outer: socket.socket) -> None:
        with inner, outer, selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
            selector.register(inner, selectors.EVENT_READ, outer)
            selector.register(outer, selectors.EVENT_READ, inner)
            while True:
                for ready, _ in selector.select():
                    data = ready.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                    if not data:
                        return
                    if not self._silent:
                        ready.data.sendall(data)
