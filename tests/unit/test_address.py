"""DATABASE_URL is read once for all parts; a password stands in it as it is or encoded, and is never
shown."""

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg import pq

from lsloop.config import address
from lsloop.errors import UsageError

SHOWN = "postgresql://me:***@db.example:5432/ledger"
PASSWORDS = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=("Cc", "Cs")),
    min_size=1,
    max_size=20,
)


def test_libpq_knows_every_setting_that_may_stand_in_a_url() -> None:
    assert {option.keyword.decode() for option in pq.Conninfo.get_defaults()} - address.SETTINGS == {
        "replication"
    }


@given(PASSWORDS)
def test_an_encoded_password_is_the_one_that_was_meant_whatever_is_in_it(password: str) -> None:
    found = address.read(f"postgresql://me:{quote(password, safe='')}@db.example:5432/ledger")
    assert found.settings["password"] == password
    assert found.place == SHOWN


@given(PASSWORDS)
@example("a%b").via("superset 13456")
@example("a/b:1@c?d=e#f g")
@example("%")
@example("12/3")
@example("12?3")
@example("[::1")
@example("pa ss")
@example("mậtkhẩu@/")
def test_a_password_as_it_is_works_or_is_refused_and_is_never_shown(password: str) -> None:
    """What reads as encoded is decoded; and `@` is the end of a password only where a host can follow."""
    url = f"postgresql://me:{password}@db.example:5432/ledger"
    try:
        found = address.read(url)
    except UsageError as refused:
        words = refused.problem.removeprefix("DATABASE_URL ")
    else:
        words = found.place.removeprefix("postgresql://")
        assert found.place == SHOWN
        assert _looks_encoded(password) or found.settings["password"] == password
    assert len(password) < 4 or password not in words


def _looks_encoded(password: str) -> bool:
    return "%" in password and address._decoded(password) != password


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("postgres://h/d", {"host": "h", "dbname": "d"}),
        (" postgresql+psycopg://u:p@h/d\n", {"user": "u", "password": "p", "host": "h", "dbname": "d"}),
        ("POSTGRESQL://u@h", {"user": "u", "host": "h"}),
        ("postgresql://u%40corp:p@h/d", {"user": "u@corp", "password": "p", "host": "h", "dbname": "d"}),
        ("postgresql://u@corp:p@h/d", {"user": "u@corp", "password": "p", "host": "h", "dbname": "d"}),
        ("postgresql://[::1]:5433/d", {"host": "::1", "port": "5433", "dbname": "d"}),
        ("postgresql://[fe80::1%25eth0]/d", {"host": "fe80::1%eth0", "dbname": "d"}),
        ("postgresql://a:1,b:2/d", {"host": "a,b", "port": "1,2", "dbname": "d"}),
        ("postgresql://a,b/d", {"host": "a,b", "dbname": "d"}),
        ("postgresql:///d?host=/run/pg&port=5433", {"host": "/run/pg", "port": "5433", "dbname": "d"}),
        ("postgresql:///d?host=a:1&host=b:2", {"host": "a,b", "port": "1,2", "dbname": "d"}),
        ("postgresql://u:p@%2Frun%2Fpg/d", {"user": "u", "password": "p", "host": "/run/pg", "dbname": "d"}),
        ("postgresql:///?service=prod&passfile=/p", {"service": "prod", "passfile": "/p"}),
        (
            "postgresql://h/d?options=-csearch_path=app%20-cwork_mem=9MB&sslmode=verify-full",
            {"host": "h", "dbname": "d", "options": "-csearch_path=app -cwork_mem=9MB",
            "sslmode": "verify-full"},
        ),
        ("postgresql://h/d?user=me@corp&password=p%26q",
        {"host": "h", "dbname": "d", "user": "me@corp", "password": "p&q"}),
        ("postgresql://u:100%@h/d", {"user": "u", "password": "100%", "host": "h", "dbname": "d"}),
        ("postgresql://u:%E9@h/d", {"user": "u", "password": "%E9", "host": "h", "dbname": "d"}),
    ],
)  # fmt: skip
def test_urls_are_read_as_libpq_reads_them(url: str, settings: dict[str, str]) -> None:
    assert address.read(url).settings == settings


@pytest.mark.parametrize(
    "url",
    [
        "", "nonsense", "mysql://u:hunter2@h/d", "host=h password=hunter2", "postgresql:u:hunter2@h",
        "postgresql://u:hunter2@h:port/d",
        "postgresql://u:hunter2@h:99999/d", "postgresql://u:hunter2@h/d?schema=app",
        "postgresql://u:hunter2@h/d?sslmode",
        "postgresql://u:hunter2\n@h/d", "postgresql://u:hunter2%00@h/d",
        "postgresql://u:hunter2@h/d?port=1&port=2",
        "postgresql://u:hunter2@[::1/d", "postgresql://u:hunter2@a b/d", "postgresql://u:hunter2@h/d/e",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_and_nothing_of_it_is_shown(url: str) -> None:
    with pytest.raises(UsageError, match="DATABASE_URL") as refused:
        address.read(url)
    assert "hunter2" not in f"{refused.value.problem} {refused.value.fix}"


def test_a_place_is_shown_without_what_is_secret_in_the_query() -> None:
    found = address.read("postgresql://h,[::1]:1/d?password=hunter2&sslpassword=hunter3&user=me")
    assert (found.place, found.secrets) == ("postgresql://me:***@h,[::1]:1/d", ["hunter2", "hunter3"])
