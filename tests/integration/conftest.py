"""What several files of trainings work on."""

from pathlib import Path
from typing import Any

import pytest

import learning
from learning import Learner
from lsloop.ledger import Ledger


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Recordings, and what is said in them."""
    return learning.clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that has learnt nothing yet."""
    return learning.base(tmp_path_factory.mktemp("ctc"))


@pytest.fixture
def learner(
    tmp_path: Path,
    ledger: Ledger,
    database_url: str,
    spoken: list[dict[str, Any]],
    untrained: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Learner:
    """A project whose accepted recordings that model can learn."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    (tmp_path / "project").mkdir()
    return learning.make(tmp_path / "project", ledger, spoken, untrained)
