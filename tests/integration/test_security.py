"""What the server, the command line and Label Studio's page make of who and what should not be there:
nothing.

Media links and paths have their own tests: test_server_media.py, test_server_paths.py.
"""

import asyncio
import json
import re
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psycopg
import pytest
from serve_process import serve

from lsloop import task_types
from lsloop.commands import main
from lsloop.errors import LsloopError
from lsloop.ledger import Ledger, connect
from lsloop.records import Sample
from lsloop.server import app, guard, webhook
from lsloop.server.api import Desk
from lsloop.values import showing
from office import SERVER, Office
from services import Postgres
from serving import SECRET, STUDIO, raw, serving
from world import config

TOKEN = "a-token-of-the-tests"
HOLDER = {"Authorization": f"Bearer {TOKEN}"}

HOSTILE = {
    "sql": "x'); DROP TABLE samples; --",
    "format": "%s %(name)s :name {0} {{7*7}} ${7*7}",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg/onload=alert(1)>",
    "terminal": "\x1b]0;owned\x07\x1b[31mred\x9b31m",
    "entity": "&lt;b&gt; &#60;script&#62;",
    "direction": "\u202egnirts\u2066",
}
READABLE = {name: text for name, text in HOSTILE.items() if name != "terminal"}


@pytest.fixture(scope="module")
def desk(
    postgres: Postgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    """An empty ledger for all tests in which nothing may happen."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
    ledger = connect(postgres.url(name))
    yield Desk(ledger, config(tmp_path_factory.mktemp("project"), postgres.url(name), SERVER, "x"), TOKEN)
    ledger.close()


@pytest.fixture(scope="module")
def url(desk: Desk) -> Iterator[str]:
    hook = webhook.Hook("x", lambda path, body, event: None)
    with serving(desk.config.project_dir, desk=desk, hook=hook) as address:
        yield address


@dataclass
class Own:
    """A ledger of the test's own, with people at work, and a server over it."""

    office: Office
    url: str
    project: Path


@pytest.fixture
def own(ledger: Ledger, database_url: str, tmp_path: Path) -> Iterator[Own]:
    (tmp_path / ".env").write_text(f"DATABASE_URL={database_url}\n")
    with serving(tmp_path, desk=Desk(ledger, config(tmp_path, database_url, SERVER, "x"), TOKEN)) as address:
        yield Own(Office(ledger), address, tmp_path)


def application(desk: Desk, tmp_path: Path) -> Any:
    return app.create(
        raw_dir=tmp_path,
        dvc_cache=None,
        secret=SECRET,
        label_studio_url=STUDIO,
        ping=lambda: None,
        desk=desk,
        hook=webhook.Hook("x", lambda path, body, event: None),
    )


# --- who may


PROTECTED = [
    ("GET", "/api/conflicts"),
    ("GET", "/api/stats"),
    ("POST", "/api/resolve-conflict/1?resolution=human_wins"),
]
NOT_THE_TOKEN = [
    "", "Bearer", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}",
    f"Bearer {TOKEN.upper()}",
    f"Bearer {TOKEN} {TOKEN}", f"Bearer,{TOKEN}", "Token null", "Bearer \xe9", "Bearer ' OR 1=1 --",
    "Bearer " + "x" * 5000,
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_without_the_right_token_nothing_is_told_or_done(url: str, method: str, path: str) -> None:
    with httpx.Client(base_url=url) as client:
        refused = [client.request(method, path)] + [
            client.request(method, path, headers={"Authorization": given.encode("latin-1")})
            for given in NOT_THE_TOKEN
        ]
    assert {(answer.status_code, answer.headers["www-authenticate"]) for answer in refused} == {
        (401, 'Bearer realm="lsloop"')
    }
    assert all(set(answer.json()) == {"error", "fix"} and TOKEN not in answer.text for answer in refused)
    assert httpx.request(method, f"{url}{path}", headers=HOLDER).status_code in (200, 404)


def test_the_token_is_not_taken_from_the_query_a_cookie_or_a_form(url: str) -> None:
    tries: list[dict[str, Any]] = [
        {"params": {"token": TOKEN, "access_token": TOKEN, "authorization": f"Bearer {TOKEN}"}},
        {"cookies": {"Authorization": f"Bearer {TOKEN}", "token": TOKEN}},
        {
            "headers": {
                "X-Api-Key": TOKEN,
                "X-Authorization": f"Bearer {TOKEN}",
                "Proxy-Authorization": f"Bearer {TOKEN}",
            }
        },
    ]
    assert [httpx.get(f"{url}/api/stats", **how).status_code for how in tries] == [401] * 3


def test_no_other_spelling_of_a_path_goes_round_the_token(url: str) -> None:
    targets = ["/api/conflicts/", "//api/conflicts", "/API/conflicts", "/api/./conflicts", "/api/%63onflicts",
               "/x/../api/conflicts", "/api;x/conflicts", "/api/conflicts%00", "/media/../api/conflicts",
               "/api\\conflicts"]  # fmt: skip
    assert {raw(url, target)[0] for target in targets} <= {400, 401, 403, 404}


def test_metrics_are_for_this_machine_and_for_who_holds_the_token(desk: Desk, tmp_path: Path) -> None:
    served = application(desk, tmp_path)

    async def ask(client: tuple[str, int], headers: dict[str, str]) -> int:
        transport = httpx.ASGITransport(served, client=client)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as asking:
            return (await asking.get("/metrics", headers=headers)).status_code

    async def all_of_them() -> list[int]:
        here, there = ("127.0.0.1", 1), ("192.0.2.7", 1)
        forged = {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
        return [
            await ask(here, {}), await ask(("::1", 1), {}), await ask(there, {}), await ask(there, forged),
            await ask(there, HOLDER),
        ]  # fmt: skip

    assert asyncio.run(all_of_them()) == [200, 200, 401, 401, 200]


def test_metrics_name_nobody(own: Own) -> None:
    own.office.crawl("a secret sample", transcript="a secret text")
    own.office.send()
    own.office.answer("a secret sample", "a secret answer", annotator="linh@example.com")
    httpx.get(f"{own.url}/api/conflicts/a secret path", headers=HOLDER)
    httpx.request("SECRET", f"{own.url}/health")
    told = httpx.get(f"{own.url}/metrics").text
    assert "lsloop_samples 1.0" in told
    assert "secret" not in told.lower()
    assert "linh" not in told


def test_the_token_is_made_once_for_its_owner_only_and_never_shown(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        path = tmp_path / ".lsloop" / "api_token"
        token = path.read_text().strip()
        assert (len(token) >= 40, stat.S_IMODE(path.stat().st_mode)) == (True, 0o600)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert "*" in (tmp_path / ".lsloop" / ".gitignore").read_text()
        asked = httpx.get(f"{server.url}/api/stats", headers={"Authorization": f"Bearer {token}"})
        assert asked.status_code == 503  # the token is right; PostgreSQL is away
        assert "hunter2" not in asked.text
        assert "server" not in asked.headers
        assert httpx.get(f"{server.url}/api/stats").status_code == 401
    assert token not in server.log.read_text()


# --- what browsers may


@pytest.mark.parametrize("origin", [STUDIO, "http://evil.example", "null"])
def test_no_page_may_use_the_api_even_label_studios(url: str, origin: str) -> None:
    """A page there may hold what annotators write; the API is for programs."""
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    assert httpx.options(f"{url}/api/resolve-conflict/1", headers=asked).status_code == 400


def test_answers_are_what_they_say_they_are_and_are_not_kept(url: str) -> None:
    for path, headers in (
        ("/api/conflicts", HOLDER),
        ("/api/stats", {}),
        ("/health", {}),
        ("/metrics", {}),
        ("/media/a", {}),
        ("/no", {}),
    ):
        got = httpx.get(f"{url}{path}", headers=headers).headers
        assert (got["x-content-type-options"], got["referrer-policy"]) == ("nosniff", "no-referrer")
        assert got["content-type"].startswith(("application/json", "text/plain"))
    kept = httpx.get(f"{url}/api/conflicts", headers=HOLDER).headers
    assert kept["cache-control"] == "no-store"
    assert kept["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_the_server_does_not_describe_itself(url: str) -> None:
    paths = (
        "/",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/api",
        "/api/openapi.json",
        "/.env",
        "/.git/config",
        "/static",
        "/admin",
    )
    assert [httpx.get(f"{url}{path}", headers=HOLDER).status_code for path in paths] == [404] * len(paths)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "POST"])
def test_other_methods_are_refused(url: str, method: str) -> None:
    for path in ("/api/conflicts", "/api/stats", "/metrics", "/health", "/media/a.wav"):
        assert httpx.request(method, f"{url}{path}", headers=HOLDER).status_code == 405
    assert httpx.get(f"{url}/api/resolve-conflict/1?resolution=human_wins", headers=HOLDER).status_code == 405


# --- how much


def posts(served: Any) -> list[str]:
    """Every path that takes a POST, whoever added it."""
    paths = served.openapi()["paths"]
    return [re.sub(r"\{.*?\}", "1", path) for path, methods in paths.items() if "post" in methods]


@pytest.mark.filterwarnings("ignore:Duplicate Operation ID")
def test_a_body_that_is_too_large_is_413_everywhere_however_it_is_sent(
    desk: Desk, url: str, tmp_path: Path
) -> None:
    found = posts(application(desk, tmp_path))
    assert {"/api/resolve-conflict/1", "/canary/1", *webhook.PATHS} <= set(found)
    for path in [*found, "/no/such/path", "/api/conflicts"]:
        size = app.LARGER.get(path, guard.BODY) + 1
        for content in (b"x" * size, iter([b"x" * 4096] * (size // 4096 + 1))):
            answer = httpx.post(f"{url}{path}", content=content, headers=HOLDER)
            assert (path, answer.status_code) == (path, 413)
            assert answer.json()["error"] == "The body is too large."


def test_a_body_that_is_said_to_be_too_large_is_not_waited_for(url: str) -> None:
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(
            b"POST /api/resolve-conflict/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n"
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_a_body_of_the_allowed_size_passes(url: str) -> None:
    for content in (b"x" * guard.BODY, iter([b"x" * 1024] * 64)):
        answer = httpx.post(
            f"{url}/api/resolve-conflict/1?resolution=merged", content=content, headers=HOLDER
        )
        assert answer.status_code == 404


def test_a_length_that_is_no_number_is_refused(url: str) -> None:
    for told in ("-1", "1e9", "x", "99999999999999999999999999", "1, 2"):
        assert raw(url, "/api/resolve-conflict/1", "POST", f"Content-Length: {told}\r\n")[0] in (400, 413)


# --- what is in the text


def test_text_that_looks_like_sql_html_or_commands_is_text(
    own: Own, capsys: pytest.CaptureFixture[str]
) -> None:
    """In every name, field, answer, remark, reason and actor: over HTTP as it is, on the terminal without
    its powers."""
    for text in HOSTILE.values():
        own.office.crawl(text, transcript=text, **{text: text})
    own.office.send()
    for text in HOSTILE.values():
        own.office.crawl(text, transcript=f"{text} upstream", **{text: text})
        said = {"transcript": f"{text} answer", "notes": text}
        own.office.answer(text, "", annotator=f"{text}@x", value=said)
    told = httpx.get(f"{own.url}/api/conflicts", headers=HOLDER).json()["conflicts"]
    assert [c["external_id"] for c in told] == list(HOSTILE.values())
    assert [c["annotator"] for c in told] == [f"{text}@x" for text in HOSTILE.values()]
    assert [c["ours"]["transcript"] for c in told] == [f"{text} answer" for text in HOSTILE.values()]
    for conflict in told:
        if conflict["external_id"] != HOSTILE["terminal"]:
            decide(own, conflict["annotation_id"], conflict["external_id"])
    assert own.office.value("SELECT count(*) FROM samples") == len(HOSTILE)
    stats = httpx.get(f"{own.url}/api/stats", headers=HOLDER).json()
    assert {one["annotator"] for one in stats["annotators"]} == {f"{text}@x" for text in HOSTILE.values()}
    shows = [["conflicts", "show", str(conflict["conflict_id"])] for conflict in told]
    for command in (["conflicts", "list", "--status", "all"], ["locks"], ["annotators"], *shows):
        assert main(["-C", str(own.project), *command]) == 0
        shown = capsys.readouterr()
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown.out + shown.err)
    assert main(["-C", str(own.project), "conflicts", "show", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["external_id"] == HOSTILE["terminal"]


def decide(own: Own, number: int, text: str) -> None:
    """With the hostile text as the reason and as the actor: both are kept as they are."""
    answer = httpx.post(
        f"{own.url}/api/resolve-conflict/{number}",
        params={"resolution": "human_wins", "reason": text},
        headers={**HOLDER, "X-Actor": text.encode()},
    )
    assert (answer.status_code, answer.json()["actor"]) == (200, text)
    audit = own.office.rows("SELECT actor, reason FROM audit ORDER BY audit_id DESC LIMIT 1")
    assert [tuple(row) for row in audit] == [(text, text)]


BEYOND_TEXT = ["\x00", "a\x00b", "a\x1bb", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")]


def test_no_parameter_of_a_query_does_more_than_it_should(url: str, desk: Desk) -> None:
    client = httpx.Client(base_url=url, headers=HOLDER)
    for text in (*HOSTILE.values(), *BEYOND_TEXT):
        for name in ("task_type", "field", "status", "limit", "after", text):
            answer = client.get("/api/conflicts", params={name: text})
            assert answer.status_code == 422 or (name == "field" and answer.json()["total"] == 0)
            assert answer.headers["content-type"] == "application/json"
            assert "syntax" not in answer.text
        for name in ("resolution", "seen", "reason", text):
            params = {"resolution": "human_wins", name: text}
            assert client.post("/api/resolve-conflict/1", params=params).status_code in (404, 422)
    for text in (HOSTILE["terminal"], *BEYOND_TEXT):
        refused = client.post("/api/resolve-conflict/1", params={"resolution": "merged", "reason": text})
        assert (refused.status_code, refused.json()["error"][:7]) == (422, "reason:")
    client.close()
    with desk.ledger.transaction() as transaction:
        assert transaction.value("SELECT count(*) FROM samples") == 0


@pytest.mark.parametrize(
    "number", ["0", "-1", "1.5", "x", "9" * 20, "1%00", "%E2%91%A0", "1'--", "NaN", "0x1"]
)
def test_a_number_that_is_none_is_refused_without_being_repeated(url: str, number: str) -> None:
    answer = httpx.post(f"{url}/api/resolve-conflict/{number}?resolution=merged", headers=HOLDER)
    assert (answer.status_code, answer.json()["error"].partition(":")[0]) == (422, "annotation_id")


def test_who_acts_must_be_a_name(url: str) -> None:
    for actor in (b"", b"x" * 101, "\x85".encode(), b"a\tb"):
        answer = httpx.post(
            f"{url}/api/resolve-conflict/1?resolution=merged", headers={**HOLDER, "X-Actor": actor}
        )
        assert answer.status_code == 422


def test_a_failure_inside_says_nothing_of_the_inside(tmp_path: Path, database_url: str) -> None:
    away = connect("postgresql://me:hunter2@127.0.0.1:1/x", check_schema=False)
    settings = config(tmp_path, database_url, SERVER, "x")
    with serving(tmp_path, desk=Desk(away, settings, TOKEN)) as address:
        answer = httpx.get(f"{address}/api/stats", headers=HOLDER)
        assert answer.status_code == 503
        assert not re.search('hunter2|Traceback|SELECT|sqlalchemy|File "', answer.text)
        assert "lsloop_ledger_up 0.0" in httpx.get(f"{address}/metrics").text


# --- what Label Studio's page is given as HTML


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("text", READABLE.values(), ids=READABLE)
def test_answers_shown_side_by_side_hold_no_html_of_their_own(text: str) -> None:
    segment = {"start": 0, "end": text, "labels": [text], text: {text: text}}
    answers = [
        {"transcript": text, "notes": text, text: text},
        {"transcript": f"{text} x", "segments": [segment], text: [text]},
    ]
    html = showing.html(answers, ("transcript",))
    assert {tag for tag, _ in Tags(html).found} <= {"p", "b", "i", "br", "mark", "del"}
    assert {name for _, attributes in Tags(html).found for name in attributes} <= {"style"}


@pytest.mark.parametrize("kind", task_types.names())
@pytest.mark.parametrize("text", READABLE.values(), ids=READABLE)
def test_the_html_in_a_task_is_ours(kind: str, text: str) -> None:
    sample = Sample(
        uuid4(), text, dict.fromkeys(("transcript", "translation", "text"), text), f"{text}.wav", duration=1.0
    )
    try:
        data = task_types.load(kind).task_data(sample, f"http://x/media/{text}.wav")
    except LsloopError:
        return  # refused
    shown = [
        value for value in data.values() if isinstance(value, str) and value.startswith("<") and value != text
    ]
    assert all({tag for tag, _ in Tags(html).found} <= {"audio", "p", "b"} for html in shown)
    assert not any(
        name.startswith("on") for html in shown for _, attributes in Tags(html).found for name in attributes
    )
