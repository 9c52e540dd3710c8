from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from pydantic import ValidationError

from lsloop import task_types
from lsloop.config import Conflicts, Params
from lsloop.ledger.conflicts import Conflict
from lsloop.steps import conflict

SHIPPED = Path(__file__).parents[3] / "params.yaml"


def dispute(kind: str, fields: list[str], base: Any, ours: Any, theirs: Any) -> Conflict:
    """A conflict about the first field that the kind writes."""
    found = task_types.load(kind)
    (name,) = found.WRITES
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return Conflict(
        conflict_id=1, task_type=kind, external_id="a", sample_id=UUID(int=1), task_key=UUID(int=2),
        ls_project_id=1,
        ls_task_id=1, ls_annotation_id=1, annotator="an", fields=fields,
        moved=dict.fromkeys(fields, "upstream"),
        base={"fields": {} if base is None else {name: base}}, ours={name: ours},
        theirs={"fields": {} if theirs is None else {name: theirs}}, reads=list(found.READS),
        writes=list(found.WRITES),
        status="open", resolution=None, reason="", decided_because=None, actor=None, reflow_sample_id=None,
        created_at=moment, resolved_at=None, automatic=True, tried=None, seen="", waits=False,
    )  # fmt: skip


def segment(start: float, end: float, language: str = "Vietnamese") -> dict[str, Any]:
    return {"start": start, "end": end, "language": language, "tags": []}


SEGMENTS = [segment(0, 1), segment(1, 2), segment(2, 3)]
OUR_FIRST = [segment(0, 1, "English"), *SEGMENTS[1:]]
THEIR_LAST = [*SEGMENTS[:2], segment(2, 3, "Noise")]


@pytest.mark.parametrize(
    ("kind", "base", "ours", "theirs", "merged"),
    [
        ("transcript_correction", "a b c d", "x b c d", "a b c y", "x b c y"),
        ("transcript_correction", "a b c", "a x c", "a y c", None),
        ("transcript_correction", "h\u1ecdc", "h\u1ecdc hay", "ho\u0323c", "h\u1ecdc hay"),
        ("transcript_correction", None, "heard", "crawled", None),
        ("transcript_correction", "a b", "a b c", None, None),
        ("translation_review", "a b c d", "x b c d", "a b c y", "x b c y"),
        ("audio_segmentation", SEGMENTS, OUR_FIRST, THEIR_LAST, [OUR_FIRST[0], SEGMENTS[1], THEIR_LAST[2]]),
        ("audio_segmentation", SEGMENTS, OUR_FIRST, [segment(0, 1, "Noise"), *SEGMENTS[1:]], None),
        ("audio_segmentation", SEGMENTS, OUR_FIRST, "not segments", None),
        ("audio_segmentation", SEGMENTS, OUR_FIRST, 7, None),
    ],
)  # fmt: skip
def test_a_merge_has_both_sides_changes_or_is_left_to_people(
    kind: str, base: Any, ours: Any, theirs: Any, merged: Any
) -> None:
    (name,) = task_types.load(kind).WRITES
    found = conflict.merged(task_types.load(kind), dispute(kind, [name], base, ours, theirs))
    assert (found and found[name]) == merged


def test_nothing_is_merged_when_what_the_annotator_judged_from_has_changed() -> None:
    kind = task_types.load("transcript_correction")
    found = dispute("transcript_correction", ["media", "transcript"], "a b c d", "x b c d", "a b c y")
    assert conflict.merged(kind, found) is None
    assert conflict.why_not_merged(kind, found) == "media changed, which the annotator judged from"


def test_a_changed_recording_cannot_be_set_to_merge() -> None:
    with pytest.raises(ValidationError):
        Conflicts.model_validate({"media": "merged"})


def test_every_shipped_task_type_takes_peoples_word_and_sends_new_recordings_round_again() -> None:
    params = Params.model_validate(yaml.safe_load(SHIPPED.read_text(encoding="utf-8")))
    rules = {(one.conflicts.text, one.conflicts.media) for one in params.task_types.values()}
    assert rules == {("human_wins", "pending_reflow")}
    assert (Conflicts().text, Conflicts().media) == ("human_wins", "pending_reflow")
