"""Short blocks are worked on ahead: late by what is reported, whatever the work takes; and late blocks are counted."""

import multiprocessing
import threading
import time

import numpy as np
import pytest
from stembridge import StemProcessor, remix
from stembridge.control import Automation
from stembridge.plugin.live import Live, work
from stembridge.plugin.live.ahead import Ahead
from stembridge.plugin.live.memory import SharedMemory
from stembridge.plugin.live.work import BlockWork


@pytest.fixture
def make_work(tiny_live_model, monkeypatch):
    """A function that makes what is done with each block: (rate, block, options of Live) -> it and its memory."""
    made = []
    monkeypatch.setattr(work, "hurry", lambda priority: None)  # the tests are in no hurry

    def make(rate=44100, block=64, held=1, model=tiny_live_model, realtime=False, **options):
        setup = Live("none", "none", model=model, sample_rate=rate, block=block, realtime=realtime, **options).setup
        memory = SharedMemory(multiprocessing.get_context("spawn"), len(setup.gains_db))
        memory.wanted[0] = list(setup.gains_db.values())
        made.append(BlockWork(setup, memory, threading.Event(), held))
        return made[-1], memory

    yield make
    for one in made:
        one.close()


def cut(audio, lengths):
    """The audio in blocks of these lengths, again and again."""
    start = 0
    while start < audio.shape[-1]:
        for n in lengths:
            yield audio[:, start : start + n]
            start += n


@pytest.mark.parametrize("lengths", [[1, 0, 37, 5], [64], [256], [2000, 3]])
def test_any_cut_is_late_by_the_delay(noise, lengths):
    audio = noise(2, 6000)
    ahead = Ahead(lambda block: 2 * block, 2, 256)
    out = np.concatenate([ahead(block) for block in cut(audio, lengths)], axis=1)
    ahead.close()
    assert np.array_equal(out, 2 * np.pad(audio, [(0, 0), (256, 0)])[:, :6000])


def test_late_work_holds_up_a_block_and_moves_no_sample(noise):
    audio, go = noise(1, 400), threading.Semaphore(0)

    def slow(block):
        go.acquire()
        return block

    ahead = Ahead(slow, 1, 200)
    out = [ahead(audio[:, :100]), ahead(audio[:, 100:200])]  # nothing is awaited yet
    thread = threading.Thread(target=lambda: out.append(ahead(audio[:, 200:300])))
    thread.start()
    assert len(out) == 2
    go.release()
    thread.join(30)
    go.release(3)
    out.append(ahead(audio[:, 300:]))
    ahead.close()
    assert np.array_equal(np.concatenate(out, axis=1), np.pad(audio, [(0, 0), (200, 0)])[:, :400])


def test_what_the_work_raises_is_raised():
    ahead = Ahead(lambda block: block.nothing, 1, 10)
    with pytest.raises(AttributeError, match="nothing"):
        ahead(np.zeros((1, 11), np.float32))
    ahead.close()


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 96000])
@pytest.mark.parametrize("block", [16, 64, 128, 256, 1024])
def test_blocks_of_half_a_hop_or_less_are_a_hop_later(tiny_live_model, make_work, noise, rate, block):
    audio = noise(2, 3000)
    processor = StemProcessor(tiny_live_model, rate, gains_db={"drums": -6})
    hop = processor.hop_samples
    remixing, memory = make_work(rate, block, gains_db={"drums": -6})
    out = np.concatenate([remixing(one) for one in cut(audio, [block])], axis=1)
    later = hop if block <= hop / 2 else 0
    assert remixing.latency_samples == memory.counts[3] == processor.latency_samples + later
    assert np.abs(out - np.pad(processor.process(audio), [(0, 0), (later, 0)])[:, :3000]).max() <= 1e-6


@pytest.mark.parametrize("block", [64, 512])
def test_moves_act_where_they_are_noted(tiny_live_model, make_work, noise, block):
    audio = noise(2, 20480)
    remixing, memory = make_work(block=block)
    start, points, out = int(memory.counts[0]), [], []
    for k, one in enumerate(cut(audio, [block])):
        if k * block in (4096, 10240):
            gain = -80.0 if points else 6.0
            memory.wanted[0, 1] = gain
            points.append((int(memory.counts[0]) - remixing.latency_samples, "drums", gain))
        out.append(remixing(one))
        deadline = time.monotonic() + 30
        while memory.counts[0] < start + (k + 1) * block:
            assert time.monotonic() < deadline
            time.sleep(0.0002)
    again = remix(audio, 44100, {}, tiny_live_model, automation=Automation(points, unit="samples"))
    late = remixing.latency_samples
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
def test_blocks_that_are_done_late_are_misses(make_work, monkeypatch, held, blocks, misses):
    """Blocks of 10 ms: (when it came, when it is taken up, how long the work takes), in ms."""
    remixing, memory = make_work(8000, 80, held, realtime=True)
    now = 0.0
    monkeypatch.setattr(work.time, "perf_counter", lambda: now / 1e3)

    def remix(block, took):
        nonlocal now
        now += took
        return block

    for came, begins, takes in blocks:
        now = begins
        monkeypatch.setattr(remixing, "_remix", lambda block, takes=takes: remix(block, takes))
        remixing(np.zeros((2, 80), np.float32), None if came is None else came / 1e3)
    assert (memory.counts[1], memory.counts[2]) == (len(blocks), misses)
