"""A model's version is the hash of its weights, wherever they lie."""

from pathlib import Path

import pytest

from lsloop import models
from lsloop.errors import UsageError


def folder(path: Path, weights: bytes, config: str = "{}") -> Path:
    path.mkdir()
    (path / "model.safetensors").write_bytes(weights)
    (path / "config.json").write_text(config)
    return path


def test_equal_weights_have_equal_fingerprints_and_others_do_not(tmp_path: Path) -> None:
    here, there = folder(tmp_path / "a", b"weights"), folder(tmp_path / "b", b"weights", config='{"a": 1}')
    other = folder(tmp_path / "c", b"Weights")
    assert models.fingerprint(here) == models.fingerprint(str(there))
    assert models.fingerprint(here) != models.fingerprint(other)
    assert len(models.fingerprint(here)) == 12


@pytest.mark.parametrize("model", ["", "nowhere", "somebody/something"])
def test_what_has_no_weights_has_no_fingerprint(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "training_args.bin").write_bytes(b"")
    with pytest.raises(UsageError):
        models.fingerprint(model or tmp_path)
