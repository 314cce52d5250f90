"""Memory does not grow with the length of a stream, with networks that give stems either."""

import pytest

from ..test_memory import AN_HOUR, grown
from .conftest import scaling


@pytest.mark.parametrize("sample_rate", [8000, 11025])
def test_an_hour_needs_no_more_memory_than_a_minute(make_guest, sample_rate):
    path = make_guest(scaling("one", 0.5), stems=["one", "rest"], sample_rate=sample_rate, normalize="song")
    assert grown(path) < AN_HOUR / 4
