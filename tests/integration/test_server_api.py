"""/api: conflicts are listed and decided by who holds the token, by Label Studio's number of the
annotation."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from lsloop.ledger import Ledger, connect, events
from lsloop.server import metrics as server_metrics
from lsloop.server.api import Desk
from office import SERVER, Office
from serving import serving
from world import config

TOKEN = "a-token-of-the-tests"


@dataclass
class Api:
    """A server over an office with three conflicts: one that merges, one whose edits overlap, one about a
    recording."""

    url: str
    office: Office

    def get(self, path: str, **params: Any) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", params=params, headers={"Authorization": f"Bearer {TOKEN}"})

    def resolve(
        self, number: int | str, resolution: str, actor: str | bytes | None = None, **params: Any
    ) -> httpx.Response:
        headers: dict[str, Any] = {"Authorization": f"Token {TOKEN}"} | ({"X-Actor": actor} if actor else {})
        url = f"{self.url}/api/resolve-conflict/{number}"
        return httpx.post(url, params={"resolution": resolution, **params}, headers=headers)

    def number(self, external_id: str) -> int:
        """Label Studio's number of the answer to a sample."""
        return self.office.there[external_id].annotations[0].ls_annotation_id


@pytest.fixture
def api(ledger: Ledger, database_url: str, tmp_path: Path) -> Iterator[Api]:
    office = Office(ledger)
    for name in ("plain", "merges", "overlaps", "media"):
        office.crawl(name, transcript="một hai ba bốn năm")
    office.send()
    office.crawl("merges", transcript="một hai ba bốn NĂM")
    office.crawl("overlaps", transcript="một hai BA bốn năm")
    office.crawl("media", media="2", transcript="một hai ba bốn năm")
    # Annotation 1 is in no conflict, 2 in conflict 1, 3 in conflict 2, 4 in conflict 3.
    office.numbers = count(1)
    office.answer("plain", "một hai ba bốn năm sáu")
    office.answer("merges", "MỘT hai ba bốn năm")
    office.answer("overlaps", "một hai 3 bốn năm")
    office.answer("media", "MỘT hai ba bốn năm")
    desk = Desk(ledger, config(tmp_path, database_url, SERVER, "x"), TOKEN)
    with serving(tmp_path, desk=desk) as url:
        yield Api(url, office)


def test_conflicts_are_listed_filtered_and_paged(api: Api) -> None:
    def ids(**params: Any) -> list[int]:
        return [c["conflict_id"] for c in api.get("/api/conflicts", **params).json()["conflicts"]]

    whole = api.get("/api/conflicts").json()
    first = whole["conflicts"][0]
    assert (whole["total"], whole["next"], ids()) == (3, None, [1, 2, 3])
    assert first["annotation_id"] == api.number("merges")
    assert (first["fields"], first["status"], first["annotator"]) == (["transcript"], "open", "an")
    assert first["base"]["fields"]["transcript"] == "một hai ba bốn năm"
    assert (first["ours"]["transcript"], first["theirs"]["fields"]["transcript"]) == (
        "MỘT hai ba bốn năm",
        "một hai ba bốn NĂM",
    )
    assert ids(field="media") == [3]
    assert ids(task_type="transcript_verification") == [1, 2, 3]
    assert ids(task_type="translation_review") == []
    page = api.get("/api/conflicts", limit=2).json()
    assert (page["next"], page["total"], ids(limit=2, after=page["next"])) == (2, 3, [3])
    api.resolve(api.number("merges"), "merged")
    assert (ids(), ids(status="resolved"), ids(status="all")) == ([2, 3], [1], [3, 2, 1])
    assert ids(status="all", after=2) == [1]


@pytest.mark.parametrize(
    ("resolution", "value", "origin"),
    [
        ("human_wins", "MỘT hai ba bốn năm", "human"),
        ("crawler_wins", "một hai ba bốn NĂM", "upstream"),
        ("merged", "MỘT hai ba bốn NĂM", "merged"),
        ("pending_reflow", "một hai ba bốn NĂM", "upstream"),
    ],
)
def test_each_strategy_decides_as_the_command_does(
    api: Api, resolution: str, value: str, origin: str
) -> None:
    number = api.number("merges")
    done = api.resolve(number, resolution, "linh", reason="I listened")
    told = done.json()
    assert (done.status_code, told["annotation_id"], told["conflict_id"]) == (200, number, 1)
    assert (told["status"], told["resolution"], told["actor"]) == ("resolved", resolution, "linh")
    assert (told["reflow_sample_id"] is not None) == (resolution == "pending_reflow")
    assert api.office.current("merges") == value
    assert api.office.history("merges")[-1] == (value, origin)
    (conflict,) = api.get("/api/conflicts", status="resolved").json()["conflicts"]
    assert (conflict["actor"], conflict["decided_because"]) == ("linh", "I listened")
    audit = api.office.rows("SELECT actor, action, reason FROM audit WHERE about = 'conflict 1'")
    assert [tuple(row) for row in audit] == [("linh", resolution, "I listened")]


def test_without_a_name_the_actor_is_the_api_and_names_may_be_in_any_script(api: Api) -> None:
    assert api.resolve(api.number("merges"), "merged").json()["actor"] == "api"
    assert (
        api.resolve(api.number("overlaps"), "human_wins", "Nguyễn Thị Linh".encode()).json()["actor"]
        == "Nguyễn Thị Linh"
    )


def test_a_decision_is_made_once(api: Api) -> None:
    number = api.number("overlaps")
    assert api.resolve(number, "human_wins", "linh").status_code == 200
    again = api.resolve(number, "crawler_wins")
    assert (again.status_code, again.json()["error"]) == (409, "Conflict 2 is not open: human_wins by linh.")
    assert again.json()["fix"]
    assert api.office.current("overlaps") == "một hai 3 bốn năm"


def test_a_merge_that_cannot_be_is_409_and_changes_nothing(api: Api) -> None:
    refused = api.resolve(api.number("overlaps"), "merged")
    assert refused.status_code == 409
    assert (
        refused.json()["error"]
        == "Conflict 2 cannot be merged: both sides changed the same part of transcript."
    )
    assert len(api.get("/api/conflicts").json()["conflicts"]) == 3


def test_a_decision_on_what_has_moved_since_is_409(api: Api) -> None:
    seen = api.get("/api/conflicts").json()["conflicts"][0]["seen"]
    api.office.crawl("merges", transcript="một hai ba bốn NĂM sáu")
    moved = api.resolve(api.number("merges"), "human_wins", seen=seen)
    assert (moved.status_code, moved.json()["error"]) == (409, "Conflict 1 moved on since it was looked at.")
    seen = api.get("/api/conflicts").json()["conflicts"][0]["seen"]
    assert api.resolve(api.number("merges"), "human_wins", seen=seen).status_code == 200


def test_the_number_of_an_annotation_never_stands_for_another_ones_conflict(api: Api) -> None:
    none = api.resolve(api.number("plain"), "crawler_wins")  # 1, which is also a conflict's number
    assert (none.status_code, none.json()["error"]) == (404, "Annotation 1 is in no conflict.")
    assert api.office.value("SELECT count(*) FROM conflicts WHERE status = 'open'") == 3
    api.resolve(2, "merged")
    assert api.resolve(2, "crawler_wins").status_code == 409  # conflict 2 is about annotation 3
    assert api.office.value("SELECT status FROM conflicts WHERE conflict_id = 2") == "open"


def test_a_number_that_is_no_annotations_is_the_conflicts(api: Api) -> None:
    api.office.value("SELECT setval(pg_get_serial_sequence('conflicts', 'conflict_id'), 99)")
    api.office.crawl("late", transcript="một hai")
    api.office.numbers = count(10)
    api.office.send()
    api.office.crawl("late", transcript="một HAI")
    api.office.answer("late", "MỘT hai")
    assert [c["conflict_id"] for c in api.get("/api/conflicts").json()["conflicts"]][-1] == 100
    assert api.resolve(100, "human_wins").json()["annotation_id"] == api.number("late")
    missing = api.resolve(101, "merged")
    assert (missing.status_code, missing.json()["error"]) == (
        404,
        "There is no annotation and no conflict 101.",
    )


def test_stats_are_what_status_shows(api: Api) -> None:
    told = api.get("/api/stats").json()
    assert told["samples"] == {"samples": 4, "deleted": 0, "gold": 0}
    assert told["conflicts"] == {"open": 3, "decided": 0, "withdrawn": 0}
    assert told["annotations"] == {"annotations": 4, "not_understood": 0, "annotators": 1}
    assert told["locks"]["in_label_studio"] == 3
    row = told["task_types"]["transcript_correction"]
    assert (row["accepted"], row["conflicted"], row["open"]) == (1, 3, 0)
    assert [(one["annotator"], one["answered"]) for one in told["annotators"]] == [("an", 4)]


# --- metrics


def metrics(api: Api) -> str:
    got = httpx.get(f"{api.url}/metrics")
    assert (got.status_code, got.headers["content-type"][:10]) == (200, "text/plain")
    return got.text


def test_metrics_count_the_ledger_and_the_requests(api: Api) -> None:
    api.get("/api/conflicts")
    httpx.get(f"{api.url}/nowhere/at/all")
    api.resolve(99, "merged")
    told = metrics(api).splitlines()
    assert {
        "lsloop_ledger_up 1.0",
        "lsloop_samples 4.0",
        'lsloop_tasks{state="accepted",task_type="transcript_correction"} 1.0',
        'lsloop_tasks{state="conflicted",task_type="transcript_correction"} 3.0',
        'lsloop_conflicts_open{task_type="transcript_correction"} 3.0',
        'lsloop_locks{kind="task"} 3.0',
        'lsloop_http_requests_total{method="GET",route="/api/conflicts",status="200"} 1.0',
        'lsloop_http_requests_total{method="GET",route="none",status="404"} 1.0',
        (
            'lsloop_http_requests_total{method="POST",route="/api/resolve-conflict/{annotation_id}",'
            'status="404"} 1.0'
        ),
    } <= set(told)


def test_the_lag_of_the_last_pull_is_told(api: Api) -> None:
    api.office.rows("UPDATE projects SET pulled_at = now() - interval '90 seconds' RETURNING 1")
    (line,) = (line for line in metrics(api).splitlines() if line.startswith("lsloop_pull_age_seconds{"))
    assert 90 <= float(line.split()[-1]) < 100


def test_events_that_wait_and_that_were_given_up_are_counted(api: Api) -> None:
    for number in range(3):
        events.store(api.office.ledger, "/webhook", str(number).encode(), {"action": "X"})
    api.office.rows(
        "UPDATE events SET received_at = now() - interval '40 seconds' WHERE event_id = 1 RETURNING 1"
    )
    api.office.rows("UPDATE events SET state = 'failed' WHERE event_id = 2 RETURNING 1")
    told = metrics(api).splitlines()
    assert {'lsloop_events{state="waiting"} 2.0', 'lsloop_events{state="given_up"} 1.0'} <= set(told)
    (line,) = (line for line in told if line.startswith("lsloop_event_wait_seconds "))
    assert 40 <= float(line.split()[-1]) < 50


def test_counts_are_read_again_only_after_a_while(api: Api) -> None:
    assert "lsloop_samples 4.0" in metrics(api)
    api.office.crawl("one more", transcript="x")
    assert "lsloop_samples 4.0" in metrics(api)


def test_a_database_that_hangs_is_not_waited_for_and_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_metrics, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/x"
        desk = Desk(connect(place, check_schema=False), config(tmp_path, place, SERVER, "x"), TOKEN)
        with serving(tmp_path, desk=desk) as url:
            told = [httpx.get(f"{url}/metrics", timeout=10).text for _ in range(3)]
        silent.settimeout(0.2)
        silent.accept()[0].close()
        with pytest.raises(TimeoutError):
            silent.accept()
    assert all("lsloop_ledger_up 0.0" in text and "lsloop_tasks" not in text for text in told)
