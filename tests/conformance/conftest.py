"""Suites are imported from the package; pytest explains their assertions only when told to."""

import pytest

pytest.register_assert_rewrite("candlewick.testing.conformance")
