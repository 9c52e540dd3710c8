"""The Label Studio of the model tests answers as the real one does, in everything that lsloop looks at."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lsloop.errors import LsloopError
from lsloop.labelstudio import client, people, projects, tasks
from lsloop.labelstudio.client import LabelStudio
from model import studio as made_up
from services import Studio
from world import transcript

CONFIG = '<View><Audio name="audio" value="$audio"/><TextArea name="transcription" toName="audio"/></View>'


@pytest.mark.studio
def test_the_same_script_has_the_same_answers_on_the_real_one(studio: Studio) -> None:
    with client.connect(studio.url, studio.token) as admin:
        email = f"linh-{uuid.uuid4().hex[:8]}@example.com"
        with client.connect(studio.url, people.add_annotator(admin, email, uuid.uuid4().hex)) as other:
            real = script(admin, other, [studio.email, email])
    store = made_up.Store()
    store.add_person("a" * 40, "admin@example.com")
    store.add_person("b" * 40, "linh@example.com")
    with made_up.serving() as (url, put):
        put(store)
        with client.connect(url, "a" * 40) as admin, client.connect(url, "b" * 40) as other:
            told = script(admin, other, ["admin@example.com", "linh@example.com"])
    for made_up_answer, real_answer in zip(told, real, strict=True):
        assert made_up_answer == real_answer


def script(admin: LabelStudio, other: LabelStudio, emails: list[str]) -> list[Any]:
    """What people and lsloop do, and what they are told; ids and moments by their order alone."""
    said: list[Any] = []
    marker = str(uuid.uuid4())
    project = int(projects.create(admin, "conformance", CONFIG, f"of the tests ({marker})")["id"])
    said.append(len(projects.find_by_description(admin, marker)))
    projects.set_overlap(admin, project, 2)
    said.append(_named(projects.get(admin, project), "title", "description", "label_config",
    "maximum_annotations",
                       "model_version", "task_number", marker=marker))  # fmt: skip

    keys = [f"k{i}" for i in range(5)]
    ids = tasks.import_batch(admin, project, [_task(key) for key in keys])
    said.append(ids == sorted(ids))
    said.append(_named(projects.get(admin, project), "model_version", "task_number"))
    said.append(
        _refusal(lambda: tasks.import_batch(admin, project, [_task("k9"), {"data": {"task_key": "k8"}}]))
    )
    said.append(
        tasks.find_by_key(admin, project, ["k3", "k1", "k8", "k9"]) == [(ids[1], "k1"), (ids[3], "k3")]
    )
    said.append(tasks.carry(admin, project, list(zip(ids, keys, strict=True))))
    said.append(tasks.carry(admin, project, list(zip(ids, [*keys[1:], keys[0]], strict=True))))

    shown = tasks.shown(admin, project, ids)[ids[4]]
    said.append((shown["data"], shown["annotations"]))
    said.append([_named(one, "model_version", "score") for one in shown["predictions"]])
    since = _last_moment(admin, project)
    tasks.change_prediction(admin, project, shown["predictions"][0]["id"],
                            {"result": transcript("anew"), "model_version": "v0", "score": None})  # fmt: skip
    said.append(
        [ids.index(task["id"]) for page in tasks.changed(admin, project, since) for task in page.tasks]
    )
    tasks.add_prediction(
        admin, project, ids[4], {"result": transcript("more"), "model_version": "v0", "score": 0.25}
    )
    tasks.update_data(admin, ids[4], {**shown["data"], "audio": "https://media.invalid/other"})
    said.append(
        [ids.index(task["id"]) for page in tasks.changed(admin, project, since) for task in page.tasks]
    )
    shown = tasks.shown(admin, project, ids)[ids[4]]
    found = sorted(_named(one, "model_version", "score").items() for one in shown["predictions"])
    said.append(
        (shown["data"], found, sorted(str(one["result"][0]["value"]) for one in shown["predictions"]))
    )
    said.append((tasks.has_drafts(admin, ids[0]), _refusal(lambda: tasks.has_drafts(admin, 10**6))))

    first = tasks.annotate(admin, ids[0], transcript("heard"), lead_time=2.5)
    second = tasks.annotate(other, ids[0], transcript("heard by another"))
    skipped = tasks.annotate(other, ids[1], [], was_cancelled=True)
    said.append(_state(admin, project, ids, emails))
    since = _last_moment(admin, project)
    moments = tasks.moments_between(admin, project, datetime(2000, 1, 1, tzinfo=UTC), since)
    said.append(([ids.index(i) for i in moments], tasks.count_as_seen(admin, project, moments, "salt")))
    said.append(tasks.count_between(admin, project, min(moments.values()), max(moments.values())))
    moments = {i: moment + timedelta(microseconds=1) for i, moment in moments.items()}
    said.append(tasks.count_as_seen(admin, project, moments, ""))
    tasks.update_annotation(admin, second["id"], result=transcript("edited"), ground_truth=True)
    tasks.update_annotation(other, skipped["id"], was_cancelled=False)
    said.append(_state(admin, project, ids, emails))
    said.append(
        [ids.index(task["id"]) for page in tasks.changed(admin, project, since) for task in page.tasks]
    )

    since = _last_moment(admin, project)
    tasks.delete_annotation(admin, first["id"])
    said.append(_state(admin, project, ids, emails))
    said.append(
        [ids.index(task["id"]) for page in tasks.changed(admin, project, since) for task in page.tasks]
    )
    third = tasks.annotate(admin, ids[2], transcript("third"))
    tasks.delete_annotation(admin, third["id"])
    fourth = tasks.annotate(admin, ids[3], transcript("fourth"))
    said.append(("ids of annotations are given again", fourth["id"] == third["id"]))
    said.append(_refusal(lambda: tasks.update_annotation(admin, third["id"], ground_truth=True)))

    said.append(sorted(tasks.begun(admin, project, ids)))
    for act in (lambda one: tasks.put_away(admin, one, "twice"), lambda one: tasks.bring_back(admin, one, 2)):
        act(tasks.place(admin, project, ids[:2])[ids[1]])
        there = tasks.place(admin, project, ids[:2]).values()
        said.append(
            [
                _named(one, "overlap", "is_labeled", "total_annotations", "cancelled_annotations")
                for one in there
            ]
        )
        said.append([(one["data"].get(tasks.NOT_NEEDED), tasks.is_put_away(one)) for one in there])
    said.append([ids.index(i) for page in tasks.ids(admin, project) for i in page])
    tasks.delete(admin, project, [ids[4], ids[3]])
    again = tasks.import_batch(admin, project, [_task("k7")])
    said.append(("ids of tasks are given again", again[0] == ids[3]))
    said.append([len(page.tasks) for page in tasks.changed(admin, project, None, batch=2)])
    said.append(_refusal(lambda: tasks.annotate(admin, ids[4], transcript("gone"))))
    said.append(_refusal(lambda: projects.update(admin, project, model_version="v1")))
    tasks.import_batch(admin, project, [_task("k6", version="v1")])
    projects.update(admin, project, model_version="v1")
    said.append(_named(projects.get(admin, project), "model_version"))
    projects.delete(admin, project)
    said.append((projects.get(admin, project), _refusal(lambda: tasks.count(admin, project))))
    return said


def _task(key: str, version: str = "v0") -> dict[str, Any]:
    shown = [{"result": transcript("xin chào"), "model_version": version, "score": 0.5}]
    return {"data": {"audio": f"https://media.invalid/{key}", tasks.KEY: key}, "predictions": shown}


def _named(there: dict[str, Any] | None, *names: str, marker: str = "-") -> dict[str, Any]:
    assert there is not None
    return {name: str(there[name] or "").replace(marker, "MARKER") for name in names}


def _state(studio: LabelStudio, project: int, ids: list[int], emails: list[str]) -> list[Any]:
    """Every task as a pull reads it; its people by their place in `emails`, its moments compared."""
    names = people.names(studio)
    found = []
    for page in tasks.changed(studio, project):
        for task in page.tasks:
            given = [
                {
                    "by": emails.index(names[_number(a["completed_by"])]), "task": ids.index(a["task"]),
                    "result": a["result"], "no older than made": a["updated_at"] >= a["created_at"],
                    "not after its task": _moment(a["updated_at"]) <= _moment(task["updated_at"]),
                    **{name: a[name] for name in ("was_cancelled", "ground_truth", "lead_time",
                    "parent_prediction")},
                }
                for a in sorted(task["annotations"], key=lambda a: a["id"])
            ]  # fmt: skip
            counts = {name: task[name] for name in ("total_annotations", "cancelled_annotations")}
            found.append((ids.index(task["id"]), task["data"], counts, given))
        assert _moment(_latest(page)) < page.server_time + timedelta(seconds=5)
    return found


def _number(completed_by: Any) -> int:
    return int(completed_by["id"] if isinstance(completed_by, dict) else completed_by)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _latest(page: Any) -> str:
    return str(max(task["updated_at"] for task in page.tasks))


def _last_moment(studio: LabelStudio, project: int) -> datetime:
    """Just after everything that has changed so far."""
    newest = max(
        _moment(task["updated_at"]) for page in tasks.changed(studio, project) for task in page.tasks
    )
    return newest + timedelta(microseconds=1)


def _refusal(act: Callable[[], object]) -> str | None:
    """The kind of error, which is what lsloop goes by."""
    try:
        act()
    except LsloopError as error:
        return type(error).__name__
    return None
