"""`localmind privacy ...`: what is held on a person, for whoever has the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apps.cli.quiet import quiet
from localmind.errors import InvalidInput

app = typer.Typer(no_args_is_help=True, help="Hand out and erase what is held on a person.")

Email = Annotated[str, typer.Option(help="The e-mail address of the account.")]
InTenant = Annotated[str | None, typer.Option(help="Id or name of the tenant; needed where the account belongs to several.")]


@app.callback()
def _group() -> None:
    """Hand out and erase what is held on a person."""
    quiet()


@app.command()
def export(
    email: Email,
    to: Annotated[Path, typer.Option(help="The ZIP file to write.")],
    tenant: InTenant = None,
) -> None:
    """Write all that a tenant holds on a person: JSON, and the files that they added. Works with or without a running service."""
    from apps.backend.config import get_settings
    from apps.cli import printing
    from localmind.wiring.upkeep import export_person

    pieces = export_person(get_settings(), email, tenant=tenant)
    first = next(pieces)  # whatever is wrong is told before there is a file
    try:
        with to.open("xb") as file:
            file.write(first)
            for piece in pieces:
                file.write(piece)
    except FileExistsError as error:
        raise InvalidInput(f"{to} is there already.", hint="Name another file.") from error
    printing.stdout().print(f"Written: {to}", markup=False)


@app.command()
def erase(
    email: Email,
    tenant: InTenant = None,
    documents: Annotated[bool, typer.Option("--documents", help="The documents that they added too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase a person from a tenant. Documents are deleted by the running service within some minutes, or by the next one at its start."""
    from apps.backend.config import get_settings
    from apps.cli import printing
    from localmind.wiring.upkeep import erase_person

    if not yes and not typer.confirm(f"Erase {email} for good?"):
        raise InvalidInput("Nothing was erased.")
    erase_person(get_settings(), email, tenant=tenant, documents=documents)
    printing.stdout().print(f"{email} is erased. Backups keep what they have until they expire.", markup=False)


@app.command()
def shred() -> None:
    """Overwrite what was deleted from a catalog in SQLite, where it stays until the room is needed. The service has to be stopped."""
    from apps.backend.config import get_settings
    from apps.cli import printing
    from localmind.wiring.upkeep import shred_deleted

    shred_deleted(get_settings())
    printing.stdout().print("Overwritten.")
