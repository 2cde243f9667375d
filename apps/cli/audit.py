"""`localmind audit ...`: whether what was written down is still what was written down."""

from __future__ import annotations

from typing import Annotated

import typer

from apps.cli.exits import Exit
from apps.cli.quiet import quiet
from localmind.model import TenantId

app = typer.Typer(no_args_is_help=True, help="What was done, and by whom.")


@app.callback()
def _group() -> None:
    """What was done, and by whom."""
    quiet()


@app.command()
def verify(
    tenant: Annotated[str | None, typer.Option(help="Id of a tenant; without it, all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Look for events that were changed, removed or put in. Works with or without a running service.

    Note the hash that it ends with elsewhere: who rewrites a whole chain can't make it end with the same.
    """
    from apps.backend.config import get_settings
    from apps.cli import printing
    from localmind.wiring.upkeep import open_catalog

    with open_catalog(get_settings()) as catalog:
        tenants = catalog.audit.tenants() if tenant is None else [TenantId(tenant)]
        found = {one: catalog.audit.verify(one) for one in tenants}
    told = [
        {
            "tenant": one,
            "events": verdict.rows,
            "from": verdict.begins,
            "to": verdict.end.seq,
            "hash": verdict.end.hash,
            "flaws": [{"event": flaw.seq, "what": flaw.what} for flaw in verdict.flaws],
        }
        for one, verdict in found.items()
    ]
    printing.print_json({"tenants": told}) if as_json else printing.print_verdicts(told)
    if any(verdict.flaws for verdict in found.values()):
        raise typer.Exit(Exit.FAILED)
