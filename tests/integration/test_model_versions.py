"""Model versions on a real ledger: one in use per task type, rolled back step by step, and trainings asked
for once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from annotating import Office, said, samples
from lsloop.commands import main
from lsloop.errors import Refused, UsageError
from lsloop.ledger import Ledger, connect, versions
from lsloop.ledger.versions import Version
from world import TRANSCRIPT, config


def version(name: str, task_type: str = TRANSCRIPT) -> Version:
    return Version(
        version=name, task_type=task_type, path=f"models/{task_type}/{name}", weights="ab" * 6,
        base="base/model",
        base_version=None, data_sha256="cd" * 32, params={"epochs": 3}, seed=7, code_version="0.1.0",
        metrics={"new": {"wer": 0.1}},
    )  # fmt: skip


def in_use(ledger: Ledger) -> str | None:
    found = versions.promoted(ledger, TRANSCRIPT)
    return found.version if found else None


def test_one_version_is_in_use_and_rollback_goes_back_step_by_step(ledger: Ledger) -> None:
    for name in ("a", "b"):
        assert versions.register(ledger, version(name))
        assert not versions.register(ledger, version(name))
    assert in_use(ledger) is None
    assert versions.promote(ledger, "a", "linh", "first")
    assert versions.promote(ledger, "b", "linh", "better")
    assert not versions.promote(ledger, "b", "linh", "again")
    assert in_use(ledger) == "b"
    assert versions.roll_back(ledger, TRANSCRIPT, "minh", "it hears ghosts") == ("b", "a")
    assert in_use(ledger) == "a"
    assert versions.roll_back(ledger, TRANSCRIPT, "minh") == ("a", None)
    assert in_use(ledger) is None
    with pytest.raises(Refused, match="nothing to roll back"):
        versions.roll_back(ledger, TRANSCRIPT, "minh")
    said_of_b = [(row["actor"], row["action"], row["reason"]) for row in versions.history(ledger, "b")]
    assert said_of_b == [("linh", "promote", "better"), ("minh", "roll back", "it hears ghosts")]


def test_a_version_is_found_by_how_it_begins_with_all_that_it_was_made_of(ledger: Ledger) -> None:
    versions.register(ledger, version("3fa9-one"))
    versions.register(ledger, version("3fb0-two"))
    found = versions.find(ledger, "3fa")
    assert (found.version, found.params, found.seed, found.metrics) == (
        "3fa9-one",
        {"epochs": 3},
        7,
        {"new": {"wer": 0.1}},
    )
    with pytest.raises(UsageError, match="Several model versions"):
        versions.find(ledger, "3f")
    with pytest.raises(UsageError, match="no model version 'x'"):
        versions.find(ledger, "x")
    with pytest.raises(Refused, match="no model version nothing"):
        versions.promote(ledger, "nothing", "linh")


def test_a_password_in_the_name_of_the_base_is_shown_nowhere(
    ledger: Ledger,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "0" * 40)
    base = "https://me:hunter2@hub.example/model"
    params = f"task_types: {{{TRANSCRIPT}: {{}}}}\nmodels: {{{TRANSCRIPT}: {{base: '{base}'}}}}\n"
    (tmp_path / "params.yaml").write_text(params)
    versions.register(ledger, replace(version("3fa9"), base=base, params={"base": base}))
    for words in (["models", "list"], ["models", "show", "3fa9"], ["status"]):
        for more in ([], ["--json"]):
            main(["-C", str(tmp_path), *words, *more])
            shown = "".join(capsys.readouterr())
            assert "hub.example" in shown
            assert "hunter2" not in shown


def test_the_database_refuses_a_second_version_in_use(ledger: Ledger) -> None:
    for name in ("a", "b"):
        versions.register(ledger, version(name))
    versions.promote(ledger, "a", "linh")
    with pytest.raises(Refused, match="one_promoted_model"), ledger.transaction() as transaction:
        transaction.run("UPDATE model_versions SET promoted_at = now() WHERE version = 'b'")


def test_promotions_at_the_same_time_leave_one_in_use(database_url: str, ledger: Ledger) -> None:
    for name in "abcdefgh":
        versions.register(ledger, version(name))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: versions.promote(ledger, name, "linh"), "abcdefgh"))
    assert [one.in_use for one in versions.listed(ledger)].count(True) == 1


def test_whoever_listens_is_told_of_promotions_and_rollbacks(database_url: str, ledger: Ledger) -> None:
    versions.register(ledger, version("a"))
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute(f"LISTEN {versions.CHANNEL}")
        versions.promote(ledger, "a", "linh")
        versions.roll_back(ledger, TRANSCRIPT, "linh")
        told = [note.payload for note in listener.notifies(timeout=10, stop_after=2)]
    assert told == [TRANSCRIPT, TRANSCRIPT]


RUN = {"data": "cd", "seed": 7}


def states(ledger: Ledger) -> list[tuple[str, int | None]]:
    return [(row["state"], row["milestone"]) for row in reversed(versions.trainings(ledger, TRANSCRIPT))]


def test_requests_that_wait_are_answered_by_one_run(ledger: Ledger) -> None:
    first = versions.request(ledger, TRANSCRIPT, "linh", "more data")
    assert versions.request(ledger, TRANSCRIPT, "minh") == first
    with ledger.in_turn(versions.turn(TRANSCRIPT)):
        assert versions.begin(ledger, TRANSCRIPT, "worker", None, RUN) == first
        assert states(ledger) == [("running", None)]
        assert (
            versions.request(ledger, TRANSCRIPT, "linh") != first
        )  # asked for while one runs: its data may be newer
        versions.end(ledger, first, None, "kept", None)
    assert states(ledger) == [("done", None), ("queued", None)]


def test_a_killed_training_goes_on_when_it_is_the_same_run_and_has_failed_when_not(ledger: Ledger) -> None:
    first = versions.begin(ledger, TRANSCRIPT, "linh", None, RUN)
    assert states(ledger) == [("interrupted", None)]
    assert versions.begin(ledger, TRANSCRIPT, "linh", None, RUN) == first
    assert versions.begin(ledger, TRANSCRIPT, "linh", None, RUN | {"data": "newer"}) != first
    assert states(ledger) == [("failed", None), ("interrupted", None)]


@pytest.fixture
def office(tmp_path: Path, ledger: Ledger, database_url: str) -> Office:
    return Office(ledger, config(tmp_path, database_url, "http://ls.invalid", "token"))


def accept(office: Office, count: int) -> None:
    """So many more accepted annotations."""
    there = int(office.rows("SELECT count(*) AS n FROM samples")[0].n)
    samples(office.ledger, {f"clip-{there + i}": "crawled" for i in range(count)})
    numbers = office.push(count)
    for number in numbers:
        office.answer(number, "linh", said(f"heard {number}"))
    office.pull(numbers)


def test_each_milestone_asks_for_one_training_however_often_and_by_how_many_it_is_seen(
    office: Office, database_url: str, ledger: Ledger
) -> None:
    def see() -> int | None:
        opened = connect(database_url, check_schema=False)
        try:
            return versions.reach(opened, TRANSCRIPT, [2, 4], 5)
        finally:
            opened.close()

    assert see() is None
    accept(office, 2)
    with ThreadPoolExecutor(6) as pool:
        asked = list(pool.map(lambda _: see(), range(6)))
    assert len([one for one in asked if one]) == 1
    assert states(ledger) == [("queued", 2)]
    accept(office, 9)  # 4, 5 and 10 at once: one training, for the last
    assert see() is not None
    assert see() is None
    assert states(ledger) == [("superseded", 2), ("superseded", 4), ("superseded", 5), ("queued", 10)]
