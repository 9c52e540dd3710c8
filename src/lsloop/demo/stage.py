"""Place of the demo: a project folder and services of its own.

They are never somebody's real ones.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from lsloop import config, dvc, ledger, resources, stack
from lsloop.config import Config
from lsloop.errors import UsageError
from lsloop.labelstudio import client
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, migrations

MARKER = "made-by-lsloop-demo.txt"
NOTE = "Made by `lsloop demo`, which makes everything in this folder anew when it is run here again.\n"
NOTE_ON_PARAMS = "# As shipped, but for what the demo needs.\n"
OVERLAP = 2  # annotators a task needs
AGREEMENT = 0.75  # in sentences of four words one may differ
TEST = 0.3  # share of the speakers
FRESH = "models/fresh"
TRAINING = {"max_steps": 120, "learning_rate": 0.003, "scheduler": "cosine", "batch_size": 8, "plots": False}
STUDIO = "LSLOOP_STUDIO_ENV"

Say = Callable[[str], None]


@contextmanager
def alone(studio_env: Path) -> Iterator[list[str]]:
    """Work without the settings of the environment, which may name real services.

    Yields the names left aside.

    Label Studio's own environment is the one that LSLOOP_STUDIO_ENV names, else `studio_env`.
    """
    before = dict(os.environ)
    aside = sorted(name for name in before if name.upper() in _settings())
    for name in aside:
        del os.environ[name]
    # models that people watch learn do so alike on any number of cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ[STUDIO] = str(Path(before.get(STUDIO) or studio_env).expanduser().absolute())
    try:
        yield aside
    finally:
        os.environ.clear()
        os.environ.update(before)


def _settings() -> set[str]:
    """List every name that the environment may set.

    The one that only says where Label Studio is installed is left out.
    """
    fields = config.Environment.model_fields.items()
    aliases = (getattr(field.validation_alias, "choices", None) or [name] for name, field in fields)
    return {str(name).upper() for names in aliases for name in names} - {STUDIO}


@contextmanager
def folder(keep: Path | None) -> Iterator[Path]:
    """Make the project folder: `keep`, or one that is removed at the end.

    `keep` is made anew if an earlier demo made it. Raises UsageError when `keep` is something else.
    """
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="lsloop-demo-") as made:
            yield Path(made)
        return
    _clear(keep)
    keep.mkdir(parents=True, exist_ok=True)
    (keep / MARKER).write_text(NOTE, encoding="utf-8")
    # for a later `lsloop up` in it
    (keep / ".env").write_text(f"{STUDIO}={os.environ[STUDIO]}\n", encoding="utf-8")
    yield keep.resolve()


def write_params(project_dir: Path, task_type: str, gold_ratio: float, *, learning: bool = False) -> None:
    """Write params.yaml as shipped, but for what so small a world needs.

    `learning`: one with a model.
    """
    params = yaml.safe_load(resources.path("params.yaml").read_text(encoding="utf-8"))
    params["task_types"][task_type] |= {"overlap": OVERLAP, "agreement": AGREEMENT}
    # shown, though a project of people's own takes their word unless it is told otherwise
    params["task_types"][task_type]["conflicts"]["text"] = "merged"
    params["gold"]["ratio"] = gold_ratio
    # these annotators open a page and submit it at once
    params["push"]["loading_seconds"] = 0
    # no training but those of the story
    params["retrain"] = {"milestones": [], "every": 0}
    if learning:
        params["task_types"][task_type]["overlap"] = 1
        # chance goes by the numbers of samples, which are others each time
        params["push"]["random_share"] = 0.0
        params["export"] = {"validation": 0.0, "test": TEST}
        params["models"] = {task_type: {"base": FRESH, "training": TRAINING}}
    text = yaml.safe_dump(params, sort_keys=False, allow_unicode=True)
    (project_dir / "params.yaml").write_text(NOTE_ON_PARAMS + text, encoding="utf-8")


def repository(project_dir: Path) -> None:
    """Make the folder a git and a DVC repository.

    It has the stages of a project and a remote in a folder of its own.
    """
    names = list(config.load(project_dir).params.task_types)
    (project_dir / "dvc.yaml").write_text(dvc.stages(names), encoding="utf-8")
    dvc.initialise(project_dir)
    dvc.add_remote(project_dir, "demo", str(project_dir / ".lsloop" / "dvc-remote"))


def _clear(keep: Path) -> None:
    if (keep / MARKER).is_file():
        stack.mend(keep)
        stack.down(keep)
        shutil.rmtree(keep)
    elif keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise UsageError(f"{keep} was not made by the demo; it is left alone.", "Name a new folder.")


@contextmanager
def services(project_dir: Path, *, stay: bool, say: Say) -> Iterator[tuple[Config, Ledger, LabelStudio]]:
    """Run the stack of the folder, and open connections to it.

    With `stay` it runs on after the end.
    """
    with ExitStack() as at_end:
        if stay:
            stack.detach(project_dir, say)
            say(f"It stays running until `lsloop -C {project_dir} down`")
        else:
            at_end.enter_context(stack.run(config.load(project_dir), say, _upgrade)).tell()
        settings = config.load(project_dir)
        opened = ledger.connect(settings.database_url)
        at_end.callback(opened.close)
        studio = client.connect(settings.label_studio_url, settings.label_studio_api_key)
        yield settings, opened, at_end.enter_context(studio)


def _upgrade(database_url: str) -> None:
    migrations.upgrade(database_url)
