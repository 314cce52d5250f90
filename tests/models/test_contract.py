"""Graphs that break the contract are refused when a processor is made, in one line that names file and fault."""

import numpy as np
import onnx.parser
import pytest
from stembridge import StemProcessor
from stembridge.models import ModelError, load_model, save_model

TWO = ["speech", "noise"]
HALF = "c = Constant <value_float = 0.5> () masks = Add (silent, c)"
CHUNK = {"left": 2, "frames": 8, "right": 1, "overlap": 3}
AS_CHUNKED = {"mode": "chunked", "synthesis_window": 2048, "chunk": CHUNK}


def refused(path, says):
    with pytest.raises(ModelError, match=says) as error:
        StemProcessor(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def save(path, text, **fields):
    card = {"name": "mine", "version": "1", "stems": TWO, "mode": "streaming", "sample_rate": 44100, "terms": "CC0"}
    card |= {"window": 2048, "synthesis_window": 512, "hop": 256} | fields
    return save_model(path, onnx.parser.parse_model(text).SerializeToString(), card).path


def test_graphs_that_keep_the_contract_pass(make_model, tiny_model):
    assert StemProcessor(tiny_model).latency_samples
    assert StemProcessor(make_model(HALF, stems=TWO)).latency_samples == 512
    assert StemProcessor(make_model(HALF, stems=TWO, **AS_CHUNKED)).latency_samples == 2048 + 8 * 256


@pytest.mark.parametrize(
    "graph",
    [b"", b"hello", b"\0" * 1000, b"\x80\x04\x95\x0b\x00\x00\x00.", b"RIFF1234WAVEfmt ", b"PK\x03\x04torch", b"{}"],
    ids=repr,
)
def test_a_file_that_is_not_onnx_is_refused(tmp_path, tiny_live_model, graph):
    card = {key: value for key, value in load_model(tiny_live_model).card.values.items() if key != "sha256"}
    refused(
        save_model(tmp_path / "mine.onnx", graph, card).path,
        "ONNX Runtime cannot load this graph|is not an ONNX graph, or is damaged",
    )


@pytest.mark.parametrize("keep", [0.02, 0.5, 0.99])
def test_half_a_graph_is_refused(tmp_path, tiny_live_model, keep):
    model = load_model(tiny_live_model)
    graph = model.graph[: int(len(model.graph) * keep)]
    refused(save_model(tmp_path / "mine.onnx", graph, model.card.values).path, "is not an ONNX graph, or is damaged")


def test_an_operator_that_onnx_runtime_does_not_know_is_refused(tmp_path):
    text = """<ir_version: 8, opset_import: ["" : 18, "mine" : 1]>
        g (float[f, 2, 1025, 2] spectrum, float[1] state) => (float[f, 1, 2, 1025] masks, float[1] next_state)
        { masks = mine.Magic (spectrum) next_state = Identity (state) }"""
    refused(save(tmp_path / "mine.onnx", text), "ONNX Runtime cannot load this graph.*Magic")


@pytest.mark.parametrize(
    ("spectrum", "state", "masks", "next_state"),
    [
        ("audio", "state", "masks", "next_state"),
        ("spectrum", "hidden", "masks", "next_state"),
        ("spectrum", "state", "mask", "next_state"),
        ("spectrum", "state", "masks", "state_out"),
    ],
)
def test_wrong_names_are_refused(tmp_path, spectrum, state, masks, next_state):
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[f, 2, 1025, 2] {spectrum}, float[1] {state}) => (float[f, 2, 1025, 2] {masks}, float[1] {next_state})
        {{ {masks} = Identity ({spectrum}) {next_state} = Identity ({state}) }}"""
    wrong = ({spectrum, state, masks, next_state} - {"spectrum", "state", "masks", "next_state"}).pop()
    refused(
        save(tmp_path / "mine.onnx", text),
        rf"a streaming graph takes \['spectrum', 'state'\] and gives \['masks', 'next_state'\], but .*{wrong}",
    )


def test_a_graph_of_the_other_mode_is_refused(make_model, tmp_path, tiny_live_model, tiny_studio_model):
    live, studio = load_model(tiny_live_model), load_model(tiny_studio_model)
    as_chunked = save_model(tmp_path / "a.onnx", live.graph, live.card.values | AS_CHUNKED).path
    refused(as_chunked, r"a chunked graph takes \['spectrum'\] and gives \['masks'\], but")
    values = {key: value for key, value in studio.card.values.items() if key != "chunk"} | {"mode": "streaming"}
    refused(save_model(tmp_path / "b.onnx", studio.graph, values).path, "a streaming graph takes")


@pytest.mark.parametrize(
    ("body", "declared", "says"),
    [
        ("c = Constant <value_float = 0.5> () masks = Add (nothing, c)", "f, 2, bins", r"shape \(6, 2, 1025\), not"),
        (HALF + " x = Identity (masks)", "f, s, 2, bins", None),
        ("masks = Concat <axis = 1> (silent, silent)", "f, s, 2, bins", r"shape \(6, 2, 2, 1025\), not"),
        ("masks = Concat <axis = 3> (silent, silent)", "f, s, 2, bins", r"shape \(6, 1, 2, 2050\), not"),
        ("masks = Concat <axis = 2> (silent, silent)", "f, s, 2, bins", r"shape \(6, 1, 4, 1025\), not"),
        ("masks = Concat <axis = 0> (silent, silent)", "f, s, 2, bins", r"shape \(12, 1, 2, 1025\), not"),
        ("masks = Unsqueeze (silent, last)", "f, s, 2, bins, one", r"shape \(6, 1, 2, 1025, 1\), not"),
    ],
)
def test_masks_of_a_wrong_shape_are_refused(make_model, body, declared, says):
    path = make_model(body, masks=declared, stems=TWO)
    if says is None:
        assert StemProcessor(path)
    else:
        refused(path, f"masks have {says} .6, 1, 2, 1025. or .6, 1, 2, 1025, 2.")


def test_a_graph_of_other_bins_is_refused(tmp_path):
    text = """<ir_version: 8, opset_import: ["" : 18]>
        g (float[f, 2, 513, 2] spectrum, float[1] state) => (float[f, 1, 2, 513, 2] masks, float[1] next_state)
        { one = Constant <value_ints = [1]> () masks = Unsqueeze (spectrum, one) next_state = Identity (state) }"""
    refused(save(tmp_path / "mine.onnx", text), "the graph does not run on 6 frames")


def test_a_streaming_graph_of_a_fixed_number_of_frames_is_refused(tmp_path):
    text = """<ir_version: 8, opset_import: ["" : 18]>
        g (float[1, 2, 1025, 2] spectrum, float[1] state) => (float[1, 1, 2, 1025, 2] masks, float[1] next_state)
        { one = Constant <value_ints = [1]> () masks = Unsqueeze (spectrum, one) next_state = Identity (state) }"""
    refused(save(tmp_path / "mine.onnx", text), "the graph does not run on 6 frames")


def test_a_chunked_graph_may_have_its_chunk_as_fixed_size(tmp_path):
    text = """<ir_version: 8, opset_import: ["" : 18]>
        g (float[11, 2, 1025, 2] spectrum) => (float[11, 1, 2, 1025, 2] masks)
        { one = Constant <value_ints = [1]> () masks = Unsqueeze (spectrum, one) }"""
    assert StemProcessor(save(tmp_path / "mine.onnx", text, **AS_CHUNKED)).latency_samples
    wrong = save(tmp_path / "longer.onnx", text, **AS_CHUNKED | {"chunk": CHUNK | {"right": 2}})
    refused(wrong, "the graph does not run on 12 frames")


@pytest.mark.parametrize("kind", ["double", "float16"])
def test_masks_of_another_type_are_refused(tmp_path, kind):
    number = {"double": 11, "float16": 10}[kind]
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[f, 2, 1025, 2] spectrum, float[1] state) => ({kind}[f, 1, 2, 1025, 2] masks, float[1] next_state)
        {{ one = Constant <value_ints = [1]> () more = Unsqueeze (spectrum, one)
          masks = Cast <to = {number}> (more) next_state = Identity (state) }}"""
    refused(save(tmp_path / "mine.onnx", text), r"masks is of type tensor\(.*float32")


@pytest.mark.parametrize("declared", ["batch", "1, size"])
def test_a_state_without_a_fixed_shape_is_refused(make_model, declared):
    refused(make_model(HALF, state=declared, stems=TWO), "the graph's state has the shape")


def test_a_huge_state_is_refused(make_model):
    refused(make_model(HALF, state="100000, 100000", stems=TWO), "the graph's state has the shape .*more than")


def test_a_graph_that_fails_only_with_more_frames_is_named(make_model):
    body = (
        "at = Constant <value_ints = [0]> () end = Constant <value_ints = [6]> () masks = Slice (silent, at, end, at)"
    )
    processor = StemProcessor(make_model(body, stems=TWO))
    with pytest.raises(ModelError, match=r"made.*\.onnx: masks have shape \(6, 1, 2, 1025\), not \(20, 1, 2, 1025\)"):
        processor.process(np.ones((2, 20 * 256), np.float32))


def test_a_state_of_another_type_is_refused(tmp_path):
    text = """<ir_version: 8, opset_import: ["" : 18]>
        g (float[f, 2, 1025, 2] spectrum, int64[1] state) => (float[f, 1, 2, 1025, 2] masks, int64[1] next_state)
        { one = Constant <value_ints = [1]> () masks = Unsqueeze (spectrum, one) next_state = Identity (state) }"""
    refused(save(tmp_path / "mine.onnx", text), r"state is of type tensor\(int64\)")


def test_a_next_state_of_another_shape_is_refused(tmp_path):
    text = """<ir_version: 8, opset_import: ["" : 18]>
        g (float[f, 2, 1025, 2] spectrum, float[1] state) => (float[f, 1, 2, 1025, 2] masks, float[n] next_state)
        { one = Constant <value_ints = [1]> () masks = Unsqueeze (spectrum, one)
          next_state = Concat <axis = 0> (state, state) }"""
    refused(save(tmp_path / "mine.onnx", text), r"next_state has shape \(2,\), but state has \(1,\)")


@pytest.mark.parametrize("make", [{}, AS_CHUNKED], ids=["streaming", "chunked"])
@pytest.mark.parametrize("value", ["0.0", "-1.0"])
def test_a_network_whose_masks_are_not_numbers_is_refused(make_model, make, value):
    body = f"c = Constant <value_float = {value}> () d = Constant <value_float = 0.0> () e = Div (c, d)"
    refused(make_model(body + "masks = Add (silent, e)", stems=TWO, **make), "masks of plain noise are not finite")


LOOKS_ACROSS = {
    "level of the call": "m = ReduceMean <keepdims = 1> (spectrum) g = Sigmoid (m) z = Squeeze (g, last)"
    " y = Unsqueeze (z, one_axis) n = Mul (y, y) t = Constant <value_float = 100.0> () w = Mul (m, t)"
    " v = Squeeze (w, last) u = Unsqueeze (v, one_axis) masks = Add (silent, u)",
    "sum over the frames before": "from = Constant <value_int = 0> () s = CumSum (spectrum, from)"
    " t = ReduceSum <keepdims = 0> (s, last) masks = Unsqueeze (t, one_axis)",
    "frame after": "from = Constant <value_ints = [1]> () far = Constant <value_ints = [99]> ()"
    " first = Constant <value_ints = [0]> () later = Slice (sum, from, far, first)"
    " end = Slice (sum, first, from, first) all = Concat <axis = 0> (later, end) masks = Unsqueeze (all, one_axis)",
    "first frame": "from = Constant <value_ints = [0]> () to = Constant <value_ints = [1]> ()"
    " first = Slice (sum, from, to, from) f = Unsqueeze (first, one_axis) masks = Add (silent, f)",
}


@pytest.mark.parametrize("how", LOOKS_ACROSS)
def test_a_streaming_graph_that_looks_across_frames_is_refused(make_model, how):
    refused(make_model(LOOKS_ACROSS[how], stems=TWO), "one call and one by one differ .*only in its state")


@pytest.mark.parametrize("how", LOOKS_ACROSS)
def test_a_chunked_graph_may_look_across_frames(make_model, how):
    assert StemProcessor(make_model(LOOKS_ACROSS[how], stems=TWO, **AS_CHUNKED)).latency_samples


def test_a_card_that_does_not_fit_a_graph_seen_before_is_refused(tmp_path, tiny_live_model):
    """A graph that was checked with one card is checked again with another."""
    model = load_model(tiny_live_model)
    assert StemProcessor(model)
    path = save_model(tmp_path / "mine.onnx", model.graph, model.card.values | {"stems": TWO}).path
    refused(path, "masks have shape")


def test_a_refused_graph_is_refused_again(make_model):
    path = make_model(LOOKS_ACROSS["first frame"], stems=TWO)
    for _ in range(2):
        refused(path, "only in its state")


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "{folder}/weights.bin"])
def test_weights_in_another_file_are_refused_because_the_checksum_does_not_cover_them(tmp_path, monkeypatch, location):
    (tmp_path / "inside").mkdir()
    for folder in (tmp_path, tmp_path / "inside"):
        (folder / "weights.bin").write_bytes(b"\0" * 4)
    monkeypatch.chdir(tmp_path / "inside")
    text = """<ir_version: 8, opset_import: ["" : 18]>
        g (float[f, 2, 1025, 2] spectrum, float[1] state) => (float[f, 1, 2, 1025, 2] masks, float[1] next_state)
        { one = Constant <value_ints = [1]> () more = Unsqueeze (spectrum, one)
          masks = Add (more, weights) next_state = Identity (state) }"""
    graph = onnx.parser.parse_model(text)
    weights = graph.graph.initializer.add(name="weights", data_type=1, dims=[1], data_location=1)
    weights.external_data.add(key="location", value=location.format(folder=tmp_path))
    card = load_model(save(tmp_path / "plain.onnx", text.replace("(more, weights)", "(more, state)"))).card
    path = save_model(tmp_path / "inside" / "mine.onnx", graph.SerializeToString(), card.values).path
    refused(path, "keeps weights in other files")
