"""`localmind maintenance ...`: stop changes while something is done to the service, and say what was done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from apps.cli.quiet import quiet
from localmind.operations.marks import Deed

if TYPE_CHECKING:
    from localmind.catalog.catalog import Catalog

app = typer.Typer(no_args_is_help=True, help="Stop changes for a while; say that a backup was made.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.callback()
def _group() -> None:
    """Stop changes for a while; say that a backup was made."""
    quiet()


@app.command("on")
def turn_on(
    why: Annotated[str, typer.Option(help="What people are told.")] = "",
    as_json: AsJson = False,
) -> None:
    """Refuse changes, and let workers take no new documents up. Seen by every process within five seconds."""
    _set(on=True, why=why, as_json=as_json)


@app.command("off")
def turn_off(as_json: AsJson = False) -> None:
    """Everything goes on."""
    _set(on=False, why="", as_json=as_json)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Whether it is on, and which documents are still worked on."""
    from apps.backend.config import get_settings
    from localmind.wiring.upkeep import open_catalog

    with open_catalog(get_settings()) as catalog:
        _tell(catalog, as_json=as_json)


@app.command()
def mark(
    what: Annotated[Deed, typer.Argument(help="What was done.")],
    at: Annotated[datetime | None, typer.Option(help="When, in UTC; without it now.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say that a backup was made, or that restoring one was tried out: the alerts about their age go by it."""
    from apps.backend.config import get_settings
    from apps.cli import printing
    from localmind.operations import marks
    from localmind.wiring.upkeep import open_catalog

    with open_catalog(get_settings()) as catalog:
        done = marks.mark(catalog, what, None if at is None else at.replace(tzinfo=UTC))
    if as_json:
        printing.print_json({"what": what.value, "at": done.isoformat()})
    else:
        typer.echo(f"The last {what.value} was made at {done:%Y-%m-%d %H:%M} UTC.")


def _set(*, on: bool, why: str, as_json: bool) -> None:
    from apps.backend.config import get_settings
    from localmind.operations.maintenance_mode import MaintenanceMode
    from localmind.wiring.upkeep import open_catalog

    with open_catalog(get_settings()) as catalog:
        mode = MaintenanceMode(catalog)
        mode.turn_on(why) if on else mode.turn_off()
        _tell(catalog, as_json=as_json)


def _tell(catalog: Catalog, *, as_json: bool) -> None:
    from apps.cli import printing
    from localmind.operations.maintenance_mode import MaintenanceMode

    notice = MaintenanceMode(catalog).notice()
    told = {
        "on": notice is not None,
        "since": None if notice is None else notice.since.isoformat(),
        "why": None if notice is None else notice.why,
        "running_jobs": catalog.jobs.counts().get("running", 0),
    }
    printing.print_json(told) if as_json else printing.print_maintenance(told)
