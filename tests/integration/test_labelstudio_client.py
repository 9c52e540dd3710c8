"""What one connection to a real Label Studio does when the line, the token or the server fails."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import labelling
import pytest

from faults import proxy
from faults.proxy import Exchange, Fault, Proxy, nth
from lsloop.errors import LsloopError, Refused, Unauthorised, Uncertain, Unreachable, UsageError
from lsloop.labelstudio import client, credentials, identity, people, tasks
from lsloop.labelstudio.client import LabelStudio
from services import Studio

pytestmark = pytest.mark.studio

REFRESH = "/api/token/refresh/"
WHOAMI = "/api/current-user/whoami"
IMPORT = r"/api/projects/\d+/import\b"


@pytest.fixture
def between(studio: Studio) -> Iterator[Proxy]:
    with Proxy(studio.url) as running:
        yield running


@pytest.fixture
def labels(between: Proxy, studio: Studio) -> Iterator[LabelStudio]:
    """A connection with a legacy token, through the proxy."""
    with client.connect(between.url, studio.token) as connection:
        yield connection


@pytest.fixture
def personal(between: Proxy, studio: Studio) -> Iterator[LabelStudio]:
    """A connection with a personal access token, through the proxy."""
    with client.connect(between.url, studio.pat) as connection:
        yield connection


def who(connection: LabelStudio) -> str:
    return str(people.whoami(connection)["email"])


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# writes


@pytest.mark.parametrize(
    "fault",
    [proxy.then_drop, proxy.then_cut, proxy.then_answering(500), proxy.then_answering(502, b"<html>")],
    ids=["dropped", "cut", "500", "502"],
)
def test_a_write_without_an_answer_is_uncertain_and_sent_once(
    between: Proxy, labels: LabelStudio, fault: Fault
) -> None:
    project, sent = labelling.project(labels), labelling.batch(3)
    between.on("POST", IMPORT, fault)
    with pytest.raises(Uncertain):
        tasks.import_batch(labels, project, sent)
    assert between.count("POST", IMPORT) == 1
    found = tasks.find_by_key(labels, project, labelling.keys(sent))
    assert sorted(key for _, key in found) == sorted(labelling.keys(sent))


def test_a_write_answered_too_late_is_uncertain_and_sent_once(
    between: Proxy, studio: Studio, labels: LabelStudio
) -> None:
    project, sent, gate = labelling.project(labels), labelling.batch(3), threading.Event()
    rule = between.on("POST", IMPORT, proxy.then_hold(gate))
    with client.connect(between.url, studio.token, timeout=0.5) as hasty, pytest.raises(Uncertain):
        tasks.import_batch(hasty, project, sent)
    rule.wait(forwarded=1)
    gate.set()
    assert between.count("POST", IMPORT) == 1
    assert len(tasks.find_by_key(labels, project, labelling.keys(sent))) == 3


def test_a_write_that_never_arrived_is_uncertain_too(between: Proxy, labels: LabelStudio) -> None:
    project, sent = labelling.project(labels), labelling.batch(3)
    between.on("POST", IMPORT, proxy.drop)
    with pytest.raises(Uncertain):
        tasks.import_batch(labels, project, sent)
    assert between.count("POST", IMPORT) == 1
    assert tasks.find_by_key(labels, project, labelling.keys(sent)) == []


@pytest.mark.parametrize("method", ["post", "patch", "delete"])
def test_no_kind_of_write_is_sent_twice(between: Proxy, labels: LabelStudio, method: str) -> None:
    between.on(method.upper(), "/api/annotations/1/", proxy.drop)
    with pytest.raises(Uncertain):
        getattr(labels, method)("api/annotations/1/")
    assert between.count(method.upper(), "/api/annotations/1/") == 1


def test_a_refused_write_says_what_label_studio_said(labels: LabelStudio) -> None:
    project = labelling.project(labels)
    with pytest.raises(Refused, match=r'"audio" key is expected') as refused:
        tasks.import_batch(labels, project, [{"data": {"text": "no audio"}}])
    assert "\n" not in refused.value.problem
    assert tasks.count(labels, project) == 0


def test_what_cannot_be_written_as_json_is_refused_before_it_is_sent(
    between: Proxy, labels: LabelStudio
) -> None:
    with pytest.raises(Refused, match="not JSON"):
        tasks.import_batch(labels, 1, [{"data": {"transcript": "half an emoji: \ud83d"}}])
    assert between.count("POST", IMPORT) == 0


@pytest.mark.parametrize(
    "fault",
    [
        proxy.answering(413, b"<html><title>413 Request Entity Too Large</title></html>", "text/html"),
        proxy.answering(
            500, b'{"detail": "You cannot access body after reading from request\'s data stream"}'
        ),
    ],
    ids=["413", "Label Studio's 500"],
)
def test_a_request_that_is_too_large_was_not_done(between: Proxy, labels: LabelStudio, fault: Fault) -> None:
    between.on("POST", IMPORT, fault)
    with pytest.raises(Refused, match="too large") as refused:
        tasks.import_batch(labels, 1, labelling.batch(3))
    assert "fewer tasks" in refused.value.fix


# reads


@pytest.mark.parametrize(
    "fault",
    [proxy.drop, proxy.then_cut, proxy.answering(503), proxy.answering(429)],
    ids=["dropped", "cut", "503", "429"],
)
def test_a_read_is_tried_again(between: Proxy, labels: LabelStudio, studio: Studio, fault: Fault) -> None:
    between.on("GET", WHOAMI, fault, nth(1, 2))
    assert who(labels) == studio.email
    assert between.count("GET", WHOAMI) == 3


def test_a_read_that_keeps_failing_says_that_label_studio_fails(between: Proxy, labels: LabelStudio) -> None:
    page = b"<html><head><title>502 Bad Gateway</title></head>\n<body><h1>nginx</h1></body></html>"
    between.on("GET", WHOAMI, proxy.answering(502, page, "text/html"))
    with pytest.raises(Unreachable, match="502 Bad Gateway") as failed:
        people.whoami(labels)
    assert not isinstance(failed.value, Uncertain)
    assert "<" not in failed.value.problem
    assert between.count("GET", WHOAMI) == client.TRIES


def test_a_read_answered_too_late_is_not_tried_again(between: Proxy, studio: Studio) -> None:
    gate = threading.Event()
    between.on("GET", WHOAMI, proxy.hold(gate))
    with client.connect(between.url, studio.token, timeout=0.3) as hasty, pytest.raises(Unreachable) as late:
        people.whoami(hasty)
    gate.set()
    assert not isinstance(late.value, Uncertain)
    assert between.count("GET", WHOAMI) == 1


# other servers


def test_nobody_at_the_other_end_is_unreachable_and_not_uncertain() -> None:
    with client.connect("http://127.0.0.1:9", "0" * 40) as nobody:
        for ask in (nobody.get, nobody.post):
            with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9 does not answer") as gone:
                ask("api/projects/")
            assert not isinstance(gone.value, Uncertain)
            assert "lsloop up" in gone.value.fix


def test_a_web_page_is_not_an_answer(between: Proxy, labels: LabelStudio) -> None:
    page = proxy.answering(200, b"<html><title>It works!</title></html>", "text/html")
    between.on("GET", "/api/projects/", page)
    between.on("POST", "/api/projects/", page)
    with pytest.raises(Unreachable, match="not JSON: It works!"):
        labels.get("api/projects/")
    with pytest.raises(Uncertain):
        labels.post("api/projects/", json={})


def test_a_server_that_sends_us_elsewhere_is_named(between: Proxy, labels: LabelStudio) -> None:
    def moved(exchange: Exchange) -> None:
        exchange.reply(proxy.Answer(301, b"", (("Location", "https://labels.example.org/api/?a=1"),)))

    between.on("GET", WHOAMI, moved)
    with pytest.raises(UsageError, match=r"https://labels\.example\.org/api/\."):
        people.whoami(labels)


def test_the_address_of_a_page_is_not_that_of_label_studio(studio: Studio) -> None:
    with client.connect(f"{studio.url}/projects", studio.token) as connection:
        for ask in (people.whoami, identity.told):
            with pytest.raises(UsageError, match=r"There is no Label Studio at .*/projects: ") as refused:
                ask(connection)
            assert "without the path of one of its pages" in refused.value.fix


@pytest.mark.parametrize("kind", ["legacy", "personal"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_label_studio_under_a_path_works_with_both_tokens(studio: Studio, kind: str, slash: str) -> None:
    key = studio.token if kind == "legacy" else studio.pat
    with Proxy(studio.url, "/tools/labels") as under, client.connect(under.url + slash, key) as connection:
        assert who(connection) == studio.email
        project = labelling.project(connection)
        assert len(tasks.import_batch(connection, project, labelling.batch(2))) == 2


@pytest.mark.parametrize(
    "url", ["labels.example.org", "ftp://labels.example.org", "http://", "http://[::1", ""]
)
def test_what_is_not_a_url_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="LABEL_STUDIO_URL"):
        client.connect(url, "0" * 40)


def test_a_password_in_the_url_is_refused_and_not_shown() -> None:
    with pytest.raises(UsageError) as refused:
        client.connect("http://me:hunter2@labels.example.org", "0" * 40)
    assert "hunter2" not in refused.value.problem + refused.value.fix


# the line


def headers_seen(between: Proxy, fault: Fault = proxy.pass_on) -> list[dict[str, str]]:
    seen: list[dict[str, str]] = []

    def look(exchange: Exchange) -> None:
        seen.append({name.lower(): value for name, value in exchange.headers.items()})
        fault(exchange)

    between.on("GET", WHOAMI, look)
    return seen


def test_the_connection_is_kept_with_gunicorn(between: Proxy, labels: LabelStudio) -> None:
    seen = headers_seen(between)
    for _ in range(3):
        people.whoami(labels)
    assert [headers["connection"] for headers in seen] == ["close", "keep-alive", "keep-alive"]


def test_the_connection_is_not_kept_with_djangos_development_server(
    between: Proxy, labels: LabelStudio
) -> None:
    def development(exchange: Exchange) -> None:
        answer = exchange.forward()
        other = [(name, value) for name, value in answer.headers if name.lower() != "server"]
        headers = (*other, ("Server", "WSGIServer/0.2 CPython/3.11.7"))
        exchange.reply(proxy.Answer(answer.status, answer.body, headers))

    seen = headers_seen(between, development)
    for _ in range(3):
        people.whoami(labels)
    assert [headers["connection"] for headers in seen] == ["close", "close", "close"]


def test_no_session_cookie_is_ever_sent(between: Proxy, labels: LabelStudio) -> None:
    seen = headers_seen(between)
    for _ in range(2):
        people.whoami(labels)
    assert all("cookie" not in headers for headers in seen)


# tokens


def test_both_kinds_of_token_work(labels: LabelStudio, personal: LabelStudio, studio: Studio) -> None:
    assert who(labels) == who(personal) == studio.email


@pytest.mark.parametrize(
    ("key", "kind"), [("0" * 40, "legacy token"), ("eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "personal access token")]
)
def test_a_wrong_token_is_named_by_kind_and_never_shown(studio: Studio, key: str, kind: str) -> None:
    with client.connect(studio.url, key) as connection, pytest.raises(Unauthorised, match=kind) as rejected:
        people.whoami(connection)
    assert key not in rejected.value.problem + rejected.value.fix
    assert "LABEL_STUDIO_API_KEY" in rejected.value.fix


def test_an_access_token_is_not_taken_for_a_personal_one(studio: Studio) -> None:
    access = httpx.post(studio.url + REFRESH, json={"refresh": studio.pat}).json()["access"]
    with pytest.raises(UsageError, match="lives for minutes"):
        client.connect(studio.url, access)


def test_what_an_account_may_not_do_is_not_called_a_bad_token(between: Proxy, labels: LabelStudio) -> None:
    between.on("GET", WHOAMI, proxy.answering(403, b'{"detail": "URL resolves to a reserved address"}'))
    with pytest.raises(Unauthorised, match=r"may not do that.*reserved address"):
        people.whoami(labels)


def with_clock(between: Proxy, studio: Studio, clock: Clock) -> LabelStudio:
    connection = client.connect(between.url, studio.pat)
    connection._token = credentials.PersonalToken(studio.pat, clock)
    return connection


def test_an_access_token_is_bought_once_and_again_before_it_ends(between: Proxy, studio: Studio) -> None:
    clock = Clock()
    with with_clock(between, studio, clock) as connection:
        for seconds, bought in ((0, 1), (1, 1), (230, 1), (15, 2), (1, 2), (100_000, 3)):
            clock.now += seconds
            assert who(connection) == studio.email
            assert between.count("POST", REFRESH) == bought, f"at {clock.now}"


def test_an_access_token_rejected_too_early_is_bought_anew_once_and_the_work_is_done_once(
    between: Proxy, personal: LabelStudio
) -> None:
    project, sent = labelling.project(personal), labelling.batch(2)
    between.on("POST", IMPORT, proxy.answering(401, b'{"detail": "Token is expired"}'), nth(1))
    assert len(tasks.import_batch(personal, project, sent)) == 2
    assert between.count("POST", REFRESH) == 2
    assert tasks.count(personal, project) == 2


def test_a_token_that_is_rejected_for_good_is_not_tried_for_ever(
    between: Proxy, personal: LabelStudio
) -> None:
    between.on("GET", WHOAMI, proxy.answering(401, b'{"detail": "Token is expired"}'))
    with pytest.raises(Unauthorised, match="Token is expired"):
        people.whoami(personal)
    assert between.count("GET", WHOAMI) == 2


def test_a_write_is_not_uncertain_when_no_access_token_could_be_bought(
    between: Proxy, personal: LabelStudio
) -> None:
    between.on("POST", REFRESH, proxy.drop)
    with pytest.raises(Unreachable) as failed:
        tasks.import_batch(personal, 1, labelling.batch(2))
    assert not isinstance(failed.value, Uncertain)
    assert between.count("POST", IMPORT) == 0


@pytest.mark.parametrize(
    "fault",
    [proxy.answering(404, b"<html><title>404</title></html>", "text/html"), proxy.answering(200, b"[]")],
)
def test_a_server_that_sells_no_access_tokens_is_named(
    between: Proxy, personal: LabelStudio, fault: Fault
) -> None:
    between.on("POST", REFRESH, fault)
    with pytest.raises(Unreachable, match="gives no access token"):
        people.whoami(personal)


def test_threads_share_one_access_token(between: Proxy, personal: LabelStudio, studio: Studio) -> None:
    ask: Callable[[int], str] = lambda _: who(personal)  # noqa: E731
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(16))) == {studio.email}
    assert between.count("POST", REFRESH) == 1


def test_no_error_shows_a_token(between: Proxy, personal: LabelStudio, studio: Studio) -> None:
    between.on("POST", REFRESH, proxy.answering(500, b'{"detail": "oops"}'))
    with pytest.raises(LsloopError) as failed:
        people.whoami(personal)
    assert studio.pat not in failed.value.problem + failed.value.fix + repr(personal)
