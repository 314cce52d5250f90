"""Processes that are started with signals blocked never receive them; this thread receives them again afterwards."""

import multiprocessing
import os
import signal
import subprocess
import sys

import pytest
from stembridge.core.processes import signals_blocked, start_blocked

BLOCKED = "import signal; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())))"


def blocked_here():
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_processes_inherit_blocked_signals_and_this_thread_unblocks_them():
    before = blocked_here()
    with signals_blocked("SIGINT", "SIGHUP"):
        told = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=True).stdout
    assert "SIGINT" in told
    assert "SIGHUP" in told
    assert "SIGTERM" not in told
    assert blocked_here() == before


def test_signals_are_unblocked_after_an_error():
    before = blocked_here()
    with pytest.raises(RuntimeError), signals_blocked("SIGINT"):
        raise RuntimeError
    assert blocked_here() == before


def test_a_process_of_multiprocessing_survives_ctrl_c():
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    # Not a function of this file, which the process can only import if pytest was started as `python -m pytest`.
    process = context.Process(target=exec, args=("pipe.send('ready'); pipe.send(pipe.recv())", {"pipe": there}))
    start_blocked(process, "SIGINT")
    there.close()  # so that `recv` fails if the process ends
    try:
        assert here.recv() == "ready"
        os.kill(process.pid, signal.SIGINT)
        here.send("go on")
        assert here.recv() == "go on"
    finally:
        process.join()
    assert process.exitcode == 0
