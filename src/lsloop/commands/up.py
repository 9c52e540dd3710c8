"""`lsloop up` and `lsloop down`."""

import sys
from typing import Annotated, Any

import typer

from lsloop import config, stack
from lsloop.commands import _folder
from lsloop.commands._call import Call
from lsloop.commands._output import Table
from lsloop.errors import LsloopError, SchemaMismatch, UsageError

DetachOpt = Annotated[bool, typer.Option("--detach", "-d", help="Return when all of it answers; it runs on.")]


def up(ctx: typer.Context, detach: DetachOpt = False) -> None:
    """Start PostgreSQL, Label Studio, lsloop's server and its worker for this project folder; show how to
    sign in.

    The first start installs Label Studio, which takes a few minutes. A service that ends by itself is started
    again. Ctrl-C stops everything; the data stays in .lsloop. A database or a Label Studio that the
    environment names is used instead of starting one.

    Example:
      lsloop up
      lsloop up --detach && lsloop status
    """
    call = Call.of(ctx)
    call.project = _folder.of_a_stack(call.directory)
    stack.mend(call.project)
    settings = call.config  # what is wrong with them is told here, not in the log of a background process
    if stack.running(call.project, call.out.note):
        _tell(call, "already running")
        return
    _refuse_unfit(settings)
    if detach:
        stack.detach(call.project, call.out.note)
        _tell(call, "running in the background")
    else:
        _stay(call, settings)


def down(ctx: typer.Context) -> None:
    """Stop what `lsloop up` started in this project folder, wherever it was started. The data stays.

    Example:
      lsloop down
    """
    call = Call.of(ctx)
    stack.mend(call.project)
    stopped = stack.down(call.project)
    call.out.result({"stopped": stopped}, "Stopped." if stopped else "Nothing was running here.")


def _refuse_unfit(settings: config.Config) -> None:
    """Raise UsageError where DATABASE_URL names a database that can keep no ledger.

    Nothing was started then. One that lacks only an upgrade, or that does not answer yet, is warned of.
    """
    error = _database_fails(settings)
    if isinstance(error, UsageError) and not isinstance(error, SchemaMismatch):
        raise error


def _stay(call: Call, settings: config.Config) -> None:
    try:
        with stack.run(settings, call.out.note, _upgrade(call)) as started:
            _watch(call, started)
    except stack.Held:  # another one began a moment before this one
        if not stack.running(call.project, call.out.note):
            raise
        _tell(call, "already running")
    except stack.Failed as failed:
        call.out.note(failed.last_words)
        raise


def _watch(call: Call, started: Any) -> None:
    try:
        _tell(call, "running")
        started.tell()
        if sys.stdin.isatty():
            call.out.note("Ctrl-C stops it.")
        stack.watch(started, call.out.note, call.out.warn)
    except KeyboardInterrupt:
        call.out.note("Stopping; the data stays in .lsloop.")


def _upgrade(call: Call) -> Any:
    def upgrade(database_url: str) -> None:
        from lsloop.ledger import migrations

        for name in migrations.upgrade(database_url, say=call.out.note):
            call.out.note(f"Applied migration {name}")

    return upgrade


def _tell(call: Call, state: str) -> None:
    """Tell where everything is, and how to sign in to what is lsloop's own."""
    now = config.load(call.project)
    embedded = not now.environment.label_studio_url
    document = {
        "state": state,
        "label_studio_url": now.label_studio_url,
        "label_studio_user": now.stack.get("label_studio_user") if embedded else None,
        "label_studio_password": now.stack.get("label_studio_password") if embedded else None,
        "server_url": now.stack["server_url"],
        "embedded_postgres": not now.environment.database_url,
        "left_down": now.stack.get("left_down", {}),
    }
    sign_in = f"sign in as {document['label_studio_user']}, password {document['label_studio_password']}"
    port = now.stack.get("ports", {}).get("postgres")
    rows = [
        ("Label Studio", document["label_studio_url"], sign_in if embedded else "from LABEL_STUDIO_URL"),
        ("Server", document["server_url"], f"API token in {_token_at(now)}"),
        ("PostgreSQL", f"127.0.0.1:{port}", "password in .lsloop/stack.json")
        if document["embedded_postgres"]
        else ("PostgreSQL", "", "from DATABASE_URL"),
    ]
    call.out.result(document, Table(("Service", "Where", ""), rows, title=f"lsloop is {state}."))
    for said in document["left_down"].values():
        call.out.warn(f"{said} `lsloop down` and `lsloop up` start it again.")
    _warn_of_what_is_elsewhere(call, now)


def _warn_of_what_is_elsewhere(call: Call, now: config.Config) -> None:
    """Warn of services that the environment names and that do not answer.

    They are not started here; the warning says so, and what to do.
    """
    if now.environment.database_url and (error := _database_fails(now)):
        call.out.warn(
            "DATABASE_URL is set, so no PostgreSQL was started here, and that one cannot be used: "
            f"{error.problem} {error.fix}"
        )
    if now.environment.label_studio_url and (problem := _label_studio_fails(now)):
        call.out.warn(
            "LABEL_STUDIO_URL is set, so no Label Studio was started here, "
            f"and that one cannot be used: {problem}"
            " To have an embedded one, take LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY "
            "out of .env or the environment."
        )
    if now.environment.media_url and not _answers(now.media_url):
        call.out.warn(
            f"AUDIO_SERVER_URL is set ({now.media_url}), and nothing answers there: "
            "recordings will not play. Take it out of"
            f" .env or the environment: lsloop serves them itself at {now.stack['server_url']}."
        )


def _database_fails(now: config.Config) -> LsloopError | None:
    from lsloop import ledger

    if now.environment.database_url:
        try:
            ledger.connect(now.database_url).close()
        except LsloopError as error:
            return error
    return None


def _label_studio_fails(now: config.Config) -> str:
    from lsloop.labelstudio import client, people

    try:
        with client.connect(now.label_studio_url, now.label_studio_api_key, timeout=10) as studio:
            people.whoami(studio)
    except LsloopError as error:
        return error.problem
    return ""


def _answers(url: str) -> bool:
    """Tell whether anything at all speaks HTTP there."""
    import httpx

    try:
        httpx.get(f"{url}/health", timeout=5)
    except (httpx.TransportError, httpx.InvalidURL):
        return False
    return True


def _token_at(now: config.Config) -> str:
    return "LSLOOP_API_TOKEN" if now.environment.lsloop_api_token else f"{config.STATE}/{config.API_TOKEN}"
