"""Sections of params.yaml: what may be set, within bounds, and what holds otherwise."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lsloop import resources
from lsloop.config import dotenv, misfits, yamlfile
from lsloop.errors import UsageError
from lsloop.records import Order

ALIASES = {"transcript_verification": "transcript_correction"}
"""Names of task types that the field also uses."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Conflicts(_Section):
    """Strategy for a change under an annotator's hands; `open`: people decide.

    It says what is done by itself.

    `text` is about what they corrected: whoever listened confirmed the words they left standing, too. `media`
    is about what they judged from: the recording, or the text that they translated.
    """

    text: Literal["open", "human_wins", "crawler_wins", "merged", "pending_reflow"] = "human_wins"
    media: Literal["open", "human_wins", "crawler_wins", "pending_reflow"] = "pending_reflow"


class TaskType(_Section):
    """One labelling job.

    `template` is its label config; it defaults to the job's name.

    `kind` is the code that understands its answers; where there is none, what the label config says. `reads`
    then names the sample field (or `media`) of a variable, `writes` the sample field of a control, where they
    are not the same.
    """

    title: str = Field(default="", max_length=50)  # Label Studio's limit
    kind: str = ""
    template: str = ""
    overlap: int = Field(default=1, ge=1, le=20)
    agreement: float = Field(default=0.9, ge=0, le=1)
    gold_floor: float = Field(default=0.6, ge=0, le=1)
    conflicts: Conflicts = Conflicts()
    reads: dict[str, str] = Field(default_factory=dict)
    writes: dict[str, str] = Field(default_factory=dict)
    sync_push: bool = False


class Push(_Section):
    limit: int = Field(default=500, ge=1)
    batch: int = Field(default=500, ge=1, le=5000)
    order: Order = "oldest"
    random_share: float = Field(default=0.1, ge=0, le=1)
    settle_seconds: float = Field(default=20, ge=0)
    refresh: int = Field(default=500, ge=0)
    loading_seconds: float = Field(default=30, ge=0)


class Pull(_Section):
    batch: int = Field(default=1000, ge=1, le=5000)
    overlap_seconds: float = Field(default=300, ge=0)
    skips: int = Field(default=3, ge=1)


class Events(_Section):
    tries: int = Field(default=10, ge=1)
    keep_days: float = Field(default=7, ge=0)


class Sync(_Section):
    """Settings of a cycle of `lsloop sync`.

    It sends samples of a task type while fewer than `backlog` of its tasks wait for annotators.
    """

    backlog: int = Field(default=1000, ge=0)


class Lock(_Section):
    minutes: float = Field(default=30, gt=0)
    abandoned_days: float = Field(default=14, gt=0)


class Gold(_Section):
    ratio: float = Field(default=0.05, ge=0, lt=1)
    window: int = Field(default=5, ge=1)


class Export(_Section):
    """Shares of the groups that new samples fall into; the rest is for training.

    Groups are speakers, videos or pages.
    """

    validation: float = Field(default=0.1, ge=0, lt=1)
    test: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test together must be less than 1")
        return self


class Media(_Section):
    url_days: float = Field(default=60, gt=0)


class Model(_Section):
    """Model of a task type.

    `training` and `predicting` are the model family's own settings.

    `base` is a folder of the project (DVC may track it), the id of a model on a hub, or what a family calls
    it; of a list, the first that can be used answers.
    """

    base: str | list[str] | None = None
    start: Literal["promoted", "base"] = "promoted"
    seed: int = Field(default=0, ge=0, lt=2**32)
    minimum_test: int = Field(default=20, ge=2)
    keep: int = Field(default=3, ge=1)
    training: dict[str, Any] = Field(default_factory=dict)
    predicting: dict[str, Any] = Field(default_factory=dict)

    @field_validator("base", mode="before")
    @classmethod
    def _is_text_or_texts(cls, given: Any) -> Any:
        if all(isinstance(one, str) for one in (given if isinstance(given, list) else [given or ""])):
            return given
        raise ValueError("it must be a text, or a list of texts")

    @property
    def bases(self) -> list[str]:
        """The bases, the first choice first; empty where there is none."""
        return [one for one in (self.base if isinstance(self.base, list) else [self.base]) if one]


class Retrain(_Section):
    """Number of accepted annotations that call for a training.

    Each of `milestones` calls once, then `every` so many (0: never).
    """

    milestones: list[int] = [100, 500, 1000, 5000, 10_000]
    every: int = Field(default=10_000, ge=0)


class Params(_Section):
    """`params.yaml`."""

    task_types: dict[str, TaskType] = Field(default_factory=dict)
    push: Push = Push()
    pull: Pull = Pull()
    events: Events = Events()
    sync: Sync = Sync()
    lock: Lock = Lock()
    gold: Gold = Gold()
    export: Export = Export()
    media: Media = Media()
    models: dict[str, Model] = Field(default_factory=dict)
    retrain: Retrain = Retrain()


def read_params(project_dir: Path) -> Params:
    """The project folder's own params.yaml, else the shipped one.

    Raises UsageError.
    """
    own = project_dir / "params.yaml"
    path = own if dotenv.is_there(own) else resources.path("params.yaml")
    found, lines = yamlfile.read(path)
    try:
        return Params.model_validate(_without_nothing(found))
    except ValidationError as error:
        keys, words = misfits.first(error, _known(Params))
        line = next((lines[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in lines), None)
        where = path.name if line is None else f"{path.name}, line {line}"
        raise UsageError(f"{where}: {words}.", f"Correct {path} and run again.") from error


def _without_nothing(found: dict[str, Any]) -> dict[str, Any]:
    """Leave out sections that are empty, as their lines are all comments.

    A task type or a model may have no settings of its own.
    """
    inner = {name: found[name] for name in ("task_types", "models") if isinstance(found.get(name), dict)}
    named = {
        name: {key: {} if one is None else one for key, one in section.items()}
        for name, section in inner.items()
    }
    return {name: value for name, value in (found | named).items() if value is not None}


def _known(section: type[BaseModel]) -> set[str]:
    """All names of settings in a section and below it."""
    found = set(section.model_fields)
    for field in section.model_fields.values():
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found |= _known(kind)
    return found
