"""The way to a web service: without a proxy on this machine, else as the environment says; one in the way
is named."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lsloop import web
from lsloop.errors import Unreachable, UsageError
from lsloop.labelstudio import client
from lsloop.steps import canary, checkup

NAMES = (
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "ssl_cert_file",
    "ssl_cert_dir",
    "request_method",
)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class _Proxy(BaseHTTPRequestHandler):
    """Answers for everybody, and says for whom."""

    def do_GET(self) -> None:
        said = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HTTP_PROXY", url)
    yield url
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "here",
    [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "ls.localhost",
        "127.0.0.1",
        "127.9.9.9",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ],
)
def test_this_machine_is_never_asked_through_a_proxy(here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.invalid:1")
    assert web.proxy_of(f"http://{here}:8080/x") is None
    assert web.proxy_of("http://elsewhere.example") == ("ALL_PROXY", "http://proxy.invalid:1")


@pytest.mark.parametrize(
    ("exceptions", "host", "direct"),
    [
        ("::1/128,fd00::/8", "[fd12::3]", True),
        ("::1/128, fd00::/8", "ls.example", False),
        ("fd00::/8", "[fe80::1%25eth0]", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("[::1],ls.example", "ls.example", True),
        (".example", "ls.example", True),
        ("example", "ls.example", True),
        ("*.example", "ls.example", True),
        ("xample", "ls.example", False),
        ("ls.example:8080", "ls.example:8080", True),
        ("ls.example:8080", "ls.example:80", False),
        ("*", "ls.example", True),
        (",, ", "ls.example", False),
        ("[fd00::1]:80", "[fd00::1]:80", True),
        ("nonsense/99", "10.1.2.3", False),
        ("Ls.Example", "LS.example", True),
    ],
)
def test_no_proxy_is_read_with_names_addresses_and_networks(
    exceptions: str, host: str, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:1")
    monkeypatch.setenv("no_proxy", exceptions)
    assert (web.proxy_of(f"http://{host}/") is None) == direct
    web.client(f"http://{host}/").close()


def test_everything_that_asks_goes_the_same_way(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "::1/128,fd00::/8")
    with web.client("http://ls.invalid") as asking:
        assert asking.get("http://ls.invalid/a").text == "http://ls.invalid/a"
    with client.connect("http://ls.invalid", "0" * 40) as studio:
        assert studio.send("GET", "api/version").text == "http://ls.invalid/api/version"
        assert studio.browser().get("/user").text == "http://ls.invalid/user"
    assert canary._get("http://media.invalid/x", {}).text == "http://media.invalid/x"
    services = {"Label Studio": "http://ls.invalid", "media": proxy}
    assert (
        checkup.proxies(services) == "Label Studio through the proxy of HTTP_PROXY (NO_PROXY takes hosts out)"
    )
    assert checkup.proxies({"media": proxy}) == "none is in the way"


def test_a_proxy_that_is_in_the_way_is_named_and_nothing_secret_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:hunter2@127.0.0.1:1")
    with client.connect("http://ls.invalid", "0" * 40) as studio, pytest.raises(Unreachable) as error:
        studio.post("api/tasks", json={})
    assert "does not answer through the proxy of HTTP_PROXY" in error.value.problem
    with pytest.raises(Unreachable, match="through the proxy of HTTP_PROXY"):
        canary._get("http://media.invalid/media/a.wav?signature=1", {})
    for wrong in ("http://me:hunt/er2@proxy:1", "nonsense://proxy:1", "http://proxy:port"):
        monkeypatch.setenv("HTTP_PROXY", wrong)
        with pytest.raises(
            UsageError, match="HTTP_PROXY in the environment is not the address of a proxy"
        ) as refused:
            client.connect("http://ls.invalid", "0" * 40)
        assert "hunt" not in refused.value.problem + refused.value.fix


def test_a_certificate_file_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "absent.pem"))
        web.client("http://ls.invalid").close()
        with pytest.raises(UsageError, match=rf"{name} names .*absent\.pem, which cannot be read"):
            client.connect("https://ls.invalid", "0" * 40)
        monkeypatch.delenv(name)
    (tmp_path / "empty.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))
    with pytest.raises(UsageError, match="cannot be read as certificates"):
        web.client("https://ls.invalid")
