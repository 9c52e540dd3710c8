"""What a server's answer is taken to mean."""

from datetime import UTC, datetime

import httpx
import pytest

from lsloop.errors import LsloopError, Refused, Unauthorised, Uncertain, Unreachable, UsageError
from lsloop.labelstudio import answers, ml

URL = "https://labels.example.org/api/projects/3/import?return_task_ids=true"


def answer(status: int, content: str | bytes = b"", method: str = "POST", **headers: str) -> httpx.Response:
    body = content.encode() if isinstance(content, str) else content
    return httpx.Response(
        status, content=body, headers=headers, request=httpx.Request(method, URL, content=b"[]")
    )


@pytest.mark.parametrize(
    ("status", "method", "meaning"),
    [
        (400, "POST", Refused),
        (404, "GET", answers.NotFound),
        (409, "PATCH", Refused),
        (413, "POST", Refused),
        (401, "POST", Unauthorised),
        (403, "GET", Unauthorised),
        (302, "GET", UsageError),
        (500, "GET", answers.Failing),
        (500, "POST", Uncertain),
        (503, "PATCH", Uncertain),
        (504, "DELETE", Uncertain),
    ],
)
def test_a_status_tells_whether_work_was_done(status: int, method: str, meaning: type[LsloopError]) -> None:
    assert type(answers.failure(answer(status, method=method), "legacy token")) is meaning


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"detail": "Not found."}', "Not found."),
        ('{"detail": "Validation error", "validation_errors": {"title": ["Too long.", "Odd."]}}',
         "Validation error: title: Too long."),
        ('{"validation_errors": {"non_field_errors": ["A\\n  B"]}}', "A B"),
        ('{"validation_errors": {"predictions": [{"score": ["No number."]}]}}',
        "predictions: score: No number."),
        ('["One thing"]', "['One thing']"),
        ("<html><head><title>502 Bad\n Gateway</title><style>p{}</style></head></html>", "502 Bad Gateway"),
        ("<script>x()</script><p>Fish &amp; chips</p>", "Fish & chips"),
        ("plain words", "plain words"),
        ("", "Bad Request"),
        ("x" * 1000, "x" * 299 + "…"),
    ],
)  # fmt: skip
def test_what_the_server_said_fits_one_line(content: str, said: str) -> None:
    assert answers.message(answer(400, content)) == said


def test_an_error_names_the_request_without_its_query() -> None:
    error = answers.failure(answer(400, '{"detail": "No."}'), "legacy token")
    assert error.problem == "POST https://labels.example.org/api/projects/3/import was answered 400: No."


def test_nothing_is_parsed_as_nothing_and_a_number_as_a_number() -> None:
    assert answers.parsed(answer(204)) is None
    assert answers.parsed(answer(200)) is None
    assert answers.parsed(answer(200, "0")) == 0


def test_the_servers_time_is_read_in_utc() -> None:
    told = answer(200, Date="Sat, 21 Nov 2026 02:14:37 GMT")
    assert answers.server_time(told) == datetime(2026, 11, 21, 2, 14, 37, tzinfo=UTC)


@pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}])
def test_a_server_without_a_time_is_an_error(headers: dict[str, str]) -> None:
    with pytest.raises(Unreachable, match="Date header"):
        answers.server_time(answer(200, **headers))


@pytest.mark.parametrize(
    ("told", "is_not_ready"),
    [
        ("503 Server Error: Service Unavailable for url: http://127.0.0.1:9090/ml/t/health", True),
        ("HTTPConnectionPool(host='127.0.0.1', port=50353): refused by <object at 0x7f1503a0>", False),
    ],
)
def test_a_backend_without_a_model_is_told_from_one_that_is_not_reached(
    told: str, is_not_ready: bool
) -> None:
    assert ml.is_not_ready(Refused(f"Label Studio refused: health check failed. {told}", "")) is is_not_ready
