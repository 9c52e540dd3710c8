"""Tasks sent to a real Label Studio and read back while people work in it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import labelling
import pytest

from faults import proxy
from faults.proxy import Exchange, Proxy, nth
from lsloop.errors import Refused, Uncertain, Unreachable
from lsloop.labelstudio import answers, client, tasks
from lsloop.labelstudio.client import LabelStudio
from services import Studio

pytestmark = pytest.mark.studio

IMPORT = r"/api/projects/\d+/import\b"
LIST = r"/api/tasks/\?"


@pytest.fixture
def between(studio: Studio) -> Iterator[Proxy]:
    with Proxy(studio.url) as running:
        yield running


@pytest.fixture
def labels(between: Proxy, studio: Studio) -> Iterator[LabelStudio]:
    with client.connect(between.url, studio.token) as connection:
        yield connection


@pytest.fixture
def project(labels: LabelStudio) -> int:
    return labelling.project(labels)


def sent(labels: LabelStudio, project: int, size: int) -> list[int]:
    return tasks.import_batch(labels, project, labelling.batch(size))


def listed(pages: Iterator[tasks.Page]) -> list[int]:
    return [task["id"] for page in pages for task in page.tasks]


def now(labels: LabelStudio, project: int) -> datetime:
    """Past every change so far, by the server's clock, to the microsecond."""
    newest = max(task["updated_at"] for page in tasks.changed(labels, project) for task in page.tasks)
    return datetime.fromisoformat(newest) + timedelta(microseconds=1)


# sending


def test_tasks_arrive_with_their_data_and_predictions(labels: LabelStudio, project: int) -> None:
    batch = labelling.batch(3)
    ids = tasks.import_batch(labels, project, batch)
    there = {task["id"]: task["data"] for task in tasks.fetch(labels, project, ids)}
    assert there == {i: one["data"] for i, one in zip(ids, batch, strict=True)}
    assert labels.get(f"api/tasks/{ids[0]}/")["predictions"][0]["result"] == labelling.result("xin chào")


def test_one_bad_task_keeps_the_whole_batch_out(labels: LabelStudio, project: int) -> None:
    with pytest.raises(Refused):
        tasks.import_batch(labels, project, [*labelling.batch(5), {"data": {"text": "no audio"}}])
    assert tasks.count(labels, project) == 0
    assert tasks.newest(labels, project) is None


def test_fewer_ids_than_tasks_is_uncertain(between: Proxy, labels: LabelStudio, project: int) -> None:
    between.on("POST", IMPORT, proxy.rewriting(lambda found: {**found, "task_ids": found["task_ids"][1:]}))
    with pytest.raises(Uncertain, match="import of 3 tasks with 2 ids"):
        sent(labels, project, 3)


def test_an_import_that_goes_on_after_its_answer_is_waited_for(between: Proxy, labels: LabelStudio) -> None:
    """As editions other than Community answer."""
    between.on("POST", IMPORT, proxy.answering(201, b'{"import": 7}'))
    done = between.on(
        "GET", "/imports/7/", proxy.answering(200, b'{"status": "completed", "task_ids": [4, 5]}')
    )
    between.on("GET", "/imports/7/", proxy.answering(200, b'{"status": "in_progress"}'), nth(1))
    assert sent(labels, 1, 2) == [4, 5]
    assert done.seen == 2


def test_an_import_that_fails_after_its_answer_says_why(between: Proxy, labels: LabelStudio) -> None:
    between.on("POST", IMPORT, proxy.answering(201, b'{"import": 7}'))
    between.on("GET", "/imports/7/", proxy.answering(200, b'{"status": "failed", "error": "no audio"}'))
    with pytest.raises(Refused, match="no audio"):
        sent(labels, 1, 2)


# which id is which task


def test_a_key_finds_its_task_and_its_twin_in_this_project_only(labels: LabelStudio, project: int) -> None:
    batch = labelling.batch(3)
    ids = tasks.import_batch(labels, project, batch)
    twin = tasks.import_batch(labels, project, batch[1:2])
    tasks.import_batch(labels, labelling.project(labels, "another"), batch)
    keys = labelling.keys(batch)
    found = tasks.find_by_key(labels, project, [*keys[:2], "unknown"])
    assert sorted(found) == sorted([(ids[0], keys[0]), (ids[1], keys[1]), (twin[0], keys[1])])
    assert tasks.find_by_key(labels, project, []) == []


def test_more_keys_than_fit_into_one_request_are_all_found(labels: LabelStudio, project: int) -> None:
    batch = labelling.batch(tasks.MOST + 50)
    ids = tasks.import_batch(labels, project, batch)
    assert tasks.find_by_key(labels, project, labelling.keys(batch)) == list(
        zip(ids, labelling.keys(batch), strict=True)
    )


def test_a_key_with_quotes_and_letters_of_any_script_is_found(labels: LabelStudio, project: int) -> None:
    key = 'giọng "nói" %_\\ 声'
    ids = tasks.import_batch(labels, project, [labelling.task(key)])
    assert tasks.find_by_key(labels, project, [key]) == [(ids[0], key)]
    assert tasks.carry(labels, project, [(ids[0], key)])


def test_misplaced_missing_and_strange_keys_are_noticed(labels: LabelStudio, project: int) -> None:
    batch = labelling.batch(60)
    ids, keys = tasks.import_batch(labels, project, batch), labelling.keys(batch)
    assert tasks.carry(labels, project, list(zip(ids, keys, strict=True)))
    assert not tasks.carry(labels, project, list(zip(ids, reversed(keys), strict=True)))
    assert not tasks.carry(labels, project, list(zip(ids, keys[1:] + keys[:1], strict=True)))
    assert not tasks.carry(labels, project, [(ids[0], keys[0]), (ids[1], "strange")])
    assert not tasks.carry(labels, project, [(ids[0], keys[0]), (ids[-1] + 1000, keys[1])])
    tasks.delete(labels, project, ids[:1])
    assert not tasks.carry(labels, project, list(zip(ids, keys, strict=True)))


# reading back


def test_everything_is_listed_once_in_order_with_what_the_server_promised(
    labels: LabelStudio, project: int
) -> None:
    ids = sent(labels, project, 25)
    pages = list(tasks.changed(labels, project, batch=10))
    assert [(len(page.tasks), page.remaining) for page in pages] == [(10, 25), (10, 15), (5, 5)]
    assert listed(iter(pages)) == ids
    assert abs(pages[0].server_time - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_project_without_tasks_has_no_pages(labels: LabelStudio, project: int) -> None:
    assert list(tasks.changed(labels, project)) == []
    assert list(tasks.ids(labels, project)) == []
    assert tasks.count(labels, project) == 0


def test_annotations_come_in_full_skipped_ones_too(labels: LabelStudio, project: int) -> None:
    ids = sent(labels, project, 2)
    made = tasks.annotate(labels, ids[0], labelling.result("chào bạn"), lead_time=4.5)
    skipped = tasks.annotate(labels, ids[1], [], was_cancelled=True)
    first, second = (task for page in tasks.changed(labels, project) for task in page.tasks)
    (there,) = first["annotations"]
    assert there["id"] == made["id"]
    assert there["result"] == labelling.result("chào bạn")
    assert (there["lead_time"], there["was_cancelled"], there["ground_truth"]) == (4.5, False, False)
    assert {"completed_by", "created_at", "updated_at", "parent_prediction"} <= there.keys()
    assert [(a["id"], a["was_cancelled"]) for a in second["annotations"]] == [(skipped["id"], True)]
    assert (first["total_annotations"], second["cancelled_annotations"]) == (1, 1)


def test_only_what_changed_since_is_listed_whatever_the_change(labels: LabelStudio, project: int) -> None:
    ids = sent(labels, project, 8)
    old = {i: tasks.annotate(labels, ids[i], labelling.result("a"))["id"] for i in (0, 1, 2)}
    since = now(labels, project)
    tasks.update_annotation(labels, old[0], result=labelling.result("b"))
    tasks.delete_annotation(labels, old[1])
    tasks.annotate(labels, ids[3], labelling.result("c"))
    tasks.annotate(labels, ids[4], [], was_cancelled=True)
    tasks.update_data(labels, ids[5], labelling.task("new")["data"])
    assert listed(tasks.changed(labels, project, since, batch=2)) == [ids[i] for i in (0, 1, 3, 4, 5)]
    assert listed(tasks.changed(labels, project, now(labels, project))) == []


def test_what_changed_after_a_moment_is_listed_what_changed_just_then_is_compared_and_many_at_one_moment_all(
    labels: LabelStudio, project: int
) -> None:
    ids = sent(labels, project, 20)
    before = now(labels, project)
    labels.post(
        "api/dm/actions",
        params={"id": "predictions_to_annotations", "project": project},
        json={"selectedItems": {"all": False, "included": ids}},
    )
    moments = {task["updated_at"] for page in tasks.changed(labels, project) for task in page.tasks}
    assert listed(tasks.changed(labels, project, before, batch=7)) == ids
    at = max(datetime.fromisoformat(moment) for moment in moments)
    assert listed(tasks.changed(labels, project, at, batch=7)) == []
    just_then = tasks.moments_between(labels, project, at, at)
    assert just_then != {}
    assert just_then == tasks.moments_of(labels, project, list(just_then))
    newest = tasks.newest(labels, project)
    assert newest is not None
    assert (newest.moment, newest.is_ahead) == (at, False)


def test_only_tasks_that_stand_as_they_were_seen_are_counted(labels: LabelStudio, project: int) -> None:
    ids = sent(labels, project, 12)
    since = datetime.now(UTC) - timedelta(minutes=5)
    seen = tasks.moments_between(labels, project, since, now(labels, project))
    assert list(seen) == ids
    assert tasks.count_as_seen(labels, project, seen, "") == 12
    tasks.annotate(labels, ids[0], labelling.result("a"))
    assert tasks.count_as_seen(labels, project, seen, "") == 11
    assert tasks.count_between(labels, project, since, now(labels, project)) == 12
    assert tasks.count_as_seen(labels, project, {}, "") == 0


def test_a_task_that_took_over_the_moment_of_another_is_noticed_with_one_salt_or_the_next(
    labels: LabelStudio, project: int
) -> None:
    early, late = sent(labels, project, 1), sent(labels, project, 1)
    since = datetime.now(UTC) - timedelta(minutes=5)
    seen = tasks.moments_between(labels, project, since, now(labels, project))
    swapped = {early[0]: seen[late[0]], late[0]: seen[early[0]]}
    # With one salt in four they are of one group, and the swap is not seen.
    assert {tasks.count_as_seen(labels, project, swapped, str(salt)) for salt in range(40)} == {0, 2}


@pytest.mark.parametrize("hours", [-11, 0, 11])
def test_a_moment_is_the_same_in_every_time_zone(labels: LabelStudio, project: int, hours: int) -> None:
    ids = sent(labels, project, 2)
    elsewhere = timezone(timedelta(hours=hours))
    after = now(labels, project).astimezone(elsewhere)
    assert listed(tasks.changed(labels, project, after)) == []
    assert listed(tasks.changed(labels, project, after - timedelta(minutes=1))) == ids


def test_tasks_deleted_and_edited_between_pages_make_no_other_task_disappear(
    labels: LabelStudio, project: int
) -> None:
    ids = sent(labels, project, 60)
    seen: list[int] = []
    gone: set[int] = set()
    for number, page in enumerate(tasks.changed(labels, project, batch=10)):
        seen += [task["id"] for task in page.tasks]
        if number < 3:  # two that were read, and two that were not
            away = [ids[number * 10], ids[number * 10 + 5], ids[50 - number * 2], ids[51 - number * 2]]
            tasks.delete(labels, project, away)
            gone |= set(away)
            tasks.annotate(labels, ids[number * 10 + 1], labelling.result("x"))
            tasks.annotate(labels, ids[45], labelling.result("x"))
    assert set(ids) - gone <= set(seen)
    assert len(gone) == 12


def test_tasks_added_between_pages_are_listed(labels: LabelStudio, project: int) -> None:
    ids = sent(labels, project, 10)
    pages = tasks.changed(labels, project, batch=5)
    seen = [task["id"] for task in next(pages).tasks]
    more = sent(labels, project, 4)
    assert seen + listed(pages) == ids + more


def holding_back(kept: slice) -> proxy.Fault:
    def change(found: dict[str, Any]) -> dict[str, Any]:
        rows = list(found["tasks"])
        del rows[kept]
        return {**found, "tasks": rows}

    return proxy.rewriting(change)


def test_a_server_that_keeps_tasks_back_is_found_out(
    between: Proxy, labels: LabelStudio, project: int
) -> None:
    sent(labels, project, 30)
    between.on("GET", LIST + ".*include=id%2Cdata%2Cmeta", holding_back(slice(3, 5)))
    with pytest.raises(Unreachable, match=f"promised 30 tasks above 0 in project {project}, and gave 8"):
        list(tasks.changed(labels, project, batch=10))


def test_a_server_that_gives_nothing_of_what_it_promised_is_found_out(
    between: Proxy, labels: LabelStudio, project: int
) -> None:
    sent(labels, project, 5)
    between.on("GET", LIST, holding_back(slice(0, None)))
    with pytest.raises(Unreachable, match="promised 5 tasks"):
        list(tasks.changed(labels, project))


def test_a_page_that_was_short_once_is_read_again(between: Proxy, labels: LabelStudio, project: int) -> None:
    ids = sent(labels, project, 30)
    between.on("GET", LIST + ".*include=id%2Cdata%2Cmeta", holding_back(slice(3, 5)), nth(2))
    assert sorted(set(listed(tasks.changed(labels, project, batch=10)))) == ids


def test_a_server_with_smaller_pages_than_asked_for_gives_everything(
    between: Proxy, labels: LabelStudio, project: int
) -> None:
    ids = sent(labels, project, 30)
    between.on("GET", LIST, holding_back(slice(4, None)))
    assert listed(tasks.changed(labels, project, batch=10)) == ids


def test_a_404_in_the_middle_is_an_error_and_not_the_end(
    between: Proxy, labels: LabelStudio, project: int
) -> None:
    sent(labels, project, 30)
    between.on("GET", LIST, proxy.answering(404, b'{"detail": "Invalid page."}'), nth(2))
    with pytest.raises(Refused, match="Invalid page"):
        list(tasks.changed(labels, project, batch=10))


def test_a_server_error_in_the_middle_is_tried_again(
    between: Proxy, labels: LabelStudio, project: int
) -> None:
    ids = sent(labels, project, 30)
    between.on("GET", LIST, proxy.answering(500), nth(2, 4))
    assert listed(tasks.changed(labels, project, batch=10)) == ids


def test_a_server_that_ignores_the_order_is_found_out(
    between: Proxy, labels: LabelStudio, project: int
) -> None:
    sent(labels, project, 5)
    between.on("GET", LIST, proxy.rewriting(lambda found: {**found, "tasks": found["tasks"][::-1]}))
    with pytest.raises(Unreachable, match="by ascending id"):
        list(tasks.changed(labels, project))


def test_a_proxy_that_takes_the_body_off_a_read_is_found_out(
    between: Proxy, labels: LabelStudio, project: int
) -> None:
    def bodiless(exchange: Exchange) -> None:
        exchange.body = b""
        exchange.reply(exchange.forward())

    sent(labels, project, 5)
    between.on("GET", LIST, bodiless)
    with pytest.raises(Refused, match="Neither project nor view"):
        list(tasks.changed(labels, project))


def test_the_tasks_of_a_project_that_is_gone_are_not_found(labels: LabelStudio, project: int) -> None:
    labels.delete(f"api/projects/{project}/")
    with pytest.raises(answers.NotFound):
        list(tasks.changed(labels, project))
    with pytest.raises(answers.NotFound):
        tasks.count(labels, project)


def test_an_answer_without_the_servers_time_is_as_good_as_another(
    between: Proxy, labels: LabelStudio, project: int
) -> None:
    def timeless(exchange: Exchange) -> None:
        answer = exchange.forward()
        headers = tuple(pair for pair in answer.headers if pair[0].lower() != "date")
        exchange.reply(proxy.Answer(answer.status, answer.body, headers))

    between.on("GET", LIST, timeless)
    sent(labels, project, 1)
    found = tasks.newest(labels, project)
    assert found is not None
    assert (found.server_time, found.is_ahead) == (None, False)


# some tasks


def test_chosen_tasks_are_fetched_with_annotations_and_deleted_ones_left_out(
    labels: LabelStudio, project: int
) -> None:
    ids = sent(labels, project, 520)
    tasks.annotate(labels, ids[7], labelling.result("x"))
    tasks.delete(labels, project, [ids[3]])
    found = tasks.fetch(labels, project, ids)
    assert [task["id"] for task in found] == ids[:3] + ids[4:]
    assert [task["id"] for task in found if task["annotations"]] == [ids[7]]
    assert tasks.fetch(labels, project, []) == []


def test_all_ids_are_listed_in_portions(labels: LabelStudio, project: int) -> None:
    ids = sent(labels, project, 25)
    assert list(tasks.ids(labels, project, batch=10)) == [ids[:10], ids[10:20], ids[20:]]
    assert tasks.count(labels, project) == 25


def test_deleting_takes_the_named_tasks_and_nothing_takes_nothing(labels: LabelStudio, project: int) -> None:
    ids = sent(labels, project, 6)
    tasks.delete(labels, project, [])
    assert tasks.count(labels, project) == 6
    tasks.delete(labels, project, ids[1:3])
    assert [i for page in tasks.ids(labels, project) for i in page] == [ids[0], *ids[3:]]


def test_replaced_data_can_be_read_and_found(labels: LabelStudio, project: int) -> None:
    ids = sent(labels, project, 1)
    tasks.update_data(labels, ids[0], labelling.task("new-key")["data"])
    assert tasks.find_by_key(labels, project, ["new-key"]) == [(ids[0], "new-key")]
