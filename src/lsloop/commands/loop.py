"""`lsloop loop`: rounds of the whole loop."""

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from lsloop.commands._call import Call
from lsloop.commands._options import ByOpt, LimitOpt, NeededTaskTypeOpt, actor
from lsloop.commands._output import Output
from lsloop.commands._rounds import reasons, rounds_table
from lsloop.commands._services import both, page_of
from lsloop.ledger.rounds import People, Round
from lsloop.records import Order
from lsloop.running import rounds
from lsloop.values.text import counted

SAID_EVERY = 30.0  # seconds between two lines about people who are waited for


def loop(
    ctx: typer.Context,
    task_type: NeededTaskTypeOpt,
    number: Annotated[int, typer.Option("--rounds", metavar="N", min=1, help="How many rounds.")] = 1,
    wait_for: Annotated[
        int,
        typer.Option(
            "--wait-for-annotations", metavar="M", min=1, help="Accepted answers until a round goes on."
        ),
    ] = 50,
    limit: LimitOpt = None,
    order: Annotated[Order, typer.Option("--order", help="Which samples go first.")] = "uncertain",
    by: ByOpt = None,
) -> None:
    """Run rounds: predict → push → wait for people → pull → export → retrain.

    Each round sends --limit tasks (by itself as many as it waits for), and goes on once M answers were
    accepted since it began, or nobody has anything left to do. Stop it whenever you like, with Ctrl-C or a
    power cut: the next call goes on with the part that was not done. It ends early when there is nothing left
    to annotate.

    Example:
      lsloop loop -t transcript_correction --rounds 3 --wait-for-annotations 200
    """
    call = Call.of(ctx)
    name, _ = call.config.task_type(task_type)
    with both(call.config) as (ledger, studio):
        pause = _Waiting(call.out, wait_for, lambda: page_of(ledger, call.config, name))
        wanted = rounds.Wanted(
            task_type=name, rounds=number, accepted=wait_for, limit=limit or wait_for, order=order,
            actor=actor(by),
            seed=secrets.token_hex(8), pause=pause, begun=_begun(call.out), told=_told(call.out),
        )  # fmt: skip
        done = rounds.run(ledger, studio, call.config, wanted)
    lines = rounds.table(done)
    early = done[-1].number < number
    call.out.result(
        {"rounds": done, "table": lines},
        rounds_table(lines),
        *reasons(lines),
        *(["There is nothing left to annotate."] if early else []),
    )


class _Waiting:
    """Waits a second, and says now and then for what."""

    def __init__(self, out: Output, wanted: int, page: Callable[[], str | None]) -> None:
        self._out, self._wanted, self._page, self._said = out, wanted, page, -SAID_EVERY

    def __call__(self, people: People) -> None:
        if time.monotonic() - self._said >= SAID_EVERY:
            self._said = time.monotonic()
            still = counted(people.open, "task")
            wanted = counted(self._wanted, "answer")
            self._out.note(
                f"  {people.accepted:,} of {wanted} accepted; {still} open in Label Studio: {self._page()}"
            )
        time.sleep(1)


def _begun(out: Output) -> rounds.Begun:
    def begun(at: Round, part: str) -> None:
        out.note(f"Round {at.number} of {at.of_rounds}: {part}")

    return begun


def _told(out: Output) -> rounds.Told:
    def told(at: Round, part: str, came: Mapping[str, object]) -> None:
        known = {
            name: value for name, value in came.items() if isinstance(value, int | str) and name != "why"
        }
        words = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in known.items())
        out.note(f"  {came.get('why') or words} ({came['seconds']:.1f} s)")

    return told
