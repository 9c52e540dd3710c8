"""A Label Studio and a project in it are known by what is in them: never by a URL, a description or a
number alone."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lsloop import loop
from lsloop.commands import main
from lsloop.config import Config, Push, TaskType
from lsloop.errors import LsloopError, Refused, UsageError
from lsloop.labelstudio import client, projects, tasks
from lsloop.ledger import Ledger, events
from model import studio as model_studio
from model.studio import LSLOOP, Store
from world import TRANSCRIPT, World, clips, config, transcript


def setting(world: World, **environment: Any) -> World:
    """The same world under other settings."""
    changed = world.config.environment.model_copy(update=environment)
    return replace(world, config=replace(world.config, environment=changed))


@contextmanager
def met_as(world: World, url: str) -> Iterator[World]:
    """The same world, its Label Studio under another name."""
    found = setting(world, label_studio_url=url)
    with client.connect(found.config.label_studio_url, found.config.label_studio_api_key) as connection:
        yield replace(found, studio=connection)


def setup(world: World, task_type: str = TRANSCRIPT, **options: Any) -> Any:
    return loop.setup(world.ledger, world.studio, world.config, task_type, **options)


def there(world: World, number: int | None = None) -> dict[str, Any]:
    found = projects.get(world.studio, number or world.ls_project_id)
    assert found is not None
    return found


def as_before_0020(world: World) -> None:
    """The ledger as an older version left it: a server is a URL, a project a number."""
    world.rows("DELETE FROM server_spellings RETURNING 1")
    world.rows("UPDATE servers SET identity = NULL RETURNING 1")
    world.rows("UPDATE projects SET ls_created_at = NULL, written_label_config = NULL RETURNING 1")


def written(world: World) -> dict[str, list[Any]]:
    """What is in the ledger about Label Studio, and in Label Studio about the project."""
    tables = ("servers", "server_spellings", "projects", "tasks", "annotations", "locks", "events")
    rows = {name: world.rows(f"SELECT CAST(t AS text) FROM {name} t ORDER BY 1") for name in tables}
    return rows | {"there": [there(world)], "tasks there": list(world.tasks().values())}


def with_header(label_config: str) -> str:
    above, _, below = label_config.rpartition("</View>")
    return f'{above}<Header value="New"/></View>{below}'


# the same one, under other names


@pytest.mark.studio
def test_the_same_label_studio_by_another_name_has_the_same_projects(world: World) -> None:
    world.ingest(clips(4))
    assert world.push().sent == 4
    url, before = world.config.label_studio_url, len(projects.every(world.studio))
    for number, spelling in enumerate(
        (url.replace("127.0.0.1", "localhost"), f"{url}/ ", f" {url.upper()}"), 1
    ):
        world.annotate(world.tasks()[f"clip-00{number}"], f"said {number}")
        if number == 2:
            as_before_0020(world)
        with met_as(world, spelling) as renamed:
            assert renamed.pull().received.added == 1, spelling
            assert renamed.push().sent == 0
    embedded = Config(
        world.config.project_dir, world.config.params,
        world.config.environment.model_copy(update={"label_studio_url": None, "label_studio_api_key": None}),
        {"label_studio_url": url, "label_studio_api_key": world.config.label_studio_api_key},
    )  # fmt: skip
    world.annotate(world.tasks()["clip-004"], "said 4")
    assert loop.pull(world.ledger, world.studio, embedded, TRANSCRIPT).received.added == 1
    assert len(projects.every(world.studio)) == before
    assert world.value("SELECT count(*) FROM projects") == 1
    assert world.states() == {"accepted": 4}


@pytest.mark.studio
@pytest.mark.parametrize("old", [False, True], ids=["today's ledger", "an older one's"])
def test_what_people_write_over_title_and_description_stays_and_the_project_is_known(
    world: World, old: bool
) -> None:
    world.ingest(clips(2))
    setup(world)
    words, count = (
        {"title": "Ghi âm tháng mười", "description": "Please ask Linh"},
        len(projects.every(world.studio)),
    )
    projects.update(world.studio, world.ls_project_id, **words)
    for act in (lambda: setup(world), world.push, world.pull, lambda: setup(world, recreate=True)):
        if old:
            as_before_0020(world)
        act()
    assert {name: there(world)[name] for name in words} == words
    world.annotate(world.tasks()["clip-001"], "said")
    assert world.pull().received.added == 1
    assert world.push().sent == 0
    assert len(projects.every(world.studio)) == count
    assert world.value("SELECT count(*) FROM projects") == 1
    found = loop.inspect(world.ledger, world.studio, world.config, TRANSCRIPT)
    assert found.startswith(f"project {world.ls_project_id}, 2 tasks")


# what people changed


@pytest.mark.studio
def test_a_config_changed_by_hand_stays_whatever_runs_and_the_template_is_followed_where_it_was_not(
    world: World,
) -> None:
    world.ingest(clips(3))
    world.push()
    untouched = there(world)["label_config"]
    theirs = untouched.replace("</Choices>", '  <Choice value="dialect"/>\n</Choices>', 1)
    assert theirs != untouched
    projects.update(world.studio, world.ls_project_id, label_config=theirs)
    flag = {"id": "f", "from_name": "quality_flags", "to_name": "audio", "type": "choices"}
    said = [*transcript("said"), flag | {"value": {"choices": ["dialect"]}}]
    tasks.annotate(world.studio, world.tasks()["clip-001"]["id"], said)
    for act in (
        lambda: setup(world),
        lambda: setup(world),
        world.push,
        world.pull,
        world.push,
        lambda: setup(world),
    ):
        act()
        assert there(world)["label_config"] == theirs
    assert world.states() == {"accepted": 1, "open": 2}
    assert "the label config was changed in Label Studio; it fits and is kept" in world.pull().noticed

    projects.update(world.studio, world.ls_project_id, label_config=untouched)
    setup(world)
    folder = world.config.project_dir / "label_studio_templates"
    folder.mkdir()
    newer = with_header(untouched)
    (folder / f"{TRANSCRIPT}.xml").write_text(newer)
    assert setup(world).drift == ["the label config was brought up to the template"]
    assert there(world)["label_config"] == newer


@pytest.mark.studio
def test_the_page_that_an_older_version_wrote_is_brought_up_and_a_changed_one_is_not(world: World) -> None:
    setup(world)
    today = there(world)["label_config"]
    older = (Path(__file__).parents[1] / "payloads" / "transcript_correction_before_0020.xml").read_text(
        encoding="utf-8"
    )
    for label_config, becomes in ((older, today), (with_header(older), with_header(older))):
        as_before_0020(world)
        projects.update(world.studio, world.ls_project_id, label_config=label_config)
        setup(world)
        assert there(world)["label_config"].split() == becomes.split()


@pytest.mark.studio
def test_a_control_whose_answers_cannot_be_read_is_named_and_the_other_answers_come_in(world: World) -> None:
    world.ingest(clips(3))
    world.push(limit=2)
    theirs = there(world)["label_config"].replace('maxRating="5"', 'maxRating="10"')
    projects.update(world.studio, world.ls_project_id, label_config=theirs)
    stars = {
        "id": "c",
        "from_name": "confidence",
        "to_name": "audio",
        "type": "rating",
        "value": {"rating": 9},
    }
    world.annotate(world.tasks()["clip-001"], "said")
    tasks.annotate(world.studio, world.tasks()["clip-002"]["id"], [*transcript("said"), stars])
    inspect = partial(loop.inspect, world.ledger, world.studio, world.config, TRANSCRIPT)
    for act in (partial(setup, world), world.push, inspect):
        with pytest.raises(UsageError, match=r"'confidence' cannot be read \(.*from 1 to 5\)"):
            act()
    pulled = world.pull()
    assert "'confidence' cannot be read" in pulled.noticed[0]
    assert (pulled.received.added, world.states()["accepted"]) == (2, 1)
    assert there(world)["label_config"] == theirs


@pytest.mark.studio
def test_an_overlap_changed_by_hand_stays_and_one_changed_in_the_settings_is_followed(world: World) -> None:
    def asking(overlap: int) -> World:
        kinds = {**world.config.params.task_types, TRANSCRIPT: TaskType(overlap=overlap)}
        params = world.config.params.model_copy(update={"task_types": kinds})
        return replace(world, config=replace(world.config, params=params))

    setup(asking(2))
    assert setup(asking(3)).drift == ["overlap was 2, now 3"]
    projects.update(world.studio, world.ls_project_id, maximum_annotations=4)
    for _ in range(2):
        assert "changed in Label Studio to 4, and is kept; params.yaml says 3" in setup(asking(3)).drift[0]
        assert there(world)["maximum_annotations"] == 4
    with pytest.raises(Refused, match=r"is kept; params\.yaml says 3"):
        loop.inspect(world.ledger, world.studio, asking(3).config, TRANSCRIPT)
    assert setup(asking(4)).drift == []


@pytest.mark.studio
def test_a_task_whose_key_was_deleted_by_hand_is_known_and_has_its_key_again(world: World) -> None:
    world.ingest(clips(4))
    world.push()
    before = world.tasks()
    lost = {"clip-001": (), "clip-002": ("sample_id",), "clip-003": ()}
    for name, more in lost.items():
        data = {k: v for k, v in before[name]["data"].items() if k not in (tasks.KEY, *more)}
        data |= {tasks.KEY: str(uuid.uuid4())} if name == "clip-003" else {}  # as by a slip
        tasks.update_data(world.studio, before[name]["id"], data)
        tasks.annotate(world.studio, before[name]["id"], transcript(f"said of {name}"))
    foreign = {"data": {"audio": "x", "text": "", "candidates": ""}}
    stranger = tasks.import_batch(world.studio, world.ls_project_id, [foreign])
    assert world.pull(dry_run=True).received.added == 3
    keyless = tasks.fetch(world.studio, world.ls_project_id, [before["clip-001"]["id"]])[0]
    assert tasks.KEY not in keyless["data"], "a dry run writes nothing"
    pulled = world.pull()
    assert pulled.received.added == 3
    assert len([one for one in pulled.noticed if "put back" in one]) == 3
    assert world.states() == {"accepted": 3, "open": 1}
    now = {
        task["id"]: task
        for task in tasks.fetch(world.studio, world.ls_project_id, [t["id"] for t in before.values()])
    }
    assert all(now[t["id"]]["data"][tasks.KEY] == t["data"][tasks.KEY] for t in before.values())
    assert tasks.KEY not in tasks.fetch(world.studio, world.ls_project_id, stranger)[0]["data"]
    assert world.pull().noticed == []


# a number


@pytest.mark.studio
def test_a_number_that_names_another_project_is_refused_and_nothing_is_sent_again(world: World) -> None:
    world.ingest(clips(3))
    world.push()
    world.annotate(world.tasks()["clip-001"], "said")
    segments = setup(world, "audio_segmentation").project
    other = projects.create(world.studio, "Somebody's", there(world)["label_config"])["id"]
    refusals = {
        other: f"they are in project {world.ls_project_id}",
        segments.ls_project_id: "the one of audio_segment",
    }
    for number, why in refusals.items():
        wrong = setting(world, ls_project_transcript=number)
        acts: list[Callable[[], object]] = [
            wrong.pull, wrong.push, partial(wrong.pull, dry_run=True), partial(setup, wrong),
            partial(setup, wrong, recreate=True),
        ]  # fmt: skip
        for act in acts:
            with pytest.raises(UsageError, match=why):
                act()
        assert there(world, number)["task_number"] == 0
        assert there(world, number)["maximum_annotations"] == 1
    right = setting(world, ls_project_transcript=world.ls_project_id)
    assert right.pull().received.added == 1
    assert right.push().sent == 0
    assert world.push().sent == 0
    assert there(world)["task_number"] == 3


@pytest.mark.studio
def test_tasks_that_were_moved_to_another_project_are_followed(world: World) -> None:
    world.ingest(clips(3))
    world.push()
    home, sent = world.ls_project_id, world.tasks()
    copy = projects.create(world.studio, "A copy", there(world)["label_config"])["id"]
    moved = [{"data": sent[name]["data"]} for name in ("clip-003", "clip-001")]
    tasks.import_batch(world.studio, copy, [{"data": {**moved[0]["data"], tasks.KEY: "x"}}, *moved])
    assert world.push().sent == 0
    assert world.ls_project_id == home, "the original is there"
    with pytest.raises(UsageError, match=f"they are in project {home}"):
        setting(world, ls_project_transcript=copy).pull()
    projects.delete(world.studio, home)
    pulled = world.pull()
    assert f"project {home} is gone; 2 of its tasks are in project {copy} now" in pulled.noticed
    assert pulled.gone == 1
    assert world.ls_project_id == copy
    ((number, _),) = tasks.find_by_key(world.studio, copy, [sent["clip-001"]["data"][tasks.KEY]])
    world.annotate({"id": number}, "said there")
    assert world.pull().received.added == 1
    assert world.push().sent == 1, "what was not moved went with the project"


# nothing is written


@pytest.mark.studio
def test_a_dry_run_and_an_inspection_write_nothing_anywhere(world: World) -> None:
    world.ingest(clips(2))
    world.push()
    world.annotate(world.tasks()["clip-001"], "said")
    as_before_0020(world)
    folder = world.config.project_dir / "label_studio_templates"
    folder.mkdir()
    (folder / f"{TRANSCRIPT}.xml").write_text(with_header(there(world)["label_config"]))
    kinds = {**world.config.params.task_types, TRANSCRIPT: TaskType(overlap=3)}
    params = world.config.params.model_copy(update={"task_types": kinds})
    changed = replace(world, config=replace(world.config, params=params))
    with met_as(changed, world.config.label_studio_url.replace("127.0.0.1", "localhost")) as renamed:
        before = written(world)
        assert renamed.pull(dry_run=True).received.added == 1
        with pytest.raises(Refused, match="overlap"):
            loop.inspect(renamed.ledger, renamed.studio, renamed.config, TRANSCRIPT)
        loop.plan_push(renamed.ledger, renamed.config, TRANSCRIPT)
        assert written(world) == before


# another one


@pytest.fixture
def turns() -> Iterator[tuple[str, Callable[[Store], None]]]:
    """A URL at which Label Studios take turns."""
    with model_studio.serving() as served:
        yield served


def store() -> Store:
    made = Store()
    made.add_person(LSLOOP, "lsloop@example.com")
    return made


@pytest.fixture(params=["says what it is", "does not say"])
def two(
    request: pytest.FixtureRequest,
    turns: tuple[str, Callable[[Store], None]],
    tmp_path: Path,
    ledger: Ledger,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[World, Callable[[Store], None]]]:
    if request.param == "does not say":
        known = [one for one in model_studio.ROUTES if "organizations" not in one[1]]
        monkeypatch.setattr(model_studio, "ROUTES", known)
    url, put = turns
    settings = config(tmp_path, database_url, url, LSLOOP, push=Push(settle_seconds=0, batch=10))
    settings.raw_dir.mkdir(parents=True)
    with client.connect(url, LSLOOP) as connection:
        yield World(settings.without_webhook(), ledger, connection), put


def failing(world: World) -> list[Callable[[], object]]:
    """Everything that could cancel tasks, send them again or declare them gone."""
    event = {
        "action": "TASKS_DELETED",
        "project": {"id": world.ls_project_id},
        "tasks": [{"id": 1}, {"id": 2}],
    }

    def hear() -> None:
        events.store(world.ledger, "/webhook", str(uuid.uuid4()).encode(), event)
        loop.process_events(world.ledger, world.studio, world.config)
        raise Refused("An event that could not be looked at is postponed.")

    return [
        world.pull, partial(world.pull, full=True), world.push, partial(setup, world),
        partial(setup, world, recreate=True),
        hear,
        lambda: loop.look(world.ledger, world.studio, world.config, setup_row(world), [1, 2, 3]),
        lambda: world.pull(dry_run=True),
    ]  # fmt: skip


def setup_row(world: World) -> Any:
    from lsloop.ledger import projects as ledger_projects

    (name,) = {
        row.server for row in world.rows("SELECT server FROM projects WHERE ls_project_id IS NOT NULL")
    }
    return ledger_projects.find(world.ledger, TRANSCRIPT, name)


@pytest.mark.parametrize(
    "emptied", ["empty", "a project of the same number", "a marked one of the same number"]
)
def test_two_label_studios_that_take_turns_at_one_url_are_not_taken_for_one(
    two: tuple[World, Callable[[Store], None]], emptied: str
) -> None:
    world, put = two
    first, second = store(), store()
    put(first)
    world.ingest(clips(5))
    assert world.push().sent == 5
    if emptied != "empty":
        description = first.projects[1]["description"] if "marked" in emptied else "somebody's"
        second.now = first.now
        put(second)
        projects.create(world.studio, "Another", first.projects[1]["label_config"], description)
    put(second)
    for act in failing(world):
        with pytest.raises(LsloopError):
            act()
        assert world.states() == {"open": 5}
    assert not second.tasks
    put(first)
    tasks.annotate(world.studio, 1, transcript("said"))
    assert world.pull().received.added == 1
    assert world.push().sent == 0
    assert world.states() == {"accepted": 1, "open": 4}
    assert len(first.tasks) == 5


def test_a_second_machine_whose_label_studio_is_another_leaves_tasks_and_events_alone(
    turns: tuple[str, Callable[[Store], None]], tmp_path: Path, ledger: Ledger, database_url: str
) -> None:
    url, put = turns
    first, second = store(), store()
    second.now += timedelta(minutes=5)
    put(first)

    def machine(url: str) -> World:
        settings = config(tmp_path, database_url, url, LSLOOP, push=Push(settle_seconds=0, batch=10))
        settings.raw_dir.mkdir(parents=True, exist_ok=True)
        return World(settings.without_webhook(), ledger, client.connect(url, LSLOOP))

    with model_studio.serving() as (other_url, put_other):
        put_other(second)
        here, other = machine(url), machine(other_url)
        here.ingest(clips(12))
        assert here.push(limit=7).sent == 7
        tasks.annotate(here.studio, 3, transcript("said"))
        created = first.projects[1]["created_at"]
        event = {"action": "ANNOTATION_CREATED", "annotation": {"id": 1, "task": 3}}
        event |= {"project": {"id": 1, "created_at": created}}
        events.store(ledger, "/webhook", b"1", event)
        for act in (lambda: loop.process_events(ledger, other.studio, other.config), other.pull, other.push):
            with pytest.raises(UsageError, match=r"not the one that 7 tasks.* went to"):
                act()
        with pytest.raises(UsageError, match="left alone"):
            loop.task_types_here(ledger, other.studio, other.config)

        with pytest.raises(UsageError, match="it is not lost"):
            setup(here, lost=url)
        with pytest.raises(UsageError, match="knows no Label Studio 'nobody'") as told:
            setup(here, lost="nobody")
        assert told.value.fix == f"Use one of: {url}."

        made = setup(other, also_here=True)
        assert (made.created, made.project.ls_project_id) == (True, 1)
        assert other.push().sent == 5, "what was never sent"
        loop.process_events(ledger, other.studio, other.config)
        assert events.counts(ledger) == {"waiting": 1, "given_up": 0}
        assert here.states() == {"open": 12}
        assert loop.process_events(ledger, here.studio, here.config).done == 1
        assert here.states() == {"open": 11, "accepted": 1}
        keys = [task["data"]["sample_id"] for one in (first, second) for task in one.tasks.values()]
        assert len(keys) == len(set(keys)) == 12
        other.pull(full=True)
        here.pull(full=True)
        assert here.states() == {"open": 11, "accepted": 1}

        setup(other, lost=url)
        assert here.states() == {"open": 5, "accepted": 1, "cancelled": 6}
        assert other.push().sent == 6


def test_one_that_does_not_say_any_more_what_it_is_is_known_by_our_project_in_it(
    turns: tuple[str, Callable[[Store], None]],
    tmp_path: Path,
    ledger: Ledger,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, put = turns
    first = store()
    put(first)
    settings = config(
        tmp_path, database_url, url, LSLOOP, push=Push(settle_seconds=0, batch=10)
    ).without_webhook()
    settings.raw_dir.mkdir(parents=True)
    with client.connect(url, LSLOOP) as connection:
        world = World(settings, ledger, connection)
        world.ingest(clips(2))
        world.push()
        identity = world.value("SELECT identity FROM servers")
        assert identity
        known = [one for one in model_studio.ROUTES if "organizations" not in one[1]]
        monkeypatch.setattr(model_studio, "ROUTES", known)
        tasks.annotate(world.studio, 1, transcript("said"))
        assert world.pull().received.added == 1
        assert world.push().sent == 0
        assert world.value("SELECT identity FROM servers") == identity
        put(store())
        with pytest.raises(UsageError, match="is not the one that 1 task"):
            world.push()


def test_the_command_line_says_in_words_that_it_reaches_another_label_studio(
    turns: tuple[str, Callable[[Store], None]],
    tmp_path: Path,
    ledger: Ledger,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url, put = turns
    first = store()
    put(first)
    settings = config(
        tmp_path, database_url, url, LSLOOP, push=Push(settle_seconds=0, batch=10)
    ).without_webhook()
    settings.raw_dir.mkdir(parents=True)
    with client.connect(url, LSLOOP) as connection:
        world = World(settings, ledger, connection)
        world.ingest(clips(3))
        world.push()
    put(store())
    (tmp_path / "params.yaml").write_text("task_types: {transcript_correction: {}}\n")
    names = (
        "DATABASE_URL",
        "LABEL_STUDIO_URL",
        "LABEL_STUDIO_API_KEY",
        "AUDIO_SERVER_URL",
        "LSLOOP_WEBHOOK_URL",
    )
    for name, value in zip(names, (database_url, url, LSLOOP, "http://127.0.0.1:8000", "none"), strict=True):
        monkeypatch.setenv(name, value)
    for command in (["pull"], ["push", "--task-type", TRANSCRIPT], ["setup"], ["pull", "--dry-run"]):
        assert main(["-C", str(tmp_path), *command]) == 2
        told = " ".join(capsys.readouterr().err.split())
        assert f"The Label Studio at {url} is not the one that 3 tasks" in told
        assert "They are left alone." in told
        assert "--recreate" not in told
    assert world.states() == {"open": 3}
    put(first)
    assert main(["-C", str(tmp_path), "pull"]) == 0


def test_a_label_studio_that_was_met_under_two_names_goes_by_the_one_with_tasks(
    two: tuple[World, Callable[[Store], None]],
) -> None:
    world, put = two
    put(store())
    world.ingest(clips(2))
    world.push()
    as_before_0020(world)
    url = world.config.label_studio_url
    second = url.replace("127.0.0.1", "localhost")  # as an older version would have made it
    world.rows(
        """INSERT INTO projects (task_type, server, ls_project_id, label_config)
           SELECT task_type, :second, :number, label_config FROM projects RETURNING 1""",
        second=second, number=projects.create(world.studio, "Second", there(world, 1)["label_config"])["id"],
    )  # fmt: skip
    with met_as(world, second) as renamed:
        assert renamed.push().sent == 0
        tasks.annotate(renamed.studio, 1, transcript("said"))
        assert renamed.pull().received.added == 1
    assert world.states() == {"accepted": 1, "open": 1}
