"""A background worker runs jobs in order, and no interrupt makes it wait for ever."""

import itertools
import threading

import pytest
from stembridge.core import background
from stembridge.core.background import BackgroundWorker


def test_results_come_in_the_order_of_the_jobs():
    worker, threads = BackgroundWorker(), []

    def square(x):
        threads.append(threading.current_thread())
        return x * x

    for x in range(5):
        worker.submit(square, x)
    assert [worker.result() for _ in range(5)] == [0, 1, 4, 9, 16]
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()


def test_an_error_is_raised_with_its_result():
    worker = BackgroundWorker()
    worker.submit(int, "one")
    worker.submit(int, "2")
    with pytest.raises(ValueError, match="one"):
        worker.result()
    assert worker.result() == 2


def test_a_result_without_a_job_raises_at_once():
    worker = BackgroundWorker()
    with pytest.raises(IndexError):
        worker.result()
    worker.submit(int, "1")
    worker.discard()
    with pytest.raises(IndexError):
        worker.result()


def test_discarding_waits_for_all_jobs():
    worker, done, go = BackgroundWorker(), [], threading.Event()
    worker.submit(go.wait, 30)
    worker.submit(done.append, 1)
    threading.Timer(0.05, go.set).start()
    worker.discard()
    assert done == [1]


def test_a_call_waits_for_its_own_result_and_leaves_the_others():
    worker = BackgroundWorker()
    worker.submit(int, "1")
    assert worker.call(int, "2") == 2
    with pytest.raises(ValueError, match="three"):
        worker.call(int, "three")
    assert worker.result() == 1


def test_closing_runs_all_submitted_jobs_and_ends_the_thread():
    worker, done = BackgroundWorker(), []
    worker.submit(lambda: done.append(threading.current_thread()))
    worker.close()
    worker.close()
    (thread,) = done
    assert not thread.is_alive()
    with pytest.raises(RuntimeError):
        worker.call(int, "1")


def test_an_interrupt_at_any_moment_leaves_it_usable(interrupted):
    """Interrupt submitting, waiting and discarding at each bytecode in turn, and the calls after that."""

    def use(worker):
        worker.submit(int, "1")
        worker.submit(int, "2")
        worker.result()
        worker.discard()
        worker.submit(int, "3")
        worker.result()
        worker.call(int, "0")

    for n in itertools.count():
        worker, results = BackgroundWorker(), []
        raised = interrupted(lambda worker=worker: use(worker), n, background, threading)

        def go_on(worker=worker, results=results):
            worker.discard()
            worker.submit(int, "4")
            worker.submit(int, "5")
            results.extend([worker.call(int, "6"), worker.result(), worker.result()])

        interrupted(go_on, 10**9)  # fails if it hangs
        assert results == [6, 4, 5], n
        if not raised:
            break
    assert n > 100
