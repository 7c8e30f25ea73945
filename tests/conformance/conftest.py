"""Suites are imported from the package; pytest explains their assertions only when told to."""

import pytest

pytest.register_assert_rewrite("candlewick.testing.conformance")

# What tests the suites themselves, with planted faults, and the laws that wait for seconds whatever the adapter: the
# suites are for everybody's tests, so the marks are ours to set here.
_SLOW = frozenset(
    {
        "test_the_law_sees_its_fault",
        "test_a_planted_fault_is_seen",
        "test_a_kill_between_any_two_steps_keeps_all_or_nothing",
        "test_05_progress",
        "test_a_killed_members_partitions_move_on",
        "test_a_silent_member_loses_its_partitions",
        "test_a_crash_at_any_step_loses_nothing_and_doubles_nothing",
        "test_a_member_paused_past_its_time_commits_nothing_and_goes_on",
        "test_members_share_partitions_and_hand_them_over_without_losing_count",
    }
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if getattr(item, "originalname", None) in _SLOW:
            item.add_marker(pytest.mark.slow)
