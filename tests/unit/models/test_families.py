"""How the code of a family comes into a process: once, with torch, and the garbage collector rests
meanwhile."""

import gc
from collections.abc import Iterator

import pytest

from lsloop.models import families


@pytest.fixture
def anew() -> Iterator[None]:
    """As in a process that has not imported any yet."""
    families.code.cache_clear()
    yield
    families.code.cache_clear()


@pytest.mark.parametrize("name", ["speech_ctc", "there_is_no_such_family"])
def test_the_collector_rests_while_a_family_is_imported_and_works_afterwards(
    anew: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    works: list[bool] = []
    imported = families.importlib.import_module

    def watched(*given: str) -> object:
        works.append(gc.isenabled())
        return imported(*given)

    monkeypatch.setattr(families.importlib, "import_module", watched)
    try:
        assert families.code(f"lsloop.models.families.{name}").__name__ == "lsloop.models.families.speech_ctc"
        assert gc.get_freeze_count() > 100_000
    except ModuleNotFoundError:
        assert name == "there_is_no_such_family"
    assert works[0] is False
    assert gc.isenabled()
