"""Promises of lsloop about the tasks in Label Studio.

None is there twice, none is lost, probes are unseen, changes are dealt with.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from lsloop.demo.crawler import Change, What
from lsloop.demo.dataset import media
from lsloop.demo.proof import Check, Seen, World, first, origin
from lsloop.demo.shift import clip
from lsloop.labelstudio import tasks
from lsloop.labelstudio.keyset import TaskJson
from lsloop.values.text import counted

OUTCOMES = {
    "no conflict": "no conflict: nobody judged by it",
    "refreshed": "refreshed before anybody began",
    "merged": "merged with the answer",
    "human_wins": "answer wins, by hand",
    "crawler_wins": "upstream wins, by hand",
    "pending_reflow": "sent again, with the answer",
    "withdrawn": "answer deleted meanwhile",
    "open": "not decided",
    "stale": "not noticed",
}
"""What may become of a change, and how people call it."""

_DECIDED = {"human_wins", "crawler_wins", "withdrawn"}
_UNDER_HANDS: dict[What, set[str]] = {
    "mended": {"merged"} | _DECIDED,
    "misheard": {"merged"} | _DECIDED,
    "translation": {"no conflict"},
    "media": {"pending_reflow", "withdrawn"},
}
"""What should become of a change to a sample that people have answered alike."""


def sent_once(world: World, seen: Seen, in_label_studio: Sequence[TaskJson]) -> Check:
    """Check that every sample is in Label Studio exactly once.

    It is there under the id and key that the ledger knows. `in_label_studio`: all tasks of the project as it
    has them.
    """
    names = {row.sample_id: row.external_id for row in seen.current}
    sent = [_named(names, task) for task in in_label_studio if not task["data"]["candidates"]]
    times = Counter(name for name, _ in sent)
    wrong = [
        f"{name} is there {counted(times[name], 'time')}"
        for name in {*world.came, *names.values()}
        if times[name] != 1
    ]
    wrong += [f"{name} is nobody's sample" for name in times if name not in names.values()]
    wrong += [f"{name} plays {played}" for name, played in sent if origin(name) != played]
    asked = Counter(row.adjudicates for row in seen.tasks if row.adjudicates)
    wrong += [
        f"the disagreement in task {key} is there {counted(asked[key], 'time')}"
        for key in asked
        if asked[key] > 1
    ]
    known = {(row.task_key, row.ls_task_id, row.sample_id) for row in seen.tasks}
    there = {(UUID(task["data"][tasks.KEY]), task["id"], _sample(task)) for task in in_label_studio}
    wrong += [
        f"the ledger and Label Studio differ about {names.get(who, who)}" for _, _, who in known ^ there
    ]
    again = len(names) - len(world.came)
    told = f"{counted(len(world.came), 'sample')}" + (f" and {again} sent again" if again else "")
    return Check(f"{told}, each in Label Studio exactly once", first(wrong))


def _sample(task: TaskJson) -> UUID:
    return UUID(task["data"]["sample_id"])


def _named(names: dict[UUID, str], task: TaskJson) -> tuple[str, str]:
    return names.get(_sample(task), f"task {task['id']}"), clip(task)


def hidden(world: World, seen: Seen, in_label_studio: Sequence[TaskJson]) -> Check:
    """Check that probes are hidden.

    A probe looks like any other task, shows what upstream said, and stands anywhere among the others.
    """
    probes = {row.task_key for row in seen.tasks if row.is_gold_probe}
    ordered = sorted(in_label_studio, key=lambda task: int(task["id"]))
    is_probe = [UUID(task["data"][tasks.KEY]) in probes for task in ordered]
    others = [_looks(task) for task, probe in zip(ordered, is_probe, strict=True) if not probe]
    pairs = zip(ordered, is_probe, strict=True)
    wrong = [
        f"{clip(task)} looks unlike the others"
        for task, probe in pairs
        if probe and _looks(task) not in others
    ]
    wrong += [
        f"{clip(task)} shows another text" for task in ordered if _shown(task) != {world.came[clip(task)]}
    ]
    places = [at for at, probe in enumerate(is_probe) if probe]
    wrong += ["they stand together"] if abs(_shift(places, len(ordered))) > _CHANCE else []
    return Check(
        f"{counted(len(probes), 'probe')} among {counted(len(others), 'task')}, and nothing tells them apart",
        first(wrong),
    )


_CHANCE = 4.5  # standard errors; more by chance once in 150,000 demos


def _shift(places: Sequence[int], count: int) -> float:
    """Measure how far some places lie to the front or the back.

    The unit is standard errors (the rank sum test).
    """
    few, rest = len(places), count - len(places)
    if not few or not rest:
        return 0.0
    return float((sum(places) - few * (count - 1) / 2) / (few * rest * (count + 1) / 12) ** 0.5)


def _looks(task: TaskJson) -> dict[str, Any]:
    """Return what of a task should be the same for all of one push.

    That is everything but content, numbers and times.
    """
    alike = {name: value for name, value in task.items() if name not in _VARY and not name.endswith("_at")}
    shown = [{name: p[name] for name in ("model_version", "score")} for p in task["predictions"]]
    filled = sorted((name, bool(value)) for name, value in task["data"].items())
    return {**alike, "names": sorted(task), "data": filled, "predictions": shown}


_VARY = {"id", "inner_id", "data", "predictions", "predictions_results"}


def _shown(task: TaskJson) -> set[str]:
    """Collect every text that an annotator is shown."""
    regions = [region for prediction in task["predictions"] for region in prediction["result"]]
    return {task["data"]["text"], *(text for region in regions for text in region["value"]["text"])}


def outcome(world: World, seen: Seen, change: Change) -> str:
    """Name what became of a change.

    That is how its conflict was decided, or why there is none (the names are in OUTCOMES).
    """
    field = change.what if change.what in ("translation", "media") else world.field
    own = [c for c in seen.conflicts if c.external_id == change.external_id and field in c.fields]
    if own:
        return str(own[-1].resolution or own[-1].status)
    if field == "translation" or change.external_id not in world.before_start:
        return "no conflict"
    task = next(row for row in seen.tasks if row.external_id == change.external_id and not row.adjudicates)
    return "refreshed" if task.shows_today else "stale"


def changes_met(world: World, seen: Seen, in_label_studio: Iterable[TaskJson]) -> Check:
    """Check that every change from upstream was noticed and rightly decided."""
    found = [(one, outcome(world, seen, one)) for one in world.changes]
    wrong = [
        f"{one.external_id} ({one.what}): {came}" for one, came in found if came not in _expected(world, one)
    ]
    fresh = {one.external_id for one, came in found if came == "refreshed"}
    shown = {clip(task): task["data"]["text"] for task in in_label_studio if not task["data"]["candidates"]}
    wrong += [f"{name} still shows {shown[name]!r}" for name in fresh if shown[name] != world.upstream[name]]
    return Check(
        f"{counted(len(world.changes), 'change')} from upstream, each met as it should be", first(wrong)
    )


def _expected(world: World, change: Change) -> set[str]:
    if change.what != "translation" and change.external_id in world.before_start:
        return {"refreshed"}
    said = {one.text for one in world.submitted if one.external_id == change.external_id}
    # Upstream came to say what people answered: nothing is in dispute.
    is_same = change.what != "media" and world.upstream[change.external_id] in said
    return _UNDER_HANDS[change.what] | ({"no conflict"} if is_same else set())


def clips_play(in_label_studio: Sequence[TaskJson], raw_dir: Path) -> Check:
    """Tell whether annotators hear what lies in the data folder, byte for byte."""
    with httpx.Client(
        trust_env=False
    ) as player:  # a company proxy knows nothing of this machine's own server
        silent = [f"{clip(task)} does not" for task in in_label_studio if not _plays(player, task, raw_dir)]
    return Check(
        f"the clips of {counted(len(in_label_studio), 'task')} play from their signed links", first(silent)
    )


def _plays(player: httpx.Client, task: TaskJson, raw_dir: Path) -> bool:
    try:
        answer = player.get(task["data"]["audio"])
    except httpx.TransportError:
        return False
    return answer.is_success and answer.content == (raw_dir / media(clip(task))).read_bytes()
