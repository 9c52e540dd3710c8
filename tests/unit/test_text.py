"""Text as PostgreSQL can hold it."""

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lsloop.values import text


@given(st.lists(st.text(alphabet=st.sampled_from('a\\u0\0"é'), max_size=12)))
@example(["\0"])
@example(["\\u0000"])
@example(["\\\0"])
def test_nul_alone_is_replaced_whatever_stands_before_it(texts: list[str]) -> None:
    document = orjson.dumps(texts).decode()
    kept = orjson.loads(text.without_nul(document))
    assert kept == [one.replace("\0", "\ufffd") for one in texts]
    assert text.has_nul(document) == any("\0" in one for one in texts)


@pytest.mark.parametrize(
    "shown", ["a", "ợ", ".", "?", "…", "7", "\u200ba", "e\u0301", "日", "\U0001f600", "—", "ก"]
)
def test_what_shows_something_is_not_blank(shown: str) -> None:
    assert not text.is_blank(shown)


@pytest.mark.parametrize(
    "nothing",
    ["", " ", "\t\r\n", "\u200b", "\ufeff\u200d", "\u00a0", "\u3000", "\u2028", "\u0301", "\u00ad", "\u2060",
    "\u202e",
     "\u3164", "\u115f", "\uffa0", "\u2800", "\ufffc", "\ufe0f", "\U000e0041", "\u034f", "\u180e", "\x00"],
)  # fmt: skip
def test_what_shows_nothing_is_blank(nothing: str) -> None:
    assert text.is_blank(nothing)
