"""The execution provider of ONNX Runtime that runs the networks: the processor, a graphics card, or another."""

import os
from collections.abc import Sequence

from ..core.errors import ModelError
from ..core.suggest import did_you_mean

VARIABLE = "STEMBRIDGE_PROVIDER"  # in the environment, so that worker processes and plugins use the same
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
# The package that has it, in place of onnxruntime.
PACKAGES = {"cuda": "onnxruntime-gpu", "directml": "onnxruntime-directml", "openvino": "onnxruntime-openvino"}


def default_providers() -> list[str]:
    """Return the execution providers that the environment asks for, by default that of the processor.

    Raises:
        ModelError: `STEMBRIDGE_PROVIDER` is not a name in `PROVIDERS`.
    """
    name = os.environ.get(VARIABLE) or "cpu"
    if name not in PROVIDERS:
        choices = ", ".join(PROVIDERS)
        raise ModelError(f"unknown provider {name!r}{did_you_mean(name, PROVIDERS)}: choose from {choices}")
    return [PROVIDERS[name]]


def check_available(providers: Sequence[str], available: Sequence[str]) -> None:
    """Raise ModelError if ONNX Runtime lacks one of the execution providers."""
    for provider in providers:
        if provider not in available:
            short = {full: name for name, full in PROVIDERS.items()}
            name = short.get(provider, provider)
            package = PACKAGES.get(name)
            remedy = f"; install {package} in place of onnxruntime" if package else ""
            have = ", ".join([short[full] for full in available if full in short] if provider in short else available)
            raise ModelError(f"no execution provider {name!r} in this ONNX Runtime, which has {have}{remedy}")


def check_used(providers: Sequence[str], used: Sequence[str]) -> None:
    """Raise ModelError if ONNX Runtime left out the first execution provider, as without its libraries."""
    if providers[0] not in used:
        name = next((name for name, full in PROVIDERS.items() if full == providers[0]), providers[0])
        raise ModelError(f"the execution provider {name!r} does not start here; check its drivers, or use cpu")
