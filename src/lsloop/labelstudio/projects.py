"""Label Studio projects: made, found again, changed, and checked afterwards."""

from collections.abc import Sequence
from typing import Any

from lsloop.errors import Refused
from lsloop.labelstudio.answers import NotFound
from lsloop.labelstudio.client import LabelStudio, Params

PAGE = 100  # the most Label Studio gives


def create(
    studio: LabelStudio, title: str, label_config: str, description: str = "", **fields: Any
) -> dict[str, Any]:
    """Make a project.

    Raises Refused for a title not of 3–50 characters, or an invalid label config.
    """
    body = {"title": title, "label_config": label_config, "description": description, **fields}
    return dict(studio.post("api/projects/", json=body))


_NOISE = (
    "inner_id", "total_predictions", "annotations_results", "annotations_ids", "predictions_score",
    "predictions_model_versions", "predictions_results", "file_upload", "storage_filename", "created_at",
    "updated_at", "updated_by",
)  # fmt: skip
_BESIDE_THE_PAGE = (
    "id", "completed_at", "cancelled_annotations", "annotators", "avg_lead_time", "draft_exists",
    "data.audio",
)  # fmt: skip


def make_tab(studio: LabelStudio, ls_project_id: int, hidden: Sequence[str]) -> None:
    """Make the first tab of a new project's list.

    It has no columns that tell people nothing, and none of these `hidden` data.
    """
    noise = [f"tasks:{name}" for name in (*_NOISE, *(f"data.{name}" for name in hidden))]
    narrow = [*noise, *(f"tasks:{name}" for name in _BESIDE_THE_PAGE)]
    data = {
        "title": "Tasks",
        "type": "list",
        "target": "tasks",
        "hiddenColumns": {"explore": noise, "labeling": narrow},
    }
    studio.post("api/dm/views/", json={"project": ls_project_id, "data": data})


def get(studio: LabelStudio, ls_project_id: int) -> dict[str, Any] | None:
    """The project as it is now; None when there is none of that id."""
    try:
        return dict(studio.get(f"api/projects/{ls_project_id}/"))
    except NotFound:
        return None


def update(studio: LabelStudio, ls_project_id: int, **fields: Any) -> dict[str, Any]:
    """Change some of a project's fields and return it."""
    return dict(studio.patch(f"api/projects/{ls_project_id}/", json=fields))


def find_by_description(studio: LabelStudio, text: str) -> list[dict[str, Any]]:
    """Every project with `text` in its description, oldest first.

    Each has its id, title and description.
    """
    return [project for project in every(studio) if text in (project.get("description") or "")]


def delete(studio: LabelStudio, ls_project_id: int) -> None:
    """Delete a project with all its tasks."""
    studio.delete(f"api/projects/{ls_project_id}/")


def set_overlap(studio: LabelStudio, ls_project_id: int, overlap: int) -> None:
    """Set how many annotators each task needs.

    Raises Refused when Label Studio keeps another number.
    """
    _set(studio, ls_project_id, "maximum_annotations", overlap)


def use_model_version(studio: LabelStudio, ls_project_id: int, version: str) -> None:
    """Set which model version's predictions annotators see.

    Raises Refused when Label Studio keeps another version.
    """
    _set(studio, ls_project_id, "model_version", version)


def _set(studio: LabelStudio, ls_project_id: int, field: str, value: str | int) -> None:
    """Change one field, and read it back.

    Label Studio ignores fields that it does not take.
    """
    update(studio, ls_project_id, **{field: value})
    kept = studio.get(f"api/projects/{ls_project_id}/").get(field)
    if kept != value:
        raise Refused(
            f"Label Studio keeps {field} at {kept!r} in project {ls_project_id}, not {value!r}.",
            "Set it by hand in the project's settings, or upgrade Label Studio.",
        )


def every(studio: LabelStudio) -> list[dict[str, Any]]:
    """Every project, oldest first: id, title, description."""
    found: list[dict[str, Any]] = []
    page = 1
    while True:
        params: Params = {
            "page": page,
            "page_size": PAGE,
            "ordering": "id",
            "include": "id,title,description",
        }
        answer = studio.get("api/projects/", params=params)
        found += answer["results"]
        if not answer["next"]:
            return found
        page += 1
