"""The acts of the demo, in which people, crawler and lsloop work on one project."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from lsloop import loop
from lsloop.demo import checks, crawler, dataset, listening, proof, shift
from lsloop.demo.chance import stream
from lsloop.demo.crawler import What
from lsloop.demo.proof import Check
from lsloop.demo.scene import ERROR_RATES, FIELD, LEAD, TASK_TYPE, Scene
from lsloop.demo.shift import Crew, Submission
from lsloop.demo.story import error_rate
from lsloop.labelstudio.keyset import TaskJson
from lsloop.ledger import conflicts, gold, overview, quality
from lsloop.ledger.conflicts import Filter
from lsloop.steps import conflict, sample
from lsloop.values.text import counted

GOLD = 4  # one sample in so many is gold
LATE = 5  # one sample in so many is not begun before the crawler comes
ROUNDS = 6  # after so many times around, what still moves shows as a broken promise


def choose_gold(clips: Collection[str], seed: int) -> list[str]:
    """Choose every fourth sample, anywhere among the others."""
    return [str(name) for name in stream(seed, "gold").permutation(sorted(clips))[: len(clips) // GOLD]]


def halves(scene: Scene) -> tuple[list[str], list[str]]:
    """Split the clips into those people take first and those left for the crawler.

    The latter are not begun when the crawler comes.
    """
    clips = sorted(scene.said)
    first = len(clips) - len(clips) // LATE
    return clips[:first], clips[first:]


def send(scene: Scene) -> None:
    """Samples come in, some are gold, all are sent."""
    with scene.report.act("ingest", scene.tell) as act:
        done = _ingest(scene)
        for name in scene.gold:
            sample_id = gold.find_sample(scene.ledger, name, None)
            gold.set_standard(scene.ledger, sample_id, 1.0, scene.lead.email, {FIELD: scene.said[name]})
        act.told = (
            f"{counted(done.upserted.added, 'sample')} into the ledger, "
            f"{len(scene.gold)} of them with a known answer"
        )
    with scene.report.act("push", scene.tell) as act:
        pushed = loop.push(scene.ledger, scene.studio, scene.config, TASK_TYPE, limit=scene.report.samples)
        probes = counted(pushed.probes, "hidden probe")
        act.told = f"{counted(pushed.sent - pushed.probes, 'task')} and {probes} into Label Studio"


def _ingest(scene: Scene) -> sample.Ingested:
    raw_dir = scene.config.raw_dir
    return sample.ingest(scene.ledger, raw_dir / "metadata.jsonl", raw_dir=raw_dir)


@contextmanager
def crew(scene: Scene) -> Iterator[Crew]:
    """Everybody who works in Label Studio, each with an account of their own."""
    with ExitStack() as at_end:
        config = scene.project.label_config or ""
        desks = shift.sign_up(scene.studio, [*scene.people, scene.lead], scene.kind, config)
        for desk in desks:
            at_end.enter_context(closing(desk.studio))
        yield Crew(desks[:-1], desks[-1])


def arrived(scene: Scene, crew: Crew) -> list[Check]:
    """Check what can only be seen before anybody works.

    A pull mends what a push did twice, and answers tell probes apart.
    """
    there, seen = shift.seen(crew.desks[0].studio, scene.ls_project_id), proof.look(scene.ledger, scene.world)
    return [checks.sent_once(scene.world, seen, there), checks.hidden(scene.world, seen, there)]


def annotate(scene: Scene, crew: Crew, clips: Collection[str], *, for_good: bool) -> None:
    """Have people answer the tasks with these clips.

    Some will change what is not for good.
    """
    there = [task for task in _there(scene) if shift.clip(task) in clips]
    with scene.report.act("annotate", scene.tell) as act, scene.tell.bar("Annotating", len(there)) as bar:
        done = scene.world.submitted
        new = shift.work(crew, there, scene.said, done, for_good=for_good, advance=bar.advance)
        scene.world.submitted.extend(new)
        skipped = sum(one.text is None for one in new)
        answers = counted(len(new) - skipped, "answer")
        act.told = f"{', '.join(ERROR_RATES)} give {answers} on {counted(len(there), 'task')}, skip {skipped}"


def crawl(scene: Scene, late: Collection[str]) -> None:
    """Change upstream what people have answered alike, and what they have not begun."""
    world, seed = scene.world, scene.report.seed
    world.before_start.extend(late)
    with scene.report.act("crawl", scene.tell) as act:
        for turn, among in enumerate((_agreed(scene), [name for name in late if name not in scene.gold])):
            amounts = _amounts(len(among))
            world.changes.extend(crawler.crawl(scene.config.raw_dir, seed, turn + 1, amounts, among))
        world.upstream.update(dataset.texts(scene.config.raw_dir, FIELD))
        _ingest(scene)
        times = [one.what for one in world.changes]
        texts = times.count("mended") + times.count("misheard")
        translations, clips = times.count("translation"), times.count("media")
        act.told = (
            f"{counted(texts, 'transcript')}, {counted(translations, 'translation')} "
            f"and {counted(clips, 'clip')}"
            " change upstream meanwhile"
        )


def _agreed(scene: Scene) -> list[str]:
    """List clips whose answers agree, which may change upstream.

    What people differ in is decided by somebody who sees the newest content: no change comes in
    between there.
    """
    found: dict[str, list[Submission]] = {}
    for one in shift.standing(scene.world.submitted):
        found.setdefault(one.external_id, []).append(one)
    return [
        name
        for name, answers in found.items()
        if name not in scene.gold and proof.agree(scene.world, answers)
    ]


def _amounts(count: int) -> dict[What, int]:
    some = max(1, count // 5)
    return {"mended": some, "misheard": some, "translation": some, "media": some}


def receive(scene: Scene) -> None:
    """Let answers come back: the webhook tells of them, a pull sweeps up the rest.

    Who did badly on probes is held back until the lead has looked.
    """
    with scene.report.act("webhook", scene.tell) as act:
        listening.settle(scene)
        told = _received(scene) - scene.world.received
        act.told = f"{counted(told, 'answer')} arrived; {_listed(_states(scene))}"
    with scene.report.act("pull", scene.tell) as act:
        pulled = loop.pull(scene.ledger, scene.studio, scene.without_probes, TASK_TYPE)
        missed = pulled.received.added + pulled.received.edited + pulled.received.removed
        scene.world.received = _received(scene)
        refreshed = counted(pulled.refreshed, "task")
        act.told = f"it brings {counted(missed, 'more answer')}, and shows new content in {refreshed}"
    for one in _held(scene):
        with scene.report.act("release", scene.tell) as act:
            act.told = (
                f"{_name(one)} scored {one['quarantine_score']:.0%} on the last probes;"
                f" {LEAD} lets the {counted(one['held'], 'held task')} count"
            )
            _release(scene, one)


def _received(scene: Scene) -> int:
    """Count the versions of annotations that the ledger has."""
    return len(proof.look(scene.ledger, scene.world).annotation_versions)


def _states(scene: Scene) -> dict[str, int]:
    (found,) = overview.tasks(scene.ledger, scene.project.server, TASK_TYPE)
    return {word: int(found[name]) for name, word in _BECAME.items()}


_BECAME = {
    "accepted": "accepted",
    "conflicted": "in conflict",
    "to_decide": "disputed",
    "to_review": "held back",
}


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing"


def _held(scene: Scene) -> list[dict[str, Any]]:
    return [one for one in quality.annotators(scene.ledger, TASK_TYPE) if one["quarantined_at"]]


def _name(one: Mapping[str, Any]) -> str:
    return str(one["annotator"]).partition("@")[0].title()


def _release(scene: Scene, one: Mapping[str, Any]) -> None:
    """Release what an annotator answered.

    What they got wrong does not get through: somebody else answered the same tasks.
    """
    reason = "others answer the same tasks"
    loop.release(
        scene.ledger, scene.config, one["annotator"], TASK_TYPE, actor=scene.lead.email, reason=reason
    )


def think_again(scene: Scene, crew: Crew) -> None:
    """People correct and take back some of what they submitted."""
    with scene.report.act("rethink", scene.tell) as act:
        changed = shift.think_again(crew, scene.world.submitted)
        scene.world.submitted.extend(changed)
        deleted = sum(one.deleted for one in changed)
        act.told = f"they edit {counted(len(changed) - deleted, 'answer')} and delete {deleted}"


def decide(scene: Scene, crew: Crew) -> None:
    """Answer for good what is disputed, sent again or lacks an answer.

    It goes on until nothing moves any more.
    """
    with scene.report.act("decide", scene.tell) as act:
        disputed = again = conflicts_decided = 0
        for _ in range(ROUNDS):
            pushed = loop.push(scene.ledger, scene.studio, scene.without_probes, TASK_TYPE)
            new = shift.work(crew, _there(scene), scene.said, scene.world.submitted, for_good=True)
            scene.world.submitted.extend(new)
            listening.settle(scene)
            for one in _held(scene):
                _release(scene, one)
            decided = _decide_conflicts(scene)
            disputed, again = disputed + pushed.adjudications, again + pushed.sent - pushed.adjudications
            conflicts_decided += decided
            if not (pushed.sent or new or decided):
                break
        loop.pull(scene.ledger, scene.studio, scene.without_probes, TASK_TYPE)
        act.told = (
            f"{LEAD} decides {counted(disputed, 'dispute')} and {counted(conflicts_decided, 'conflict')},"
            f" and {counted(again, 'clip')} will be sent again"
        )


def _decide_conflicts(scene: Scene) -> int:
    """The lead listens, and takes whatever is nearer to what is said."""
    there = conflicts.find(scene.ledger, Filter(TASK_TYPE))
    for one in there:
        said = scene.said[proof.origin(one.external_id)]
        ours, theirs = str((one.ours or {}).get(FIELD, "")), str(one.theirs["fields"].get(FIELD, ""))
        is_ours = error_rate([(ours, said)]) <= error_rate([(theirs, said)])
        conflict.resolve(scene.ledger, scene.kind, one, "human_wins" if is_ours else "crawler_wins",
                         actor=scene.lead.email, reason="listened to it")  # fmt: skip
    return len(there)


def _there(scene: Scene) -> list[TaskJson]:
    return shift.seen(scene.studio, scene.ls_project_id)
