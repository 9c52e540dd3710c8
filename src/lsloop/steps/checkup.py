"""Checkup: tell in one sentence whether something that the loop stands on holds.

Where it does not, the sentence says why not and what to do.
"""

import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from lsloop import web
from lsloop.errors import LsloopError, Refused, Skipped, Unreachable
from lsloop.labelstudio import answers, people
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, events, migrations, overview
from lsloop.secrecy import without_secrets

SKEW_SECONDS = 10.0
FREE_BYTES = 2**30
WAIT_SECONDS = 60.0  # a worker looks at an event within a second, and tries again what failed

State = Literal["ok", "fails", "skipped"]


@dataclass(frozen=True)
class Check:
    """A row of a checkup: what was looked at, whether it holds, and what to do.

    What to do is told where it does not hold.
    """

    name: str
    state: State
    seconds: float
    said: str
    fix: str = ""
    unreachable: bool = False


def look(name: str, check: Callable[[], str]) -> Check:
    """Run one check: it says what it found, or raises LsloopError.

    It raises Skipped where there is nothing to look at.
    """
    began = time.monotonic()
    fix, away = "", False
    state: State = "ok"
    try:
        said = check()
    except LsloopError as error:
        said, fix, away = error.problem, error.fix, isinstance(error, Unreachable)
        state = "skipped" if isinstance(error, Skipped) else "fails"
    except OSError as error:
        said, fix, state = (
            f"{error.strerror}: {error.filename}.",
            "Check the path and its permissions.",
            "fails",
        )
    said, fix = (without_secrets(" ".join(text.split())) for text in (said, fix))
    return Check(name, state, round(time.monotonic() - began, 2), said, fix, away)


def postgres(ledger: Ledger) -> str:
    """Check that PostgreSQL answers."""
    ledger.ping()
    return f"answers at {ledger.place}"


def schema(ledger: Ledger) -> str:
    """Check that the ledger's schema is this program's."""
    migrations.check(ledger)
    return migrations.shipped()[-1]


def search_path(ledger: Ledger) -> str:
    """Check that plain SQL of other programs finds the ledger's functions and views."""
    if lines := migrations.advice(ledger):
        raise Skipped(f"{migrations.ADVICE} {' '.join(lines)}", "Or they write lsloop. before each name.")
    return "plain SQL finds the ledger"


def token(studio: LabelStudio) -> str:
    """Check that Label Studio takes the token.

    The token is renewed where it is of the kind that is renewed.
    """
    kind = studio.renew()
    who = people.whoami(studio)["email"]
    return f"{kind} of {who}{', renewed' if kind != 'legacy token' else ''}"


def proxies(addresses: dict[str, str]) -> str:
    """Say through which proxy each of the services is reached.

    This machine's own never are.
    """
    found = {name: web.proxy_of(url) for name, url in addresses.items()}
    told = [
        f"{name} through the proxy of {proxy[0]} (NO_PROXY takes hosts out)"
        for name, proxy in found.items()
        if proxy
    ]
    return "; ".join(told) or "none is in the way"


def worker(ledger: Ledger) -> str:
    """Check that somebody looks at what Label Studio tells."""
    oldest = events.oldest_waiting(ledger)
    waited = (overview.now(ledger) - oldest).total_seconds() if oldest else 0.0
    counts = events.counts(ledger)
    if waited > WAIT_SECONDS:
        raise Refused(
            f"Nobody looks at events: {counts['waiting']:,} wait, the oldest for {waited:,.0f} s.",
            "Start `lsloop worker` (`lsloop up` runs one); pulls bring what events tell, too.",
        )
    given_up = (
        f"; {counts['given_up']:,} were given up (`lsloop events --failed`)" if counts["given_up"] else ""
    )
    return f"no event waits long{given_up}"


def clocks(ledger: Ledger | None, studio: LabelStudio | None) -> str:
    """Check that this machine, PostgreSQL and Label Studio agree about the time."""
    skews: dict[str, float] = {}
    if ledger:
        skews["PostgreSQL"] = _skew(lambda: overview.now(ledger))
    if studio:
        # Whole seconds, rounded down.
        skews["Label Studio"] = _skew(lambda: answers.server_time(studio.send("GET", "api/version"))) + 0.5
    if not skews:
        raise Skipped("neither PostgreSQL nor Label Studio answers")
    worst = max(skews, key=lambda name: abs(skews[name]))
    if abs(skews[worst]) > SKEW_SECONDS:
        raise Refused(
            f"{worst}'s clock is {abs(skews[worst]):.0f} s "
            f"{'ahead of' if skews[worst] > 0 else 'behind'} this machine's.",
            "Keep the clocks of all machines right with NTP (timedatectl set-ntp true).",
        )
    return ", ".join(f"{name} {skew:+.1f} s" for name, skew in skews.items())


def _skew(ask: Callable[[], datetime]) -> float:
    """Seconds by which a clock is ahead of this machine's.

    It is measured in the middle of the question.
    """
    began = datetime.now(UTC)
    told = ask()
    ended = datetime.now(UTC)
    return (told - began - (ended - began) / 2).total_seconds()


def disk(folder: Path) -> str:
    """Check that there is space for media, exports and models."""
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES:
        raise Refused(
            f"{free / 2**20:,.0f} MiB are free under {folder}.", f"Free at least {FREE_BYTES / 2**30:g} GiB."
        )
    return f"{free / 2**30:,.1f} GiB free"


def secrets(files: Iterable[Path]) -> str:
    """Check that files that hold secrets are their owner's only."""
    if sys.platform == "win32":
        raise Skipped("Windows has no such modes")
    there = [path for path in files if path.is_file()]
    open_ = [path for path in there if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if open_:
        names = " ".join(os.path.relpath(path) for path in open_)
        raise Refused(f"Other users may read {names}.", f"chmod 600 {names}")
    return f"{len(there)} file{'s' * (len(there) != 1)}, for their owner only"
