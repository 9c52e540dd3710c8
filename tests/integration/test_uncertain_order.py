"""The order `uncertain`: what models are least sure of first, speakers in turns, and a share that chance
chooses."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lsloop.ledger import Ledger, projects, samples, tasks
from lsloop.ledger.tasks import Plan
from lsloop.records import Project

PLAN = Plan("transcript_correction", ("media",), ("transcript",), order="uncertain")


def crawl(ledger: Ledger, groups: Mapping[str, str | None]) -> None:
    with samples.incoming(ledger) as incoming:
        incoming.copy(
            (i, "crawler", name, "{}", group, 0, f"{name}.wav", 1, 1)
            for i, (name, group) in enumerate(groups.items())
        )
        incoming.measured(samples.Media(f"{name}.wav", f"md5 of {name}", 1.0) for name in groups)
        incoming.apply(prune=False)


def predict(ledger: Ledger, uncertainties: Mapping[str, float]) -> None:
    with ledger.transaction() as transaction:
        transaction.run(
            """INSERT INTO predictions (sample_id, task_type, model_version, value, uncertainty, sync_version)
               SELECT sample_id, 'transcript_correction', 'm', '{}', n.u, sync_version
                 FROM unnest(CAST(:names AS text[]), CAST(:us AS double precision[])) n(name, u)
                 JOIN samples ON external_id = n.name""",
            names=list(uncertainties), us=list(uncertainties.values()),
        )  # fmt: skip


def planned(ledger: Ledger, plan: Plan = PLAN, limit: int = 100) -> list[str]:
    return [sample.external_id for sample in tasks.eligible(ledger, plan, limit, "")]


def claimed(ledger: Ledger, plan: Plan, limit: int, batch: int) -> list[str]:
    """What a push in batches claims, in order; it is written down as a push does."""
    line, left, found = tasks.line_up(ledger, plan, limit), limit, []
    while left > 0:
        size = min(batch, left)
        among = None if line is None else line[:size]
        got = tasks.claim(ledger, project(ledger), plan, size, claimed_by="t", among=among)
        line = None if line is None else line[got.passed :]
        if not got.keys and not line:
            break
        left -= len(got.keys)
        found += [claim.sample.external_id for claim in tasks.content(ledger, got.keys)]
    return found


def project(ledger: Ledger) -> Project:
    return projects.bind(ledger, projects.reserve(ledger, PLAN.task_type, "office"), 1, "<View/>")


def test_speakers_take_turns_and_the_most_uncertain_of_each_goes_first(ledger: Ledger) -> None:
    crawl(ledger, {"a1": "an", "a2": "an", "a3": "an", "b1": "binh", "b2": "binh", "solo": None})
    predict(ledger, {"a1": 0.9, "a2": 0.95, "a3": 0.8, "b1": 0.1, "b2": 0.2, "solo": 0.5})
    assert planned(ledger) == ["a2", "solo", "b2", "a1", "b1", "a3"]


def test_samples_without_prediction_follow_the_oldest_first(ledger: Ledger) -> None:
    crawl(ledger, {"new 1": "an", "sure": "binh", "new 2": "an"})
    predict(ledger, {"sure": 0.01})
    assert planned(ledger) == ["sure", "new 1", "new 2"]


def test_what_was_predicted_of_older_content_does_not_count(ledger: Ledger) -> None:
    crawl(ledger, {"a": None, "b": None})
    predict(ledger, {"a": 0.9, "b": 0.1})
    with ledger.transaction() as transaction:
        transaction.run("SELECT writing_of_ours(true)")
        transaction.run(
            """UPDATE samples SET sync_version = 2, field_versions = '{"media": 2}' WHERE external_id = 'a'"""
        )
    assert planned(ledger) == ["b", "a"]


def test_chance_fills_its_share_of_the_places_evenly_and_by_the_seed(ledger: Ledger) -> None:
    names = {f"{i:02}": None for i in range(40)}
    crawl(ledger, names)
    predict(ledger, {name: 1 - i / 40 for i, name in enumerate(names)})
    plan = replace(PLAN, random_share=0.25, seed="7")
    line = planned(ledger, plan, 20)
    assert line == planned(ledger, plan, 20)
    assert line != planned(ledger, replace(plan, seed="8"), 20)
    drawn = line[3::4]  # every fourth place
    rest = [name for name in line if name not in drawn]
    assert len(drawn) == 5
    assert rest == sorted(rest)
    assert rest == [name for name in names if name not in drawn][:15]
    assert planned(ledger, replace(plan, random_share=0), 20) == list(names)[:20]
    assert sorted(planned(ledger, replace(plan, random_share=1), 40)) == list(names)


def test_a_sample_that_somebody_took_meanwhile_is_passed_over(ledger: Ledger) -> None:
    crawl(ledger, {"a": None, "b": None, "c": None})
    predict(ledger, {"a": 0.9, "b": 0.5, "c": 0.1})
    line = tasks.line_up(ledger, PLAN, 3)
    with ledger.transaction() as transaction:
        transaction.rows(
            "SELECT lock_sample_for_annotation(sample_id, 'crawler') FROM samples WHERE external_id = 'a'"
        )
    got = tasks.claim(ledger, project(ledger), PLAN, 1, claimed_by="t", among=line)
    assert [claim.sample.external_id for claim in tasks.content(ledger, got.keys)] == ["b"]
    assert got.passed == 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    groups=st.lists(st.sampled_from(["an", "binh", "chi", None]), min_size=1, max_size=12),
    doubts=st.lists(st.sampled_from([None, 0.1, 0.5, 0.9]), min_size=12, max_size=12),
    limit=st.integers(1, 14),
    batch=st.integers(1, 5),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
def test_a_push_in_batches_takes_what_a_dry_run_says(
    ledger: Ledger,
    groups: Sequence[str | None],
    doubts: Sequence[float | None],
    limit: int,
    batch: int,
    share: float,
) -> None:
    with ledger.transaction() as transaction:
        transaction.run("UPDATE samples SET deleted_at = now() WHERE deleted_at IS NULL")
        example = transaction.value("SELECT count(*) FROM samples")
    names = [f"{example + i}" for i in range(len(groups))]
    crawl(ledger, dict(zip(names, groups, strict=True)))
    predict(ledger, {name: doubt for name, doubt in zip(names, doubts, strict=False) if doubt is not None})
    plan = replace(PLAN, random_share=share, seed="s")
    line = planned(ledger, plan, limit)
    assert len(line) == min(limit, len(groups))
    assert claimed(ledger, plan, limit, batch) == line


@pytest.mark.parametrize("order", ["oldest", "priority", "random"])
def test_other_orders_are_found_batch_by_batch(ledger: Ledger, order: str) -> None:
    crawl(ledger, {str(i): None for i in range(7)})
    plan = replace(PLAN, order=order, seed="s")  # type: ignore[arg-type]
    line = planned(ledger, plan, 5)
    assert claimed(ledger, plan, 5, 2) == line
