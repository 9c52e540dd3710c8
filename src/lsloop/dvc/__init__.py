"""DVC, and the git it stands on, run as commands: only here.

Importing DVC would cost a second and 100 MB.
"""

import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lsloop import machine
from lsloop.dvc import locks
from lsloop.errors import LsloopError

log = logging.getLogger(__name__)

# Messages are read here, so they must not be translated; and making a folder is nobody else's business.
_QUIETLY = {"LC_ALL": "C", "DVC_NO_ANALYTICS": "1"}


class Initialised(NamedTuple):
    """Report of what `initialise` had to do."""

    git: bool
    dvc: bool


def initialise(project_dir: Path) -> Initialised:
    """Make the folder a git and a DVC repository, unless it lies inside one.

    Raises LsloopError.
    """
    git = not _is_in_git(project_dir)
    if git:
        _checked(project_dir, "git", "init", "--quiet")
    half = _is_half_made(project_dir / ".dvc")
    # asking DVC costs a second
    dvc = half or not is_in_use(project_dir) or _run(project_dir, *_DVC, "root").returncode != 0
    if dvc:
        is_top = Path(_checked(project_dir, "git", "rev-parse", "--show-toplevel")) == project_dir.resolve()
        flags = [*([] if is_top else ["--subdir"]), *(["--force"] if half else [])]
        _checked(project_dir, *_DVC, "init", "--quiet", *flags)
    return Initialised(git, dvc)


def _is_half_made(folder: Path) -> bool:
    """Tell whether a `dvc init` was killed there before anything of value was in it."""
    if not folder.is_dir() or any((folder / name).exists() for name in ("cache", "config.local")):
        return False
    config, ignored = (_text(folder / name) for name in ("config", ".gitignore"))
    return not config.strip() and "/cache" not in ignored.split()  # the last line that it writes there


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def add_remote(project_dir: Path, name: str, url: str) -> None:
    """Have `dvc push` and `pull` use this remote.

    Raises LsloopError.
    """
    _checked(project_dir, *_DVC, "remote", "add", "--quiet", "--force", "--default", name, url)


def cache(project_dir: Path) -> Path | None:
    """Find where DVC keeps the content of the files it tracks.

    None outside a DVC repository, without asking DVC.
    """
    if not is_in_use(project_dir):
        return None
    done = _run(project_dir, *_DVC, "cache", "dir")
    return Path(done.stdout.strip()) if done.returncode == 0 else None


def ignored(project_dir: Path, *paths: str) -> bool:
    """Tell whether git ignores every one of the paths, which need not exist."""
    return all(_run(project_dir, "git", "check-ignore", "--quiet", path).returncode == 0 for path in paths)


def data_commit(project_dir: Path) -> str | None:
    """Find the git commit that data/raw is at.

    None where git and DVC do not track it, or it has changed since.
    """
    if shutil.which("git") is None:
        return None
    head = _run(project_dir, "git", "rev-parse", "--verify", "--quiet", "HEAD")
    # -z: without it git writes names like giọng.dvc as "gi\\341\\273\\215ng.dvc", in quotes
    tracked = _run(project_dir, "git", "ls-files", "-z", "--", *_RAW)
    changed = _run(project_dir, "git", "status", "--porcelain", "--untracked-files=all", "--", *_RAW)
    if head.returncode or not tracked.stdout or changed.returncode or changed.stdout:
        return None
    by_dvc = [name for name in tracked.stdout.split("\0") if name.endswith(".dvc")]
    if by_dvc and _run(project_dir, *_DVC, "status", "--quiet", *by_dvc).returncode:
        return None
    return head.stdout.strip()


_RAW = ("data/raw", "data/*.dvc")


class Skipped(Exception):
    """Reason why there is nothing for DVC to do in a project: it is not its failure."""


def pull_raw(project_dir: Path) -> dict[str, int]:
    """Bring data/raw up to what its `.dvc` files say.

    Returns how many files were fetched, added, modified, deleted. Raises Skipped where DVC or a remote is not
    used, LsloopError with the last words of what failed. Never overwrites files that changed here and that
    DVC does not have. The reviewed tree is not touched: it goes out, not in.
    """
    _require_remote(project_dir)
    tracked = [*project_dir.glob("data/*.dvc"), *project_dir.glob("data/raw/**/*.dvc")]
    names = sorted(str(path.relative_to(project_dir)) for path in tracked if path.is_file())
    if not names:
        raise Skipped("DVC tracks nothing under data/raw")
    return _counted(_dvc(project_dir, "pull", *names))


def push(project_dir: Path) -> dict[str, int]:
    """Send what DVC tracks to the remote; return how many files were pushed.

    Raises Skipped, LsloopError.
    """
    _require_remote(project_dir)
    return _counted(_dvc(project_dir, "push"))


def status(project_dir: Path) -> str:
    """Return what `dvc status` says: which data and stages changed.

    Raises Skipped, LsloopError.
    """
    _require_dvc(project_dir)
    said = _ALWAYS.sub("", _dvc(project_dir, "status")).strip()
    return said or "Data and pipelines are up to date."


_ALWAYS = re.compile(r"^\S+:\n\s+always changed\n?(?!\s)", re.MULTILINE)
"""Of a stage that DVC runs each time, to ask the ledger: this is no change."""


def is_in_use(project_dir: Path) -> bool:
    """Tell whether the folder lies in a DVC repository."""
    return any((folder / ".dvc").is_dir() for folder in (project_dir, *project_dir.resolve().parents))


def _require_dvc(project_dir: Path) -> None:
    if not is_in_use(project_dir):
        raise Skipped("this is not a DVC repository")


def _require_remote(project_dir: Path) -> None:
    _require_dvc(project_dir)
    if not _dvc(project_dir, "remote", "list").strip():
        raise Skipped("DVC has no remote here: `dvc remote add --default NAME URL` names one")


def _counted(said: str) -> dict[str, int]:
    return {what: int(count) for count, what in _COUNTS.findall(said)}


_COUNTS = re.compile(r"(\d+) files? (added|modified|deleted|fetched|pushed)")


def head(project_dir: Path) -> str | None:
    """Return the git commit that the project folder is at, in short.

    None where there is none.
    """
    if shutil.which("git") is None:
        return None
    done = _run(project_dir, "git", "rev-parse", "--verify", "--quiet", "--short", "HEAD")
    return done.stdout.strip() or None


def fetch(project_dir: Path, path: str) -> None:
    """Fetch a folder that DVC tracks by `<path>.dvc` and that is not here.

    Nothing else is touched.
    """
    pointer = f"{path.rstrip('/')}.dvc"
    if not (project_dir / path).exists() and (project_dir / pointer).is_file():
        _dvc(project_dir, "pull", "--quiet", pointer)


def repro(project_dir: Path, stage: str) -> str:
    """Run a stage of dvc.yaml, and those it depends on, where something changed.

    Returns what DVC said. Raises LsloopError with the last words of what failed.
    """
    return _dvc(project_dir, "repro", stage)


def _dvc(project_dir: Path, *words: str) -> str:
    """Run DVC; what it said.

    Raises LsloopError with its last words.
    """
    found = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = _logged(project_dir, *words, PATH=found)  # the `lsloop` of dvc.yaml is this one
    if done.returncode and "rwlock" in (done.stdout + done.stderr).lower() and locks.release(project_dir):
        done = _logged(project_dir, *words, PATH=found)
    if done.returncode:
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        said = " ".join(lines[-4:])
        raise LsloopError(f"dvc {' '.join(words[:2])} failed: {said}", _fix(project_dir, said))
    return done.stdout


def _logged(project_dir: Path, *words: str, PATH: str) -> subprocess.CompletedProcess[str]:
    """Run DVC; -v shows the command, what it said, and how it ended."""
    began = time.monotonic()
    log.info("dvc %s", " ".join(words))
    done = _run(project_dir, *_DVC, *words, PATH=PATH)
    for line in (done.stdout + done.stderr).splitlines():
        if line.strip():
            log.info("dvc %s: %s", words[0], line.rstrip())
    log.info("dvc %s ended with %d after %.1f s", words[0], done.returncode, time.monotonic() - began)
    return done


def _fix(project_dir: Path, said: str) -> str:
    if "Could not find 'models'" in said:
        return _MODELS
    if ("Unable to acquire lock" in said or "rwlock" in said) and (holder := locks.holder(project_dir)):
        return f"Another DVC is at work here: {holder}. Wait until it ends, then run it again."
    return "Correct that and run it again."


_MODELS = (
    "Add the line `models: {}` to params.yaml: the stage retrain in dvc.yaml goes through it. "
    "Then run it again."
)


def probe_remote(project_dir: Path, name: str) -> str | None:
    """Write a file `name` to DVC's default remote, read it back and remove it.

    Returns which remote that is; None without DVC or a remote. The file lies in a folder of its own,
    `lsloop-canary`, which goes with it. Raises LsloopError with DVC's own words.
    """
    try:
        done = _run(project_dir, sys.executable, "-c", _PROBE, name, timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired as error:
        problem = f"The DVC remote has not answered for {PROBE_SECONDS:g} s."
        raise LsloopError(problem, "Look at `dvc remote list`, and at the network.") from error
    if done.returncode == _NO_REMOTE:
        return None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no words"])[-1]
        raise LsloopError(
            f"The DVC remote cannot be read and written: {said.rstrip('.')}.",
            "Correct `dvc remote list`, its credentials or its mount; then `dvc push` works, too.",
        )
    return done.stdout.strip()


PROBE_SECONDS = 60.0
_NO_REMOTE = 3

# DVC's commands would leave what they wrote; `dvc gc` would take other people's data with it.
_PROBE = """
import sys
from dvc.config import NoRemoteError
from dvc.exceptions import NotDvcRepoError
from dvc.repo import Repo
try:
    remote = Repo().cloud.get_remote()
except (NoRemoteError, NotDvcRepoError):
    sys.exit(3)
fs = remote.fs
if fs.protocol == "local" and not fs.exists(remote.path):
    sys.exit(f"the folder {remote.path} does not exist")
folder = fs.join(remote.path, "lsloop-canary")
path = fs.join(folder, sys.argv[1])
try:
    fs.makedirs(folder, exist_ok=True)
    fs.pipe_file(path, b"canary")
    if fs.cat_file(path) != b"canary":
        sys.exit("what was written came back changed")
finally:
    if fs.exists(folder):
        fs.rm(folder, recursive=True)
print(f"{remote.name}, {remote.path}")
"""


def stages(task_types: Sequence[str]) -> str:
    """The `dvc.yaml` of a project with these task types."""
    outs = "".join(f"\n    - data/reviewed/{name}:\n        persist: true" for name in task_types)
    deps = "".join(f"\n    - data/reviewed/{name}" for name in task_types)
    return _STAGES.format(outs=outs or " []", deps=deps or " []")


_STAGES = """\
# `dvc repro export_reviewed` exports when people accepted something since the last time, \
and is a no-op otherwise.
# A task type that is added to params.yaml is added here, too: \
under outs of the export and deps of the manifest.
# `dvc repro retrain@transcript_correction` also trains, when the export or the model's settings changed.
vars:
- models: {{}}  # what params.yaml has under models comes to this, if anything
stages:
  ledger_watermark:
    cmd: lsloop watermark data/watermark.json
    always_changed: true
    outs:
    - data/watermark.json:
        cache: false
  export_reviewed:
    cmd: lsloop export --no-manifest
    deps:
    - data/watermark.json
    outs:{outs}
  generate_manifest:
    cmd: lsloop manifest
    deps:{deps}
    outs:
    - data/reviewed/manifest.json:
        cache: false
  retrain:  # a stage for each task type that has an entry under models in params.yaml
    foreach: ${{models}}
    do:
      cmd: lsloop retrain --task-type ${{key}}
      deps:
      - data/reviewed/${{key}}
      params:
      - models.${{key}}
      outs:
      - models/${{key}}:
          persist: true
      metrics:
      - metrics/${{key}}/metrics.json:
          cache: false
      plots:
      - metrics/${{key}}/plots:
          cache: false
          x: step
"""

_DVC = (sys.executable, "-m", "dvc")


def _is_in_git(project_dir: Path) -> bool:
    done = _run(project_dir, "git", "rev-parse", "--is-inside-work-tree")
    if done.returncode and "not a git repository" not in done.stderr:
        raise LsloopError(
            f"git does not work in {project_dir}: {done.stderr.strip()}", "Correct that and run again."
        )
    return done.returncode == 0


def _checked(project_dir: Path, *command: str) -> str:
    done = _run(project_dir, *command)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        told = " ".join(line for line in lines if line and not line.startswith("Having any troubles?"))
        raise LsloopError(
            f"{' '.join(command)} failed in {project_dir}: {told}", "Correct that and run again."
        )
    return done.stdout.strip()


def _run(
    project_dir: Path, *command: str, timeout: float | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=project_dir,
            env={**os.environ, "LOGNAME": machine.user(), **_QUIETLY, **env},  # DVC fails for who has no name
            stdin=subprocess.DEVNULL,  # DVC must not ask: nobody is there to answer
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except FileNotFoundError as error:
        raise LsloopError(
            f"{command[0]} is not installed.", f"Install {command[0]} and run again."
        ) from error
