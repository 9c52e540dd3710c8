"""Second half of the demo: a small speech model learns the language.

It learns from what people accept, round by round.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice, pairwise

from lsloop import config, dvc, loop
from lsloop.dataset import reviewed
from lsloop.demo import dataset, listening, proof, shift, stage, values
from lsloop.demo.language import WORDS, Utterance, utterance
from lsloop.demo.proof import Check
from lsloop.demo.scene import LEAD, TASK_TYPE, Scene
from lsloop.demo.shift import Crew
from lsloop.ledger.rounds import Round
from lsloop.running import rounds
from lsloop.running.rounds import Line
from lsloop.steps import sample
from lsloop.values.text import counted

HELD_OUT = ("speaker-07", "speaker-08", "speaker-12", "speaker-18")
"""Where the hash of a speaker's name falls into the test split, whose share is `stage.TEST`."""

TEST_CLIPS = 100  # besides the story's own of these speakers
POOL = 160  # clips that the model may ask people about
EACH_ROUND = 40  # of which it asks about so many
ROUNDS, SAMPLES = 3, 60  # from so many rounds and clips of the story on, what the model learns is promised


@dataclass
class School:
    """State that the rounds work with.

    `people` are those who did well on the probes.
    """

    scene: Scene
    people: Crew


def teach(scene: Scene, crew: Crew, number: int) -> None:
    """Hold speakers out for the test, export, train a first model, and run rounds."""
    _settings(scene)
    scene = replace(scene, config=config.load(scene.config.project_dir))
    # who erred too often on the probes teaches nobody
    school = School(scene, Crew([crew.desks[0], crew.lead], crew.lead))
    _hold_out(school)
    checks = [_export(scene)]
    _first_model(scene)
    _clips(scene, "pool", _pool(scene))
    lines = _rounds(school, number)
    scene.report.rounds = lines
    with scene.report.act("check", scene.tell) as act:
        _hold_again(scene)
        checks += [_same_test(scene, lines), *learning(lines, scene.report.samples)]
        scene.report.checks += checks
        promises = counted(len(scene.report.checks), "promise")
        act.told = f"{sum(not one.broken for one in scene.report.checks)} of {promises} kept"


def _settings(scene: Scene) -> None:
    """Change the settings: one answer is enough, and there is a model.

    That holds from here on. The model is as small as it is fresh.
    """
    from lsloop.models.families import speech_ctc

    project = scene.config.project_dir
    stage.write_params(project, TASK_TYPE, 0.0, learning=True)
    speech_ctc.fresh(project / stage.FRESH, sorted(set("".join(WORDS))), scene.report.seed)


def _clips(scene: Scene, what: str, chosen: Sequence[Utterance]) -> None:
    """More clips come from upstream."""
    with scene.report.act(what, scene.tell) as act:
        raw = scene.config.raw_dir
        scene.said.update(dataset.add(raw, chosen, scene.report.seed))
        scene.world.came.update(dataset.texts(raw, "transcript"))
        scene.world.upstream.update(dataset.texts(raw, "transcript"))
        done = sample.ingest(scene.ledger, raw / "metadata.jsonl", raw_dir=raw)
        act.told = (
            f"{counted(done.upserted.added, 'more clip')} of {len({one.speaker for one in chosen})} speakers"
        )


def _others(scene: Scene, held_out: bool) -> Iterator[Utterance]:
    """Yield what else the speakers of this world say, after the story's clips."""
    numbers = count(scene.report.samples + 1)
    said = (utterance(number, scene.report.seed) for number in numbers)
    return (one for one in said if (one.speaker in HELD_OUT) == held_out)


def _pool(scene: Scene) -> list[Utterance]:
    return list(islice(_others(scene, False), POOL))


def _hold_out(school: School) -> None:
    """Hold out clips of speakers whom the model shall never learn from.

    They are transcribed by whoever errs least.
    """
    scene = school.scene
    _clips(scene, "hold out", list(islice(_others(scene, True), TEST_CLIPS)))
    with scene.report.act("annotate", scene.tell) as act:
        loop.push(scene.ledger, scene.studio, scene.config, TASK_TYPE, limit=TEST_CLIPS)
        answers = _work(scene, Crew([school.people.lead], school.people.lead))
        listening.settle(scene)
        loop.pull(scene.ledger, scene.studio, scene.config, TASK_TYPE)
        act.told = f"{LEAD} transcribes {answers} of them: with these every model is measured"


def _work(scene: Scene, crew: Crew) -> int:
    there = shift.seen(scene.studio, scene.ls_project_id)
    with scene.tell.bar("Annotating", len(there)) as bar:
        new = shift.work(crew, there, scene.said, scene.world.submitted, for_good=True, advance=bar.advance)
    scene.world.submitted.extend(new)
    return sum(one.text is not None for one in new)


def _export(scene: Scene) -> Check:
    """Export by DVC, in a repository of the demo's own with a remote of its own.

    The second time there is nothing to do.
    """
    project = scene.config.project_dir
    with scene.report.act("dvc", scene.tell) as act:
        stage.repository(project)
        dvc.repro(project, "export_reviewed")
        again = dvc.repro(project, "export_reviewed")
        pushed = dvc.push(project).get("pushed", 0)
        data = reviewed.read(scene.config.reviewed_dir / TASK_TYPE)
        counts = {name: len(ids) for name, ids in data.splits.items()}
        act.told = (
            f"dvc repro export_reviewed: {counted(counts['train'], 'clip')} to learn from, "
            f"{counts['test']} to test"
        )
    ran = "export_reviewed" in [
        line.split("'")[1] for line in again.splitlines() if line.startswith("Running stage")
    ]
    broken = "it exported again" if ran else "" if pushed else "dvc push sent nothing"
    return Check("a second `dvc repro export_reviewed` does nothing, and `dvc push` sends", broken)


def _first_model(scene: Scene) -> None:
    with scene.report.act("round 0", scene.tell) as act:
        done = loop.retrain(
            scene.ledger, scene.config, TASK_TYPE, actor=scene.lead.email, reason="the first model"
        )
        act.told = f"a fresh model, trained on the story's clips: WER {done.metrics['in_use']['wer']:.2f}"


def _rounds(school: School, number: int) -> list[Line]:
    scene, began = school.scene, time.monotonic()

    def begun(at: Round, part: str) -> None:
        nonlocal began
        if part == "predict":
            began = time.monotonic()
        if part == "wait":
            _work(scene, school.people)
            listening.settle(scene)

    def done(at: Round, part: str, came: rounds.Part) -> None:
        if part == "retrain":
            scene.report.tell(f"round {at.number}", _told(at), time.monotonic() - began, scene.tell)

    wanted = rounds.Wanted(
        TASK_TYPE, number, EACH_ROUND, EACH_ROUND, "uncertain", scene.lead.email, str(scene.report.seed),
        sweep=5.0, pause=lambda people: time.sleep(0.05), begun=begun, told=done,
    )  # fmt: skip
    return rounds.table(rounds.run(scene.ledger, scene.studio, scene.config, wanted))


def _told(at: Round) -> str:
    made, came = at.parts["pull"], at.parts["retrain"]
    if "in_use" not in came["metrics"]:
        return f"{made['answers']} asked; {came['why']}"
    was, now = (came["metrics"][which]["wer"] for which in ("old", "in_use"))
    verdict = "promoted" if came["promoted"] else "not promoted"
    unchanged = made["unchanged"] / made["answers"] if made["answers"] else 0.0
    return (
        f"{made['answers']} asked, {counted(made['words_changed'], 'word')} changed, "
        f"{unchanged:.0%} unchanged:"
        f" WER {was:.2f} → {now:.2f}, {verdict}"
    )


def _hold_again(scene: Scene) -> None:
    """Check again what was promised of answers and values, for the rounds, too."""
    seen = proof.look(scene.ledger, scene.world)
    anew = {one.promise.lstrip("0123456789"): one for one in values.promises(scene.world, seen)}
    scene.report.checks = [anew.get(one.promise.lstrip("0123456789"), one) for one in scene.report.checks]


def _same_test(scene: Scene, lines: Sequence[Line]) -> Check:
    data = reviewed.read(scene.config.reviewed_dir / TASK_TYPE)
    sizes = {line.test_samples for line in lines} | {len(data.splits["test"])}
    speakers = set(data.groups.values())
    broken = f"it had different numbers of clips: {sorted(map(str, sizes))}" if len(sizes) > 1 else ""
    if not speakers <= set(HELD_OUT):
        broken = f"it has {', '.join(sorted(map(str, speakers - set(HELD_OUT))))}"
    clips = counted(len(data.splits["test"]), "clip")
    return Check(f"every model was tested on the same {clips}, of speakers it never heard", broken)


def learning(lines: Sequence[Line], samples: int) -> list[Check]:
    """Check that after three rounds the model errs less.

    Then people change less and submit more as it is.

    Nothing where there were fewer rounds, or fewer clips before them: so little shows no trend.
    """
    if len(lines) <= ROUNDS or samples < SAMPLES:
        return []
    lines = lines[: ROUNDS + 1]
    errors = [line.value or 0.0 for line in lines]
    changed = [line.words_changed or 0 for line in lines[1:]]
    unchanged = [line.acceptance or 0.0 for line in lines[1:]]
    rose = "" if errors[-1] < errors[0] / 2 else f"{errors[-1]:.3f} is not under half of {errors[0]:.3f}"
    return [
        Check(f"WER on held-out speakers halved and more: {_path(f'{e:.2f}' for e in errors)}", rose),
        Check(
            f"people changed fewer words each round: {_path(map(str, changed))}",
            "" if all(a > b for a, b in pairwise(changed)) else "one round they changed more",
        ),
        Check(
            f"people submitted more as it was each round: {_path(f'{u:.0%}' for u in unchanged)}",
            "" if all(a < b for a, b in pairwise(unchanged)) else "one round they submitted less",
        ),
    ]


def _path(steps: Iterable[str]) -> str:
    return " → ".join(steps)
