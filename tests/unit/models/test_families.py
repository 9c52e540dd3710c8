"""How families come into a process: with torch and transformers, once, and the garbage collector rests meanwhile."""

import gc
from collections.abc import Iterator

import pytest

from lsloop import models


@pytest.fixture
def anew() -> Iterator[None]:
    """As in a process that has not imported them yet."""
    models._families.cache_clear()
    yield
    models._families.cache_clear()


@pytest.mark.parametrize("found", [["speech_ctc"], ["there_is_no_such_family"]])
def test_the_collector_rests_while_families_are_imported_and_works_afterwards(
    anew: None, monkeypatch: pytest.MonkeyPatch, found: list[str]
) -> None:
    works: list[bool] = []

    def names() -> list[str]:
        works.append(gc.isenabled())
        return found

    monkeypatch.setattr(models, "names", names)
    try:
        assert [one.__name__ for one in models._families()] == ["lsloop.models.families.speech_ctc"]  # type: ignore[attr-defined]
        assert gc.get_freeze_count() > 100_000
    except ModuleNotFoundError:
        assert found == ["there_is_no_such_family"]
    assert works == [False]
    assert gc.isenabled()
