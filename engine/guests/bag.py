"""Run the graphs of an imported model: a segment in, its stems out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...models import Model, ModelError, StemsCard
from ...models.contract import runtime_error_text
from ...models.stems_card import Tensor
from ..sessions import open_session
from .magnitudes import masked, to_spectra
from .tensors import pack, unpack
from .transform import SegmentTransform

PARTS = "real", "imaginary", "magnitude"
WAVEFORM_AXES = "stem", "channel", "sample"
SPECTRUM_AXES = "stem", "channel", "frame", "bin"
COMPLEX_AXES = *SPECTRUM_AXES, "part"
AXES = {"waveform": WAVEFORM_AXES, "spectrum": COMPLEX_AXES, "mask": COMPLEX_AXES} | dict.fromkeys(PARTS, SPECTRUM_AXES)
DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
MAX_SAMPLE = 1e6  # 120 dB; larger samples become 0


class Bag:
    """All graphs of a model.

    The session of the first graph is opened at once, the others when they are first needed.

    Args:
        model: A model with a StemsCard.
        threads: Processor cores for the network.
        providers: Execution providers of ONNX Runtime, None for the default.

    Attributes:
        groups: Groups of graphs that run together, by index. If magnitudes from all graphs make the masks, there is one
            group; otherwise each graph is its own group.
        stems: Indices of the stems that each group gives, without the last stem.

    Raises:
        ModelError: The first graph cannot be loaded or breaks its contract.
    """

    def __init__(self, model: Model, threads: int, providers: list[str] | None) -> None:
        assert isinstance(model.card, StemsCard)
        self._model, self._card = model, model.card
        self._options = threads, providers
        self._sessions: dict[int, Any] = {}
        card = self._card
        self._transform = SegmentTransform(card.transform, card.segment.samples) if card.transform else None
        indices = range(len(card.graphs))
        self._shared = card.masks is not None and card.masks.kind != "phase"
        groups = [tuple(indices)] if self._shared else [(k,) for k in indices]
        stems = [self._stems_of(group) for group in groups]
        self.groups = tuple(group for group, given in zip(groups, stems, strict=True) if given)
        self.stems = tuple(given for given in stems if given)
        self._session(self.groups[0][0])

    def run(self, number: int, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run a group of graphs on a segment.

        Args:
            number: Index of the group.
            audio: (channels, samples), at the network's sample rate, mono or stereo.

        Returns:
            The group's stems, (stems, channels, samples), finite.

        Raises:
            ModelError: A graph fails, gives another shape than its card says, or gives no finite sample.
        """
        if self._card.num_channels == 1:
            stems = np.concatenate([self._run_fitting(number, channel[None]) for channel in audio], axis=1)
        elif len(audio) == 1:
            both = self._run_fitting(number, np.repeat(audio, 2, axis=0))
            stems = (both[:, :1] + both[:, 1:]) * np.float32(0.5)
        else:
            stems = self._run_fitting(number, audio)
        sound = np.abs(stems) < MAX_SAMPLE
        if sound.all():
            return stems
        if not sound.any():
            files = ", ".join(self._card.graphs[k].file for k in self.groups[number])
            raise ModelError(f"{self._model.path}: {files} gives no finite sample; the network is damaged")
        return np.where(sound, stems, np.float32(0))

    def _run_fitting(self, number: int, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run a group on audio with as many channels as the graphs take."""
        if not self._card.denoise:
            return self._run_group(number, audio)
        return (self._run_group(number, audio) - self._run_group(number, -audio)) * np.float32(0.5)

    def _run_group(self, number: int, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        spectrum = self._transform.forward(audio) if self._transform else None
        group, wanted = self.groups[number], [self._card.stems[k] for k in self.stems[number]]
        if not self._shared:
            (index,) = group
            graph = self._card.graphs[index]
            rows = [graph.stems.index(stem) for stem in wanted]
            return self._waveforms(index, audio, spectrum, rows) * np.float32(graph.gain)
        magnitudes: dict[str, list[NDArray[Any]]] = {}
        for index in group:
            graph = self._card.graphs[index]
            outputs = self._run_graph(index, audio, spectrum)
            for row, stem in enumerate(graph.stems):
                if stem is not None:
                    magnitudes.setdefault(stem, []).append(outputs.stem(row)["magnitude"] * np.float32(graph.gain))
        assert self._transform is not None
        together = np.stack([np.mean(each, axis=0) for each in magnitudes.values()])
        spectra = self._masked(together, spectrum)
        return np.stack([self._transform.inverse(spectra[[*magnitudes].index(stem)]) for stem in wanted])

    def _waveforms(
        self, index: int, audio: NDArray[np.float32], spectrum: NDArray[np.complex64] | None, rows: list[int]
    ) -> NDArray[np.float32]:
        """Return some stems of a graph, (rows, channels, samples). Each is the sum of its parts in all outputs."""
        outputs = self._run_graph(index, audio, spectrum)
        stems = np.zeros((len(rows), *audio.shape), np.float32)
        for stem, row in zip(stems, rows, strict=True):
            for holds, output in outputs.stem(row).items():
                if holds == "waveform":
                    stem += output
                    continue
                spectra = output if holds == "spectrum" else self._masked(output[None], spectrum)[0]
                assert self._transform is not None
                stem += self._transform.inverse(spectra)
        return stems

    def _masked(self, output: NDArray[Any], spectrum: NDArray[np.complex64] | None) -> NDArray[np.complex64]:
        """Turn masks or magnitudes of stems into spectra of stems, as the card says."""
        transform, masks = self._card.transform, self._card.masks
        assert transform is not None
        assert spectrum is not None
        if masks is None:
            return masked(output, spectrum, transform.above)
        return to_spectra(output, spectrum, masks, transform.above)

    def _run_graph(self, index: int, audio: NDArray[np.float32], spectrum: NDArray[np.complex64] | None) -> "_Outputs":
        """Run a graph on a segment and its spectra."""
        card, graph, session = self._card, self._card.graphs[index], self._session(index)
        types = {node.name: DTYPES[node.type] for node in session.get_inputs()}
        seen = None
        if spectrum is not None and card.transform is not None:
            seen = spectrum[..., : card.transform.bins].copy()
            seen[..., : card.transform.zero_bins] = 0
        feeds = {
            tensor.name: _feed(tensor, audio, seen).astype(types[tensor.name], copy=False) for tensor in graph.inputs
        }
        try:
            results = session.run([tensor.name for tensor in graph.outputs], feeds)
        except Exception as error:  # ONNX Runtime has many types of errors
            reason = runtime_error_text(error)
            if "bad_alloc" in reason:
                raise MemoryError(f"{graph.file}: not enough memory for this model") from error
            raise ModelError(f"{self._model.path}: {graph.file} does not run: {reason}") from error
        for tensor, result in zip(graph.outputs, results, strict=True):
            if result.shape != (shape := card.shape(graph, tensor)):
                raise ModelError(
                    f"{self._model.path}: {graph.file} gives {tensor.name} of shape {result.shape}, not {shape}; "
                    "the card does not describe it"
                )
        return _Outputs(graph.outputs, results, card.sizes(graph))

    def _session(self, index: int) -> Any:
        if index not in self._sessions:
            self._sessions[index] = open_session(self._model, *self._options, graph=index)
        return self._sessions[index]

    def _stems_of(self, group: tuple[int, ...]) -> tuple[int, ...]:
        given = {stem for k in group for stem in self._card.graphs[k].stems}
        return tuple(k for k, stem in enumerate(self._card.stems[:-1]) if stem in given)


def _feed(tensor: Tensor, audio: NDArray[np.float32], spectrum: NDArray[np.complex64] | None) -> NDArray[Any]:
    """Return the array for an input of a graph."""
    if tensor.holds == "waveform":
        return pack(audio, WAVEFORM_AXES[1:], tensor.axes)
    assert spectrum is not None
    if tensor.holds == "spectrum":
        parts = spectrum.view(np.float32).reshape(*spectrum.shape, 2)
        return pack(parts, COMPLEX_AXES[1:], tensor.axes)
    part: NDArray[Any] = {"real": spectrum.real, "imaginary": spectrum.imag}.get(tensor.holds, np.abs(spectrum))
    return pack(part, SPECTRUM_AXES[1:], tensor.axes)


class _Outputs:
    """The outputs of a graph. Each stem is copied only when it is asked for, to need little memory."""

    def __init__(self, tensors: tuple[Tensor, ...], results: list[NDArray[Any]], sizes: dict[str, int]) -> None:
        self._tensors = tensors
        self._views = [unpack(each, of.axes, AXES[of.holds], sizes) for of, each in zip(tensors, results, strict=True)]

    def stem(self, row: int) -> dict[str, NDArray[Any]]:
        """Return the parts that sum to a stem, by kind.

        Args:
            row: Index of the stem in the graph.

        Returns:
            "waveform" to float32, (channels, samples); "spectrum" or "mask" to complex, and "magnitude" to float32,
            (channels, frames, bins).
        """
        parts: dict[str, NDArray[Any]] = {}
        for tensor, view in zip(self._tensors, self._views, strict=True):
            part = view[row].astype(np.float32, copy=False)
            if tensor.holds in ("spectrum", "mask"):
                part = _complex(part[..., 0], part[..., 1])
            parts[tensor.holds] = parts[tensor.holds] + part if tensor.holds in parts else part
        if "imaginary" in parts:
            parts["spectrum"] = _complex(parts.pop("real"), parts.pop("imaginary"))
        return parts


def _complex(real: NDArray[np.float32], imaginary: NDArray[np.float32]) -> NDArray[np.complex64]:
    result = np.empty(real.shape, np.complex64)
    result.real, result.imag = real, imaginary
    return result
