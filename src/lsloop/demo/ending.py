"""Last act of the demo: the promises are checked, and the story is summed up.

Every promise is held against what happened.
"""

from collections.abc import Sequence

from lsloop import loop
from lsloop.demo import checks, proof, shift, values
from lsloop.demo.proof import Check
from lsloop.demo.scene import TASK_TYPE, Scene
from lsloop.demo.story import Agreement, error_rate, score
from lsloop.ledger import quality
from lsloop.values.text import counted


def prove(scene: Scene, before: Sequence[Check]) -> None:
    """Hold every promise against what happened.

    Tell what became of changes and annotators.
    """
    report, world = scene.report, scene.world
    with report.act("check", scene.tell) as act:
        seen, there = proof.look(scene.ledger, world), shift.seen(scene.studio, scene.ls_project_id)
        sent, hidden = before
        report.checks = [sent if sent.broken else checks.sent_once(world, seen, there), hidden]
        report.checks += [*values.promises(world, seen), checks.changes_met(world, seen, there)]
        report.checks += [checks.clips_play(there, scene.config.raw_dir), _nothing_moves(scene)]
        _sum_up(scene, seen)
        act.told = (
            f"{sum(not check.broken for check in report.checks)} of "
            f"{counted(len(report.checks), 'promise')} kept"
        )
    report.place = _place(scene)


def _sum_up(scene: Scene, seen: proof.Seen) -> None:
    report, world, said = scene.report, scene.world, scene.said
    for change in world.changes:
        became = report.changes.setdefault(change.what, {})
        outcome = checks.outcome(world, seen, change)
        became[outcome] = became.get(outcome, 0) + 1
    measured = {one["annotator"]: one for one in quality.annotators(scene.ledger, TASK_TYPE)}
    report.annotators = [score(one, world.submitted, said, measured.get(one.email, {}))
                         for one in [*scene.people, scene.lead]]  # fmt: skip
    threshold = scene.config.task_type(TASK_TYPE)[1].agreement
    report.agreement = next(
        (Agreement(one["tasks"], one["agreement"], one["below"], threshold)
         for one in quality.agreement(scene.ledger, TASK_TYPE)), None)  # fmt: skip
    now = seen.values
    report.error_rate_before = error_rate([(world.came[name], said[name]) for name in now])
    report.error_rate_after = error_rate([(text, said[name]) for name, text in now.items()])


def _place(scene: Scene) -> dict[str, str]:
    stack = scene.config.stack
    return {
        "project_dir": str(scene.config.project_dir),
        "label_studio_url": f"{scene.config.label_studio_url}/projects/{scene.ls_project_id}/data",
        "label_studio_user": stack["label_studio_user"],
        "label_studio_password": stack["label_studio_password"],
    }


def _nothing_moves(scene: Scene) -> Check:
    pushed = loop.push(scene.ledger, scene.studio, scene.without_probes, TASK_TYPE)
    pulled = loop.pull(scene.ledger, scene.studio, scene.without_probes, TASK_TYPE)
    moved = pushed.sent + pulled.received.added + pulled.received.edited + pulled.received.removed
    return Check(
        "a second push sends nothing, a second pull changes nothing", f"{moved} did" if moved else ""
    )
