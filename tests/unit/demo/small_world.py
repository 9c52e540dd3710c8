"""A small demo world in which every promise holds: tests break it in one place at a time."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID

from lsloop.demo.annotators import Intent
from lsloop.demo.crawler import Change
from lsloop.demo.proof import Seen, World
from lsloop.demo.shift import Submission

AN, BINH, LEAD = "an@demo.invalid", "binh@demo.invalid", "dung@demo.invalid"
CAME = "tôi mua cá"

CLIPS = ["agreed", "edited", "disputed", "skipped", "deleted", "merged", "replaced", "late", "gold"]
TASKS = {name: number for number, name in enumerate([*CLIPS, "replaced#reflow-1", "dispute"], 1)}


def key(number: int) -> UUID:
    return UUID(int=number)


def altered(row: Any, **changes: Any) -> Any:
    return SimpleNamespace(**{**vars(row), **changes})


def said(name: str, number: int, text: str | None, annotator: str = AN, **changes: Any) -> Submission:
    result = [] if text is None else [{"value": {"text": [text]}}]
    clip = "disputed" if name == "dispute" else name.partition("#")[0]
    return Submission(
        clip, key(TASKS[name]), "", number, annotator, Intent(False, "", "", ""), result, text, **changes
    )


SUBMITTED = [
    said("agreed", 1, "tôi bán cá"),
    said("agreed", 2, "tôi bán cá", BINH),
    said("edited", 3, "tôi bán cá"),
    said("edited", 4, "tôi bán cá", BINH),
    said("edited", 3, "tôi bán trà"),
    said("edited", 4, "tôi bán trà", BINH),
    said("disputed", 5, "mẹ"),
    said("disputed", 6, "bạn cần trà", BINH),
    said("dispute", 7, "bạn cần cá", LEAD),
    said("skipped", 8, None),
    said("deleted", 9, "họ"),
    said("deleted", 9, "họ", deleted=True),
    said("merged", 10, "tôi bán cá"),
    said("merged", 11, "tôi bán cá", BINH),
    said("replaced", 12, "tôi bán cá"),
    said("replaced", 13, "tôi bán cá", BINH),
    said("gold", 14, "tôi bán trà"),
]
CHANGES = [
    Change("merged", "mended"),
    Change("replaced", "media"),
    Change("late", "mended"),
    Change("agreed", "translation"),
]
WORLD = World(
    task_type="t",
    field="transcript",
    agreement=0.9,
    came=dict.fromkeys(CLIPS, CAME),
    upstream=dict.fromkeys(CLIPS, CAME) | {"merged": "tôi mua cá nay", "late": "họ mua cá"},
    submitted=SUBMITTED,
    changes=CHANGES,
    before_start=["late"],
)


def task(name: str) -> dict[str, Any]:
    """A task as Label Studio shows it."""
    clip, is_dispute = ("disputed", True) if name == "dispute" else (name.partition("#")[0], False)
    number, text = TASKS[name], WORLD.upstream[clip]
    return {
        "id": number,
        "data": {"audio": f"http://h/{clip}.wav?x=1", "task_key": str(key(number)), "text": text,
                 "sample_id": str(key(TASKS[clip] if is_dispute else number)),
                 "candidates": "A, B" if is_dispute else ""},
        "predictions": [{"id": number, "model_version": "upstream", "score": None,
                         "result": [{"value": {"text": [text]}}]}],
        "overlap": 2, "created_at": number,
    }  # fmt: skip


THERE = [task(name) for name in TASKS]
FIRST = [task(name) for name in CLIPS]


def row(name: str) -> Any:
    sample = "disputed" if name == "dispute" else name
    return SimpleNamespace(
        task_key=key(TASKS[name]), ls_task_id=TASKS[name], sample_id=key(TASKS[sample]), external_id=sample,
        is_gold_probe=name == "gold", adjudicates=key(TASKS["disputed"]) if name == "dispute" else None,
        overlap=2,
        shows_today=True, state="",
    )  # fmt: skip


def version(one: Submission) -> Any:
    return SimpleNamespace(
        task_key=one.task_key,
        ls_annotation_id=one.ls_annotation_id,
        annotator=one.annotator,
        result=one.result,
        was_cancelled=one.text is None,
        deleted=one.deleted,
    )


def upstream(name: str, value: str = CAME, reason: str | None = None) -> Any:
    return SimpleNamespace(
        external_id=name, value=value, origin="upstream", actor="demo", reason=reason, task_key=None,
        ls_annotation_id=None, held=False,
    )  # fmt: skip


def human(name: str, value: str, number: int, **changes: Any) -> Any:
    sample = "disputed" if name == "dispute" else name
    given = {"origin": "human", "actor": AN, "reason": None, "held": True, **changes}
    return SimpleNamespace(
        external_id=sample, value=value, task_key=key(TASKS[name]), ls_annotation_id=number, **given
    )


REVISIONS = [
    upstream("agreed"),
    human("agreed", "tôi bán cá", 1),
    upstream("deleted"),
    human("deleted", "họ", 9, held=False),
    upstream("deleted", reason="its annotation was deleted in Label Studio"),
    upstream("disputed"),
    human("dispute", "bạn cần cá", 7, actor=LEAD),
    upstream("edited"),
    human("edited", "tôi bán cá", 3, held=False),
    human("edited", "tôi bán trà", 3, reason="edited after acceptance"),
    upstream("gold"),
    upstream("late"),
    upstream("late", "họ mua cá"),
    upstream("merged"),
    upstream("merged", "tôi mua cá nay"),
    human("merged", "tôi bán cá nay", 10, origin="merged"),
    upstream("replaced"),
    upstream("replaced#reflow-1"),
    upstream("skipped"),
]


def seen() -> Seen:
    """What a ledger says that keeps every promise."""
    held = {one.external_id: one.value for one in REVISIONS if one.held}
    names = [*CLIPS, "replaced#reflow-1"]
    return Seen(
        tasks=[row(name) for name in TASKS],
        annotation_versions=[version(one) for one in SUBMITTED],
        revisions=list(REVISIONS),
        current=[SimpleNamespace(sample_id=key(TASKS[name]), external_id=name,
        is_gold_standard=name == "gold",
                                 value=held.get(name,
                                 WORLD.upstream[name.partition("#")[0]])) for name in names],
        conflicts=[conflict("merged", 10, ["transcript"], "merged"),
        conflict("replaced", 12, ["media"], "pending_reflow")],
    )  # fmt: skip


def conflict(name: str, number: int, fields: list[str], resolution: str) -> Any:
    return SimpleNamespace(
        external_id=name, task_key=key(TASKS[name]), ls_annotation_id=number, fields=fields,
        status="resolved",
        resolution=resolution,
    )  # fmt: skip
