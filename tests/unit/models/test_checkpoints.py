"""A model folder is whole and as it was written, or it is not loaded; the error names the file."""

import json
import shutil
from pathlib import Path

import pytest

from lsloop.errors import LsloopError, UsageError
from lsloop.models import Row, Training, checkpoint, weights
from lsloop.models.families import speech_ctc, speech_seq2seq


@pytest.fixture
def model(ctc: str, tmp_path: Path) -> Path:
    """A folder of a model, to break."""
    return Path(shutil.copytree(ctc, tmp_path / "model"))


def unsealed(model: Path) -> Path:
    """As another program wrote it."""
    (model / checkpoint.SEAL).unlink()
    return model


def test_a_whole_one_loads_sealed_or_not(model: Path) -> None:
    speech_ctc.load(str(model), "cpu")
    speech_ctc.load(str(unsealed(model)), "cpu")


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.json", "config.json"])
def test_a_change_of_any_file_is_noticed(model: Path, name: str) -> None:
    content = bytearray((model / name).read_bytes())
    content[-3] ^= 1
    (model / name).write_bytes(content)
    with pytest.raises(UsageError, match=f"{name} is not as it was written"):
        speech_ctc.load(str(model), "cpu")


def test_a_missing_file_and_one_that_came_in_are_noticed(model: Path) -> None:
    (model / "vocab.json").unlink()
    with pytest.raises(UsageError, match=r"vocab\.json is missing"):
        speech_ctc.load(str(model), "cpu")
    shutil.copy(model / "config.json", model / "vocab.json")
    shutil.copy(model / "model.safetensors", model / "adapter.safetensors")
    with pytest.raises(UsageError):
        speech_ctc.load(str(model), "cpu")


@pytest.mark.parametrize("size", [0, 5, 1000, 300_000])
def test_weights_that_were_cut_are_noticed_without_a_seal(model: Path, size: int) -> None:
    file = unsealed(model) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(UsageError, match=r"model\.safetensors is not whole"):
        speech_ctc.load(str(model), "cpu")


def test_a_missing_shard_is_noticed(model: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (unsealed(model) / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UsageError, match=r"model-00002-of-00002\.safetensors is missing"):
        speech_ctc.load(str(model), "cpu")


def test_a_model_without_its_head_is_refused(model: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = unsealed(model) / "model.safetensors"
    tensors = {name: tensor for name, tensor in load_file(file).items() if not name.startswith("lm_head")}
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(UsageError, match="lacks weights"):
        speech_ctc.load(str(model), "cpu")


@pytest.mark.parametrize("name", ["", "/nowhere/model", "models/base/new", "./gone"])
def test_what_is_not_there_is_said_so(tmp_path: Path, rows: list[Row], name: str) -> None:
    for attempt in (
        lambda: speech_ctc.load(name or str(tmp_path), "cpu"),
        lambda: speech_seq2seq.train(rows, [], Training(name or str(tmp_path), tmp_path / "run")),
    ):
        with pytest.raises(UsageError, match=r"no model at|not a whole model"):
            attempt()


def test_a_device_or_a_precision_that_is_not_there(ctc: str) -> None:
    with pytest.raises(UsageError, match="no device tpu9"):
        speech_ctc.load(ctc, "tpu9")
    with pytest.raises(UsageError, match="no precision 'int3'"):
        speech_ctc.load(ctc, "cpu", {"precision": "int3"})


def test_a_folder_is_written_in_one_step(tmp_path: Path) -> None:
    def fails(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise LsloopError("The disk is full.")

    with pytest.raises(LsloopError):
        checkpoint.write(tmp_path / "model", fails, {})
    assert not (tmp_path / "model").exists()
    written = checkpoint.write(tmp_path / "model", lambda folder: _write(folder, b"new"), {"seed": 1})
    assert json.loads((written / checkpoint.SEAL).read_text())["seed"] == 1
    assert weights(written)[0].read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def _write(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)


def test_a_model_without_a_tokenizer_is_refused(model: Path) -> None:
    for name in ("vocab.json", "tokenizer_config.json", "processor_config.json"):
        (unsealed(model) if name == "vocab.json" else model).joinpath(name).unlink()
    with pytest.raises(UsageError, match="cannot be loaded"):
        speech_ctc.load(str(model), "cpu")
