"""The execution provider of ONNX Runtime that runs the networks: the CPU, a graphics card, or another."""

import os
from collections.abc import Sequence

from ..core.errors import ModelError
from ..core.suggest import did_you_mean

PROVIDER_VARIABLE = "STEMBRIDGE_PROVIDER"  # in the environment, so that worker processes and plugins use it too
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
# Packages that replace onnxruntime and have the provider.
PACKAGES = {"cuda": "onnxruntime-gpu", "directml": "onnxruntime-directml", "openvino": "onnxruntime-openvino"}


def default_providers() -> list[str]:
    """Return the execution provider that the environment names, by default the CPU, as a list.

    Raises:
        ModelError: `STEMBRIDGE_PROVIDER` is not a name in `PROVIDERS`.
    """
    name = os.environ.get(PROVIDER_VARIABLE) or "cpu"
    if name not in PROVIDERS:
        choices = ", ".join(PROVIDERS)
        raise ModelError(f"unknown provider {name!r}{did_you_mean(name, PROVIDERS)}: choose from {choices}")
    return [PROVIDERS[name]]


def check_available(providers: Sequence[str], available: Sequence[str]) -> None:
    """Check that ONNX Runtime has the execution providers.

    Args:
        providers: Full names, such as "CPUExecutionProvider".
        available: Full names of those that ONNX Runtime has.

    Raises:
        ModelError: One is not available.
    """
    for provider in providers:
        if provider not in available:
            short = {full: name for name, full in PROVIDERS.items()}
            name = short.get(provider, provider)
            package = PACKAGES.get(name)
            remedy = f"; install {package} in place of onnxruntime" if package else ""
            have = ", ".join([short[full] for full in available if full in short] if provider in short else available)
            raise ModelError(f"no execution provider {name!r} in this ONNX Runtime, which has {have}{remedy}")


def check_used(providers: Sequence[str], used: Sequence[str]) -> None:
    """Check that ONNX Runtime uses the first execution provider, which it leaves out if a library is missing.

    Args:
        providers: Full names of the providers that a session was opened with.
        used: Full names of those that it uses.

    Raises:
        ModelError: The first provider is not used.
    """
    if providers[0] not in used:
        name = next((name for name, full in PROVIDERS.items() if full == providers[0]), providers[0])
        raise ModelError(f"the execution provider {name!r} does not start; check its drivers, or use cpu")
