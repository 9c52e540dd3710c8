"""Text as PostgreSQL can hold it."""

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from lsloop import text


@given(st.lists(st.text(alphabet=st.sampled_from("a\\u0\0\"é"), max_size=12)))
@example(["\0"])
@example(["\\u0000"])
@example(["\\\0"])
def test_nul_alone_is_replaced_whatever_stands_before_it(texts: list[str]) -> None:
    document = orjson.dumps(texts).decode()
    kept = orjson.loads(text.without_nul(document))
    assert kept == [one.replace("\0", "\ufffd") for one in texts]
    assert text.has_nul(document) == any("\0" in one for one in texts)
