"""The same work as scripts do it: plain requests to Label Studio, no ledger, no check, no second try."""

from collections.abc import Sequence
from typing import Any

import httpx

from benchmarks.place import Place
from lsloop.labelstudio.salvage import DETAILED

Task = dict[str, Any]


def connect(place: Place) -> httpx.Client:
    """A client with kept connections, the fastest that Label Studio under gunicorn has."""
    headers = {"Authorization": f"Token {place.config.label_studio_api_key}"}
    return httpx.Client(
        base_url=place.config.label_studio_url,
        headers=headers,
        timeout=600,
        trust_env=False,
        event_hooks={"response": [_good]},
    )


def _good(response: httpx.Response) -> None:
    response.raise_for_status()


def project(client: httpx.Client, label_config: str) -> int:
    """A new project."""
    made = client.post("/api/projects/", json={"title": "bare", "label_config": label_config}).json()
    return int(made["id"])


def send_in_batches(client: httpx.Client, project_id: int, tasks: Sequence[Task], size: int = 500) -> None:
    """Import requests of `size` tasks with their predictions."""
    for start in range(0, len(tasks), size):
        client.post(f"/api/projects/{project_id}/import", json=tasks[start : start + size])


def send_one_by_one(client: httpx.Client, project_id: int, tasks: Sequence[Task]) -> None:
    """One request for each task and one for its prediction."""
    for task in tasks:
        made = client.post("/api/tasks", params={}, json={"project": project_id, "data": task["data"]}).json()
        client.post("/api/predictions", json={"task": made["id"], **task["predictions"][0]})


def read_by_id(client: httpx.Client, project_id: int, size: int) -> int:
    """All tasks with their annotations, each page beginning above the last id; answers how many."""
    found, last = 0, 0
    while tasks := _listed(client, project_id, [_where("id", "greater", "Number", last)], 1, size):
        found, last = found + len(tasks), tasks[-1]["id"]
        if len(tasks) < size:
            break
    return found


def read_by_page(client: httpx.Client, project_id: int, size: int, count: int) -> int:
    """`count` tasks with their annotations by page number; answers how many."""
    pages = range(1, -(-count // size) + 1)
    return sum(len(_listed(client, project_id, [], number, size)) for number in pages)


def read_these(client: httpx.Client, project_id: int, ids: Sequence[int]) -> int:
    """The tasks of these ids with their annotations in one request; answers how many."""
    return len(_listed(client, project_id, [_where("id", "in_list", "List", list(ids))], 1, len(ids)))


def export(client: httpx.Client, project_id: int) -> int:
    """Everything as Label Studio's JSON export; answers how many tasks."""
    params = {"exportType": "JSON", "download_all_tasks": "true"}
    return len(client.get(f"/api/projects/{project_id}/export", params=params).json())


def annotate_all(client: httpx.Client, project_id: int) -> None:
    """Each task's prediction becomes its annotation."""
    params: dict[str, str | int] = {"id": "predictions_to_annotations", "project": project_id}
    client.post("/api/dm/actions/", params=params, json={"selectedItems": {"all": True, "excluded": []}})


def edit(client: httpx.Client, annotation: Task, text: str) -> None:
    """An annotation says something else now."""
    result = [
        {**region, "value": {"text": [text]}}
        for region in annotation["result"]
        if region["type"] == "textarea"
    ]
    client.patch(f"/api/annotations/{annotation['id']}/", json={"result": result})


def first(client: httpx.Client, project_id: int, count: int) -> list[Task]:
    """The first tasks of a project with their annotations."""
    return _listed(client, project_id, [], 1, count)


def _listed(client: httpx.Client, project_id: int, filters: list[Task], page: int, size: int) -> list[Task]:
    asked = {
        "project": project_id,
        "filters": {"conjunction": "and", "items": filters},
        "ordering": ["tasks:id"],
    }
    params: dict[str, str | int] = {
        "page": page,
        "page_size": size,
        "fields": "all",
        **DETAILED,
        "resolve_uri": "false",
    }
    answer = client.request("GET", "/api/tasks/", params=params, json=asked)
    tasks: list[Task] = answer.json()["tasks"]
    return tasks


def _where(field: str, operator: str, kind: str, value: Any) -> Task:
    return {"filter": f"filter:tasks:{field}", "operator": operator, "type": kind, "value": value}
