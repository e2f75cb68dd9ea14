"""Measurements that the tests want printed at the end of the run."""

LINES: list[str] = []
