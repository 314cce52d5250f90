"""Cards of format 2: required fields, and one line for a wrong one."""

import copy
import hashlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stembridge.models import ModelError, StemsCard, load_model, parse_card
from stembridge.models.stems_card import Masks, Segment, Tensor, Transform

WAVEFORM = {"name": "mix", "holds": "waveform", "axes": ["batch", "channel", "sample"]}
STEMS = {"name": "out", "holds": "waveform", "axes": ["batch", "stem", "channel", "sample"]}
SPECTRUM = {"name": "in", "holds": "spectrum", "axes": ["batch", "channel*part", "bin", "frame"]}
REAL = {"name": "re", "holds": "real", "axes": ["batch", "channel", "bin", "frame"]}
IMAGINARY = {"name": "im", "holds": "imaginary", "axes": ["batch", "channel", "bin", "frame"]}
MAGNITUDE = {"name": "magnitude", "holds": "magnitude", "axes": ["batch", "channel", "bin", "frame"]}
GRAPH = {
    "file": "guest.onnx",
    "sha256": "0" * 64,
    "stems": ["drums", "bass", "other", "vocals"],
    "inputs": [WAVEFORM],
    "outputs": [STEMS],
}
CARD = {
    "format": 2,
    "name": "guest",
    "version": "1",
    "stems": ["vocals", "drums", "bass", "other"],
    "sample_rate": 44100,
    "num_channels": 2,
    "segment": {"samples": 4096, "overlap": 1024},
    "graphs": [GRAPH],
    "quality": {"fast": {"overlap": 0}, "best": {"overlap": 3072, "denoise": True}},
    "terms": "MIT",
}
TRANSFORM = {"size": 512, "hop": 128, "bins": 256}
COMPLEX = {"transform": TRANSFORM, "graphs": [GRAPH | {"inputs": [SPECTRUM], "outputs": [STEMS]}]}


def check(**fields):
    values = {key: value for key, value in (copy.deepcopy(CARD) | fields).items() if value is not None}
    return parse_card(values, "guest.json")


def graph(**fields):
    return {"graphs": [GRAPH | fields]}


def test_a_card_has_all_that_the_engine_must_know():
    card = check(denoise=True, normalize="song")
    assert isinstance(card, StemsCard)
    assert (card.name, card.version, card.mode, card.realtime) == ("guest", "1", "stems", False)
    assert (card.stems, card.sample_rate, card.num_channels) == (("vocals", "drums", "bass", "other"), 44100, 2)
    assert card.segment == Segment(4096, 0, 1024, "triangle")
    assert card.segment.stride == 3072
    assert (card.normalize, card.denoise, card.transform, card.masks) == ("song", True, None, None)
    assert card.graphs[0].inputs == (Tensor("mix", "waveform", ("batch", "channel", "sample")),)
    assert card.graphs[0].stems == ("drums", "bass", "other", "vocals")
    assert card.graphs[0].gain == 1
    assert check(segment={"samples": 4096, "trim": 100}).latency_samples == 3996


def test_a_transform_and_masks_are_read():
    numbers = {"pad": [100.0, 28], "pad_mode": "zero", "drop": [1, 0], "zero_bins": 3, "scale": 0.5, "above": "mean"}
    magnitudes = {"inputs": [MAGNITUDE], "outputs": [MAGNITUDE], "stems": ["vocals"]}
    card = check(
        transform=TRANSFORM | numbers | {"window": "rectangle"},
        masks={"kind": "ratio", "power": 1},
        stems=["vocals", "rest"],
        **graph(**magnitudes),
    )
    assert card.transform == Transform(512, 128, "rectangle", (100, 28), "zero", (1, 0), 256, 3, "mean", 0.5)
    assert card.masks == Masks("ratio", 1)
    assert type(card.transform.pad[0]) is int
    assert card.transform.frames(4096) == (4096 + 128 - 512) // 128 + 1 - 1


def test_qualities_change_overlap_and_denoising():
    card = check()
    fast, best = card.at_quality("fast"), card.at_quality("best")
    assert (fast.segment.overlap, fast.denoise) == (0, False)
    assert (best.segment.overlap, best.denoise) == (3072, True)
    assert card.at_quality("normal") == card
    assert len({card.sha256, fast.sha256, best.sha256}) == 3
    with pytest.raises(ValueError, match=r"^model guest has no quality 'best'; choose from: fast, normal$"):
        check(quality={"fast": {}}).at_quality("best")


@pytest.mark.parametrize(
    "fields",
    [
        {"stems": ["vocals", "rest"]},  # a stem that is not used, and one that no graph gives
        {"segment": {"samples": 4096.0, "trim": 1024, "overlap": 2047}, "quality": None},
        COMPLEX,
        {"transform": TRANSFORM, **graph(inputs=[REAL, IMAGINARY, WAVEFORM], outputs=[STEMS])},
        {"num_channels": 1, **graph(inputs=[WAVEFORM | {"axes": ["sample"]}])},
        {"something_of_ones_own": 1},
    ],
    ids=str,
)
def test_valid_cards(fields):
    assert check(**fields)


@pytest.mark.parametrize("field", [field for field in CARD if field not in ("format", "quality")])
def test_missing_fields_are_named(field):
    with pytest.raises(ModelError, match=f"guest.json: not a valid model card.*'{field}' is a required property"):
        check(**{field: None})


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"num_channels": 3}, r"num_channels"),
        ({"stems": ["vocals"]}, r"stems"),
        ({"segment": {"samples": 4096, "lap": 1}}, r"segment"),
        (graph(file="../guest.onnx"), r"graphs\.0\.file"),
        (graph(file=".hidden.onnx"), r"graphs\.0\.file"),
        (graph(file="/etc/guest.onnx"), r"graphs\.0\.file"),
        (graph(sha256="G"), r"graphs\.0\.sha256"),
        (graph(gain=0), r"graphs\.0\.gain"),
        (graph(inputs=[]), r"graphs\.0\.inputs"),
        (graph(inputs=[WAVEFORM | {"axes": ["time"]}]), r"graphs\.0\.inputs\.0\.axes\.0"),
        (graph(inputs=[WAVEFORM | {"holds": "mask"}]), r"graphs\.0\.inputs\.0\.holds"),
        ({"quality": {"worst": {}}}, r"quality"),
        ({"segment": {"samples": 4096, "overlap": 4096}}, "overlap 4096 does not fit a segment of 4096 samples"),
        ({"segment": {"samples": 4096, "trim": 2048}}, "overlap 0 does not fit"),
        ({"quality": {"best": {"overlap": 5000}}}, "overlap 5000 does not fit"),
        ({"stems": ["vocals", "piano", "rest"]}, "no graph gives the stem piano"),
        ({"transform": TRANSFORM}, "a card needs a transform if"),
        (COMPLEX | {"transform": None}, "a card needs a transform if"),
        (COMPLEX | {"transform": TRANSFORM | {"hop": 513}}, "hop 513 is longer"),
        (COMPLEX | {"transform": TRANSFORM | {"bins": 258}}, "has 257 bins, not 258"),
        (COMPLEX | {"transform": TRANSFORM | {"zero_bins": 257}}, "zero_bins 257"),
        (COMPLEX | {"transform": TRANSFORM | {"pad": [0, 4096]}}, "too short to be padded by 4096"),
        (COMPLEX | {"transform": TRANSFORM | {"drop": [15, 15]}}, "has no frame"),
        ({"masks": {"kind": "ratio"}}, "a card needs masks if a graph gives magnitudes"),
        ({"transform": TRANSFORM, **graph(inputs=[REAL])}, "a real part needs its imaginary part"),
        (graph(inputs=[WAVEFORM | {"axes": ["batch", "sample"]}]), "graph guest.onnx, mix: axes .* of a waveform"),
        (graph(inputs=[WAVEFORM | {"axes": ["channel", "sample", "stem"]}]), "graph guest.onnx, mix: axes"),
        (graph(outputs=[STEMS | {"axes": ["channel", "sample"]}]), "graph guest.onnx, out: axes .* stem once"),
        (graph(outputs=[STEMS | {"axes": ["stem", "channel", "sample", "sample"]}]), "once"),
        (graph(outputs=[STEMS | {"axes": ["stem", "channel", "sample", "part"]}]), "once"),
    ],
    ids=str,
)
def test_invalid_fields_are_named_in_one_line(fields, says):
    with pytest.raises(ModelError, match=f"^guest.json: .*{says}") as error:
        check(**fields)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(list(CARD)),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(GRAPH)), inner, max_size=9)
            ),
            max_leaves=9,
        ),
    )
)
def test_any_json_is_a_card_or_a_model_error(values):
    try:
        line = parse_card(CARD | values, "guest.json").name
    except ModelError as error:
        line = str(error)
    assert "\n" not in line


@pytest.fixture
def bag(tmp_path):
    graphs = []
    for name in ("one", "two"):
        (tmp_path / f"{name}.onnx").write_bytes(name.encode())
        checksum = hashlib.sha256(name.encode()).hexdigest()
        graphs.append(GRAPH | {"file": f"{name}.onnx", "sha256": checksum})
    (tmp_path / "bag.json").write_text(json.dumps(CARD | {"graphs": graphs}))
    return tmp_path / "bag.json"


def test_a_bag_is_several_graphs_next_to_one_card(bag):
    model = load_model(bag)
    assert [graph.read() for graph in model.graphs] == [b"one", b"two"]
    assert model.path == bag
    assert model.size_bytes == 6
    assert not model.shipped
    assert model.at_quality("best").card.segment.overlap == 3072
    assert load_model("live").at_quality("normal") == load_model("live")
    with pytest.raises(ValueError, match=r"^model live has no quality 'best'; choose from: normal$"):
        load_model("live").at_quality("best")


def test_a_damaged_or_missing_graph_is_reported_when_it_is_read(bag):
    model = load_model(bag)
    (bag.parent / "two.onnx").write_bytes(b"twO")
    assert model.graphs[0].read() == b"one"
    with pytest.raises(ModelError, match=r"two\.onnx: its checksum .* is not the card's"):
        model.graphs[1].read()
    (bag.parent / "two.onnx").unlink()
    with pytest.raises(ModelError, match=r"two\.onnx: cannot read the model \(No such file or directory\); import"):
        model.graphs[1].read()
    with pytest.raises(ModelError, match=r"two\.onnx: cannot read the model \(No such file or directory\); import"):
        load_model(bag)


def test_models_in_the_users_folder_are_found_by_name(bag, tmp_path, monkeypatch):
    folder = tmp_path / "data" / "stembridge" / "models"
    folder.mkdir(parents=True)
    for path in [bag, *bag.parent.glob("*.onnx")]:
        path.rename(folder / path.name)
    assert load_model("bag").path == folder / "bag.json"
    (folder / "bag.json").rename(folder / "live.json")
    assert load_model("live").shipped, "a model that ships cannot be hidden"
    with pytest.raises(ModelError, match=r"^unknown model 'bag'; models: live, mix, studio; or give the path"):
        load_model("bag")


def test_a_stem_may_be_left_out_but_not_twice():
    assert check(**graph(stems=["drums", None, None, "vocals"]), stems=["drums", "vocals", "rest"])
    with pytest.raises(ModelError, match=r"^guest\.json: graph guest\.onnx: the stem drums appears twice$"):
        check(**graph(stems=["drums", "drums", "bass", "other"]), stems=["drums", "rest"])
