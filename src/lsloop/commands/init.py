"""`lsloop init`: a project folder ready to run."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from lsloop import config, dvc, resources
from lsloop.commands import _jobs
from lsloop.commands._call import Call
from lsloop.errors import LsloopError, UsageError

IGNORED = (".env", ".lsloop/")
_BESIDE = (".reviewed.building/", ".reviewed.old/")  # what an export leaves when it is killed
# What the stages of dvc.yaml write: DVC refuses what `git add --all` took first. Its own files beside it stay
# git's.
_WRITTEN = ("/data/reviewed/*/", "/models/*/")

EXAMPLE = (
    {
        "external_id": "interview-001",
        "media": "interview-001.wav",
        "transcript": "hôm nay mình có một cái meeting",
        "translation": "today I have a meeting",
        "group": "speaker-7",
        "source": "interviews",
    },
    {"external_id": "chat-002", "transcript": "deadline là ngày mai", "priority": 5, "source": "chats"},
)

NEXT = """\
Next: put media into data/raw, describe it in data/raw/metadata.jsonl (data/metadata.example.jsonl shows how),
then run `lsloop up` there. `dvc add data/raw` keeps its versions."""


def init(
    ctx: typer.Context,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="The project folder; made if it is not there.", show_default=False
        ),
    ] = Path(),
    task_type: Annotated[
        str | None, typer.Option("--task-type", "-t", metavar="NAME", help="Add a job of this name.")
    ] = None,
    template: Annotated[
        Path | None,
        typer.Option(
            "--template",
            metavar="FILE",
            help="Its label config: an XML file, or a name that `lsloop templates` lists.",
        ),
    ] = None,
) -> None:
    """Make a project folder ready to run: settings, templates, git and DVC. With --task-type, add a job to
    it.

    What is there is kept, so it can be run again, or inside a repository that you have. A job is a template
    in label_studio_templates/ and an entry in params.yaml; all else in that file stays as it is.

    Example:
      lsloop init speech
      lsloop -C speech up
      lsloop init --task-type weather --template image-classification
    """
    call = Call.of(ctx)
    project = call.path(folder).resolve()
    if (task_type is None) != (template is None):
        raise UsageError("--task-type and --template belong together.", "Give both.")
    job = None
    if task_type and template:
        job = _jobs.found(project, task_type, template, call.path(template))
    document = {"project": project, **_write(project, job), **dvc.initialise(project)._asdict()}
    document["unignored"] = [path for path in IGNORED if not dvc.ignored(project, path)]
    call.out.result(document, _told(document))


def _write(project: Path, job: _jobs.Job | None) -> dict[str, Any]:
    """Write each file that is not there yet.

    Says which were written and which kept, and what was added.
    """
    if project.exists() and not project.is_dir():
        raise UsageError(f"{project} is a file.", "Name a folder.")
    (project / "data" / "raw").mkdir(parents=True, exist_ok=True)
    done: dict[str, Any] = {"written": [], "kept": []}
    if job:
        _require_room(project, job)
        done["task_type"] = job.name
    for name, content in _files(project, job, done):
        done["written" if _write_new(project / name, content) else "kept"].append(name)
    return done


def _require_room(project: Path, job: _jobs.Job) -> None:
    """Require that the job's template need not take the place of another one.

    Raises UsageError otherwise.
    """
    there = project / job.path
    if there.is_file() and resources.checked(there).strip() != job.label_config.strip():
        raise UsageError(
            f"{there} holds another label config.", "Give the job another name, or take the file away."
        )


def _files(project: Path, job: _jobs.Job | None, done: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the files of a project folder: path in it, content.

    Each is written before the next is asked for.
    """
    yield "params.yaml", resources.path("params.yaml").read_text(encoding="utf-8")
    if job:
        yield job.path, job.label_config
        done["entry"] = "added" if _jobs.add_entry(project, job) else "kept"
    for template in sorted(resources.path("label_studio_templates").iterdir()):
        yield f"label_studio_templates/{template.name}", template.read_text(encoding="utf-8")
    yield "dvc.yaml", dvc.stages(list(config.load(project).params.task_types))
    yield ".env.example", resources.path(".env.example").read_text(encoding="utf-8")
    yield ".gitignore", "".join(f"{line}\n" for line in IGNORED + _BESIDE + _WRITTEN)
    example = (json.dumps(row, ensure_ascii=False) + "\n" for row in EXAMPLE)
    yield "data/metadata.example.jsonl", "".join(example)


def _write_new(path: Path, content: str) -> bool:
    """Write a file that is not there yet, whole or not at all.

    What is half there would be kept the next time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*.half-made"):  # by an init that was killed
        left.unlink(missing_ok=True)
    if path.exists() or path.is_symlink():
        return False
    half = path.with_name(f".{path.name}.{os.getpid()}.half-made")
    try:
        with half.open("w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return _put(half, path)
    except OSError as error:
        fix = "Check the space left and the rights of the folder, then run it again: what is there is kept."
        raise LsloopError(f"{path} could not be written: {error.strerror}.", fix) from error
    finally:
        half.unlink(missing_ok=True)


def _put(half: Path, path: Path) -> bool:
    """Give the file its name, unless somebody has just made one."""
    try:
        os.link(half, path)
    except FileExistsError:
        return False
    except OSError:  # no hard links on this file system
        half.rename(path)
    return True


def _told(document: dict[str, Any]) -> str:
    lines = [f"Project folder {document['project']}"]
    lines += [f"  written  {name}" for name in document["written"]]
    lines += [f"  kept     {name}" for name in document["kept"]]
    if name := document.get("task_type"):
        lines.append(f"  {document['entry']:<8} the task type {name} in params.yaml")
    for name, key in (("git", "git"), ("DVC", "dvc")):
        lines.append(f"  {'made' if document[key] else 'kept':<8} the {name} repository")
    if document["unignored"]:
        lines += ["", f"Add to .gitignore, lest secrets are committed: {' '.join(document['unignored'])}"]
    return "\n".join([*lines, "", _next(document)])


def _next(document: dict[str, Any]) -> str:
    """Tell what to do with what is there now."""
    name = document.get("task_type")
    if not name:
        return NEXT
    lines = [f"Next: `lsloop setup --task-type {name}` makes its project and says what it reads and writes."]
    if f"data/reviewed/{name}" not in (document["project"] / "dvc.yaml").read_text(encoding="utf-8"):
        where = "under outs of export_reviewed and deps of generate_manifest"
        lines.append(f"Add data/reviewed/{name} to dvc.yaml, {where}: that file was changed by hand.")
    return "\n".join(lines)
