"""`localmind doctor`: the library's checks, the running service's own word, and settings that can't even be read."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from localmind.errors import ConfigurationError
from localmind.operations.reports import Check
from localmind.settings import Settings


def examine(*, before_start: bool = False) -> list[dict[str, Any]]:
    """Each check as `{"name", "ok", "detail", "hint"}`. before_start: only what can be told while no server runs."""
    from apps.backend.config import get_settings

    try:
        settings = get_settings()
    except ConfigurationError as error:
        return [asdict(Check("settings", False, error.message, error.hint))]
    from localmind.operations.doctor import examine as look_at_product
    from localmind.operations.doctor import examine_before_start

    if before_start:
        return [asdict(check) for check in (*examine_before_start(settings), _binding(settings))]
    return [asdict(check) for check in (*look_at_product(settings), _binding(settings), _service(settings))]


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
