"""Networks give the same stems as their original packages, to 1e-4 of full scale.

The networks have few, random weights. Each reference makes its own spectra and segments.
"""

import sys
import warnings
from collections.abc import Callable
from types import ModuleType

import bs_roformer
import numpy as np
import pytest
import torch
from stembridge import StemProcessor
from torch import nn

# Open-Unmix imports it to read files, and not every build of it loads with every torch.
sys.modules.setdefault("torchaudio", ModuleType("torchaudio"))
import openunmix.model  # noqa: E402

TOLERANCE = 1e-4


@pytest.fixture
def export(tmp_path) -> Callable[..., bytes]:
    """Return a function that exports a torch module with inputs of given names and shapes as an ONNX file."""

    def export(module: nn.Module, outputs: list[str], **inputs: tuple[int, ...]) -> bytes:
        path = tmp_path / "graph.onnx"
        examples = tuple(torch.randn(shape).abs() for shape in inputs.values())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter warns of its successor, which takes ten times as long
            torch.onnx.export(
                module.eval(), examples, str(path), input_names=[*inputs], output_names=outputs, dynamo=False
            )
        return path.read_bytes()

    return export


@pytest.fixture
def music(noise) -> Callable[[int], np.ndarray]:
    """Return a function that makes n samples of stereo noise with the spectrum of music and different channels."""

    def music(n: int) -> np.ndarray:
        slow = np.cumsum(noise(2, n), axis=1)
        slow -= np.linspace(0, 1, n) * slow[:, -1:]
        audio = 0.3 * slow / np.abs(slow).max() + 0.1 * noise(2, n, seed=1)
        audio += 0.5 * audio[::-1]
        return (audio - audio.mean(axis=1, keepdims=True)).astype(np.float32)

    return music


def tensor(name, holds, *axes):
    return {"name": name, "holds": holds, "axes": list(axes)}


def whole(path, audio):
    """Return all stems of a song through the engine, aligned with it."""
    processor = StemProcessor(path, 44100, len(audio))
    n, late = audio.shape[-1], processor.latency_samples
    processor.hear_song([audio])
    out = processor.separate(np.pad(audio, [(0, 0), (0, late)]))[..., late:]
    assert out.shape[-1] == n
    return dict(zip(processor.stems, out, strict=True))


def overlapped(separate, audio, samples, stride, weights):
    """Return stems, (stems, channels, n), from segments of a song, weighted where they overlap."""
    n = audio.shape[-1]
    padded = np.pad(audio, [(0, 0), (0, samples)])
    starts = range(0, n, stride)
    parts = [separate(padded[:, start : start + samples]) for start in starts]
    total = np.zeros((*parts[0].shape[:-1], n + samples))
    weight = np.zeros(n + samples)
    for start, part in zip(starts, parts, strict=True):
        total[..., start : start + samples] += weights * part
        weight[start : start + samples] += weights
    return (total[..., :n] / weight[:n]).astype(np.float32)


def triangle(n):
    return np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1))


def assert_equal(stems, wanted):
    for stem, audio in wanted.items():
        assert np.abs(audio).max() > 0.01, "the stem must not be silent"
        np.testing.assert_allclose(stems[stem], audio, rtol=0, atol=TOLERANCE, err_msg=stem)


@pytest.mark.parametrize(("masks", "iterations"), [("wiener", 1), ("wiener", 2), ("phase", 0)])
@torch.no_grad()
def test_open_unmix(make_guest, export, music, masks, iterations):
    torch.manual_seed(0)
    names, frames = ["vocals", "drums", "bass", "other"], 40
    size, hop, samples = 512, 128, (frames - 1) * 128
    networks = {}
    for name in names:
        networks[name] = network = openunmix.model.OpenUnmix(257, 2, 16, nb_layers=1, max_bin=200).eval()
        network.bn3.bias.uniform_(-1, 1)  # else the stems would be alike
    graphs = [export(networks[name], ["out"], mix=(1, 2, 257, frames)) for name in names]
    axes = "batch", "channel", "bin", "frame"
    tensors = {"inputs": [tensor("mix", "magnitude", *axes)], "outputs": [tensor("out", "magnitude", *axes)]}
    path = make_guest(
        *((graph, {"stems": [name], **tensors}) for name, graph in zip(names, graphs, strict=True)),
        segment={"samples": samples, "overlap": samples // 2},
        transform={"size": size, "hop": hop, "pad": [size // 2, size // 2], "bins": 257},
        masks={"kind": masks} | ({"iterations": iterations} if iterations else {}),
    )
    original = openunmix.model.Separator(networks, niter=iterations, n_fft=size, n_hop=hop)
    audio = music(5 * samples // 2)

    def separate(segment):
        return original(torch.from_numpy(segment)[None])[0].numpy()

    wanted = overlapped(separate, audio, samples, samples - samples // 2, triangle(samples))
    assert_equal(whole(path, audio), dict(zip(names[:3], wanted, strict=False)))


class RoformerCore(nn.Module):
    """The part of a RoFormer between its transforms: a spectrum in, a mask for each stem out."""

    def __init__(self, roformer: bs_roformer.BSRoformer) -> None:
        super().__init__()
        self.roformer = roformer

    def forward(self, spectrum: torch.Tensor) -> torch.Tensor:
        """(1, bins * channels, frames, 2) -> (1, stems, bins * channels, frames, 2)."""
        x = self.roformer.band_split(spectrum.transpose(1, 2).flatten(2))
        values = [None, None]
        for layer in self.roformer.layers:
            for axis, transformer in enumerate(layer):  # along time, along frequency
                turned = x.transpose(1, 2) if axis == 0 else x
                y, value = transformer(turned.flatten(0, 1), value_residual=values[axis])
                values[axis] = value if values[axis] is None else values[axis]
                x = y.reshape(turned.shape).transpose(1, 2) if axis == 0 else y.reshape(turned.shape)
        x = self.roformer.final_norm(x)
        masks = torch.stack([estimator(x) for estimator in self.roformer.mask_estimators], 1)
        return masks.unflatten(-1, (-1, 2)).transpose(2, 3)


@torch.no_grad()
def test_bs_roformer(make_guest, export, music):
    torch.manual_seed(0)
    size, hop, frames = 512, 128, 33
    samples = (frames - 1) * hop
    roformer = bs_roformer.BSRoformer(
        16, depth=2, stereo=True, num_stems=2, time_transformer_depth=1, freq_transformer_depth=1, dim_head=8, heads=2,
        freqs_per_bands=(57, 100, 100), dim_freqs_in=257, stft_n_fft=size, stft_hop_length=hop, stft_win_length=size,
        flash_attn=False, num_residual_streams=1,
    ).eval()  # fmt: skip
    axes = "bin*channel", "frame", "part"
    path = make_guest(
        (
            export(RoformerCore(roformer), ["masks"], spectrum=(1, 514, frames, 2)),
            {
                "stems": ["vocals", "drums"],
                "inputs": [tensor("spectrum", "spectrum", "batch", *axes)],
                "outputs": [tensor("masks", "mask", "batch", "stem", *axes)],
            },
        ),
        stems=["vocals", "drums", "other"],
        segment={"samples": samples, "overlap": samples // 4},
        transform={"size": size, "hop": hop, "pad": [size // 2, size // 2], "bins": 257},
    )
    audio = music(3 * samples)

    def separate(segment):
        return roformer(torch.from_numpy(segment)[None])[0].numpy()

    wanted = overlapped(separate, audio, samples, samples - samples // 4, triangle(samples))
    assert_equal(whole(path, audio), dict(zip(["vocals", "drums"], wanted, strict=True)))


class SmallScnet(nn.Module):
    """A network with the signature of SCNet's core: (1, 4, bins, frames) -> (1, stems, 4, bins, frames)."""

    def __init__(self, stems: int) -> None:
        super().__init__()
        self.stems = stems
        self.inner, self.outer = nn.Conv2d(4, 8, (5, 3), padding="same"), nn.Conv2d(8, 4 * stems, 3, padding="same")

    def forward(self, spectrum: torch.Tensor) -> torch.Tensor:
        return self.outer(torch.tanh(self.inner(spectrum))).unflatten(1, (self.stems, 4))


@torch.no_grad()
def test_scnet(make_guest, export, music):
    torch.manual_seed(0)
    names = ["drums", "bass", "other", "vocals"]
    size, hop, frames = 512, 128, 34
    samples = (frames - 1) * hop
    core, axes = SmallScnet(4).eval(), ("channel*part", "bin", "frame")
    path = make_guest(
        (
            export(core, ["out"], spectrum=(1, 4, 257, frames)),
            {
                "stems": names,
                "inputs": [tensor("spectrum", "spectrum", "batch", *axes)],
                "outputs": [tensor("out", "spectrum", "batch", "stem", *axes)],
            },
        ),
        stems=["vocals", "drums", "bass", "other"],
        normalize="song",
        segment={"samples": samples, "overlap": samples // 4},
        transform={
            "size": size, "hop": hop, "window": "rectangle", "pad": [size // 2, size // 2], "bins": 257,
            "scale": size**-0.5,
        },
    )  # fmt: skip
    audio = music(3 * samples)
    mean, deviation = audio.mean(0).mean(), audio.mean(0).std(ddof=1)

    def separate(segment):
        window = torch.ones(size)
        spectra = torch.stft(torch.from_numpy(segment), size, hop, window=window, normalized=True, return_complex=True)
        parts = torch.view_as_real(spectra).permute(0, 3, 1, 2).reshape(1, 4, 257, frames)
        result = core(parts).reshape(8, 2, 257, frames).permute(0, 2, 3, 1).contiguous()
        stems = torch.istft(torch.view_as_complex(result), size, hop, window=window, normalized=True, length=samples)
        return stems.reshape(4, 2, samples).numpy()

    wanted = overlapped(separate, (audio - mean) / deviation, samples, samples - samples // 4, triangle(samples))
    wanted = dict(zip(names, wanted * deviation + mean, strict=True))
    del wanted["other"]  # the remaining part of the mix
    assert_equal(whole(path, audio), wanted)


@pytest.mark.parametrize("denoise", [False, True])
@torch.no_grad()
def test_mdx_net(make_guest, export, music, denoise):
    torch.manual_seed(0)
    size, hop, bins, frames, gain = 640, 128, 256, 33, 1.02
    trim, samples = size // 2, hop * (frames - 1)
    net = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 4, 3, padding=1)).eval()
    axes = "batch", "channel*part", "bin", "frame"
    path = make_guest(
        (
            export(net, ["output"], input=(1, 4, bins, frames)),
            {
                "stems": ["vocals"],
                "gain": gain,
                "inputs": [tensor("input", "spectrum", *axes)],
                "outputs": [tensor("output", "spectrum", *axes)],
            },
        ),
        stems=["vocals", "instrumental"],
        denoise=denoise,
        segment={"samples": samples, "trim": trim, "overlap": 0},
        transform={"size": size, "hop": hop, "pad": [trim, trim], "bins": bins, "zero_bins": 3},
    )
    audio = music(3 * samples)
    window = torch.hann_window(size)

    def separate(segment):
        spectra = torch.stft(torch.from_numpy(segment), size, hop, window=window, return_complex=True)
        parts = torch.view_as_real(spectra).permute(0, 3, 1, 2).reshape(1, 4, size // 2 + 1, frames)[:, :, :bins]
        parts = torch.cat([torch.zeros(1, 4, 3, frames), parts[:, :, 3:]], 2)
        result = (net(parts) - net(-parts)) / 2 if denoise else net(parts)
        result = torch.cat([result, torch.zeros(1, 4, size // 2 + 1 - bins, frames)], 2)
        result = result.reshape(2, 2, size // 2 + 1, frames).permute(0, 2, 3, 1).contiguous()
        return torch.istft(torch.view_as_complex(result), size, hop, window=window).numpy()

    step, parts = samples - 2 * trim, []
    padded = np.pad(audio, [(0, 0), (trim, samples)])
    for start in range(0, audio.shape[1], step):  # one after the other, without the trimmed parts
        parts.append(separate(padded[:, start : start + samples])[:, trim:-trim])
    vocals = gain * np.concatenate(parts, axis=1)[:, : audio.shape[1]]
    stems = whole(path, audio)
    assert_equal(stems, {"vocals": vocals, "instrumental": audio - vocals})


@pytest.mark.parametrize("above", ["zero", "mean"])
@torch.no_grad()
def test_spleeter(make_guest, export, music, above):
    torch.manual_seed(0)
    size, hop, bins, frames = 512, 128, 128, 32
    samples = (frames - 1) * hop + size
    nets = {
        name: nn.Sequential(nn.Conv2d(2, 4, 5, padding=2), nn.Tanh(), nn.Conv2d(4, 2, 5, padding=2), nn.ReLU()).eval()
        for name in ("vocals", "accompaniment")
    }
    axes = "channel", "batch", "frame", "bin"

    class Turned(nn.Module):
        """A network in Spleeter's layout: (channels, splits, frames, bins)."""

        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net(x.transpose(0, 1)).transpose(0, 1)

    path = make_guest(
        *(
            (
                export(Turned(net), ["out"], mix=(2, 1, frames, bins)),
                {
                    "stems": [name],
                    "inputs": [tensor("mix", "magnitude", *axes)],
                    "outputs": [tensor("out", "magnitude", *axes)],
                },
            )
            for name, net in nets.items()
        ),
        stems=["vocals", "accompaniment"],
        masks={"kind": "ratio", "power": 2},
        segment={"samples": samples, "trim": size, "overlap": 0},
        transform={"size": size, "hop": hop, "pad_mode": "zero", "bins": bins, "above": above},
    )
    audio = music(2 * samples)
    window = torch.hann_window(size).numpy()

    def separate(segment):
        """Return vocals of a segment: window, transform, ratio mask with exponent 2, inverse with a gain of 2/3."""
        starts = range(0, samples - size + 1, hop)
        spectra = np.stack([np.fft.rfft(segment[:, start : start + size] * window) for start in starts], 1)
        magnitude = torch.from_numpy(np.abs(spectra[..., :bins]).astype(np.float32))[None]
        vocals, rest = (net(magnitude)[0].numpy() for net in nets.values())
        mask = (vocals**2 + 1e-10 / 2) / (vocals**2 + rest**2 + 1e-10)
        over = np.zeros(1) if above == "zero" else mask.mean(-1, keepdims=True)
        mask = np.concatenate([mask, np.broadcast_to(over, (2, frames, size // 2 + 1 - bins))], -1)
        out = np.zeros((2, samples))
        for k, start in enumerate(starts):
            out[:, start : start + size] += np.fft.irfft(spectra[:, k] * mask[:, k]) * window * 2 / 3
        return out

    step, parts = samples - 2 * size, []
    padded = np.pad(audio, [(0, 0), (size, samples)])
    for start in range(0, audio.shape[1], step):
        parts.append(separate(padded[:, start : start + samples])[:, size:-size])
    vocals = np.concatenate(parts, axis=1)[:, : audio.shape[1]]
    assert_equal(whole(path, audio), {"vocals": vocals, "accompaniment": audio - vocals})
