"""The environment of its own: whole or made again, by one at a time. Made of nothing here, so that it is
quick."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lsloop.stack import Failed, studio_env
from lsloop.stack.studio_env import Say

NOTHING = "--no-index\n"


@pytest.fixture
def pins(tmp_path: Path) -> Path:
    path = tmp_path / "pins.txt"
    path.write_text(NOTHING)
    return path


def note(env: Path, log: Path, say: Say) -> None:
    with (env / "made").open("a") as file:
        file.write("once\n")


def quiet(text: str) -> None: ...


def test_a_half_made_one_is_made_again_then_used_and_made_anew_for_other_pins(
    tmp_path: Path, pins: Path
) -> None:
    env = tmp_path / "env"

    def interrupted(env: Path, log: Path, say: Say) -> None:
        (env / "half of it").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        studio_env.make_once(env, pins, interrupted, quiet)
    pins.write_text(f"{NOTHING}no-such-package-of-lsloop==1\n")
    with pytest.raises(Failed, match="No matching distribution found"):  # pip's words, not only its exit code
        studio_env.make_once(env, pins, note, quiet)
    assert not (env / "made").exists()
    pins.write_text(NOTHING)
    for _ in range(2):
        studio_env.make_once(env, pins, note, quiet)
    assert not (env / "half of it").exists()
    assert (env / "made").read_text() == "once\n"
    assert subprocess.run([studio_env.python(env), "-c", "import pip"]).returncode == 0

    before = studio_env.made_from(env)
    pins.write_text(f"{NOTHING}# another version\n")
    studio_env.make_once(env, pins, note, quiet)
    assert studio_env.made_from(env) != before
    assert (env / "made").read_text() == "once\n"


def test_two_at_once_make_it_once(tmp_path: Path, pins: Path) -> None:
    env = tmp_path / "env"
    script = (
        "import sys; from pathlib import Path; from lsloop.stack import studio_env\n"
        "def note(env, log, say): (env / 'made').open('a').write('once\\n')\n"
        "studio_env.make_once(Path(sys.argv[1]), Path(sys.argv[2]), note, print)"
    )

    def make(_: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", script, env, pins], capture_output=True, text=True)

    with ThreadPoolExecutor() as pool:
        done = list(pool.map(make, range(2)))
    assert [one.returncode for one in done] == [0, 0], done
    assert (env / "made").read_text() == "once\n"
    assert sum("Waiting for another lsloop" in one.stdout for one in done) <= 1
