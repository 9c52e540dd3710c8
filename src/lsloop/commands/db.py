"""`lsloop db`: the ledger's schema."""

import typer

from lsloop import ledger
from lsloop.commands._call import Call
from lsloop.commands._output import Table
from lsloop.ledger import migrations

app = typer.Typer(
    help="Upgrade or check the ledger's schema.\n\nExample:\n  lsloop db upgrade\n", no_args_is_help=True
)

WAITING = "Waiting for another upgrade of this ledger, or for what a killed one left behind in PostgreSQL."


@app.command()
def upgrade(ctx: typer.Context) -> None:
    """Bring the ledger's schema up to this lsloop. Safe to repeat; data stays.

    Example:
      lsloop db upgrade
    """
    call = Call.of(ctx)
    applied = migrations.upgrade(call.config.database_url, lambda: call.out.note(WAITING), say=call.out.note)
    said = f"Applied {', '.join(applied)}." if applied else "The ledger is up to date."
    call.out.result({"applied": applied}, said)


@app.command()
def status(ctx: typer.Context) -> None:
    """Show which migrations are applied. Exit code 1 when an upgrade is due.

    Example:
      lsloop db status
    """
    call = Call.of(ctx)
    found = migrations.status(ledger.connect(call.config.database_url, check_schema=False))
    rows = [(name, state) for state in ("applied", "missing", "unknown") for name in getattr(found, state)]
    code = "current" if found.functions_current else "to be installed"
    call.out.result(found, Table(("migration", "state"), [*rows, ("functions and views", code)]))
    if not found.is_current:
        raise typer.Exit(1)
