from datetime import timedelta

import pytest

from lsloop.steps import lock


@pytest.mark.parametrize(
    ("length", "words"),
    [
        ({"seconds": 0}, "0 s"),
        ({"seconds": 59}, "59 s"),
        ({"seconds": 60}, "1 min"),
        ({"minutes": 59, "seconds": 59}, "59 min"),
        ({"hours": 1}, "1 h"),
        ({"hours": 2, "minutes": 5}, "2 h 5 min"),
        ({"days": 1, "minutes": 59}, "1 d"),
        ({"days": 20, "hours": 3}, "20 d 3 h"),
    ],
)
def test_a_length_of_time_is_said_in_its_largest_units(length: dict[str, float], words: str) -> None:
    assert lock.span(timedelta(**length)) == words
