"""Job from a template, of a file or of the gallery, with its task type entry."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lsloop import config, dvc, resources, task_types
from lsloop.config import adding
from lsloop.errors import UsageError
from lsloop.labelstudio import interface
from lsloop.loop.job import kinds_of
from lsloop.stack import files, gallery, services
from lsloop.task_types import Kind

LONGEST = 50  # characters of a title that Label Studio takes


@dataclass(frozen=True)
class Job:
    """Task type to be added: its label config, and what Label Studio is to call it."""

    name: str
    title: str
    label_config: str

    @property
    def path(self) -> str:
        """Path of the template in the project folder."""
        return f"label_studio_templates/{self.name}.xml"


def found(project: Path, name: str, template: Path, file: Path) -> Job:
    """Find the job of a template, which is a file or a name of the gallery.

    Raises UsageError; nothing is written yet.
    """
    if not re.fullmatch(r"[\w-]+", name):
        raise UsageError(f"A task type cannot be called {name!r}.", "Use letters, digits, _ and -.")
    if name in task_types.names():
        raise UsageError(f"{name} is a kind of task that lsloop brings.", "Give the job another name.")
    if file.is_file():
        job = Job(name, name, resources.checked(file))
    elif template.suffix or len(template.parts) > 1:
        raise UsageError(
            f"There is no file {template}.", "Name a file, or a template that `lsloop templates` lists."
        )
    else:
        one = gallery.template(services.environment_dir(config.load(project)), str(template))
        job = Job(name, one.title[:LONGEST], one.config)
    interface.check_config(job.label_config)
    task_types.from_template(name, job.label_config)
    return job


def add_entry(project: Path, job: Job) -> bool:
    """Add the task type to params.yaml, and to a dvc.yaml that nobody changed.

    Returns False where params.yaml has it. Raises UsageError.
    """
    before = config.load(project)
    if job.name in before.params.task_types:
        return False
    path = project / "params.yaml"
    text = path.read_bytes().decode("utf-8-sig")
    files.replace(path, adding.with_entry(text, job.name, entry(job, kinds_of(before))))
    stages, names = project / "dvc.yaml", list(before.params.task_types)
    if stages.is_file() and stages.read_text(encoding="utf-8") == dvc.stages(names):
        files.replace(stages, dvc.stages([*names, job.name]))
    return True


def entry(job: Job, others: dict[str, Kind]) -> str:
    """The entry: what differs from the defaults, and what may be changed, as comments.

    A field that another task type writes gets the job's name before its own: else the two would correct one
    field.
    """
    kind = task_types.from_template(job.name, job.label_config)
    taken = {name for other in others.values() for name in other.WRITES}
    renamed = {name: f"{job.name}_{name}" for name in kind.WRITES if name in taken}
    return "\n".join(_entry(job, kind, renamed)) + "\n"


def _entry(job: Job, kind: Kind, renamed: dict[str, str]) -> Iterator[str]:
    yield f"title: {_quoted(job.title)}"
    shows = {name: field for name, field in getattr(kind, "shows", {}).items() if name != field}
    if shows:
        yield f"reads: {_mapping(shows)}  # variable of the template: sample field, or `media`"
    if renamed:
        yield (
            f"writes: {_mapping(renamed)}  # control: sample field; "
            "another task type writes the field of its own name"
        )


def _mapping(pairs: dict[str, str]) -> str:
    return "{" + ", ".join(f"{_quoted(a)}: {_quoted(b)}" for a, b in pairs.items()) + "}"


def _quoted(text: str) -> str:
    """Return a text as YAML has it.

    It stays plain where it is a word, else becomes JSON, which YAML is a superset of.
    """
    plain = re.fullmatch(r"[A-Za-z_][\w -]*[\w]|[A-Za-z_]", text) and text.lower() not in _MEANT
    return text if plain else json.dumps(text, ensure_ascii=False)


_MEANT = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
"""Words that mean something else in YAML."""
