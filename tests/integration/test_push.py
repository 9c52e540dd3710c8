"""Push: what goes to Label Studio, in which order, and that a plan is what then happens."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from lsloop import loop, resources
from lsloop.config import Gold, Push, TaskType
from lsloop.errors import Unauthorised, Unreachable, UsageError
from lsloop.labelstudio import client, projects, tasks
from lsloop.ledger import gold, problems
from lsloop.ledger import tasks as ledger_tasks
from lsloop.loop.push import choice_of
from media_files import content
from services import Studio
from world import TRANSCRIPT, World, clips


def shown(world: World, external_id: str) -> list[dict]:
    """The predictions that annotators are shown for a sample."""
    task = world.tasks()[external_id]
    return list(world.studio.get(f"api/tasks/{task['id']}/")["predictions"])


def test_each_sample_becomes_one_task_with_its_key_and_is_locked(world: World) -> None:
    world.ingest(clips(25))
    assert world.push().sent == 25
    there = world.tasks()
    assert sorted(there) == [row["external_id"] for row in clips(25)]
    ledger = {
        str(r.task_key): (r.ls_task_id, r.external_id)
        for r in world.rows("SELECT * FROM tasks JOIN samples USING (sample_id)")
    }
    assert {task["data"]["task_key"]: (task["id"], name) for name, task in there.items()} == ledger
    assert world.states() == {"open": 25}
    assert world.value("SELECT count(*) FROM locks WHERE released_at IS NULL AND expires_at IS NULL") == 25


def test_pushing_again_sends_nothing_twice(world: World) -> None:
    world.ingest(clips(3))
    world.push()
    assert world.push().sent == 0
    assert len(world.tasks()) == 3


def test_the_limit_holds_and_the_rest_follows(world: World) -> None:
    world.ingest(clips(25))
    assert world.push(limit=12).sent == 12
    assert sorted(world.tasks()) == [row["external_id"] for row in clips(12)]
    assert world.push().sent == 13


@pytest.mark.parametrize("order", ["oldest", "priority", "random", "uncertain"])
def test_a_dry_run_is_the_plan_that_a_push_then_carries_out(world: World, order: Any) -> None:
    rows = [{**row, "priority": i * 7 % 5} for i, row in enumerate(clips(15))]
    world.ingest(rows)
    plan = loop.plan_push(world.ledger, world.config, TRANSCRIPT, limit=9, order=order, seed="7")
    assert world.states() == {}
    world.push(limit=9, order=order, seed="7")
    sent = sorted(world.tasks().items(), key=lambda item: item[1]["id"])
    assert [name for name, _ in sent] == [s.external_id for s in plan.samples]


def test_a_dry_run_counts_gold_probes_and_what_was_cut_off_as_the_push_then_does(world: World) -> None:
    params = world.config.params.model_copy(update={"gold": Gold(ratio=0.3), "push": Push(batch=2)})
    world = replace(world, config=replace(world.config, params=params))
    world.ingest(clips(40))
    for number in range(1, 13):
        standard = world.value(
            "SELECT sample_id FROM samples WHERE external_id = :id", id=f"clip-{number:03}"
        )
        gold.set_standard(world.ledger, standard, 1, "lead", {"transcript": "known"})
    for limit in (0, 3, 1, 10, 5, 60):
        plan = loop.plan_push(world.ledger, world.config, TRANSCRIPT, limit=limit)
        done = world.push(limit=limit)
        assert (done.sent, done.probes, done.missing_probes) == (plan.tasks, plan.probes, plan.missing_probes)
        if limit == 10:
            there = loop.setup(world.ledger, world.studio, world.config, TRANSCRIPT).project
            died = choice_of(world.config, TRANSCRIPT, None, "")
            ledger_tasks.claim(world.ledger, there, died, 2, claimed_by="a push that died")
    assert world.value("SELECT count(*) FROM tasks WHERE is_gold_probe") > 5
    assert len(world.tasks()) == world.value("SELECT count(*) FROM tasks")


def test_orders_choose_as_they_say(world: World) -> None:
    world.ingest([{**row, "priority": p} for row, p in zip(clips(4), (0, 9, 5, 9), strict=True)])
    predict(world, "clip-001", "m1", uncertainty=0.2)
    predict(world, "clip-003", "m1", uncertainty=0.8)

    def planned(order: str, seed: str = "") -> list[str]:
        return [
            s.external_id[-1]
            for s in loop.plan_push(world.ledger, world.config, TRANSCRIPT, order=order, seed=seed).samples
        ]  # type: ignore[arg-type]

    assert planned("oldest") == ["1", "2", "3", "4"]
    assert planned("priority") == ["2", "4", "3", "1"]
    assert planned("uncertain") == ["3", "1", "2", "4"]
    assert planned("random", "a") == planned("random", "a")
    assert {tuple(planned("random", seed)) for seed in "abcdefgh"} != {tuple(planned("random", "a"))}


def predict(
    world: World, external_id: str, version: str, text: str = "predicted", uncertainty: float | None = None
) -> None:
    with world.ledger.transaction() as transaction:
        transaction.run(
            """INSERT INTO predictions (sample_id, task_type, model_version, value, score, uncertainty,
                                    sync_version)
               SELECT sample_id, 'transcript_correction', :version, jsonb_build_object('transcript',
                      CAST(:text AS text)),
                      0.7, :uncertainty, sync_version FROM samples WHERE external_id = :id""",
            id=external_id, version=version, text=text, uncertainty=uncertainty,
        )  # fmt: skip


def test_the_samples_own_value_is_the_pre_annotation_when_no_model_predicted(world: World) -> None:
    world.ingest(clips(1))
    world.push()
    (prediction,) = shown(world, "clip-001")
    assert prediction["model_version"] == "upstream"
    assert prediction["result"][0]["value"]["text"] == ["xin chào meeting 1"]


def test_the_newest_prediction_of_todays_content_rides_along_with_version_and_score(world: World) -> None:
    world.ingest(clips(2))
    predict(world, "clip-001", "old", "older")
    predict(world, "clip-001", "new", "newer")
    predict(world, "clip-002", "old", "of a file that was replaced since")
    (world.raw_dir / "audio" / "002.wav").write_bytes(content("another recording.wav"))
    world.ingest(clips(2))
    world.push()
    (first,) = shown(world, "clip-001")
    assert (first["model_version"], first["score"], first["result"][0]["value"]["text"]) == (
        "new",
        0.7,
        ["newer"],
    )
    (second,) = shown(world, "clip-002")
    assert second["model_version"] == "upstream"


def test_label_studio_shows_the_predictions_that_most_open_tasks_carry_unless_people_chose_others(
    world: World,
) -> None:
    def shown() -> str:
        return str(projects.get(world.studio, world.ls_project_id)["model_version"])  # type: ignore[index]

    world.ingest(clips(8))
    for name in ("clip-001", "clip-002"):
        predict(world, name, "asr-v2")
    world.push(limit=3)
    assert shown() == "asr-v2"
    for name in ("clip-004", "clip-005", "clip-006"):
        predict(world, name, "asr-v3")
    world.push(limit=3)
    assert shown() == "asr-v3", "it follows"
    projects.use_model_version(world.studio, world.ls_project_id, "asr-v2")
    pushed = world.push()
    assert shown() == "asr-v2", "what was chosen by hand stays, and is told"
    assert [said for said in pushed.noticed if "as chosen in Label Studio" in said]


def test_a_prediction_that_does_not_fit_is_left_out_and_told(world: World) -> None:
    world.ingest([{**clips(1)[0], "segments": [{"start": 0, "end": 1, "language": "Klingon", "tags": []}]}])
    pushed = world.push("audio_segmentation")
    assert pushed.sent == 1
    assert len(pushed.unfit) == 1


def test_a_sample_without_what_the_annotator_reads_is_not_sent(world: World) -> None:
    world.ingest([{"external_id": "no media", "transcript": "x"}, {**clips(1)[0]}])
    assert world.push().sent == 1
    assert list(world.tasks()) == ["clip-001"]


def test_deleted_and_gold_samples_are_not_sent(world: World) -> None:
    world.ingest(clips(3))
    world.ingest(clips(2), prune=True)
    world.rows("UPDATE samples SET is_gold_standard = true WHERE external_id = 'clip-002' RETURNING 1")
    world.push()
    assert "clip-003" not in world.tasks()
    assert (
        world.value(
            """SELECT count(*) FROM tasks t JOIN samples USING (sample_id)
                WHERE external_id = 'clip-002' AND NOT is_gold_probe"""
        )
        == 0
    )


def test_an_accepted_sample_is_sent_again_only_when_what_was_judged_changed(world: World) -> None:
    world.ingest(clips(1))
    world.push()
    world.annotate(world.tasks()["clip-001"], "heard")
    world.pull()
    assert world.states() == {"accepted": 1}
    world.ingest([{**clips(1)[0], "transcript": "crawled anew"}])
    assert world.push().sent == 0
    (world.raw_dir / "audio" / "001.wav").write_bytes(content("another recording.wav"))
    world.ingest([{**clips(1)[0], "transcript": "crawled anew"}])
    assert world.push().sent == 1
    assert world.current() == {"clip-001": "heard"}


def test_media_links_are_signed_and_unicode_names_survive(world: World) -> None:
    world.ingest([{"external_id": "a", "media": "âm thanh/mẫu 1.wav"}])
    world.push()
    url = world.tasks()["a"]["data"]["audio"]
    assert url.startswith("http://127.0.0.1:8000/media/%C3%A2m%20thanh/m%E1%BA%ABu%201.wav?expires=")
    assert "&signature=" in url


def test_both_task_types_of_one_sample_have_projects_of_their_own(world: World) -> None:
    world.ingest([{**clips(1)[0], "translation": "hello meeting 1"}])
    assert world.push().sent == 1
    assert world.push("translation_review").sent == 1
    kinds = world.rows("SELECT task_type, ls_project_id FROM projects ORDER BY 1")
    assert [row.task_type for row in kinds] == ["transcript_correction", "translation_review"]
    assert len({row.ls_project_id for row in kinds}) == 2


def test_a_personal_access_token_works_as_well(world: World, studio: Studio) -> None:
    world.ingest(clips(2))
    with client.connect(studio.url, studio.pat) as personal:
        assert loop.push(world.ledger, personal, world.config, TRANSCRIPT).sent == 2


def test_a_wrong_token_is_told_and_nothing_is_claimed(world: World, studio: Studio) -> None:
    world.ingest(clips(2))
    with client.connect(studio.url, "0" * 40) as nobody, pytest.raises(Unauthorised):
        loop.push(world.ledger, nobody, world.config, TRANSCRIPT)
    assert world.states() == {}


def test_an_unreachable_label_studio_is_told_and_nothing_is_claimed(world: World) -> None:
    world.ingest(clips(2))
    with client.connect("http://127.0.0.1:1", "0" * 40) as nowhere, pytest.raises(Unreachable):
        loop.push(world.ledger, nowhere, world.config, TRANSCRIPT)
    assert world.states() == {}


def test_a_task_type_that_does_not_exist_names_those_that_do(world: World) -> None:
    with pytest.raises(UsageError, match="no task type 'nonsense'") as error:
        world.push("nonsense")
    assert "transcript_correction" in error.value.fix


def test_setup_is_idempotent_and_finds_a_project_whose_creation_was_cut_off(world: World) -> None:
    first = loop.setup(world.ledger, world.studio, world.config, TRANSCRIPT)
    assert first.created
    assert not loop.setup(world.ledger, world.studio, world.config, TRANSCRIPT).created
    world.rows("UPDATE projects SET ls_project_id = NULL RETURNING 1")
    again = loop.setup(world.ledger, world.studio, world.config, TRANSCRIPT)
    assert (again.created, again.project.ls_project_id) == (False, first.project.ls_project_id)


def _shown(world: World, project: Any) -> dict[str, Any]:
    """The project as Label Studio has it."""
    found = projects.get(world.studio, project.ls_project_id)
    assert found
    return found


def test_overlap_is_set_and_stays_where_it_was_changed_by_hand(world: World) -> None:
    several = {**world.config.params.task_types, TRANSCRIPT: TaskType(overlap=3)}
    config = replace(world.config, params=world.config.params.model_copy(update={"task_types": several}))
    there = loop.setup(world.ledger, world.studio, config, TRANSCRIPT).project
    assert _shown(world, there)["maximum_annotations"] == 3
    projects.update(world.studio, there.ls_project_id or 0, maximum_annotations=1)
    assert (
        "changed in Label Studio to 1" in loop.setup(world.ledger, world.studio, config, TRANSCRIPT).drift[0]
    )
    assert _shown(world, there)["maximum_annotations"] == 1


def test_a_config_changed_by_hand_that_still_fits_is_kept(world: World) -> None:
    there = loop.setup(world.ledger, world.studio, world.config, TRANSCRIPT).project
    theirs = (there.label_config or "").replace(
        "</View>", '  <Header value="Please be careful"/>\n</View>', 1
    )
    projects.update(world.studio, there.ls_project_id or 0, label_config=theirs)
    found = loop.setup(world.ledger, world.studio, world.config, TRANSCRIPT)
    assert found.drift == ["the label config was changed in Label Studio; it fits and is kept"]
    assert "Please be careful" in _shown(world, there)["label_config"]


def test_a_config_changed_by_hand_that_no_longer_fits_is_refused_by_name_and_nothing_is_claimed(
    world: World,
) -> None:
    world.ingest(clips(1))
    there = loop.setup(world.ledger, world.studio, world.config, TRANSCRIPT).project
    theirs = (there.label_config or "").replace('name="transcription"', 'name="renamed"')
    projects.update(world.studio, there.ls_project_id or 0, label_config=theirs)
    with pytest.raises(UsageError, match="transcription") as error:
        world.push()
    assert error.value.exit_code == 2
    assert world.states() == {}


def test_a_project_deleted_in_label_studio_is_not_made_anew_unasked(world: World) -> None:
    world.ingest(clips(2))
    world.push()
    world.studio.delete(f"api/projects/{world.ls_project_id}/")
    with pytest.raises(UsageError, match="it had 2 tasks of the ledger"):
        world.push()
    loop.setup(world.ledger, world.studio, world.config, TRANSCRIPT, recreate=True)
    assert world.push().sent == 2
    assert len(world.tasks()) == 2


def test_a_project_named_by_the_environment_is_used_and_must_exist(world: World) -> None:
    template = (
        loop.setup(world.ledger, world.studio, world.config, "audio_segmentation").project.label_config or ""
    )
    named = projects.create(world.studio, "Segments of ours", template)
    environment = world.config.environment.model_copy(update={"ls_project_segmentation": named["id"]})
    config = replace(world.config, environment=environment)
    assert (
        loop.setup(world.ledger, world.studio, config, "audio_segmentation").project.ls_project_id
        == named["id"]
    )
    missing = replace(config, environment=environment.model_copy(update={"ls_project_segmentation": 10**6}))
    with pytest.raises(UsageError, match="no project 1000000"):
        loop.setup(world.ledger, world.studio, missing, "audio_segmentation")


def test_a_project_that_another_ledger_keeps_is_refused_also_where_nothing_was_sent(world: World) -> None:
    template = resources.template("transcript_correction", world.config.project_dir)
    described = f"transcript_correction, kept by lsloop ({uuid4()})"
    named = projects.create(world.studio, "Of another ledger", template, described)
    environment = world.config.environment.model_copy(update={"ls_project_transcript": named["id"]})
    config = replace(world.config, environment=environment)
    with pytest.raises(UsageError, match="another ledger keeps it"):
        loop.setup(world.ledger, world.studio, config, TRANSCRIPT)
    projects.update(world.studio, named["id"], description="ours now")
    assert loop.setup(world.ledger, world.studio, config, TRANSCRIPT).project.ls_project_id == named["id"]


def test_a_push_cut_off_after_its_claim_is_finished_with_todays_content(world: World) -> None:
    world.ingest(clips(3))
    project = loop.setup(world.ledger, world.studio, world.config, TRANSCRIPT).project
    plan = ledger_tasks.Plan(TRANSCRIPT, ("media",), ("transcript",))
    ledger_tasks.claim(world.ledger, project, plan, 10, claimed_by="a push that died")
    world.ingest([{**row, "transcript": "crawled anew"} for row in clips(3)])
    assert world.push().sent == 3
    assert {task["data"]["text"] for task in world.tasks().values()} == {"crawled anew"}
    assert world.value("SELECT min(sync_version) FROM tasks") == 2


def test_ids_that_label_studio_answers_in_another_order_are_found_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    truthful = tasks.import_batch
    monkeypatch.setattr(tasks, "import_batch", lambda *given: list(reversed(truthful(*given))))
    world.ingest(clips(8))
    world.push()
    keys = {task["id"]: task["data"]["task_key"] for task in world.tasks().values()}
    assert keys == {
        row.ls_task_id: str(row.task_key) for row in world.rows("SELECT ls_task_id, task_key FROM tasks")
    }


def test_the_batch_size_is_the_settings(world: World) -> None:
    assert world.config.params.push == Push(settle_seconds=1, batch=10)


def test_a_file_that_nobody_can_hear_is_named_and_not_sent_until_it_is_mended(world: World) -> None:
    """Whether a line of metadata.jsonl named it, or a crawler wrote it by SQL and no ingest came after
    that."""
    rows = clips(3)
    world.write(rows)
    (world.raw_dir / "audio/002.wav").write_bytes(b"RIFF no sound at all")
    assert list(world.ingest(rows).unread) == ["clip-002"]
    for name in ("gone", "there"):
        world.value(
            "SELECT upsert_sample('crawler', :name, CAST(:fields AS jsonb), :path)",
            name=name, fields='{"transcript": "x"}', path=f"audio/{name}.wav",
        )  # fmt: skip
    (world.raw_dir / "audio/there.wav").write_bytes(content("there.wav"))
    pushed = world.push()
    assert pushed.sent == 3
    assert [line.split(":")[0] for line in pushed.left_out] == ["gone"]
    assert sorted(world.tasks()) == ["clip-001", "clip-003", "there"]
    listed, _ = problems.listed(world.ledger)
    assert {one["external_id"]: one["step"] for one in listed} == {"clip-002": "ingest", "gone": "ingest"}
    assert world.push().sent == 0
    (world.raw_dir / "audio/gone.wav").write_bytes(content("gone.wav"))
    (world.raw_dir / "audio/002.wav").write_bytes(content("002.wav"))
    assert world.ingest(rows).unread == {}
    assert problems.listed(world.ledger) == ([], 0)
    assert world.push().sent == 2
    assert len(world.tasks()) == 5
