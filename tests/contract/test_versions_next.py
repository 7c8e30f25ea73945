"""The upgrade tests' next version is made by changing this one's text: the places must still be there."""

import pytest

from tests.upgrade import CHANGES, ROOT


@pytest.mark.parametrize("name", CHANGES)
def test_what_the_next_version_changes_is_there(name):
    text = (ROOT / name).read_text()
    for was, becomes in CHANGES[name]:
        assert was in text, was
        text = text.replace(was, becomes, 1)
