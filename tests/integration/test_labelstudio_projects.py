"""Projects in a real Label Studio."""

import uuid
from collections.abc import Iterator

import labelling
import pytest

from faults import proxy
from faults.proxy import Proxy
from lsloop.errors import Refused
from lsloop.labelstudio import client, people, projects, tasks
from lsloop.labelstudio.client import LabelStudio
from services import Studio

pytestmark = pytest.mark.studio


@pytest.fixture
def between(studio: Studio) -> Iterator[Proxy]:
    with Proxy(studio.url) as running:
        yield running


@pytest.fixture
def labels(between: Proxy, studio: Studio) -> Iterator[LabelStudio]:
    with client.connect(between.url, studio.token) as connection:
        yield connection


def test_a_project_is_made_read_and_changed(labels: LabelStudio) -> None:
    made = projects.create(labels, "speech", labelling.CONFIG, "made by a test", show_skip_button=False)
    projects.update(labels, made["id"], title="speech 2")
    there = projects.get(labels, made["id"])
    assert there is not None
    assert (there["title"], there["description"]) == ("speech 2", "made by a test")
    assert there["show_skip_button"] is False
    assert there["label_config"].strip() == labelling.CONFIG.strip()


def test_a_project_that_is_not_there_is_none_and_cannot_be_changed(labels: LabelStudio) -> None:
    assert projects.get(labels, 10**6) is None
    with pytest.raises(Refused, match="404"):
        projects.update(labels, 10**6, title="nobody")


@pytest.mark.parametrize(
    ("title", "config", "said"),
    [
        ("x" * 51, labelling.CONFIG, "title: Ensure this field has no more than 50 characters"),
        ("speech", '<View><TextArea name="t" toName="nothing"/></View>', "nothing"),
        ("speech", "<View>", "label_config"),
    ],
    ids=["long title", "unknown name", "not XML"],
)
def test_a_bad_project_is_refused_in_label_studios_words(
    labels: LabelStudio, title: str, config: str, said: str
) -> None:
    with pytest.raises(Refused, match=said):
        projects.create(labels, title, config)


def test_every_project_with_a_text_in_its_description_is_found_on_every_page(
    labels: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projects, "PAGE", 2)
    marker = f"lsloop {uuid.uuid4()}"
    made = [
        projects.create(labels, f"project {n}", labelling.CONFIG, f"{marker} (do not edit)")["id"]
        for n in range(3)
    ]
    projects.create(labels, "another", labelling.CONFIG)
    found = projects.find_by_description(labels, marker)
    assert [project["id"] for project in found] == made
    assert {project["title"] for project in found} == {"project 0", "project 1", "project 2"}


def test_overlap_asks_for_annotations_by_so_many_people(labels: LabelStudio) -> None:
    project = labelling.project(labels)
    projects.set_overlap(labels, project, 2)
    (task,) = tasks.import_batch(labels, project, labelling.batch(1))
    token = people.add_annotator(labels, f"{uuid.uuid4().hex[:12]}@example.com", "correct horse battery")
    labelled = []
    with client.connect(labels.url, token) as another:
        for who in (labels, labels, another):
            tasks.annotate(who, task, labelling.result("x"))
            labelled.append(tasks.fetch(labels, project, [task])[0]["is_labeled"])
    assert labelled == [False, False, True]


def test_an_overlap_that_label_studio_ignores_is_noticed(between: Proxy, labels: LabelStudio) -> None:
    project = labelling.project(labels)
    ignored = proxy.rewriting(lambda found: {**found, "maximum_annotations": 1})
    between.on("GET", rf"/api/projects/{project}/", ignored)
    with pytest.raises(Refused, match=f"keeps maximum_annotations at 1 in project {project}, not 3"):
        projects.set_overlap(labels, project, 3)


def test_a_model_version_is_shown_once_it_has_predictions(labels: LabelStudio) -> None:
    project = labelling.project(labels)
    with pytest.raises(Refused, match="Model version"):
        projects.use_model_version(labels, project, "v1")
    tasks.import_batch(labels, project, labelling.batch(1))
    projects.use_model_version(labels, project, "v1")
    there = projects.get(labels, project)
    assert there is not None
    assert there["model_version"] == "v1"
