"""`lsloop demo`: the whole loop on a made-up world."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lsloop import demo as world
from lsloop import stack
from lsloop.commands import _folder
from lsloop.commands._call import Call
from lsloop.commands._output import Table
from lsloop.commands._rounds import chart, reasons, rounds_table
from lsloop.demo import Act, Report, Tell
from lsloop.demo.checks import OUTCOMES
from lsloop.demo.story import Score
from lsloop.values.text import counted


def demo(
    ctx: typer.Context,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Which world: the same seed, the same story.")
    ] = 0,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="Play it in this folder, and leave all of it running."),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", metavar="N", min=3, max=99_999, help="How many clips.")
    ] = 60,
    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", min=0, help="How often a model learns from it; 0: never.")
    ] = 3,
) -> None:
    """Run the whole loop on a small made-up dataset of code-switched speech, on a real Label Studio.

    Simulated annotators of different quality correct poor transcripts through Label Studio's API while a
    crawler goes on changing them. Label Studio tells of their answers, which become revisions; changes are
    met, annotators are measured on hidden probes. Then a small speech model learns the language from what
    they accept, in rounds: it asks about what it is least sure of. Everything that lsloop promises is
    checked: the exit code is 1 when a promise is broken.

    Example:
      lsloop demo
      lsloop demo --seed 7 --keep demo
    """
    call = Call.of(ctx)
    call.out.show(f"A made-up world of code-switched Vietnamese and English speech, seed {seed}\n")
    tell = Tell(call.out.note, lambda act: call.out.show(_line(act)), call.out.progress)
    try:
        report = world.run(
            samples=samples,
            rounds=rounds,
            seed=seed,
            keep=call.path(keep) if keep else None,
            studio_env=(_folder.nearest(call.directory) or call.directory) / ".lsloop" / "studio",
            tell=tell,
            look=lambda report: _look(call, report, keep),
        )
    except stack.Failed as failed:
        call.out.note(failed.last_words)
        raise
    report.demand()


def _look(call: Call, report: Report, keep: Path | None) -> None:
    """Show what came of it while all of it still runs.

    Somebody at a terminal may look at it before it ends.
    """
    call.out.result(
        report,
        "",
        _changes(report),
        _annotators(report),
        *_agreed(report),
        *_learnt(report),
        _promises(report),
        _place(report, keep),
    )
    if keep is None and not call.json and sys.stdin.isatty() and sys.stdout.isatty():
        input("Press Enter to end it. ")
        call.out.note("All of it is gone again. To keep it: lsloop demo --keep demo")


def _line(act: Act) -> str:
    return f"  {act.name:<9} {act.told:<70} {act.seconds:5.1f} s"


CHANGED = {
    "mended": "Word mended",
    "misheard": "Word misheard",
    "media": "Recording",
    "translation": "Translation",
}


def _changes(report: Report) -> Table:
    changed = [what for what in CHANGED if what in report.changes]
    rows = [
        (shown, *(report.changes[what].get(outcome) for what in changed))
        for outcome, shown in OUTCOMES.items()
        if any(outcome in became for became in report.changes.values())
    ]
    columns = ("Outcome", *(CHANGED[what] for what in changed))
    count = sum(sum(became.values()) for became in report.changes.values())
    return Table(
        columns, rows, title=f"What became of {counted(count, 'change')} upstream while people worked"
    )


def _annotators(report: Report) -> Table:
    rows = [
        (
            *(one.name, one.answers, one.skipped, one.edited, one.taken_back),
            *(_percent(one.error_rate), one.probes, _measured(one)),
        )
        for one in report.annotators
    ]
    columns = (
        *("Annotator", "Answers", "Skipped", "Edited", "Deleted"),
        *("True rate", "Probes", "Measured (95 %)"),
    )
    before, after = _percent(report.error_rate_before), _percent(report.error_rate_after)
    return Table(
        columns, rows, title=f"Word error rate of the transcripts: {before} as they came, {after} now"
    )


def _measured(one: Score) -> str:
    if one.measured is None or one.low is None or one.high is None:
        return ""
    return f"{_percent(one.measured)} ({100 * one.low:.1f}–{100 * one.high:.1f})"


def _agreed(report: Report) -> list[str]:
    found = report.agreement
    if found is None:
        return []
    return [
        f"Agreement: {found.mean:.0%} on average; {found.below} of {counted(found.tasks, 'task')} fell below"
        f" {found.threshold:.0%}, and somebody decided."
    ]


def _learnt(report: Report) -> list[str | Table]:
    if not report.rounds:
        return []
    where = [f"The picture of it: {report.chart}", ""] if report.chart else []
    title = "A small model learns: what it is least sure of goes to people first"
    return [
        "",
        rounds_table(report.rounds, title),
        *reasons(report.rounds),
        *chart(report.rounds),
        "",
        *where,
    ]


def _promises(report: Report) -> Table:
    rows = [(check.promise, f"NO: {check.broken}" if check.broken else "yes") for check in report.checks]
    return Table(("Promise", "Held"), rows)


def _place(report: Report, keep: Path | None) -> str:
    place = report.place
    end = (
        f"Stop it:    lsloop -C {keep} down"
        if keep
        else "It ends with this command; --keep DIR leaves it running."
    )
    return (
        f"Look at it: {place['label_studio_url']}\n"
        f"Sign in as {place['label_studio_user']}, password {place['label_studio_password']}\n{end}"
    )


def _percent(share: float) -> str:
    return f"{share:.1%}"
