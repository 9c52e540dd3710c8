"""The words of the house as frozen records.

They are what the ledger returns and the steps pass on.
"""

import os
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

import orjson

Value = dict[str, Any]
"""What people or models said about a sample: field name → value. Which keys are sample fields is the task
type's `WRITES`; the other keys (flags, confidence, notes) are kept with the revision."""

Result = list[dict[str, Any]]
"""Regions as Label Studio stores them, in an annotation or a prediction."""

Order = Literal["uncertain", "priority", "oldest", "random"]
"""Which eligible samples a push takes first."""

Split = Literal["train", "validation", "test"]
"""What a sample is used for, for ever."""

Strategy = Literal["human_wins", "crawler_wins", "merged", "pending_reflow"]
"""How a conflict is decided."""


@dataclass(frozen=True)
class Sample:
    """One unit of data.

    `fields` holds the current value of every field, `media_path` is relative to data/raw.
    """

    sample_id: UUID
    external_id: str
    fields: dict[str, Any] = field(default_factory=dict)
    media_path: str | None = None
    media_md5: str | None = None
    duration: float | None = None  # seconds
    width: int | None = None  # pixels
    height: int | None = None  # pixels
    frame_rate: float | None = None  # of a film, a second
    frames: int | None = None
    pages: int | None = None
    sync_version: int = 1


@dataclass(frozen=True)
class Prediction:
    """What one model version proposed for a sample.

    `score` is in [0, 1] where the model has one.
    """

    value: Value
    model_version: str
    score: float | None = None
    uncertainty: float | None = None


@dataclass(frozen=True)
class Project:
    """A Label Studio project as the ledger knows it.

    `project_id` is the ledger's, `ls_project_id` Label Studio's. `label_config` is as it was last seen there;
    what lsloop last wrote there stands in `written_…`.
    """

    project_id: int
    task_type: str
    server: str
    marker: UUID
    ls_project_id: int | None = None  # None until `setup` found or made it
    label_config: str | None = None
    cursor: datetime | None = None  # Label Studio's time
    webhook_url: str | None = None  # where Label Studio was asked to send its events
    ls_created_at: str | None = None  # as Label Studio says it
    written_label_config: str | None = None
    written_overlap: int | None = None
    written_model_version: str | None = None


@dataclass(frozen=True)
class Claim:
    """A task written down before it is sent.

    It holds the sample as it was, and the key that travels with it. `candidates` are the answers that an
    adjudication is to decide between, the one closest to the others first.
    """

    task_key: UUID
    sample: Sample
    prediction: Prediction | None = None
    candidates: tuple[Value, ...] = ()


def result_hash(result: Result) -> str:
    """A digest of the regions, whatever the order of their keys."""
    return sha256(orjson.dumps(result, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True)
class Annotation:
    """One annotation of a task, as Label Studio has it now.

    Times are Label Studio's. `edited_by` changed it last, where that was somebody else than its annotator.
    `says_nothing`: it is empty, invisible or impossible, which `problem` says in words. `raw` is what came
    where it cannot be kept as a `result`.
    """

    ls_annotation_id: int
    annotator: str
    result: Result
    value: Value | None
    problem: str | None
    was_cancelled: bool
    ground_truth: bool
    lead_time: float | None  # seconds
    created_at: datetime
    updated_at: datetime
    edited_by: str | None = None
    says_nothing: bool = False
    raw: str | None = None

    @property
    def digest(self) -> str:
        """The digest of the regions, whatever the order of their keys.

        Where they cannot be kept, it is of what came.
        """
        if self.raw is not None:
            return sha256(self.raw.encode()).hexdigest()
        return result_hash(self.result)


@dataclass(frozen=True)
class Task:
    """A task as Label Studio has it now, with the full set of its annotations.

    Without `is_whole` some of them may lack.
    """

    ls_task_id: int
    task_key: UUID | None
    updated_at: datetime | None
    annotations: tuple[Annotation, ...]
    is_whole: bool = True


@dataclass(frozen=True)
class Reviewed:
    """A sample with what people accepted for it in one task type.

    `document` is all that the ledger says of it; `answers` in it: field → value, revision, annotator, remarks
    and more. `rows` are its training rows of the task type. A sample without split, and gold, is not trained
    or tested on.
    """

    sample_id: str
    split: Split | None
    arrival: int
    document: dict[str, Any]
    rows: list[dict[str, Any]]
    media: str | None  # a path; not a Path, which takes as long to make as the file takes to be linked
    result: tuple[
        dict[str, Any], ...
    ] = ()  # as Label Studio would hold it; only where the layout asks for it

    @property
    def media_suffix(self) -> str:
        """The suffix of the media file in small letters (`.wav`).

        Empty without media.
        """
        suffix = os.path.splitext(self.media)[1].lower() if self.media else ""
        return "" if suffix == "." else suffix
