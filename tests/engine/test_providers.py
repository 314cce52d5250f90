"""The environment chooses the execution provider, which is never replaced silently."""

import pytest
from stembridge import StemProcessor
from stembridge.engine import providers
from stembridge.engine.providers import PROVIDER_VARIABLE, PROVIDERS, check_available, check_used, default_providers
from stembridge.models import ModelError


def test_the_processor_is_the_default(monkeypatch):
    for value in None, "", "cpu":
        monkeypatch.delenv(PROVIDER_VARIABLE, raising=False)
        if value is not None:
            monkeypatch.setenv(PROVIDER_VARIABLE, value)
        assert default_providers() == ["CPUExecutionProvider"]


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_environment_chooses(monkeypatch, name):
    monkeypatch.setenv(PROVIDER_VARIABLE, name)
    assert default_providers() == [PROVIDERS[name]]


def test_an_unknown_name_is_refused(monkeypatch, tiny_live_model):
    monkeypatch.setenv(PROVIDER_VARIABLE, "cud")
    with pytest.raises(ModelError, match=r"unknown provider 'cud' \(did you mean 'cuda'\?\): choose from cpu, cuda"):
        StemProcessor(tiny_live_model)


def test_a_provider_that_onnx_runtime_lacks_is_refused_with_a_remedy():
    line = "no execution provider 'cuda' in this ONNX Runtime, which has cpu; install onnxruntime-gpu in place of"
    with pytest.raises(ModelError, match=line):
        check_available(["CUDAExecutionProvider"], ["AzureExecutionProvider", "CPUExecutionProvider"])
    check_available(["CUDAExecutionProvider"], ["CUDAExecutionProvider"])


def test_a_provider_that_does_not_start_is_an_error(monkeypatch, tiny_live_model):
    """ONNX Runtime would continue without it; StemBridge does not."""
    check_used(["CUDAExecutionProvider"], ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr("stembridge.engine.sessions.check_available", lambda *_: None)
    monkeypatch.setattr(providers.os, "environ", {PROVIDER_VARIABLE: "cuda"})
    with pytest.raises(ModelError, match="'cuda' does not start; check its drivers, or use cpu"):
        StemProcessor(tiny_live_model)
