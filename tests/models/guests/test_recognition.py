"""Graphs of published shapes are recognised, whatever their names; others are refused in one line."""

import hashlib
import json

import numpy as np
import pytest
from onnx import TensorProto
from stembridge.models import ModelError, parse_card
from stembridge.models.guests import all_kinds, recognise, recognition
from stembridge.models.guests.onnx_file import read_signature
from stembridge.models.stems_card import Transform

from .conftest import empty_graph, save_external

L = 343980
FOUR, SIX = ["drums", "bass", "other", "vocals"], ["drums", "bass", "other", "vocals", "guitar", "piano"]
ROFORMER_6 = ["bass", "drums", "other", "vocals", "guitar", "piano"]
# kind: inputs, outputs and the stems in the graph's order.
EXPORTS = {
    "htdemucs": ({"input": [1, 2, L]}, {"output": [1, 4, 2, L]}, FOUR),
    "htdemucs of any batch": ({"mix": ["batch", 2, L]}, {"sources": ["batch", 4, 2, L]}, FOUR),
    "htdemucs 6s": ({"mix": [1, 2, L]}, {"stems": [1, 6, 2, L]}, SIX),
    "htdemucs-core": (
        {"input": [1, 2, L], "onnx::ReduceMean_1": [1, 4, 2048, 336]},
        {"output": [1, 4, 4, 2048, 336], "add_67": [1, 4, "unknown", L]},
        FOUR,
    ),
    "htdemucs-core the other way round": (
        {"mag": [1, 4, 2048, 336], "mix": [1, 2, L]},
        {"xt": [1, 6, 2, L], "x": [1, 6, 4, 2048, 336]},
        SIX,
    ),
    "htdemucs-parts": (
        {"spec_imag": ["B", 2, 2048, "T"], "spec_real": ["B", 2, 2048, "T"], "audio": ["B", 2, "L"]},
        {"out_spec_real": [1, 4, 2, 2048, "T"], "out_spec_imag": [1, 4, 2, 2048, "T"], "out_wave": [1, 4, 2, "L"]},
        FOUR,
    ),
    "scnet": ({"x": [1, 4, 2049, 338]}, {"y": [1, 4, 4, 2049, 338]}, FOUR),
    "roformer": ({"audio": [1, 2, 352800]}, {"stems": [1, 6, 2, 352800]}, ROFORMER_6),
    "roformer-parts": (
        {"spec_real": [1, 2, 1025, 801], "spec_imag": [1, 2, 1025, 801]},
        {"out_spec_real": [1, 4, 2, 1025, 801], "out_spec_imag": [1, 4, 2, 1025, 801]},
        FOUR,
    ),
}
ONE_STEM = {
    "mdx-5120": ({"input": ["batch", 4, 2560, 256]}, {"output": ["batch", 4, 2560, 256]}),
    "roformer-mask": ({"x": [1, 2050, 801, 2]}, {"mask": [1, 2050, 801, 2]}),
    "openunmix": ({"x": [1, 2, 2049, "frames"]}, {"y": [1, 2, 2049, "frames"]}),
    "spleeter": ({"x": [2, "splits", 512, 1024]}, {"y": [2, "splits", 512, 1024]}),
    "spleeter-last": ({"x": ["splits", 512, 1024, 2]}, {"y": ["splits", 512, 1024, 2]}),
}


def card_of(*files, **options):
    values = recognise(files, "mine", **options)
    card = parse_card(values, "mine")
    assert card.graphs[0].sha256 == files[0].sha256
    assert card.values["terms"]
    return card


@pytest.mark.parametrize("export", EXPORTS)
def test_exports_of_all_stems_are_recognised_by_shapes(guest, export):
    inputs, outputs, stems = EXPORTS[export]
    card = card_of(guest("some name.onnx", inputs, outputs))
    assert card.values["kind"] == export.split()[0]
    (graph,) = card.graphs
    assert graph.stems == tuple(stems)
    assert card.stems[-1] == "other"
    assert set(card.stems) == set(stems)
    assert {tensor.name for tensor in graph.inputs} == set(inputs)
    assert {tensor.name for tensor in graph.outputs} == set(outputs)
    for tensor, shape in [(tensor, (inputs | outputs)[tensor.name]) for tensor in graph.inputs + graph.outputs]:
        assert len(tensor.axes) == len(shape)
        assert ("stem" in tensor.axes) == (tensor in graph.outputs)
        holds = {3: "waveform", 4: "waveform" if shape[-1] in (L, "L", 352800) else "spectrum", 5: "spectrum"}
        known = {"real": "real", "imag": "imaginary"}.get(tensor.name.rpartition("_")[2])
        assert tensor.holds == (known or holds[len(shape)])
    if card.transform:
        frames = {"scnet": 338, "roformer-parts": 801}.get(card.values["kind"], 336)
        assert card.transform.frames(card.segment.samples) == frames


@pytest.mark.parametrize("kind", ONE_STEM)
def test_exports_of_one_stem_are_recognised_and_the_stem_is_given_or_in_the_name(guest, kind):
    inputs, outputs = ONE_STEM[kind]
    card = card_of(guest("my_vocals-3.onnx", inputs, outputs))
    assert (card.values["kind"], card.stems, card.graphs[0].stems) == (kind, ("vocals", "instrumental"), ("vocals",))
    if card.masks:
        assert card.masks.kind == "phase", "a ratio needs more than one magnitude"
    file = guest("network.onnx", inputs, outputs)
    with pytest.raises(ModelError, match=r"^network\.onnx does not say which stem it gives: give --stems"):
        recognise([file], "mine")
    assert card_of(file, stems=["instrumental"]).stems == ("instrumental", "vocals")
    assert card_of(file, stems=["bass"], terms="CC0").stems == ("bass", "other")


@pytest.mark.parametrize("kind", ["spleeter", "openunmix"])
def test_magnitudes_of_several_stems_make_one_model(guest, kind):
    inputs, outputs = ONE_STEM[kind]
    names = ["vocals", "bass", "drums", "other"]
    card = card_of(*(guest(f"{name}.onnx", empty_graph(inputs, outputs) + name.encode()[:0]) for name in names))
    assert card.stems == ("vocals", "drums", "bass", "other")
    assert [graph.stems for graph in card.graphs] == [(name,) for name in names]
    assert card.masks.kind == {"spleeter": "ratio", "openunmix": "wiener"}[kind]


def test_the_fine_tuned_bag_takes_one_stem_of_each_graph(guest):
    inputs, outputs, _ = EXPORTS["htdemucs"]
    files = [guest(f"htdemucs_ft_{stem}.onnx", inputs, outputs) for stem in ("bass", "vocals", "drums", "other")]
    card = card_of(*files)
    assert [graph.stems for graph in card.graphs] == [
        (None, "bass", None, None),
        (None, None, None, "vocals"),
        ("drums", None, None, None),
        (None, None, "other", None),
    ]
    assert card.stems == ("vocals", "drums", "bass", "other")
    files = [guest(f"{k}.onnx", inputs, outputs) for k in range(4)]
    assert card_of(*files, stems=FOUR).graphs[0].stems == ("drums", None, None, None)
    averaged = card_of(*files)
    assert [graph.stems for graph in averaged.graphs] == [tuple(FOUR)] * 4
    with pytest.raises(ModelError, match=r"gives drums, bass, other, vocals, but not kazoo"):
        recognise(files, "mine", stems=["kazoo", *FOUR[1:]])


@pytest.mark.parametrize("kind", ["openunmix", "htdemucs"])
def test_a_stem_without_a_graph_in_the_bag_is_the_rest(guest, kind):
    inputs, outputs = EXPORTS["htdemucs"][:2] if kind == "htdemucs" else ONE_STEM["openunmix"]
    card = card_of(guest("vocals.onnx", inputs, outputs), guest("drums.onnx", inputs, outputs))
    assert card.stems == ("vocals", "drums", "other"), "drums must come from their graph, not be the rest of the mix"


def test_a_graph_of_any_length_may_have_the_general_kind(guest):
    file = guest("any.onnx", {"mix": [1, 2, "n"]}, {"stems": [1, 6, 2, "n"]})
    with pytest.raises(ModelError, match=r"may be one of several kinds: give --kind with one of .*\bwaveform\b"):
        recognise([file], "mine", stems=["a", "b", "c", "d", "e", "f"])


def test_graphs_of_different_kinds_are_not_a_bag(guest):
    with pytest.raises(ModelError, match=r"^b\.onnx is scnet with .*, but a\.onnx is htdemucs with"):
        recognise([guest("a.onnx", *EXPORTS["htdemucs"][:2]), guest("b.onnx", *EXPORTS["scnet"][:2])], "mine")
    with pytest.raises(ModelError, match=r"^b\.onnx is htdemucs with .*6.*, but a\.onnx is htdemucs with .*4"):
        recognise([guest("a.onnx", *EXPORTS["htdemucs"][:2]), guest("b.onnx", *EXPORTS["htdemucs 6s"][:2])], "mine")


@pytest.mark.parametrize(("bins", "sizes"), [(3072, [6144, 7680]), (2048, [4096, 5120, 6144, 8192, 16384])])
def test_an_mdx_network_of_several_possible_sizes_needs_its_kind(guest, bins, sizes):
    file = guest("UVR_Inst.onnx", {"input": [1, 4, bins, 256]}, {"output": [1, 4, bins, 256]})
    choices = ", ".join(f"mdx-{size}" for size in sizes)
    with pytest.raises(ModelError, match=f"^UVR_Inst.onnx may be one of several kinds: give --kind .* {choices}$"):
        recognise([file], "mine")
    card = card_of(file, kind=f"mdx-{sizes[0]}")
    assert card.segment.samples == 261120
    assert card.segment.trim == sizes[0] // 2
    assert card.transform.size == sizes[0]
    assert (card.transform.bins, card.transform.zero_bins) == (bins, 3)
    assert card.transform.frames(card.segment.samples) == 256
    assert card.graphs[0].gain == 1
    assert card.stems == ("instrumental", "vocals")
    assert card.at_quality("best").denoise


def test_a_known_mdx_network_needs_no_kind(guest, tmp_path, monkeypatch):
    file = guest("k.onnx", {"input": [1, 4, 3072, 256]}, {"output": [1, 4, 3072, 256]})
    digest = hashlib.md5(file.path.read_bytes()).hexdigest()
    (tmp_path / "mdx.json").write_text(json.dumps({digest: {"size": 7680, "stem": "vocals", "gain": 1.009}}))
    monkeypatch.setattr("stembridge.models.guests.recognition.MDX_FILE", tmp_path / "mdx.json")
    card = card_of(file)
    assert (card.values["kind"], card.stems) == ("mdx-7680", ("vocals", "instrumental"))
    assert card.graphs[0].gain == 1.009


def test_the_known_mdx_networks_have_known_sizes():
    for digest, facts in json.loads(recognition.MDX_FILE.read_text()).items():
        assert len(digest) == 32
        assert f"mdx-{facts['size']}" in all_kinds()
        assert 1 <= facts["gain"] < 2


def test_an_output_without_declared_stems_is_run(guest):
    declared = {"output": [0, 0, 0, 0]}
    file = guest("a.onnx", {"input": [1, 2, L]}, declared, real={"output": [1, 6, 2, L]})
    assert card_of(file).graphs[0].stems == tuple(SIX)
    wrong = guest("b.onnx", {"input": [1, 2, L]}, declared, real={"output": [4, L]})
    with pytest.raises(ModelError, match=r"^b\.onnx (is not htdemucs|does not run as htdemucs): "):
        recognise([wrong], "mine")


def test_half_precision_is_recognised_too(guest):
    assert card_of(guest("a.onnx", *EXPORTS["htdemucs"][:2], type=TensorProto.FLOAT16)).values["kind"] == "htdemucs"


def test_any_network_of_waveforms_is_accepted_if_its_stems_are_named(guest):
    file = guest("a.onnx", {"mix": [1, 2, 44100]}, {"out": [1, 2, 2, 44100]})
    with pytest.raises(ModelError, match=r"^a\.onnx takes and gives waveforms .*: name its stems .*--stems$"):
        recognise([file], "mine")
    card = card_of(file, stems=["speech", "music"])
    assert (card.values["kind"], card.stems, card.segment.samples) == ("waveform", ("speech", "music"), 44100)
    one = card_of(guest("b.onnx", {"mix": [1, 2, "any"]}, {"out": [1, 2, "any"]}), stems=["speech"])
    assert (one.values["kind"], one.stems, one.segment.samples) == ("waveform-one", ("speech", "other"), L)
    with pytest.raises(ModelError, match=r"gives 2 stems, not 3: name them in order"):
        recognise([file], "mine", stems=["a", "b", "c"])


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ({"x": [1, 3, 224, 224]}, {"y": [1, 1000]}),
        ({"x": [1, 4, 2049, 338]}, {"y": [1, 4, 4, 2049, 337]}),
        ({"x": [1, 2, L], "y": [1, 2, L]}, {"z": [1, 4, 2, L]}),
        ({"x": []}, {"y": []}),
    ],
)
def test_an_unknown_graph_is_refused_with_its_tensors_and_the_known_kinds(guest, inputs, outputs):
    file = guest("cat.onnx", inputs, outputs)
    with pytest.raises(ModelError, match=r"^cat\.onnx is not a known kind of network: it has ") as error:
        recognise([file], "mine")
    text = str(error.value)
    assert "\n" not in text
    assert str(read_signature(file.path, "cat.onnx")) in text
    assert all(name in text for name in [*inputs, *outputs, *all_kinds(), "--kind"])


def test_a_kind_that_does_not_fit_is_refused(guest):
    file = guest("a.onnx", *EXPORTS["scnet"][:2])
    with pytest.raises(ModelError, match=r"^a\.onnx is not htdemucs: it has x \[1, 4, 2049, 338\] -> .*, not \[1, 2, "):
        recognise([file], "mine", kind="htdemucs")
    with pytest.raises(ModelError, match=r"^unknown kind 'nope'; choose from htdemucs, "):
        recognise([file], "mine", kind="nope")


CENTRED = {size: (size // 2, size // 2) for size in (2048, 4096, 5120)}


@pytest.mark.parametrize(
    ("kind", "transform", "segment"),
    [
        ("htdemucs-core", Transform(4096, 1024, "hann", (3584, 3668), "reflect", (2, 2), 2048, scale=1 / 64), (L, 0)),
        ("htdemucs-parts", Transform(4096, 1024, "hann", (3584, 3668), "reflect", (2, 2), 2048, scale=1 / 64), (L, 0)),
        ("mdx-5120", Transform(5120, 1024, "hann", CENTRED[5120], bins=2560, zero_bins=3), (261120, 2560)),
        ("scnet", Transform(4096, 1024, "rectangle", CENTRED[4096], bins=2049, scale=1 / 64), (345088, 0)),
        ("roformer-parts", Transform(2048, 441, "hann", CENTRED[2048], bins=1025), (352800, 0)),
        ("roformer-mask", Transform(2048, 441, "hann", CENTRED[2048], bins=1025), (352800, 0)),
        ("spleeter", Transform(4096, 1024, "hann", (0, 0), "zero", bins=1024), (527360, 4096)),
        ("openunmix", Transform(4096, 1024, "hann", CENTRED[4096], bins=2049), (881664, 88166)),
    ],
)
def test_transforms_are_those_of_the_published_inference(guest, kind, transform, segment):
    inputs, outputs = (EXPORTS | ONE_STEM)[kind][:2]
    stems = ["vocals"] if kind in ONE_STEM else None
    card = card_of(guest("a.onnx", inputs, outputs), stems=stems)
    assert card.values["kind"] == kind
    assert card.transform == transform
    assert (card.segment.samples, card.segment.trim) == segment


@pytest.mark.parametrize("kind", list(all_kinds()))
def test_every_kind_makes_a_valid_card_at_every_quality(guest, kind):
    facts = all_kinds()[kind]
    sizes = facts.get("usual", {}) | {"stems": 4, "bins": facts.get("bins", [0])[0]}
    inputs, outputs = (
        {
            f"{tensor['holds']}_{side}": [sizes[size] if isinstance(size, str) else size for size in tensor["shape"]]
            for tensor in facts[side]
        }
        for side in ("inputs", "outputs")
    )
    four = any("stems" in tensor["shape"] for tensor in facts["outputs"])
    card = card_of(guest("a.onnx", inputs, outputs), kind=kind, stems=FOUR if four else ["vocals"])
    fast, best = card.at_quality("fast"), card.at_quality("best")
    assert fast.segment.overlap < card.segment.overlap < best.segment.overlap
    if card.transform:
        frames = {size for tensor in facts["inputs"] for size in tensor["shape"][1:] if size in (336, 512, "frames")}
        wanted = sizes["frames"] if frames == {"frames"} else frames.pop()
        assert card.transform.frames(card.segment.samples) == wanted


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\0" * 100,
        b"{}",
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"\x08\x07\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ],
)
def test_a_file_that_is_not_onnx_is_refused(guest, content):
    with pytest.raises(ModelError, match=r"^a\.onnx is not an ONNX graph, or is damaged"):
        recognise([guest("a.onnx", content)], "mine")


def test_a_graph_that_is_cut_short_is_refused(guest):
    content = empty_graph(*EXPORTS["htdemucs"][:2])
    for keep in np.linspace(0, len(content) - 1, 40).astype(int):
        with pytest.raises(ModelError, match="is not"):
            recognise([guest("a.onnx", content[:keep])], "mine")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.pth", b"PK\x03\x04"),
        ("model.ckpt", b"\x80\x02}q\x00."),
        ("model.safetensors", b"\x10\0\0\0\0\0\0\0{}"),
        ("renamed.onnx", b"PK\x03\x04 torch"),
        ("renamed.onnx", b"\x80\x04\x95"),
        ("renamed.onnx", b'\x10\0\0\0\0\0\0\0{"a": 1}'),
    ],
)
def test_weights_without_a_graph_are_refused_with_the_way_to_export(guest, name, content):
    with pytest.raises(ModelError, match=rf"^{name} has the weights .*torch\.onnx\.export.*`stembridge docs guests`"):
        recognise([guest(name, content)], "mine")


@pytest.mark.parametrize("in_attribute", [False, True])
def test_weights_in_other_files_are_refused(guest, in_attribute):
    file = guest("a.onnx", b"")
    save_external(file.path, in_attribute)
    with pytest.raises(ModelError, match=r"^a\.onnx keeps weights in other files.*save_as_external_data=False"):
        recognise([file], "mine")


def test_a_file_that_is_too_large_is_refused_without_reading_it(guest):
    file = guest("a.onnx", b"")
    with open(file.path, "r+b") as sparse:
        sparse.truncate(3 << 30)  # takes no room on the disk
    with pytest.raises(ModelError, match=r"^a\.onnx is 3\.2 GB large, but an ONNX file can have at most 2 GB"):
        read_signature(file.path, "a.onnx")
