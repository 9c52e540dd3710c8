"""Settings: flags over environment over `.env` over `params.yaml` over defaults.

This module reads and never writes.

A service that is not configured is the embedded one; where that runs stands in `.lsloop/stack.json`, which
`lsloop up` writes.
"""

import hashlib
import hmac
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from lsloop import resources, secrecy
from lsloop.config import address, dotenv, misfits, weburl, yamlfile
from lsloop.errors import UsageError
from lsloop.records import Order

STATE = ".lsloop"

ML_USER = "lsloop"
"""Who Label Studio says it is when it asks an ML backend."""

API_TOKEN = "api_token"  # noqa: S105  # the name of its file in the state folder

NO_WEBHOOK = "none"
"""LSLOOP_WEBHOOK_URL where Label Studio is not to tell what people do."""

WEBHOOKS = ("/webhook", "/v1/webhooks/label-studio")
"""Where the server takes events; LSLOOP_WEBHOOK_URL may end in one of them, or in the path that the server
is under."""

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


class Environment(BaseSettings):
    """Environment and `.env`.

    The names are the ones labelling teams already have in their `.env` files.
    """

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    database_url: SecretStr | None = None
    label_studio_url: str | None = None
    label_studio_api_key: SecretStr | None = None
    media_url: str | None = Field(
        default=None, validation_alias=AliasChoices("MEDIA_URL", "AUDIO_SERVER_URL")
    )
    ls_project_transcript: int | None = None
    ls_project_translation: int | None = None
    ls_project_segmentation: int | None = None
    sync_interval_minutes: float = Field(default=5, gt=0)
    gold_sample_ratio: float | None = Field(default=None, ge=0, lt=1)
    skip_gold_validation: bool = False
    lsloop_secret: SecretStr | None = None
    lsloop_api_token: SecretStr | None = None
    lsloop_webhook_url: str | None = None
    lsloop_webhook_secret: SecretStr | None = None
    lsloop_studio_env: Path | None = None


@dataclass(frozen=True)
class Config:
    """Everything a command needs to know, resolved once."""

    project_dir: Path
    params: Params
    environment: Environment
    stack: dict[str, Any]  # what `.lsloop/stack.json` says; empty when the embedded stack never ran
    odd: tuple[str, ...] = ()  # what somebody should look at in .env

    @property
    def state_dir(self) -> Path:
        return self.project_dir / STATE

    @property
    def raw_dir(self) -> Path:
        return self.project_dir / "data" / "raw"

    @property
    def reviewed_dir(self) -> Path:
        return self.project_dir / "data" / "reviewed"

    @property
    def database_url(self) -> str:
        given = self.environment.database_url
        url = given.get_secret_value() if given else self.stack.get("database_url")
        return str(url) if url else _not_running("PostgreSQL", "DATABASE_URL")

    @property
    def label_studio_url(self) -> str:
        url = self.environment.label_studio_url or self.stack.get("label_studio_url")
        return str(url).strip().rstrip("/") if url else _not_running("Label Studio", "LABEL_STUDIO_URL")

    @property
    def label_studio_api_key(self) -> str:
        given = self.environment.label_studio_api_key
        key = given.get_secret_value() if given else None
        if not key and not self.environment.label_studio_url:
            key = self.stack.get("label_studio_api_key")
        if not key:
            raise UsageError(
                f"No token for Label Studio at {self.label_studio_url}.",
                "Set LABEL_STUDIO_API_KEY (Label Studio: Account & Settings → Access Token).",
            )
        return str(key)

    @property
    def label_studio_server(self) -> str:
        """Name of the Label Studio in the settings: its URL, or `embedded`.

        The port of the embedded one may change.

        The ledger knows it by what it is: under another spelling it is the same (`ledger/servers.py`).
        """
        given = self.environment.label_studio_url
        return given.strip().rstrip("/") if given else "embedded"

    def task_page(self, ls_project_id: int | None, ls_task_id: int | None = None) -> str | None:
        """Return where people see a project, or one of its tasks, in Label Studio.

        None while nobody knows where that is.
        """
        server = self.environment.label_studio_url or self.stack.get("label_studio_url")
        if not server or ls_project_id is None:
            return None
        task = f"?task={ls_task_id}" if ls_task_id is not None else ""
        return f"{str(server).strip().rstrip('/')}/projects/{ls_project_id}/data{task}"

    @property
    def media_url(self) -> str:
        """Address where annotators' browsers fetch media, without `/media/…`."""
        url = self.environment.media_url or self.stack.get("server_url")
        return str(url).rstrip("/") if url else _not_running("The media server", "AUDIO_SERVER_URL")

    @property
    def secret(self) -> str:
        """The key that signs media links."""
        given = self.environment.lsloop_secret
        secret = given.get_secret_value() if given else self.stack.get("secret")
        return str(secret) if secret else _not_running("The signing secret", "LSLOOP_SECRET")

    @property
    def api_token(self) -> str | None:
        """Token that opens /api.

        None when it is neither set nor made yet (`lsloop serve` makes it).
        """
        if given := self.environment.lsloop_api_token:
            return given.get_secret_value()
        path = self.state_dir / API_TOKEN
        return path.read_text(encoding="utf-8").strip() or None if path.is_file() else None

    @property
    def secret_files(self) -> list[Path]:
        """Files where secrets may be; not each of them is there."""
        own = [self.state_dir / name for name in ("stack.json", "secret", API_TOKEN)]
        return [self.project_dir / ".env", self.project_dir / ".dvc" / "config.local", *own]

    @property
    def webhook_url(self) -> str | None:
        """Address where Label Studio is to send events.

        None when nobody has said where it reaches the server, or said `none`.
        """
        given = self.environment.lsloop_webhook_url
        if given == NO_WEBHOOK:
            return None
        if given is None and self.environment.label_studio_url is None:
            given = self.stack.get("server_url")
        if not given:
            return None
        return (
            str(given)
            if urlsplit(str(given)).path.endswith(WEBHOOKS)
            else weburl.below(str(given), "webhook")
        )

    def without_webhook(self) -> "Config":
        """Copy the settings without the webhook.

        Label Studio is not asked to tell what people do: only pulls bring it.
        """
        environment = self.environment.model_copy(update={"lsloop_webhook_url": NO_WEBHOOK})
        return replace(self, environment=environment)

    @property
    def webhook_secret(self) -> str:
        """Secret that Label Studio sends with every event, so that nobody else can."""
        given = self.environment.lsloop_webhook_secret
        if given:
            return given.get_secret_value()
        # One key, two uses: media links are signed over other words, with a line break in them.
        return hmac.new(self.secret.encode(), b"webhook", hashlib.sha256).hexdigest()

    @property
    def ml_url(self) -> str | None:
        """Address where Label Studio reaches the ML backends, without the task type.

        None when nobody has said where we are.
        """
        given = self.environment.lsloop_webhook_url
        if given in (None, NO_WEBHOOK):
            given = None if self.environment.label_studio_url else self.stack.get("server_url")
        if not given:
            return None
        return weburl.below(self._served_at(str(given)), "ml")

    @staticmethod
    def _served_at(webhook: str) -> str:
        """Return where Label Studio reaches `lsloop serve`.

        It is the address of the webhook without what is the webhook's own.
        """
        parts = urlsplit(webhook)
        path = parts.path
        for end in WEBHOOKS:
            path = path.removesuffix(end)
        return f"{parts.scheme}://{parts.netloc}{path}"

    @property
    def served_at(self) -> str | None:
        """Address where Label Studio reaches `lsloop serve`; None where it does not."""
        return self._served_at(self.webhook_url) if self.webhook_url else None

    @property
    def ml_password(self) -> str:
        """Password of the user ML_USER, which Label Studio sends to ML backends."""
        return hmac.new(self.secret.encode(), b"ml backend", hashlib.sha256).hexdigest()

    def task_type(self, name: str) -> tuple[str, TaskType]:
        """Find the task type called `name` (or by its alias), with its name.

        Raises UsageError.
        """
        name = name if name in self.params.task_types else ALIASES.get(name, name)
        if name not in self.params.task_types:
            known = ", ".join(self.params.task_types) or "none"
            raise UsageError(
                f"There is no task type {name!r}.", f"Use one of: {known}; or add it to params.yaml."
            )
        found = self.params.task_types[name]
        return name, found.model_copy(
            update={
                "kind": found.kind or name,
                "template": found.template or name,
                "title": found.title or name,
            }
        )

    def configured_ls_project(self, task_type: str) -> int | None:
        """Return the Label Studio project id that the environment names, if any.

        It is for a task type of the speech system.
        """
        names = {
            "transcript_correction": self.environment.ls_project_transcript,
            "translation_review": self.environment.ls_project_translation,
            "audio_segmentation": self.environment.ls_project_segmentation,
        }
        return names.get(task_type)

    def model(self, task_type: str) -> Model:
        """Return the settings of a task type's model.

        Without an entry in params.yaml there is no base.
        """
        return self.params.models.get(task_type, Model())

    def model_path(self, name: str) -> str:
        """Resolve where a model is.

        A folder of the project is named by its whole path; anything else (a hub id, `scheme:…`) stays as it
        is. A folder that is missing where its neighbours are is not looked for on a hub, where somebody may
        have put another.
        """
        inside = self.project_dir / name
        return str(inside) if inside.parent.is_dir() and not _SCHEME.match(name) else name

    @property
    def gold_ratio(self) -> float:
        given = self.environment.gold_sample_ratio
        return self.params.gold.ratio if given is None else given


_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:")
"""How the name of a model begins that is no folder: a family knows it by that word."""


def _not_running(what: str, variable: str) -> str:
    raise UsageError(
        f"{what} is neither configured nor running.",
        f"Run `lsloop up`, or set {variable} in the environment or .env.",
    )


def load(project_dir: Path) -> Config:
    """Read the settings of a project folder.

    Raises UsageError naming the file, the key and what is wrong.
    """
    project_dir = project_dir.resolve()
    (environment, odd), stack = _environment(project_dir), read_stack(project_dir)
    secrecy.learn(_secrets(environment, stack))
    return Config(project_dir, read_params(project_dir), environment, stack, tuple(odd))


def read_environment(project_dir: Path) -> Environment:
    """Read what the environment and `.env` say, whatever the other settings are.

    Raises UsageError naming the file, the key and what is wrong.
    """
    environment, _ = _environment(project_dir.resolve())
    secrecy.learn(_secrets(environment, {}))
    return environment


_STACK_SECRETS = ("stack label_studio_password", "stack label_studio_api_key", "stack secret")


def _secrets(environment: Environment, stack: dict[str, Any]) -> Iterator[str]:
    """Yield what must never be told.

    Of a URL that nobody can read that is all of it, and what may be the password.
    """
    values = {name: value for name, value in environment if value} | {
        f"stack {name}": stack[name] for name in stack
    }
    proxies = {name: url for name, url in os.environ.items() if name.lower().endswith("_proxy")}
    for name, value in (values | proxies).items():
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        if name.endswith("database_url"):
            try:
                yield from address.read(text).secrets
            except UsageError:
                yield text
        elif isinstance(value, SecretStr) or name in _STACK_SECRETS:
            yield text
        if "://" in text and "@" in text:
            yield text.rpartition("@")[0].partition("://")[2].partition(":")[2]


def read_stack(project_dir: Path) -> dict[str, Any]:
    """Read what the embedded stack wrote down; empty when it never ran here."""
    try:
        found: dict[str, Any] = json.loads((project_dir / STATE / "stack.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise UsageError(
            f"{STATE}/stack.json cannot be read: {error}.",
            "Run `lsloop down` and `lsloop up` to write it anew.",
        ) from error
    if not isinstance(found, dict):
        raise UsageError(
            f"{STATE}/stack.json holds no settings.", "Run `lsloop down` and `lsloop up` to write it anew."
        )
    return found


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


def _names() -> dict[str, str]:
    """Map what the environment calls the settings to our names.

    Its names are in capitals, ours are those of the fields.
    """
    aliases = {"MEDIA_URL": "media_url", "AUDIO_SERVER_URL": "media_url"}
    return aliases | {name.upper(): name for name in Environment.model_fields}


def _environment(project_dir: Path) -> tuple[Environment, list[str]]:
    """The environment, over `.env`; and what is odd about that file."""
    path, names = project_dir / ".env", _names()
    there = dotenv.given_in(os.environ, names)
    found = dotenv.read(path, set(names), there)
    over = {names[name] for name in there}
    more: dict[str, Any] = {name: value for name, value in found.values.items() if names[name] not in over}
    try:
        made = Environment(
            **{name if names[name] == "media_url" else names[name]: value for name, value in more.items()}
        )
        return _with_addresses(made), [*found.odd, *_open_to_others(path, found)]
    except ValidationError as error:
        keys, _ = misfits.first(error)
        name = str(keys[0]).upper()
        where = f"{path}, line {found.lines[name]}: {name}" if name in more else f"{name} in the environment"
        _, words = misfits.first(error, called=where)
        raise UsageError(f"{words}.", "Correct it and run again.") from error


def _with_addresses(environment: Environment) -> Environment:
    """Read every address with one parser.

    What it cannot be is refused by the name of its setting.
    """
    changed: dict[str, str] = {}
    for name, shown in (("label_studio_url", "LABEL_STUDIO_URL"), ("media_url", "AUDIO_SERVER_URL")):
        if given := getattr(environment, name):
            changed[name] = weburl.checked(shown, given)
    given = (environment.lsloop_webhook_url or "").strip()
    if given and given.lower() != NO_WEBHOOK:
        changed["lsloop_webhook_url"] = weburl.checked("LSLOOP_WEBHOOK_URL", given, query=True)
    elif given:
        changed["lsloop_webhook_url"] = NO_WEBHOOK
    return environment.model_copy(update=changed)


def _open_to_others(path: Path, found: dotenv.Found) -> list[str]:
    secret = [name for name, value in found.values.items() if name.endswith(_SECRET) or "@" in value]
    if not secret or not dotenv.is_open(path):
        return []
    return [f"Other users of this machine may read {path}, which holds {secret[0]}: chmod 600 {path}"]


_SECRET = ("_KEY", "_SECRET", "_TOKEN")
