"""Settings: flags over environment over `.env` over `params.yaml` over defaults.

This module reads and never writes.

A service that is not configured is the embedded one; where that runs stands in `.lsloop/stack.json`, which
`lsloop up` writes.
"""

import hashlib
import hmac
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lsloop import secrecy
from lsloop.config import weburl
from lsloop.config.environment import NO_WEBHOOK, Environment, found_in, read_environment, secrets_of
from lsloop.config.sections import (
    ALIASES,
    Conflicts,
    Events,
    Export,
    Gold,
    Lock,
    Media,
    Model,
    Params,
    Pull,
    Push,
    Retrain,
    Sync,
    TaskType,
    read_params,
)
from lsloop.errors import UsageError

__all__ = [
    "ALIASES",
    "API_TOKEN",
    "ML_USER",
    "NO_WEBHOOK",
    "STATE",
    "WEBHOOKS",
    "Config",
    "Conflicts",
    "Environment",
    "Events",
    "Export",
    "Gold",
    "Lock",
    "Media",
    "Model",
    "Params",
    "Pull",
    "Push",
    "Retrain",
    "Sync",
    "TaskType",
    "load",
    "read_environment",
    "read_params",
    "read_stack",
]

STATE = ".lsloop"

ML_USER = "lsloop"
"""Who Label Studio says it is when it asks an ML backend."""

API_TOKEN = "api_token"  # noqa: S105  # the name of its file in the state folder

WEBHOOKS = ("/webhook", "/v1/webhooks/label-studio")
"""Where the server takes events; LSLOOP_WEBHOOK_URL may end in one of them, or in the path that the server
is under."""


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
    (environment, odd), stack = found_in(project_dir), read_stack(project_dir)
    secrecy.learn(secrets_of(environment, stack))
    return Config(project_dir, read_params(project_dir), environment, stack, tuple(odd))


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
