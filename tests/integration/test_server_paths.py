"""/media gives regular files of data/raw, and there is no way out of it, even for who can sign any link."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import httpx
import pytest

from lsloop import signing
from serving import SECRET, raw, serving

LATER = 4_000_000_000
CONTENT, SECRET_CONTENT = b"a sound", b"SECRET OF THE MACHINE"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with media in it, and secrets around it."""
    root = tmp_path_factory.mktemp("project")
    for folder in ("data/raw/sub", "data/rawer", ".dvc/cache/files", "outside"):
        (root / folder).mkdir(parents=True)
    for name in (
        ".env",
        "data/secret.txt",
        "data/rawer/secret.txt",
        "outside/secret.txt",
        "outside/secret.wav",
    ):
        (root / name).write_bytes(SECRET_CONTENT)
    for name in ("data/raw/a.wav", "data/raw/sub/b.wav", ".dvc/cache/files/c0ffee"):
        (root / name).write_bytes(CONTENT)
    return root


@pytest.fixture(scope="module")
def url(project: Path) -> Iterator[str]:
    with serving(project / "data" / "raw", cache=project / ".dvc" / "cache") as address:
        yield address


def signed(target: str) -> str:
    """A request target as it stands, with a signature that is right for the path the server will see."""
    path = unquote(target)
    return f"/media/{target}?expires={LATER}&signature={signing.signature(SECRET, path, LATER)}"


TRAVERSALS = [
    "../secret.txt", "../../.env", "../rawer/secret.txt", "sub/../../secret.txt", "./../secret.txt",
    "%2e%2e/secret.txt", "%2e%2e%2fsecret.txt", "..%2fsecret.txt", ".%2e/secret.txt", "%2E./secret.txt",
    "%252e%252e/secret.txt", "..%252fsecret.txt", "..%5csecret.txt", "..\\secret.txt", "....//secret.txt",
    "..;/secret.txt", "..%00/secret.txt", "../secret.txt%00.wav", "a.wav%00", "%c0%ae%c0%ae/secret.txt",
    "%ef%bc%8e%ef%bc%8e/secret.txt", "..%c0%afsecret.txt", "sub/%2e%2e/%2e%2e/secret.txt", "/etc/passwd",
    "//etc/passwd", "%2fetc%2fpasswd", "/../../../../../../etc/passwd", "file:///etc/passwd", "~/.bashrc",
    "..", ".", "", "/", "sub/..", "sub/.", "sub", "sub/", "../raw/a.wav", "./a.wav", "sub//b.wav", "a.wav/",
    "a.wav/..", "a.wav/../../secret.txt", "%e0%80%ae%e0%80%ae/secret.txt", "..%u2215secret.txt", "*", "?.wav",
    "x" * 300 + ".wav", "/".join(["sub"] * 2000), "C:/secret.txt", "CON", "%ff%fe", "%zz/secret.txt",
]  # fmt: skip


@pytest.mark.parametrize("target", TRAVERSALS, ids=lambda target: repr(target)[:40])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_spelling_of_a_path_leads_out(url: str, target: str, method: str) -> None:
    status, body = raw(url, signed(target), method)
    assert status in (400, 403, 404)
    assert SECRET_CONTENT not in body
    assert b"root:" not in body
    assert CONTENT not in body


def test_the_server_still_answers_after_all_of_them(url: str) -> None:
    assert raw(url, signed("a.wav")) == (200, CONTENT)
    assert raw(url, signed("%61.wav")) == (200, CONTENT)
    assert raw(url, signed("sub/b.wav")) == (200, CONTENT)


def link(project: Path, name: str, target: str | Path) -> str:
    (project / "data" / "raw" / name).symlink_to(target)
    return name


def test_a_link_out_of_the_folder_is_not_followed(url: str, project: Path) -> None:
    names = [
        link(project, "absolute.wav", project / "outside" / "secret.wav"),
        link(project, "relative.wav", "../../outside/secret.wav"),
        link(project, "twice.wav", "absolute.wav"),
        link(project, "passwd.wav", "/etc/passwd"),
        link(project, "neighbour.wav", "../rawer/secret.txt"),
        link(project, "dangling.wav", "nowhere.wav"),
        link(project, "loop.wav", "loop.wav"),
        link(project, "dvc-config.wav", "../../.dvc/config"),
    ]
    link(project, "folder", "../../outside")
    assert [raw(url, signed(name))[0] for name in [*names, "folder/secret.wav"]] == [404] * 9


def test_a_link_into_dvcs_cache_is_what_dvc_makes(url: str, project: Path) -> None:
    name = link(project, "tracked.wav", "../../.dvc/cache/files/c0ffee")
    got = httpx.get(f"{url}{signed(name)}")
    assert (got.status_code, got.content, got.headers["content-type"]) == (200, CONTENT, "audio/wav")


def test_a_link_inside_the_folder_is_followed(url: str, project: Path) -> None:
    assert raw(url, signed(link(project, "again.wav", "sub/b.wav"))) == (200, CONTENT)


def test_the_whole_folder_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "big disk").mkdir()
    (tmp_path / "big disk" / "a.wav").write_bytes(CONTENT)
    (tmp_path / "raw").symlink_to(tmp_path / "big disk")
    with serving(tmp_path / "raw") as address:
        assert raw(address, signed("a.wav")) == (200, CONTENT)


def test_a_pipe_does_not_hold_the_server_up(url: str, project: Path) -> None:
    os.mkfifo(project / "data" / "raw" / "pipe.wav")
    assert raw(url, signed("pipe.wav"))[0] == 404


def test_a_folder_without_media_is_404(tmp_path: Path) -> None:
    with serving(tmp_path / "not there") as address:
        assert raw(address, signed("a.wav"))[0] == 404


@pytest.mark.parametrize(
    "name", ["a b.wav", "100%.wav", "a#b?c&d=e.wav", "giọng nói.wav", "a+b;c.wav", "'\"<>.wav"]
)
def test_any_name_that_a_file_can_have_works(url: str, project: Path, name: str) -> None:
    (project / "data" / "raw" / name).write_bytes(CONTENT)
    assert httpx.get(signing.signed_url(url, SECRET, name, LATER)).content == CONTENT
    assert raw(url, signed(quote(name)))[0] == 200
