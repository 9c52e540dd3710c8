"""Synthetic world of `lsloop demo`, and the check of what lsloop promises.

It has data, a crawler, and annotators at work through the real API.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from lsloop.demo import acts, chart, dataset, ending, listening, school, stage
from lsloop.demo.proof import World
from lsloop.demo.scene import FIELD, TASK_TYPE, Scene
from lsloop.demo.story import Act, Report, Tell
from lsloop.values.text import counted

__all__ = ["Act", "Report", "Tell", "run"]


def run(
    *,
    samples: int,
    rounds: int,
    seed: int,
    keep: Path | None,
    studio_env: Path,
    tell: Tell,
    look: Callable[[Report], None] = lambda report: None,
) -> Report:
    """Play the whole loop in a folder of its own, and check what lsloop promises.

    After the story a small speech model learns from it in so many `rounds`.

    The same seed tells the same story, but for times. With `keep` the folder and the running stack stay.
    Whether all promises held: `Report.demand`. `look` is called with it while everything still runs.
    """
    report = Report(seed, samples)
    with ExitStack() as stay:
        aside = stay.enter_context(stage.alone(studio_env))
        if aside:
            tell.say(f"The demo leaves {', '.join(aside)} aside: it uses services of its own.")
        project_dir = stay.enter_context(stage.folder(keep))
        raw_dir = project_dir / "data" / "raw"
        with report.act("world", tell) as act:
            said = dataset.write(raw_dir, samples, seed)
            gold = acts.choose_gold(said, seed)
            stage.write_params(project_dir, TASK_TYPE, len(gold) / samples)
            act.told = f"{counted(samples, 'clip')}, with transcripts by a poor recogniser"
        with report.act("stack", tell) as act:
            services = stay.enter_context(stage.services(project_dir, stay=keep is not None, say=tell.say))
            act.told = "PostgreSQL, Label Studio and the server are up"
        came = dataset.texts(raw_dir, FIELD)
        agreement = services[0].task_type(TASK_TYPE)[1].agreement
        world = World(TASK_TYPE, FIELD, agreement, came, upstream=dict(came))
        _play(Scene(*services, report, tell, said, gold, world), rounds)
        if rounds:
            report.chart = chart.write(project_dir / chart.NAME, report.rounds) if keep else None
        look(report)
    return report


def _play(scene: Scene, rounds: int) -> None:
    early, late = acts.halves(scene)
    acts.send(scene)
    with acts.crew(scene) as crew:
        arrived = acts.arrived(scene, crew)
        with listening.held_back(scene):
            acts.annotate(scene, crew, early, for_good=False)
            acts.crawl(scene, late)
        acts.receive(scene)
        acts.think_again(scene, crew)
        acts.annotate(scene, crew, late, for_good=True)
        acts.receive(scene)
        acts.decide(scene, crew)
        ending.prove(scene, arrived)
        if rounds:
            school.teach(scene, crew, rounds)
