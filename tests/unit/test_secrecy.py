"""Whatever text is told, passwords, tokens and signatures in it are blanked, and the rest is kept."""

import pytest

from lsloop.secrecy import without_secrets


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("postgresql://me:pass@host:5432/db failed", "postgresql://me:***@host:5432/db failed"),
        ("postgresql://me:p@ss:w0rd@host/db", "postgresql://me:***@host/db"),
        ("http://:pass@host", "http://:***@host"),
        (
            "GET /media/a.wav?expires=1&signature=abc&lsref=1",
            "GET /media/a.wav?expires=1&signature=***&lsref=1",
        ),
        ("password=hunter2 host=db", "password=*** host=db"),
        ("{'api_key': 'abc', 'x': 1}", "{'api_key': '***', 'x': 1}"),
        ("Authorization: Token 0123456789abcdef", "Authorization: Token ***"),
        ("Authorization: Bearer eyJ0.eyJ1.sig-_", "Authorization: Bearer ***"),
    ],
)
def test_secrets_are_blanked(text: str, told: str) -> None:
    assert without_secrets(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:8080/projects/1",
        "at 12:30 me@host",
        "https://host/a:b@c",
        "Set LSLOOP_SECRET in .env",
        "password: wrong",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text) == text
