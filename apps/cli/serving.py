"""`localmind serve`: the service in the foreground, until Ctrl-C."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING

from apps.cli import service_file
from apps.cli.exits import Exit, exit_of
from apps.cli.printing import print_error, stderr
from apps.cli.service_file import Running
from localmind.errors import ConfigurationError, Conflict, LocalMindError
from localmind.settings import Settings

if TYPE_CHECKING:
    import uvicorn

GRACE_S = 5
"""Requests that are under way get so long to end."""


def serve(settings: Settings) -> Exit:
    """Returns once the service has stopped: OK after Ctrl-C or SIGTERM. Raises Conflict where the port or the data directory is taken."""
    import uvicorn

    from apps.backend.app import create_app
    from localmind.wiring import Role, lock_data_dir, role_of

    app = create_app(settings)
    url = _url(settings)
    with _listen(settings) as listener:
        if role_of(settings) is Role.ALONE and settings.data_dir.is_dir():
            # A second service must not put its address in place of the first one's.
            lock_data_dir(settings.data_dir).release()
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=GRACE_S,
            ws="websockets-sansio",
            proxy_headers=False,  # TRUSTED_PROXIES says whose word counts
        )
        server = uvicorn.Server(config)
        service = app.state.service
        service.on_end = lambda error: _opened(error, url, server)
        stderr().print(f"Local Mind is starting at {url} ...")
        running = Running(url, os.getpid(), service.instance)
        # Uvicorn raises KeyboardInterrupt again after it has stopped in order.
        with service_file.announced(settings.data_dir, running), contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    if service.error is not None:
        error = service.error
        print_error(error if isinstance(error, LocalMindError) else LocalMindError("The service could not start.", hint="See above."))
        return exit_of(error) if isinstance(error, LocalMindError) else Exit.FAILED
    return Exit.OK


def _opened(error: Exception | None, url: str, server: uvicorn.Server) -> None:
    if error is not None:
        server.should_exit = True
        return
    stderr().print(f"\n  [bold]Open {url}[/bold] to put documents in and ask about them.\n  Its API: {url}/docs. Stop with Ctrl-C.\n")


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"Port {settings.port} is in use{_by_whom(settings)}.", hint=f"Choose another: PORT={settings.port + 1} make run."
            ) from error
        raise ConfigurationError(
            f"{settings.host}:{settings.port} can't be listened on: {error.strerror}.", hint="Set HOST and PORT."
        ) from error
    listener.set_inheritable(True)
    return listener


def _by_whom(settings: Settings) -> str:
    running = service_file.read(settings.data_dir)
    return f" by the Local Mind that runs already (process {running.pid})" if running and service_file.is_alive(running.pid) else ""


def _url(settings: Settings) -> str:
    """What a person opens: a wildcard is not an address."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{settings.port}"
