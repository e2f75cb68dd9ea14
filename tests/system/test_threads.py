"""The assembly line: order, errors, and a fair cut."""

import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyencodec.system.threads import run_stages, split_evenly


@given(st.lists(st.integers()), st.integers(1, 5))
def test_all_pieces_in_order(pieces, n_stages):
    stages = [lambda x, k=k: (x, k) for k in range(n_stages)]
    expected = list(pieces)
    for k in range(n_stages):
        expected = [(x, k) for x in expected]
    assert list(run_stages(pieces, stages)) == expected


def test_stages_keep_their_state_and_their_thread():
    seen: list[set] = [set(), set(), set()]

    def stage(k, total=0):
        def run(x):
            nonlocal total
            seen[k].add(threading.current_thread())
            total += x
            return total
        return run

    sums = itertools.accumulate(itertools.accumulate(itertools.accumulate(range(200))))
    assert list(run_stages(range(200), [stage(k) for k in range(3)])) == list(sums)
    assert [len(threads) for threads in seen] == [1, 1, 1] and len(set.union(*seen)) == 3


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_an_error_arrives_and_the_threads_end(bad):
    def stage(k):
        def run(x):
            if k == bad and x == 5:
                raise OverflowError(f"stage {k}")
            return x
        return run

    before, got = threading.active_count(), []
    with pytest.raises(OverflowError, match=f"stage {bad}"):
        for piece in run_stages(range(100), [stage(k) for k in range(3)]):
            got.append(piece)
    assert got == [0, 1, 2, 3, 4] and threading.active_count() == before


def test_an_error_in_the_source_arrives():
    def source():
        yield 1
        raise KeyError("source")

    with pytest.raises(KeyError, match="source"):
        list(run_stages(source(), [abs, abs]))


def test_leaving_early_ends_the_threads():
    before = threading.active_count()
    line = run_stages(itertools.count(), [abs, abs, abs])
    assert next(line) == 0
    line.close()
    assert threading.active_count() == before


def test_no_more_pieces_are_taken_than_needed():
    taken = []
    line = run_stages((taken.append(i) or i for i in range(1000)), [abs, abs])
    next(line)
    assert len(taken) < 6
    line.close()


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8), st.integers(1, 5))
def test_split_is_the_best_there_is(costs, n_groups):
    groups = split_evenly(costs, n_groups)
    assert [i for group in groups for i in range(group.start, group.stop)] == list(range(len(costs)))
    assert 1 <= len(groups) <= n_groups
    dearest = max(sum(costs[group]) for group in groups)
    for ends in itertools.combinations(range(1, len(costs)), min(n_groups, len(costs)) - 1):
        cut = [0, *ends, len(costs)]
        assert dearest <= max(sum(costs[a:b]) for a, b in zip(cut, cut[1:]))
