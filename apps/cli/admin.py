"""`localmind admin ...`: for whoever has the machine. Works on the catalog, with or without a running service."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from apps.cli.quiet import quiet
from localmind.errors import InvalidInput
from localmind.model import PERSONAL

if TYPE_CHECKING:
    from localmind.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Accounts, for whoever has the machine.")


@app.callback()
def _group() -> None:
    """Accounts, for whoever has the machine."""
    quiet()


@app.command("create-user")
def create_user(
    email: Annotated[str, typer.Option(help="The e-mail address that they log in with.")],
    role: Annotated[str, typer.Option(help="viewer, editor, admin or owner.")] = "owner",
    tenant: Annotated[str, typer.Option(help="Id or name of the tenant; made where there is none. Without it, the first one.")] = PERSONAL,
    name: Annotated[str, typer.Option(help="What they are called.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Make an account, or give one another password, role and tenant.

    The password is asked for, read from standard input, or taken from LOCALMIND_ADMIN_PASSWORD; never from the command line, which
    other people of the machine can see.
    """
    from apps.backend.config import get_settings
    from apps.cli import printing
    from localmind.accounts.model import Role
    from localmind.wiring.upkeep import create_user as make_user

    settings = get_settings()
    if role not in list(Role):
        raise InvalidInput(f"There is no role {role!r}.", hint=f"Choose one of {', '.join(Role)}.")
    made = make_user(settings, email, _password(settings), Role(role), tenant=tenant, name=name)
    if as_json:
        printing.print_json({"user_id": made.user_id, "tenant": made.tenant, "role": role, "new": made.is_new})
    else:
        printing.print_user(email, role, made.tenant, is_new=made.is_new)


@app.command("limits")
def limits(
    tenant: Annotated[str, typer.Option(help="Id of the tenant. Without it, the first one.")] = PERSONAL,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="A limit to give it, as documents=10000; 0: none; documents= : as the settings have it. May be repeated."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show what a tenant may have and has, and give it limits of its own. They count within half a minute in a running service."""
    from dataclasses import asdict

    from apps.backend.config import get_settings
    from apps.cli import printing
    from localmind.wiring.upkeep import tenant_limits

    quota, held = tenant_limits(get_settings(), tenant, dict(map(_change, changes or ())))
    printing.print_json({**asdict(quota), "held": held._asdict()}) if as_json else printing.print_limits(asdict(quota), held._asdict())


def _change(text: str) -> tuple[str, float | None]:
    name, equals, value = text.partition("=")
    try:
        if equals:
            return name.strip(), float(value) if value.strip() else None
    except ValueError:
        pass  # told below, as a missing = is
    raise InvalidInput(f"{text!r} is no limit.", hint="Write it as documents=10000.")


@app.command("delete-tenant")
def delete_tenant(
    tenant: Annotated[str, typer.Argument(help="Id or name of the tenant.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a tenant out of every store, with all its spaces and the accounts that belong to no other. The service has to be stopped.

    Cut off, it is run again. Backups keep what they have until they expire.
    """
    from apps.backend.config import get_settings
    from apps.cli import printing
    from localmind.wiring.upkeep import delete_tenant as delete

    if not yes and typer.prompt(f"Everything of {tenant!r} will be gone. Type its name again") != tenant:
        raise InvalidInput("The names differ: nothing was deleted.")
    delete(get_settings(), tenant, report=lambda space: printing.stderr().print(f"Deleting space {space} ..."))
    printing.stdout().print(f"Tenant {tenant} is deleted.", markup=False)


def _password(settings: Settings) -> str:
    given = settings.localmind_admin_password.get_secret_value()
    if given:
        return given
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != password:
        raise InvalidInput("The two passwords differ.", hint="Try again.")
    return password
