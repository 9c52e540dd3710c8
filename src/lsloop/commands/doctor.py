"""`lsloop doctor`: a canary goes the whole way and comes back."""

import signal
from dataclasses import asdict

import typer

from lsloop import ledger
from lsloop.commands._call import Call
from lsloop.commands._output import Table
from lsloop.labelstudio import client
from lsloop.loop import Progress
from lsloop.running import doctor as examination
from lsloop.steps.checkup import Check

TIMEOUT = 60.0  # seconds for an answer of Label Studio


def doctor(ctx: typer.Context) -> None:
    """Prove that the whole way works, and say what to correct where it does not.

    A task goes out to a Label Studio project of its own, Label Studio tells the server of it, and an
    annotation comes back; media, DVC remote, clocks, disk and the modes of secret files are looked at, too.
    Nothing of it stays: not in Label Studio, not in the ledger, not on disk. Exit code 0 when no check fails,
    3 when a service cannot be reached, else 1.

    Example:
      lsloop doctor
      lsloop doctor --json
    """
    call = Call.of(ctx)
    config = call.config
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was begun is taken back, as with Ctrl-C
    with call.out.progress("Checks") as progress:
        told = Progress(
            advance=progress.advance,
            waiting=lambda: call.out.note("Another doctor is at work: waiting for it."),
        )
        checks = examination.examine(
            config,
            lambda: ledger.connect(config.database_url, check_schema=False),
            lambda: client.connect(config.label_studio_url, config.label_studio_api_key, timeout=TIMEOUT),
            told,
        )
    failed = [check for check in checks if check.state == "fails"]
    document = {"ok": not failed, "checks": [asdict(check) for check in checks]}
    call.out.result(
        document, _table(checks), *(f"{c.name}: {c.said}\n→ {c.fix}" for c in failed), _sum(checks)
    )
    if failed:
        raise typer.Exit(3 if any(check.unreachable for check in failed) else 1)


def _table(checks: list[Check]) -> Table:
    rows = [(c.name, c.state, c.seconds, "see below" if c.state == "fails" else c.said) for c in checks]
    return Table(("check", "", "seconds", ""), rows)


def _sum(checks: list[Check]) -> str:
    counts = {state: sum(check.state == state for check in checks) for state in ("fails", "skipped")}
    if counts["fails"]:
        return f"{counts['fails']} of {len(checks)} checks fail."
    skipped = f" ({counts['skipped']} skipped)" if counts["skipped"] else ""
    return f"No check fails{skipped}."
