"""Cards: valid ones are accepted, and others are refused in one line."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stembridge.models import Chunk, ModelError, load_model, parse_card

CARD = {
    "format": 1,
    "name": "mine",
    "version": "1",
    "sha256": "0" * 64,
    "mode": "streaming",
    "stems": ["vocals", "other"],
    "sample_rate": 44100,
    "window": 2048,
    "synthesis_window": 512,
    "hop": 256,
    "terms": "CC0",
}
CHUNK = {"left": 2, "frames": 8, "right": 1, "overlap": 3}


def check(**fields):
    values = {key: value for key, value in (CARD | fields).items() if value is not None}
    return parse_card(values, "mine.json")


def test_a_card_has_all_that_the_engine_must_know():
    card = check()
    assert (card.name, card.version, card.mode, card.stems) == ("mine", "1", "streaming", ("vocals", "other"))
    assert (card.sample_rate, card.window, card.synthesis_window, card.hop) == (44100, 2048, 512, 256)
    assert card.chunk is None
    assert card.bins == 1025
    assert card.delay_frames == 0
    assert card.latency_samples == 512
    assert card.values == CARD


@pytest.mark.parametrize(
    ("chunk", "frames"), [(CHUNK, 8), (CHUNK | {"right": 0}, 7), (CHUNK | {"frames": 6, "overlap": 0, "left": 99}, 6)]
)
def test_chunked_latency_is_the_synthesis_window_and_chunk_plus_right_context_minus_one_hops(chunk, frames):
    card = check(mode="chunked", synthesis_window=2048, chunk=chunk)
    assert card.chunk == Chunk(**chunk)
    assert card.delay_frames == chunk["frames"] + chunk["right"] - 1 == frames
    assert card.latency_samples == 2048 + frames * 256


@pytest.mark.parametrize(
    "fields",
    [
        {"stems": ["speech", "noise"]},
        {"stems": [f"stem_{k}" for k in range(64)]},
        {"description": "A test.", "scores": {"vocals": 1.0}, "weaknesses": ["all"], "training": {"minutes": 3}},
        {"data": [{"name": "songs", "terms": "CC0", "more": 3}]},
        {"something_of_ones_own": [1, 2]},
        {"window": 512},
        {"window": 3072, "synthesis_window": 768},
        {"mode": "chunked", "chunk": {"left": 0, "frames": 1, "right": 0, "overlap": 0}},
        {"mode": "chunked", "chunk": CHUNK | {"overlap": 4}},
    ],
    ids=str,
)
def test_valid_cards(fields):
    assert check(**fields).values == CARD | fields


def test_whole_numbers_may_be_written_with_a_decimal_point():
    card = check(window=2048.0, hop=256.0, synthesis_window=512.0, sample_rate=44100.0)
    assert [type(n) for n in (card.window, card.hop, card.synthesis_window, card.sample_rate, card.bins)] == [int] * 5
    chunked = check(mode="chunked", chunk=dict.fromkeys(CHUNK, 0.0) | {"frames": 1.0})
    assert type(chunked.chunk.frames) is int


@pytest.mark.parametrize("field", [field for field in CARD if field != "format"])
def test_missing_fields_are_named(field):
    with pytest.raises(ModelError, match=f"mine.json: not a valid model card.*'{field}' is a required property"):
        check(**{field: None})


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"format": None}, "'format' is a required property"),
        ({"format": 0}, r"format"),
        ({"format": "1"}, r"format"),
        ({"name": "Mine"}, r"name"),
        ({"name": "../mine"}, r"name"),
        ({"name": ""}, r"name"),
        ({"version": 1}, r"version"),
        ({"version": ""}, r"version"),
        ({"sha256": "0" * 63}, r"sha256"),
        ({"sha256": "G" * 64}, r"sha256"),
        ({"mode": "offline"}, r"mode"),
        ({"stems": ["vocals"]}, r"stems"),
        ({"stems": ["vocals", "vocals"]}, r"stems"),
        ({"stems": ["lead vocals", "other"]}, r"stems\.0"),
        ({"stems": ["vocals", "1st"]}, r"stems\.1"),
        ({"stems": "vocals"}, r"stems"),
        ({"stems": [f"s{k}" for k in range(65)]}, r"stems"),
        ({"sample_rate": 7999}, r"sample_rate"),
        ({"sample_rate": 44100.5}, r"sample_rate"),
        ({"sample_rate": float("nan")}, r"sample_rate"),
        ({"sample_rate": float("inf")}, r"sample_rate"),
        ({"window": 1 << 17}, r"window"),
        ({"window": "2048"}, r"window"),
        ({"window": True}, r"window"),
        ({"hop": 0}, r"hop"),
        ({"hop": -256}, r"hop"),
        ({"terms": ""}, r"terms"),
        ({"data": [{"name": "songs"}]}, r"'terms' is a required property"),
        ({"weaknesses": [1]}, r"weaknesses\.0"),
        ({"chunk": CHUNK}, ""),  # of a streaming network
        ({"mode": "chunked"}, "'chunk' is a required property"),
        ({"mode": "chunked", "chunk": CHUNK | {"frames": 0}}, r"chunk\.frames"),
        ({"mode": "chunked", "chunk": CHUNK | {"left": -1}}, r"chunk\.left"),
        ({"mode": "chunked", "chunk": CHUNK | {"lap": 1}}, r"chunk"),
        ({"mode": "chunked", "chunk": {"frames": 3}}, r"chunk"),
    ],
    ids=str,
)
def test_invalid_fields_are_named_in_one_line(fields, says):
    with pytest.raises(ModelError, match=rf"^mine\.json: not a valid model card: (data\.0: )?{says}") as error:
        check(**fields)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    "fields",
    [
        {"hop": 255},
        {"synthesis_window": 256},  # windows of one hop do not overlap
        {"synthesis_window": 600},
        {"synthesis_window": 2304},
        {"window": 2050},
        {"window": 15, "synthesis_window": 6, "hop": 3},
    ],
    ids=str,
)
def test_windows_must_fit_the_hop(fields):
    with pytest.raises(ModelError, match=r"^mine\.json: windows .* hop .*two hops.*even$"):
        check(**fields)


def test_chunks_may_overlap_by_half_at_most():
    with pytest.raises(ModelError, match=r"^mine\.json: chunk overlap 5 is more than half of 8 frames$"):
        check(mode="chunked", chunk=CHUNK | {"overlap": 5})


@pytest.mark.parametrize("number", [3, 4, 10**9])
def test_a_newer_format_asks_for_an_update_whatever_else_is_on_the_card(number):
    for values in (CARD | {"format": number}, {"format": number, "layers": []}):
        with pytest.raises(ModelError, match=f"card format {number} is newer than 2; update stembridge"):
            parse_card(values, "mine.json")


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(CARD)), inner, max_size=9),
        max_leaves=9,
    )
)
def test_any_json_is_a_card_or_a_model_error(values):
    for card in (values, CARD | values if isinstance(values, dict) else values):
        try:
            line = parse_card(card, "mine.json").name
        except ModelError as error:
            line = str(error)
        assert "\n" not in line


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the model card is not valid JSON"),
        (b"not json", "the model card is not valid JSON"),
        (b'{"format": 1', "the model card is not valid JSON"),
        (b"\xff\xfe\x00", "the model card is not valid JSON"),
        (b"[" * 100000, "the model card cannot be read: its arrays and objects are nested too deeply"),
        (b"\x80\x04K\x01.", "the model card is not valid JSON"),
        (b"null", "not a valid model card"),
        (b"[]", "not a valid model card"),
        (b"{}", "not a valid model card"),
        (json.dumps(CARD).encode()[:-20], "the model card is not valid JSON"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_file_that_is_not_a_card_is_refused_in_one_line(spoil, content, says):
    path = spoil(card=content)
    with pytest.raises(ModelError, match=says) as error:
        load_model(path)
    assert str(error.value).startswith(str(path.with_suffix(".json")))
    assert "\n" not in str(error.value)


def test_only_cards_with_equal_fields_are_equal():
    assert check() == check()
    assert hash(check()) == hash(check())
    assert check() != check(stems=["speech", "noise"])
