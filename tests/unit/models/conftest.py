"""Tiny models and recordings, made once for the whole run."""

from pathlib import Path

import pytest

import tiny_models
from lsloop.models import Row


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """Forty clips with their transcripts."""
    return tiny_models.recordings(tmp_path_factory.mktemp("clips"), 40)


@pytest.fixture(scope="session")
def ctc(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained wav2vec2-bert with a CTC head."""
    from lsloop.models.families import speech_ctc

    return str(speech_ctc.fresh(tmp_path_factory.mktemp("ctc") / "model", tiny_models.ALPHABET))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a training run writes."""
    return tmp_path / "run"


@pytest.fixture(scope="session")
def whisper(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> str:
    """An untrained Whisper that hears two seconds."""
    texts = [row["transcript"] for row in rows]
    return str(tiny_models.whisper(tmp_path_factory.mktemp("whisper") / "model", texts))


@pytest.fixture(scope="session")
def marian(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained Marian."""
    return str(tiny_models.marian(tmp_path_factory.mktemp("marian") / "model", tiny_models.sentences(300)))
