"""A frame classifier learns who speaks which language when, and answers in segments that the task type
takes."""

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import tiny_models
from lsloop.errors import UsageError
from lsloop.models import Job, Row, Training, choosing
from lsloop.models.families import SHIPPED, audio_frames
from lsloop.task_types import audio_segmentation

SETTINGS = {"max_steps": 30, "learning_rate": 2e-3, "save_steps": 0, "log_steps": 5, "batch_size": 4}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    return tiny_models.conversations(tmp_path_factory.mktemp("conversations"), 24)


@pytest.fixture(scope="module")
def trained(clips: list[Row], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Any]]:
    logged: list[Any] = []
    out = tmp_path_factory.mktemp("frames-run")
    base = str(tiny_models.frames(out / "base"))
    rows = [*clips[:20], {**clips[0], "segments": []}, {**clips[0], "media": str(out / "missing.wav")}]
    folder = audio_frames.train(rows, [], Training(base, out / "run", SETTINGS, log=logged.append))
    return str(folder), logged


def test_a_few_steps_lower_the_loss(trained: tuple[str, list[Any]]) -> None:
    folder, logged = trained
    assert logged[0] == {"step": 0, "rows": 20, "left_out": 2}
    assert tiny_models.losses(logged)[-1] < tiny_models.losses(logged)[0] / 2
    assert choosing.family(Job("audio_segmentation"), str(folder)) is SHIPPED["audio_frames"]


def test_what_it_learnt_holds_for_clips_it_never_heard(
    trained: tuple[str, list[Any]], clips: list[Row]
) -> None:
    guesses = audio_frames.load(trained[0], "cpu").predict(clips[20:])
    agreed = [
        audio_segmentation.agree(guess.value or {}, {"segments": row["segments"]})
        for guess, row in zip(guesses, clips[20:], strict=True)
    ]
    assert sum(agreed) / len(agreed) > 0.8


def test_it_answers_every_row_in_order_and_the_same_in_any_batch(
    trained: tuple[str, list[Any]], clips: list[Row]
) -> None:
    asked = [*clips[:5], {}, *clips[5:8]]
    alone = audio_frames.load(trained[0], "cpu", {"batch_size": 1}).predict(asked)
    together = audio_frames.load(trained[0], "cpu", {"batch_size": 4}).predict(asked)
    assert [index for index, guess in enumerate(together) if guess.problem] == [5]
    for row, one, other in zip(asked, alone, together, strict=True):
        if one.value and other.value:
            assert audio_segmentation.agree(one.value, other.value) > 0.97
            assert one.uncertainty == pytest.approx(other.uncertainty, abs=0.02)
            segments = other.value["segments"]
            assert other.value == {"segments": segments, "audio_quality": None}
            assert segments[0]["start"] == 0
            assert segments[-1]["end"] == pytest.approx(row["duration"], abs=0.002)
            assert segments[-1]["end"] <= row["duration"]
            assert all(before["end"] == after["start"] for before, after in pairwise(segments))
            assert audio_segmentation.upstream_value(_sample(segments)) == other.value


def _sample(segments: list[Any]) -> Any:
    from uuid import UUID

    from lsloop.records import Sample

    return Sample(UUID(int=0), "clip", {"segments": segments})


def test_a_slip_goes_to_its_longer_neighbour() -> None:
    labels = list("aaaaaabccccccccdaa")
    assert audio_frames._without_slips(labels, 3) == [("a", 6), ("c", 12)]
    assert audio_frames._without_slips(["a"], 3) == [("a", 1)]


def test_a_language_that_the_model_has_no_label_for(
    trained: tuple[str, list[Any]], clips: list[Row], out: Path
) -> None:
    noise = {**clips[0], "segments": [{"start": 0, "end": 1, "language": "Noise", "tags": []}]}
    with pytest.raises(UsageError, match="no label for Noise"):
        audio_frames.train([noise], [], Training(trained[0], out))


def test_frames_that_nobody_marked_teach_nothing() -> None:
    logits = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[0, 1, 2, -100, -100, -100], [-100] * 6])
    model = SimpleNamespace(logits=logits)
    marked = torch.nn.functional.cross_entropy(logits[0, :3], labels[0, :3])
    assert torch.allclose(audio_frames._loss(lambda: model, {"labels": labels}), marked)
    assert float(audio_frames._loss(lambda: model, {"labels": labels[1:].repeat(2, 1)})) == 0
