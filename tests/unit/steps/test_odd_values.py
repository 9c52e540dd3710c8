"""A reference, or an answer, that a kind cannot compare holds up nobody else's."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from lsloop import task_types
from lsloop.errors import UsageError
from lsloop.ledger.consensus import Undecided
from lsloop.ledger.gold import Unscored
from lsloop.records import Project
from lsloop.steps import consensus, gold

ODD: list[Any] = [
    7,
    0.5,
    True,
    {"a": 1},
    [1],
    [[]],
    "x",
    [{"start": 0, "end": 1, "language": "Noise", "tags": 7}],
]
SEGMENT = {"start": 0.0, "end": 1.0, "language": "Noise", "tags": []}


@pytest.mark.parametrize("odd", ODD)
def test_a_reference_that_is_none_is_refused_in_words_and_skipped_by_name_where_it_came_by_sql(
    odd: Any,
) -> None:
    kind = task_types.load("audio_segmentation")
    with pytest.raises(UsageError, match="cannot be understood"):
        gold.check_reference({"segments": odd}, [kind])
    examiner = gold.Examiner(Project(1, "audio_segmentation", "http://ls", UUID(int=2)), kind, 20, 0.5)
    assert examiner._scored(Unscored(1, 1, 1, "clip-7", {"segments": [SEGMENT]}, {"segments": odd})) is None
    assert "clip-7" in examiner.problems[0]


@pytest.mark.parametrize(
    "error", [KeyError("x"), AttributeError(), ZeroDivisionError(), TypeError(), IndexError()]
)
def test_answers_that_a_kind_cannot_compare_do_not_agree(error: Exception) -> None:
    def agree(a: Any, b: Any) -> float:
        raise error

    kind: Any = SimpleNamespace(agree=agree, WRITES=("tone",))
    verdict = consensus.Jury(kind, 0.9)._verdict(
        Undecided(UUID(int=1), "digest", [11, 12], [{"tone": 1}, {"tone": 2}])
    )
    assert (verdict.agreement, verdict.annotation_id) == (0.0, 11)
