"""The longest file first, so that with several processes none waits for it at the end (`--no-loadscope-reorder`)."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name != "test_smoke.py")
