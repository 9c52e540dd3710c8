"""A Label Studio of the tests' own: the endpoints that lsloop and annotators use, over HTTP, on dicts in
memory.

It is as fast as the model needs, and it can be told to fail. test_studio_conformance.py holds it to the real
one.
"""

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
LSLOOP = "lsloop"
"""The token whose requests fail when they are to fail."""

Failure = Literal["lost", "unanswered", "late", "refused"]
"""The connection breaks before the work is done, after it, or while it goes on; or the answer is 403."""


class Refusal(Exception):
    """An answer that is not 2xx."""

    def __init__(self, status: int, detail: str = "") -> None:
        self.status, self.detail = status, detail


@dataclass
class Fault:
    """What happens to one request to come. `meanwhile` is what people do while it is under way."""

    method: str
    path: str
    failure: Failure | None = None
    meanwhile: Callable[[], object] = lambda: None
    skip: int = 0  # how many such requests go well before


@dataclass
class Store:
    """Everything that it holds. Its clock moves with each write, and only then."""

    now: datetime = datetime(2026, 1, 5, tzinfo=UTC)
    tick: timedelta = timedelta(milliseconds=700)
    slowness: timedelta = timedelta(0)  # how long before its commit the next write took its time
    people: dict[str, Json] = field(default_factory=dict)  # by token
    projects: dict[int, Json] = field(default_factory=dict)
    tasks: dict[int, Json] = field(default_factory=dict)
    annotations: dict[int, Json] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    late: list[Callable[[], object]] = field(default_factory=list)
    organization: str = field(default_factory=lambda: f"2026-01-05T00:00:00.{uuid.uuid4().int % 10**6:06}Z")
    mark: int = 0  # the moment of the test's own clock
    asked: int = 0  # when the request at work came
    shown: dict[tuple[str, int], list[Json]] = field(
        default_factory=dict
    )  # (task key, id) → every data it ever had
    seen: dict[int, int] = field(
        default_factory=dict
    )  # annotation → when what its annotator saw was asked for
    since: dict[int, int] = field(default_factory=dict)  # task → when what it shows was asked for
    guard: Any = field(default_factory=threading.RLock)

    def add_person(self, token: str, email: str) -> None:
        self.people[token] = {"id": len(self.people) + 1, "email": email, "username": email}

    def stamp(self) -> str:
        self.now += self.tick
        return _text(self.now)

    def number(self, table: str, rows: dict[int, Json]) -> int:
        """Ids of deleted tasks are given again, as SQLite does; those of annotations are not."""
        last = max(rows, default=0) if table == "tasks" else self.last.get(table, 0)
        self.last[table] = last + 1
        return last + 1

    def annotations_of(self, task: Json) -> list[Json]:
        return [one for one in self.annotations.values() if one["task"] == task["id"]]

    def touch(self, task: Json) -> str:
        """A write to a task: its moment, which a slow transaction took a while before it was seen."""
        self.stamp()
        last = datetime.fromisoformat(task["updated_at"]) + timedelta(microseconds=1)
        moment = _text(max(self.now - self.slowness, last))
        self.slowness = timedelta(0)
        task["updated_at"] = moment
        return moment

    def take_fault(self, token: str, method: str, target: str) -> Fault | None:
        """The fault that is due for this request of lsloop's; it happens once."""
        with self.guard:
            for fault in self.faults if token == LSLOOP else []:
                if fault.method == method and re.search(fault.path, target):
                    if fault.skip == 0:
                        self.faults.remove(fault)
                        return fault
                    fault.skip -= 1
        return None


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# what may be asked


def whoami(store: Store, user: Json, params: Json, body: Any) -> Json:
    return user


def organizations(store: Store, user: Json, params: Json, body: Any) -> list[Json]:
    return [{"id": 1, "title": "Label Studio", "created_at": store.organization}]


def users(store: Store, user: Json, params: Json, body: Any) -> list[Json]:
    return list(store.people.values())


def list_projects(store: Store, user: Json, params: Json, body: Any) -> Json:
    return {"count": len(store.projects), "next": None, "results": list(store.projects.values())}


def make_project(store: Store, user: Json, params: Json, body: Any) -> Json:
    made = {"maximum_annotations": 1, "model_version": "", "description": "", **body}
    made |= {"id": store.number("projects", store.projects), "created_at": store.stamp()}
    store.projects[made["id"]] = made
    return _project(store, made)


def get_project(store: Store, user: Json, params: Json, body: Any, project: int) -> Json:
    return _project(store, _known(store.projects, project))


def change_project(store: Store, user: Json, params: Json, body: Any, project: int) -> Json:
    there = _known(store.projects, project)
    if body.get("model_version") and body["model_version"] not in _model_versions(store, project):
        raise Refusal(400, "model_version: Model version doesn't exist as static predictions.")
    there.update(body)
    return _project(store, there)


def remove_project(store: Store, user: Json, params: Json, body: Any, project: int) -> None:
    _known(store.projects, project)
    for task in [one for one in store.tasks.values() if one["project"] == project]:
        _remove_task(store, task)
    del store.projects[project]


def import_tasks(store: Store, user: Json, params: Json, body: Any, project: int) -> Json:
    """All of them or none: each must have what the label config shows."""
    shown = set(re.findall(r'(?<=")\$(\w+)', _known(store.projects, project)["label_config"]))
    for given in body:
        if missing := shown - given["data"].keys():
            raise Refusal(400, f"{sorted(missing)} key is expected in task data")
    made = [_make_task(store, project, given) for given in body]
    shown_version = next((p["model_version"] for t in reversed(made) for p in t["predictions"]), None)
    there = store.projects[project]
    there["model_version"] = there["model_version"] or shown_version or ""
    return {"task_count": len(made), "annotation_count": 0, "task_ids": [task["id"] for task in made]}


def list_tasks(store: Store, user: Json, params: Json, body: Any) -> Json:
    found = _chosen(store, body["project"], body.get("filters"))
    keys = {"tasks:id": "id", "-tasks:updated_at": "updated_at"}
    (order,) = body["ordering"]
    found.sort(key=lambda task: task[keys[order]], reverse=order.startswith("-"))
    size, page = int(params["page_size"]), int(params["page"])
    wanted = set(params["include"].split(","))
    shown = [_shown(store, task, wanted) for task in found[(page - 1) * size : page * size]]
    return {"tasks": shown, "total": len(found)}


def get_task(store: Store, user: Json, params: Json, body: Any, task: int) -> Json:
    found = _known(store.tasks, task)
    return {**found, "annotations": store.annotations_of(found)}


def change_task(store: Store, user: Json, params: Json, body: Any, task: int) -> Json:
    found = _known(store.tasks, task)
    before = _shown_data(found)
    found.update(body)
    if _shown_data(found) != before:
        _show(store, found)
    store.touch(found)
    return get_task(store, user, params, body, task)


def delete_tasks(store: Store, user: Json, params: Json, body: Any) -> Json:
    if params["id"] != "delete_tasks":
        raise Refusal(404)
    chosen = _chosen(store, int(params["project"]), body.get("filters"))
    ids = set(body["selectedItems"]["included"])
    gone = [task for task in chosen if task["id"] in ids]
    for task in gone:
        _remove_task(store, task)
    return {"processed_items": len(gone), "detail": f"Deleted {len(gone)} tasks"}


def annotate(store: Store, user: Json, params: Json, body: Any, task: int) -> Json:
    there = _known(store.tasks, task)
    moment = store.touch(there)
    made = {
        "id": store.number("annotations", store.annotations), "task": task, "project": there["project"],
        "completed_by": user["id"], "updated_by": user["id"], "created_at": moment, "updated_at": moment,
        "lead_time": body.get("lead_time"), "result": body.get("result", []), "ground_truth": False,
        "was_cancelled": bool(body.get("was_cancelled")), "parent_prediction": body.get("parent_prediction"),
    }  # fmt: skip
    store.annotations[made["id"]] = made
    store.seen[made["id"]] = store.since[task]
    return made


def change_annotation(store: Store, user: Json, params: Json, body: Any, annotation: int) -> Json:
    found = _known(store.annotations, annotation)
    moment = store.touch(store.tasks[found["task"]])
    found.update(body, updated_at=moment, updated_by=user["id"])
    return found


def remove_annotation(store: Store, user: Json, params: Json, body: Any, annotation: int) -> None:
    found = _known(store.annotations, annotation)
    store.touch(store.tasks[found["task"]])
    del store.annotations[annotation]


def make_tab(store: Store, user: Json, params: Json, body: Any) -> Json:
    """How people's list is arranged is nothing to the loop."""
    return {"id": body["project"], **body}


def drafts(store: Store, user: Json, params: Json, body: Any, task: int) -> list[Json]:
    """Nobody has any, not even of a task that is not there."""
    return []


def add_prediction(store: Store, user: Json, params: Json, body: Any) -> Json:
    there = _known(store.tasks, body["task"])
    there["predictions"].append(_prediction(store, body))
    store.touch(there)
    return dict(there["predictions"][-1])


def change_prediction(store: Store, user: Json, params: Json, body: Any, prediction: int) -> Json:
    for task in store.tasks.values():
        for one in task["predictions"]:
            if one["id"] == prediction:
                one.update(
                    {name: body[name] for name in ("result", "score", "model_version") if name in body}
                )
                store.touch(task)
                return dict(one)
    raise Refusal(404, "Not found.")


ROUTES: list[tuple[str, str, Callable[..., Any]]] = [
    ("GET", r"/api/current-user/whoami", whoami),
    ("GET", r"/api/organizations/", organizations),
    ("GET", r"/api/users/", users),
    ("GET", r"/api/projects/", list_projects),
    ("POST", r"/api/projects/", make_project),
    ("GET", r"/api/projects/(\d+)/", get_project),
    ("PATCH", r"/api/projects/(\d+)/", change_project),
    ("DELETE", r"/api/projects/(\d+)/", remove_project),
    ("POST", r"/api/projects/(\d+)/import", import_tasks),
    ("GET", r"/api/tasks/(\d+)/drafts", drafts),
    ("POST", r"/api/predictions/", add_prediction),
    ("PATCH", r"/api/predictions/(\d+)/", change_prediction),
    ("GET", r"/api/tasks/", list_tasks),
    ("GET", r"/api/tasks/(\d+)/", get_task),
    ("PATCH", r"/api/tasks/(\d+)/", change_task),
    ("POST", r"/api/dm/actions", delete_tasks),
    ("POST", r"/api/dm/views/", make_tab),
    ("POST", r"/api/tasks/(\d+)/annotations/", annotate),
    ("PATCH", r"/api/annotations/(\d+)/", change_annotation),
    ("DELETE", r"/api/annotations/(\d+)/", remove_annotation),
]


def _known(rows: dict[int, Json], number: int) -> Json:
    if number not in rows:
        raise Refusal(404, "Not found.")
    return rows[number]


def _project(store: Store, project: Json) -> Json:
    number = sum(task["project"] == project["id"] for task in store.tasks.values())
    return {**project, "task_number": number}


def _model_versions(store: Store, project: int) -> set[str]:
    there = [task for task in store.tasks.values() if task["project"] == project]
    return {one["model_version"] for task in there for one in task["predictions"]}


def _make_task(store: Store, project: int, given: Json) -> Json:
    moment = store.stamp()
    made = {
        "id": store.number("tasks", store.tasks), "project": project, "data": given["data"], "meta": {},
        "predictions": [_prediction(store, one) for one in given.get("predictions", [])],
        "created_at": moment, "updated_at": moment, "overlap": store.projects[project]["maximum_annotations"],
        "is_labeled": False,
    }  # fmt: skip
    store.tasks[made["id"]] = made
    _show(store, made)
    return made


def _shown_data(task: Json) -> Json:
    """What its page shows: not why nobody needs to answer it."""
    return {name: value for name, value in task["data"].items() if name != "not_needed"}


def _show(store: Store, task: Json) -> None:
    store.shown.setdefault((str(task["data"].get("task_key")), task["id"]), []).append(task["data"])
    store.since[task["id"]] = store.asked


def _prediction(store: Store, given: Json) -> Json:
    kept = {name: given[name] for name in ("result", "score", "model_version") if name in given}
    return {"id": store.number("predictions", {}), "score": None, "model_version": "undefined", **kept}


def _remove_task(store: Store, task: Json) -> None:
    for annotation in store.annotations_of(task):
        del store.annotations[annotation["id"]]
    del store.tasks[task["id"]]


def _counted(store: Store, task: Json) -> Json:
    answers = store.annotations_of(task)
    skipped = sum(one["was_cancelled"] for one in answers)
    return {
        **task, "annotations": answers, "total_annotations": len(answers) - skipped,
        "draft_exists": False, "cancelled_annotations": skipped,
    }  # fmt: skip


def _shown(store: Store, task: Json, wanted: set[str]) -> Json:
    """`include` names the fields of the task, and those inside its annotations, too."""
    counted = _counted(store, task)
    counted["annotations"] = [
        {k: v for k, v in one.items() if k == "id" or k in wanted} for one in counted["annotations"]
    ]
    return {name: value for name, value in counted.items() if name == "id" or name in wanted}


def _chosen(store: Store, project: int, filters: Json | None) -> list[Json]:
    _known(store.projects, project)
    there = [task for task in store.tasks.values() if task["project"] == project]
    if not filters or not filters["items"]:
        return there
    combine = all if filters["conjunction"] == "and" else any
    return [task for task in there if combine(_fits(_counted(store, task), one) for one in filters["items"])]


def _fits(task: Json, given: Json) -> bool:
    name = given["filter"].removeprefix("filter:tasks:")
    value = task["data"].get(name.removeprefix("data.")) if name.startswith("data.") else task[name]
    wanted = given["value"]
    fits = {
        "equal": lambda: value == wanted, "in_list": lambda: value in wanted,
        "greater": lambda: value > wanted,
        "less": lambda: value < wanted, "less_or_equal": lambda: value <= wanted,
        "greater_or_equal": lambda: value >= wanted,
    }[given["operator"]]()  # fmt: skip
    return bool(fits) and ("child_filter" not in given or _fits(task, given["child_filter"]))


# over HTTP


def _answer(store: Store, method: str, target: str, token: str, body: Any, mark: int) -> tuple[int, Any]:
    place = urlsplit(target)
    params = {name: values[-1] for name, values in parse_qs(place.query).items()}
    with store.guard:
        store.asked = mark
        user = store.people.get(token)
        if user is None:
            return 401, {"detail": "Invalid token."}
        for verb, path, act in ROUTES:
            if verb == method and (found := re.fullmatch(path, place.path)):
                try:
                    answer = act(store, user, params, body, *map(int, found.groups()))
                except Refusal as no:
                    return no.status, {"detail": no.detail}
                # As JSON at once: what happens afterwards is not in this answer.
                status = 204 if answer is None else 201 if method == "POST" and "dm/" not in path else 200
                return status, json.loads(json.dumps(answer))
    return 404, {"detail": f"{method} {place.path} is not made"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Server"

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(self.server.store.now.replace(microsecond=0), usegmt=True)

    def version_string(self) -> str:
        return "gunicorn"

    def log_message(self, *args: Any) -> None:
        pass

    def handle_one(self) -> None:
        store = self.server.store
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        token = (self.headers.get("Authorization") or "").removeprefix("Token ")
        fault = store.take_fault(token, self.command, self.path)
        failure = fault.failure if fault else None
        if fault:
            fault.meanwhile()
        if failure == "refused":
            return self._say(403, {"detail": "not now"})
        if failure == "late":
            method, path, mark = self.command, self.path, store.mark
            store.late.append(lambda: _answer(store, method, path, token, body, mark))
        if failure in ("lost", "late"):
            self.close_connection = True
            return None
        status, answer = _answer(store, self.command, self.path, token, body, store.mark)
        if failure == "unanswered":
            self.close_connection = True
            return None
        return self._say(status, answer)

    do_GET = do_POST = do_PATCH = do_DELETE = handle_one

    def _say(self, status: int, answer: Any) -> None:
        content = b"" if status == 204 else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    store: Store


@contextmanager
def serving() -> Iterator[tuple[str, Callable[[Store], None]]]:
    """The URL where a store is served, and how to put another one in its place."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.store = Store()

    def put(store: Store) -> None:
        server.store = store

    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", put
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
