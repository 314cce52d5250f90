"""Scores, on signals whose scores are known."""

import numpy as np
import pytest
from stembridge.training.metrics import clip_sdr, frame_sdr, remaining_db, rms_db, sir_sar

RATE = 8000


@pytest.fixture
def noise():
    return np.random.default_rng(0).standard_normal((4, 2, 3 * RATE)).astype(np.float32) * 0.1


def test_clip_sdr_of_known_errors(noise):
    reference, error = noise[0], noise[1]
    scale = np.sqrt(np.sum(reference**2) / np.sum(error**2))
    for wanted in (-5.0, 0.0, 12.0):
        assert clip_sdr(reference, reference + error * scale * 10 ** (-wanted / 20)) == pytest.approx(wanted, abs=1e-4)
    assert clip_sdr(reference, np.zeros_like(reference)) == pytest.approx(0)  # silence, as the definition has it
    assert clip_sdr(reference, reference) > 100


def test_quiet_references_are_left_out(noise):
    assert rms_db(np.full((2, 100), 0.1)) == pytest.approx(-20)
    assert clip_sdr(noise[0] * 1e-3, noise[0]) is None  # -80 dBFS
    assert clip_sdr(noise[0] * 0.03, noise[0]) is not None  # -50 dBFS
    assert clip_sdr(np.zeros((2, 10)), np.zeros((2, 10))) is None


def test_frame_sdr_is_the_median_over_seconds(noise):
    reference = noise[0].copy()
    reference[:, RATE : 2 * RATE] = 0  # this second has no score
    estimate = reference.copy()
    estimate[:, :RATE] *= 0.9  # 20 dB
    estimate[:, 2 * RATE :] *= 0.99  # 40 dB
    assert frame_sdr(reference, estimate, RATE) == pytest.approx(30, abs=0.01)
    assert frame_sdr(reference[:, : RATE - 1], estimate[:, : RATE - 1], RATE) is None


def test_sir_and_sar_distinguish_bleeding_from_noise(noise):
    references = noise[:2]
    bleeding = references + 0.1 * references[::-1]  # the other stem at -20 dB
    sir, sar = sir_sar(references, bleeding)
    assert sir == pytest.approx([20, 20], abs=1)
    assert (sar > 40).all()
    noisy = references + 0.1 * noise[2:]  # something that is in neither
    sir, sar = sir_sar(references, noisy)
    assert (sir > 24).all()
    assert sar == pytest.approx([20, 20], abs=2)


def test_singular_equations_have_scores_too(noise, monkeypatch):
    """Some songs have them; museval then uses the name of an error that NumPy has dropped."""

    def solve(*_):
        raise np.linalg.LinAlgError("Singular matrix")

    monkeypatch.setattr(np.linalg, "solve", solve)
    reference = noise[:1, :1, :2000]
    _, sar = sir_sar(reference, reference + 0.1 * noise[1:2, :1, :2000])
    assert sar == pytest.approx([20], abs=3)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_the_remaining_part_of_a_stem_is_measured_independently_of_the_others(rate):
    random = np.random.default_rng(0)
    stem, others = (0.1 * random.standard_normal((2, 5 * rate)) for _ in range(2))
    assert remaining_db(stem, np.zeros_like(stem), rate) == pytest.approx(0, abs=1e-6)
    assert remaining_db(stem, 0.9 * stem, rate) == pytest.approx(-20, abs=0.1)
    assert remaining_db(stem, stem, rate) <= -79
    # Instruments removed with the vocals are damage, not remaining vocals.
    assert remaining_db(stem, stem + others, rate) < -10
    assert remaining_db(stem, 0.5 * stem + 0.1 * others, rate) == pytest.approx(-6, abs=0.1)
    low = np.cumsum(stem, axis=1) * 0.02  # more of it in the bass, where half remains
    assert remaining_db(low, 0.5 * low, rate) == pytest.approx(-6.02, abs=0.1)
    assert remaining_db(np.zeros_like(stem), stem, rate) is None
