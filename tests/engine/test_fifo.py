"""The queue between the steps keeps all items in order, in bounded memory."""

import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from stembridge.engine.fifo import Fifo


@given(st.lists(st.tuples(st.sampled_from(["push", "zeros", "drop", "peek"]), st.integers(0, 1500)), max_size=60))
def test_first_in_first_out(steps):
    fifo, wanted, number = Fifo((2,)), np.zeros((2, 0), np.float32), 0
    for step, n in steps:
        if step == "push":
            items = np.arange(number, number + 2 * n, dtype=np.float32).reshape(2, n)
            number += 2 * n
            fifo.push(items)
            wanted = np.concatenate([wanted, items], axis=-1)
        elif step == "zeros":
            fifo.push_zeros(n)
            wanted = np.pad(wanted, [(0, 0), (0, n)])
        elif step == "drop":
            fifo.drop(n)
            wanted = wanted[:, n:]
        assert len(fifo) == wanted.shape[-1]
        assert (fifo.peek(n) == wanted[:, :n]).all()


def test_memory_is_bounded_by_the_queued_items_however_long_the_stream():
    fifo = Fifo((2,))
    fifo.push_zeros(5000)
    items = np.ones((2, 7), np.float32)
    tracemalloc.start()
    try:
        for _ in range(60000):
            fifo.push(items)
            fifo.drop(7)
        assert len(fifo) == 5000
        assert tracemalloc.get_traced_memory()[1] < 10 * 5000 * 2 * 4
    finally:
        tracemalloc.stop()


def test_an_item_is_copied_a_bounded_number_of_times_however_small_the_blocks():
    for held in (0, 1000, 5000, 9990):
        fifo = Fifo((1,))
        fifo.push_zeros(5000)
        fifo.drop(5000 - held)
        fifo.push_zeros(held - len(fifo))
        moved, start = 0, fifo._start
        for _ in range(20000):
            fifo.push(np.ones((1, 1), np.float32))
            moved += len(fifo) if fifo._start < start else 0
            start = fifo._start
            fifo.drop(1)
            start = max(start, fifo._start)
        assert moved < 4 * 20000
