"""`localmind doctor`: the library's checks, the running service's own word, and settings that can't even be read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from localmind.errors import ConfigurationError
from localmind.operations.reports import Check
from localmind.settings import Settings


def examine_before_start(*, published: str = "", passwords: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Only what can be told while no server runs, in the shape of `examine`.

    published: ADDRESS:PORT of the machine that the service's port will have. passwords: variables of the environment that hold others'.
    """
    from apps.backend.config import get_settings

    try:
        settings = get_settings()
    except ConfigurationError as error:
        return [asdict(Check("settings", False, error.message, error.hint))]
    from localmind.operations import doctor

    checks = [*doctor.examine_before_start(settings), _binding(settings)]
    checks += [_judged(passwords)] if passwords else []
    checks += [_port(published)] if published else []
    return [asdict(check) for check in checks]


def examine() -> list[dict[str, Any]]:
    """Each check as `{"name", "ok", "detail", "hint"}`."""
    from apps.backend.config import get_settings

    try:
        settings = get_settings()
    except ConfigurationError as error:
        return [asdict(Check("settings", False, error.message, error.hint))]
    from localmind.operations import doctor

    return [asdict(check) for check in (*doctor.examine(settings), _binding(settings), _service(settings))]


def _judged(names: Sequence[str]) -> Check:
    from localmind.operations.passwords import fault_of

    faults = {name: fault for name in names if (fault := fault_of(os.environ.get(name, "")))}
    told = "; ".join(f"{name} {fault}" for name, fault in faults.items()) or "none that could be guessed"
    return Check("others' passwords", not faults, told, "Set another; `openssl rand -hex 24` makes one." if faults else "")


def _port(published: str) -> Check:
    """Free, or this service has it already."""
    import socket

    import httpx

    from apps.cli.client import PROBE_TIMEOUT_S

    host, _, port = published.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))  # noqa: S104
    try:
        socket.create_connection((host, int(port)), PROBE_TIMEOUT_S).close()
    except ValueError:
        return Check("port", False, f"{published} is no address and port", "Write 127.0.0.1:8000.")
    except OSError:
        return Check("port", True, f"{published} is free")
    try:
        at = f"[{host}]" if ":" in host else host
        if "instance" in httpx.get(f"http://{at}:{port}/livez", timeout=PROBE_TIMEOUT_S, trust_env=False).json():
            return Check("port", True, f"{published} is this service's already")
    except (httpx.HTTPError, ValueError):
        pass
    return Check("port", False, f"another program has {published}", "Stop it, or publish another port: BACKEND_PORT where this is a stack.")


def _binding(settings: Settings) -> Check:
    from localmind.accounts.mode import check_secrets, is_loopback

    try:
        check_secrets(settings)
    except ConfigurationError as error:
        return Check("address", False, error.message, error.hint)
    reach = "this machine only" if is_loopback(settings.host) else "other machines too"
    return Check("address", True, f"{settings.host}:{settings.port}, reached by {reach}")


def _service(settings: Settings) -> Check:
    import httpx

    from apps.cli.client import PROBE_TIMEOUT_S, find

    running = find(settings)
    if running is None:
        return _not_running(settings)
    try:
        health = httpx.get(f"{running.url}/health", timeout=PROBE_TIMEOUT_S, trust_env=False).json()
    except (httpx.HTTPError, ValueError) as error:
        return Check(
            "service",
            False,
            f"process {running.pid} does not answer at {running.url}: {error}",
            f"Look at its log, or `kill {running.pid}`.",
        )
    ill = [name for name, state in health["services"].items() if state != "healthy"]
    told = f"runs at {running.url} (process {running.pid}), {health['status']}"
    if ill or health["status"] not in ("healthy", "starting"):
        return Check(
            "service", False, f"{told}; not well: {', '.join(ill) or 'all'}", "Its log says why; docs/runbook/ has a page for each."
        )
    return Check("service", True, told)


def _not_running(settings: Settings) -> Check:
    """Not an error by itself; a locked data directory, or a port that another program has, is one."""
    import socket

    from localmind.errors import DataDirInUse
    from localmind.wiring import Role, lock_data_dir, role_of

    if role_of(settings) is Role.ALONE and settings.data_dir.exists():
        try:
            lock_data_dir(settings.data_dir).release()
        except DataDirInUse:
            detail = f"another process has {settings.data_dir} open, but no service answers for it"
            return Check(
                "service", False, detail, "Wait for a running command to end; else find it with `fuser` or `lsof` on DATA_DIR/lock."
            )
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex((settings.host if settings.host not in ("0.0.0.0", "::") else "127.0.0.1", settings.port)) == 0:  # noqa: S104
            return Check("service", False, f"not running, and another program has port {settings.port}", "Set PORT to a free one.")
    return Check("service", True, "not running", "`make run` starts it; commands work without it.")
