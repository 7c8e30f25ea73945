"""What every folder of tests shares."""

# The files that take longest are begun first, so that no worker is left alone with one at the end.
_LONG = (
    "test_live.py",
    "test_processes.py",
    "test_page.py",
    "test_sockets.py",
    "test_no_compile_after_ready.py",
    "test_process_kills.py",
    "test_replay_kills.py",
    "test_quix_kills.py",
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: _LONG.index(item.path.name) if item.path.name in _LONG else len(_LONG))
