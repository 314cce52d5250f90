"""Blocks have the reported latency, moves act at the recorded positions, and late blocks are counted."""

import multiprocessing
import threading

import numpy as np
import pytest
from stembridge import StemProcessor, remix
from stembridge.control import Automation
from stembridge.live import Live, block_callback
from stembridge.live.block_callback import BlockCallback
from stembridge.live.shared_memory import SharedMemory


@pytest.fixture
def make_work(tiny_live_model, monkeypatch):
    """Return a function that makes a block callback and its memory: (rate, block, options of Live) -> both."""
    monkeypatch.setattr(block_callback, "request_realtime_priority", lambda priority: None)

    def make(rate=44100, block=64, held=1, model=tiny_live_model, realtime=False, **options):
        settings = Live(
            "none", "none", model=model, sample_rate=rate, block=block, realtime=realtime, **options
        ).settings
        memory = SharedMemory(multiprocessing.get_context("spawn"), len(settings.gains_db))
        memory.wanted[0] = list(settings.gains_db.values())
        return BlockCallback(settings, memory, threading.Event(), held), memory

    return make


def cut(audio, block):
    """Cut the audio into blocks."""
    return np.split(audio, np.arange(block, audio.shape[-1], block), axis=-1)


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 96000])
@pytest.mark.parametrize("block", [16, 64, 128, 256, 1024])
def test_blocks_have_the_reported_latency(tiny_live_model, make_work, noise, delayed, rate, block):
    audio, gains_db = noise(2, 3000), {"drums": -6.0}
    remixing, memory = make_work(rate, block, gains_db=gains_db)
    out = np.concatenate([remixing(one) for one in cut(audio, block)], axis=1)
    processor = StemProcessor(tiny_live_model, rate, gains_db=gains_db)
    later = int(memory.counts[3]) - processor.latency_samples
    assert 0 <= later <= 2 * processor.hop_samples
    assert np.abs(out - delayed(processor.process(audio), later)).max() <= 1e-6
    assert memory.load > 0


@pytest.mark.parametrize("block", [64, 512])
def test_moves_act_at_their_recorded_positions(tiny_live_model, make_work, noise, block):
    audio = noise(2, 20480)
    remixing, memory = make_work(block=block)
    late, points, out = int(memory.counts[3]), [], []
    for k, one in enumerate(cut(audio, block)):
        assert memory.counts[0] == k * block
        if k * block in (4096, 10240):
            gain = -80.0 if points else 6.0
            memory.wanted[0, 1] = gain
            points.append((k * block - late, "drums", gain))
        out.append(remixing(one))
    again = remix(audio, 44100, {}, tiny_live_model, automation=Automation(points, unit="samples"))
    assert np.abs(np.concatenate(out, axis=1)[:, late:] - again[:, :-late]).max() <= 1e-6


@pytest.mark.parametrize(
    ("held", "blocks", "misses"),
    [
        (1, [(0, 0, 9), (10, 10, 9), (20, 20, 9)], 0),
        (1, [(0, 0, 11), (10, 11, 8)], 1),  # the second is in time
        (1, [(0, 0, 5), (10, 16, 5)], 1),  # taken up late
        (1, [(0, 0, 5), (10, 14, 5)], 0),  # taken up late, but done in time
        (2, [(None, 0, 19), (None, 19, 5), (None, 24, 5)], 0),  # a device holds two
        (2, [(None, 0, 19), (None, 19, 12), (None, 31, 5)], 1),  # the second waited from 10 on
        (2, [(None, 0, 5), (None, 38, 5), (None, 48, 5)], 0),  # a device that comes late itself
        (2, [(None, 0, 1), (None, 1, 1), (None, 2, 1), (None, 30, 1), (None, 31, 1)], 0),  # or several at a time
    ],
)
def test_blocks_that_are_done_late_are_counted(make_work, monkeypatch, held, blocks, misses):
    """Play blocks of 10 ms, each with (time of arrival, start of the work, duration of the work) in ms."""
    remixing, memory = make_work(8000, 80, held, realtime=True)
    now = 0.0
    monkeypatch.setattr(block_callback.time, "perf_counter", lambda: now / 1e3)

    def remix(block, took):
        nonlocal now
        now += took
        return block

    for came, begins, takes in blocks:
        now = begins
        monkeypatch.setattr(remixing._processor, "process", lambda block, takes=takes: remix(block, takes))
        remixing(np.zeros((2, 80), np.float32), None if came is None else came / 1e3)
    assert (memory.counts[1], memory.counts[2]) == (len(blocks), misses)
