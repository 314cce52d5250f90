"""The input of networks, their losses, and exported networks that sound in the engine as in PyTorch."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import onnx
import pytest
import torch
from stembridge.core.errors import DataError
from stembridge.engine import StemProcessor
from stembridge.engine.stft import Analysis
from stembridge.models import ModelError, load_model
from stembridge.training.export import (
    MAX_DIFFERENCE,
    export_again,
    export_mean,
    export_network,
    hear_ahead,
    load_parameters,
    parity,
    rounded,
)
from stembridge.training.inference import separate_clip
from stembridge.training.networks.base import MaskNetwork
from stembridge.training.networks.features import (
    covariance,
    frames_of,
    input_features,
    parts_of,
    running_level,
    spectra,
    waveforms,
)
from stembridge.training.networks.make import make_network
from stembridge.training.networks.spatial import masks_from
from stembridge.training.objective import LOSSES, error_db, example
from stembridge.training.recipe import RECIPES, Recipe
from stembridge.training.session import train_model

CARD = {"name": "tiny", "version": "1", "terms": "CC0"}


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32) * 0.1


@pytest.mark.parametrize("kind", RECIPES)
def test_training_and_engine_share_one_transform(kind):
    grid = RECIPES[kind].grid
    audio = noise(2, 20000)
    ours = spectra(torch.from_numpy(audio), grid).permute(1, 0, 2).numpy()
    engine = Analysis(grid, 2).push(audio)
    assert ours.shape == engine.shape
    assert np.abs(ours - engine).max() < 1e-7


@pytest.mark.parametrize("kind", RECIPES)
def test_resynthesis_restores_the_audio(kind):
    grid = RECIPES[kind].grid
    audio = torch.from_numpy(noise(3, 2, 40 * grid.hop))
    again = waveforms(spectra(audio, grid), grid)
    whole = again.size(-1)
    assert whole > 30 * grid.hop
    assert torch.allclose(again, audio[..., :whole], atol=1e-5)


@pytest.mark.parametrize("kind", RECIPES)
def test_bands_cover_every_bin_once(kind):
    recipe = RECIPES[kind]
    bands = recipe.bands
    assert bands.bins == recipe.grid.bins
    spectrum = torch.arange(bins := bands.bins).float()[None] + 1
    assert bands.pool(spectrum).sum() == spectrum[0, :-1].sum()
    spread = bands.spread(torch.arange(bands.num_cells).float()[None])
    assert spread.shape == (1, bins)
    assert spread[0, -1] == spread[0, -2]
    # Pooling what was spread weighs each cell by its bins, in the same order.
    widths = bands.pool(torch.ones(1, bins))
    assert torch.equal(bands.pool(spread), torch.arange(widths.size(1)) * widths)


def test_running_level_is_a_peak_that_falls():
    power = torch.rand(50, 3, 1, generator=torch.Generator().manual_seed(0))
    power[20:] *= 1e-4
    before = torch.full((3, 1), 0.7)
    level, fall = before, 10 ** (-0.6 / 100)
    wanted = []
    for frame in power:
        level = torch.maximum(frame, level * fall)
        wanted.append(level)
    assert torch.allclose(running_level(power, before, 100, frames_of(power)), torch.stack(wanted), rtol=1e-4)


def test_features_do_not_depend_on_level(tiny_recipe):
    spectrum = torch.randn(2, 10, 1, 2, tiny_recipe.grid.bins, generator=torch.Generator().manual_seed(0))
    cells = tiny_recipe.bands.pool(covariance(parts_of(torch.complex(*spectrum))))
    quiet, _ = input_features(1e-6 * cells, tiny_recipe, torch.zeros(1, 1))
    loud, _ = input_features(cells, tiny_recipe, torch.zeros(1, 1))
    assert torch.allclose(quiet, loud, atol=1e-2)
    assert loud.abs().max() < 4


@pytest.mark.parametrize("spatial", [False, True])
def test_the_error_is_that_of_the_masked_spectrum(tiny_recipe, spatial):
    tiny_recipe = replace(tiny_recipe, spatial=spatial)
    stems = torch.from_numpy(noise(2, 4, 2, 8000))
    stems[:, :, 1] += torch.tensor([1.0, -0.7, 0.3, 0.0]).reshape(1, 4, 1) * stems[:, :, 0]  # from different positions
    responses = torch.rand(2, 4, tiny_recipe.grid.bins, generator=torch.Generator().manual_seed(0))
    batch = example(stems, responses, tiny_recipe)
    logits = torch.randn(*batch.match.shape, generator=torch.Generator().manual_seed(1))
    stem_spectra = spectra(stems, tiny_recipe.grid) * responses[:, :, None, None]
    mix = stem_spectra.sum(1, keepdim=True)
    masks, _ = masks_from(logits, covariance(parts_of(mix[:, 0].permute(2, 0, 1, 3))), tiny_recipe)
    masks = (torch.view_as_complex(masks) if spatial else masks).permute(1, 2, 3, 0, 4)
    error = ((masks * mix - stem_spectra).abs() ** 2)[..., :-1].sum(dim=(2, 3, 4))
    floor = 1e-3 * (mix.abs() ** 2)[..., :-1].sum(dim=(2, 3, 4))
    assert torch.allclose(error_db(logits, batch, tiny_recipe), 10 * torch.log10(error + floor), atol=0.05)


def test_perfect_masks_have_less_error_than_any_other(tiny_recipe):
    """Stems that do not overlap in frequency can be separated perfectly, and the loss shows it."""
    t = torch.arange(12000) / 44100
    tones = [torch.sin(2 * torch.pi * f * t) for f in (100.0, 600.0, 2500.0, 9000.0)]
    stems = torch.stack([torch.stack([tone, tone]) for tone in tones]).unsqueeze(0)
    batch = example(stems, torch.ones(1, 4, tiny_recipe.grid.bins), tiny_recipe)
    ideal = torch.log(batch.match.clamp_min(1e-9))
    even = torch.zeros_like(ideal)
    assert (error_db(ideal, batch, tiny_recipe) < error_db(even, batch, tiny_recipe) - 8).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_falls_as_masks_approach_the_ideal(loss, tiny_recipe):
    t = torch.arange(30000) / 44100
    tones = [torch.sin(2 * torch.pi * f * t) for f in (100.0, 600.0, 2500.0, 9000.0)]
    stems = torch.stack([torch.stack([tone, tone]) for tone in tones]).unsqueeze(0)
    batch = example(stems, torch.ones(1, 4, tiny_recipe.grid.bins), tiny_recipe)
    ideal = torch.log(batch.match.clamp_min(1e-9))
    losses = [LOSSES[loss](share * ideal, batch, tiny_recipe) for share in (-0.1, 0.0, 0.1, 1.0)]
    assert losses[0].shape == (1, 4)
    for worse, better in pairwise(losses):
        assert (better < worse).all()


def randomised(recipe: Recipe, seed: int = 0) -> MaskNetwork:
    torch.manual_seed(seed)
    return make_network(recipe).eval()


def test_exported_networks_sound_like_pytorch_through_the_real_engine(any_recipe, tmp_path):
    network = randomised(any_recipe)
    model = export_network(network, tmp_path / "tiny.onnx", CARD)
    assert parity(rounded(network), model) < 1e-5
    assert parity(network, model) < MAX_DIFFERENCE  # the loss of half precision is not heard
    card = load_model(tmp_path / "tiny.onnx").card
    assert card.mode == ("streaming" if any_recipe.causal else "chunked")
    assert card.lookahead == any_recipe.lookahead
    # The check can fail: another network's weights are not this model's.
    assert parity(randomised(any_recipe, seed=1), model) > MAX_DIFFERENCE


def test_a_wrong_export_is_refused(tiny_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("stembridge.training.export.parity", lambda network, model: 0.01)
    (tmp_path / "tiny.onnx").write_bytes(b"an older one")
    with pytest.raises(ModelError, match="differs from PyTorch"):
        export_network(randomised(tiny_recipe), tmp_path / "tiny.onnx", CARD)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.onnx"]
    assert (tmp_path / "tiny.onnx").read_bytes() == b"an older one"


@pytest.mark.parametrize("family", [family for family, mode in RECIPES if mode == "streaming"])
@pytest.mark.parametrize("lookahead", [0, 7])
def test_causal_networks_see_no_more_of_the_future_than_they_should(family, lookahead):
    recipe = replace(RECIPES[family, "streaming"], lookahead=lookahead)
    network = randomised(recipe)
    audio = noise(2, 30000)
    changed = audio.copy()
    changed[:, 20000:] = noise(2, 10000, seed=9)
    before, after = separate_clip(network, audio), separate_clip(network, changed)
    heard = 20000 - recipe.grid.synthesis_window - lookahead * recipe.grid.hop
    assert np.abs(before - after)[..., :heard].max() < 1e-6
    assert np.abs(before - after)[..., 20000:].max() > 1e-3
    if lookahead:
        assert np.abs(before - after)[..., heard : heard + recipe.grid.hop * lookahead].max() > 1e-5


def test_parameters_can_be_loaded_from_the_graph(any_recipe, tmp_path):
    network = rounded(randomised(any_recipe))
    export_network(network, tmp_path / "tiny.onnx", CARD)
    recipe, parameters = load_parameters(tmp_path / "tiny.onnx")
    assert recipe == any_recipe
    assert set(parameters) == set(network.state_dict())
    for name, value in network.state_dict().items():
        assert torch.equal(parameters[name], value), name


def test_a_model_exported_again_keeps_its_card(any_recipe, tmp_path):
    export_network(randomised(any_recipe), tmp_path / "one.onnx", {**CARD, "description": "once"})
    export_again(tmp_path / "one.onnx", tmp_path / "other.onnx")
    one, other = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "other"))
    assert other | {"sha256": ""} == one | {"sha256": ""}
    (_, before), (_, after) = (load_parameters(tmp_path / f"{name}.onnx") for name in ("one", "other"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_mean_of_models_has_the_mean_of_their_weights_and_all_terms_and_data(any_recipe, tmp_path):
    one, two = (rounded(randomised(any_recipe)) for _ in range(2))
    with torch.no_grad():
        for parameter in two.parameters():
            parameter.mul_(0.5)
    paths = [tmp_path / "one.onnx", tmp_path / "two.onnx"]
    songs = [{"name": name, "terms": "free"} for name in ("a", "b")]
    export_network(one, paths[0], {**CARD, "data": songs[:1]})
    export_network(two, paths[1], {**CARD, "terms": "ask me", "data": songs})
    model = export_mean([paths[0], paths[0], paths[1]], tmp_path / "mean.onnx", "mean")
    recipe, found = load_parameters(tmp_path / "mean.onnx")
    assert recipe == any_recipe
    for name, value in one.state_dict().items():
        mean = (2 * value + two.state_dict()[name]) / 3
        assert torch.allclose(found[name], mean, atol=1e-3, rtol=1e-3), name
    assert (model.card.name, model.card.values["terms"]) == ("mean", "CC0; and ask me")
    assert model.card.values["data"] == songs
    with pytest.raises(FileExistsError, match=r"mean\.onnx exists already"):
        export_mean(paths, tmp_path / "mean.onnx", "mean")


def test_a_mean_needs_two_models_of_one_recipe(any_recipe, tiny_recipe, tmp_path):
    paths = [tmp_path / "one.onnx", tmp_path / "two.onnx"]
    export_network(randomised(any_recipe), paths[0], CARD)
    export_network(randomised(replace(tiny_recipe, hidden=tiny_recipe.hidden + 8)), paths[1], CARD)
    with pytest.raises(DataError, match="at least two models, but there are 1"):
        export_mean(paths[:1], tmp_path / "mean.onnx", "mean")
    with pytest.raises(DataError, match=r"two\.onnx has another recipe than .*one\.onnx"):
        export_mean(paths, tmp_path / "mean.onnx", "mean")
    assert not (tmp_path / "mean.onnx").exists()


@pytest.mark.parametrize("name", ["live", "mix", "studio"])
def test_the_networks_that_ship_sound_like_pytorch_with_their_parameters(name):
    recipe, parameters = load_parameters(name)
    network = make_network(recipe).eval()
    network.load_state_dict(parameters)
    assert parity(network, load_model(name)) < 1e-5


def test_a_graph_has_no_reshape_that_the_next_step_undoes(tiny_recipe, tmp_path):
    model = export_network(randomised(tiny_recipe), tmp_path / "tiny.onnx", CARD)
    nodes = onnx.load_model_from_string(model.graph).graph.node
    shaped = {node.output[0] for node in nodes if node.op_type in ("Reshape", "Squeeze", "Flatten")}
    assert shaped
    assert not [node.name for node in nodes if node.op_type == "Reshape" and node.input[0] in shaped]


def test_large_tensors_are_kept_in_half_precision(tmp_path):
    network = randomised(RECIPES["recurrent", "streaming"])
    model = export_network(network, tmp_path / "a.onnx", CARD)
    size = sum(parameter.numel() for parameter in network.parameters())
    assert len(model.graph) < 2.3 * size


def test_a_mode_that_does_not_suit_a_family_is_refused(songs_folder, tmp_path):
    with pytest.raises(DataError, match="a transformer network cannot be streaming; choose chunked"):
        train_model([songs_folder], tmp_path / "a.onnx", 1, mode="streaming", family="transformer")


def test_models_without_parameters_cannot_be_trained_on(tiny_live_model):
    with pytest.raises(DataError, match="recipe"):
        load_parameters(tiny_live_model)


def test_exported_networks_run_at_other_rates(tiny_recipe, tmp_path):
    model = export_network(randomised(tiny_recipe), tmp_path / "tiny.onnx", CARD)
    for rate, channels in (16000, 1), (48000, 2):
        processor = StemProcessor(model, rate, channels)
        latency = processor.latency_samples
        audio = noise(channels, 4 * latency // 3 + 1000)
        stems = processor.separate(audio)
        assert np.abs(stems.sum(axis=0)[:, latency:] - audio[:, :-latency]).max() < 1e-6
        assert all(np.abs(stem).max() > 1e-4 for stem in stems)


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_work_on_any_device(loss, tiny_recipe):
    """The meta device fails as soon as a tensor on the CPU is mixed in."""
    stems = torch.zeros(1, 4, 2, 16000, device="meta")
    batch = example(stems, torch.ones(1, 4, tiny_recipe.grid.bins, device="meta"), tiny_recipe)
    logits = torch.zeros(batch.match.shape, device="meta", requires_grad=True)
    LOSSES[loss](logits, batch, tiny_recipe).mean().backward()
    assert logits.grad.device.type == "meta"


def test_the_gradient_of_the_loss_is_right(tiny_recipe):
    """Through masks and filters, the gradient predicts the effect of a small step."""
    stems = torch.from_numpy(noise(1, 4, 2, 12000))
    batch = example(stems, torch.ones(1, 4, tiny_recipe.grid.bins), tiny_recipe)
    logits = 0.3 * torch.randn(batch.match.shape, generator=torch.Generator().manual_seed(0))
    logits.requires_grad_(True)
    before = error_db(logits, batch, tiny_recipe).mean()
    before.backward()
    step = 0.02 / logits.grad.square().sum()
    after = error_db((logits - step * logits.grad).detach(), batch, tiny_recipe).mean()
    assert after.item() == pytest.approx(before.item() - 0.02, abs=0.01)


def test_a_network_given_lookahead_starts_with_nearly_the_masks_that_it_had(tmp_path):
    recipe, weights = load_parameters("live")
    ahead, more = hear_ahead(recipe, weights, 5)
    network = make_network(ahead)
    network.load_state_dict(more)
    model = export_network(network, tmp_path / "ahead.onnx", CARD)
    audio = noise(2, 88200)
    stems = {}
    for name in "live", model:
        processor = StemProcessor(name, 44100, 2)
        padded = np.pad(audio, ((0, 0), (0, processor.latency_samples)))
        stems[name] = processor.separate(padded)[..., processor.latency_samples :]
    assert processor.latency_samples == 512 + 5 * 256
    was, now = (each[..., 44100:] for each in stems.values())  # the frames before the first one are soon forgotten
    assert np.square(now - was).sum() < 1e-3 * np.square(was).sum()


def test_a_chunked_network_given_lookahead_keeps_the_layers_that_look_back(tmp_path):
    recipe, weights = hear_ahead(*load_parameters("studio"), 2)
    assert recipe.causal
    network = make_network(recipe)
    network.load_state_dict(weights)
    model = export_network(network, tmp_path / "ahead.onnx", CARD)
    assert model.card.latency_samples == 4096 + 2 * 1024
    _, parameters = load_parameters("studio")
    for name, value in network.state_dict().items():
        kept = value[:, : parameters[name].size(1)] if name == "encode.weight" else value
        whole = parameters[name][tuple(slice(size) for size in kept.shape)]
        assert torch.equal(kept, whole)


@pytest.mark.parametrize("of", ["u-net", "ahead"])
def test_lookahead_cannot_be_given(of):
    recipe, weights = load_parameters("live")
    if of == "u-net":
        recipe = RECIPES["u-net", "streaming"]
    else:
        recipe, weights = hear_ahead(recipe, weights, 5)
    with pytest.raises(DataError, match="leave --lookahead out"):
        hear_ahead(recipe, weights, 5)


def test_with_lookahead_a_loss_compares_each_mask_with_its_own_frame():
    """Masks that are right for earlier frames give the same error as those of a network without look-ahead."""
    near = RECIPES["recurrent", "streaming"]
    far = replace(near, lookahead=5)
    stems = torch.from_numpy(noise(4, 2, 60 * near.grid.hop)).unsqueeze(0)
    responses = torch.ones(1, 4, near.grid.bins)
    one = example(stems[..., : 55 * near.grid.hop], responses, near)
    two = example(stems, responses, far)
    assert len(two.seen) == len(one.seen) + 5
    assert torch.allclose(two.seen[5:, :, :4], one.seen)
    assert torch.allclose(two.seen[:-5, :, 4:], one.seen)
    logits = torch.randn(len(one.seen), 1, 4, 2, near.bands.num_cells, generator=torch.Generator().manual_seed(0))
    for loss in LOSSES.values():
        assert torch.allclose(loss(logits, one, near), loss(logits, two, far), rtol=1e-4)
