"""Environment and `.env`: addresses, project numbers, and what must never be told."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from lsloop import secrecy
from lsloop.config import address, dotenv, misfits, weburl
from lsloop.errors import UsageError

NO_WEBHOOK = "none"
"""LSLOOP_WEBHOOK_URL where Label Studio is not to tell what people do."""


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


def read_environment(project_dir: Path) -> Environment:
    """Read what the environment and `.env` say, whatever the other settings are.

    Raises UsageError naming the file, the key and what is wrong.
    """
    environment, _ = found_in(project_dir.resolve())
    secrecy.learn(secrets_of(environment, {}))
    return environment


def variables() -> dict[str, str]:
    """Map what the environment calls the settings to our names.

    Its names are in capitals, ours are those of the fields.
    """
    aliases = {"MEDIA_URL": "media_url", "AUDIO_SERVER_URL": "media_url"}
    return aliases | {name.upper(): name for name in Environment.model_fields}


def found_in(project_dir: Path) -> tuple[Environment, list[str]]:
    """The environment, over `.env`; and what is odd about that file."""
    path, names = project_dir / ".env", variables()
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


_STACK_SECRETS = ("stack label_studio_password", "stack label_studio_api_key", "stack secret")


def secrets_of(environment: Environment, stack: dict[str, Any]) -> Iterator[str]:
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
