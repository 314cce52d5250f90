"""Costs and quality of each network: the tables of docs/measurements.md.

    python benchmarks/networks.py --data musdb18-7

For every shipped network and every `--model`: parameters, file size, operations, speed on one core, scores with
intervals, stability on long and strange input, and whether the borders of its chunks are noticeable. Imported networks
are listed too, with the cost of the engine. Needs stembridge[train].
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from guests import count_parameters, measure_guest
from measuring import RATE, alone, goal_text, music, run_benchmark, say, start_report
from numpy.typing import NDArray
from stembridge.models import MaskCard, Model, StemsCard, load_model, shipped_models

from engine import time_engine

NUM_RESAMPLINGS = 2000
INTERVAL_PERCENTILES = 5, 95  # 90 % are between these
STRANGE_S = 5.0  # length of each strange signal
MARGIN_DB = 10.0  # the difference of renders at two offsets should be so much smaller than their errors
MAX_STEEPNESS = 1.2  # change of masks from frame to frame at a border, compared with elsewhere


def count_work(path: str) -> dict[str, float]:
    """Count the parameters, and the multiplications and additions for each second of audio, in PyTorch.

    Args:
        path: Name or path of a model that `train` made.

    Returns:
        parameters, and operations in 10^9 for each second.
    """
    import torch
    from stembridge.training.export import load_parameters
    from stembridge.training.networks.make import make_network
    from torch.utils.flop_counter import FlopCounterMode

    recipe, weights = load_parameters(path)
    network = make_network(recipe).eval()
    frames = round(10 * recipe.grid.sample_rate / recipe.grid.hop)
    recurrent = 0

    def count(layer: Any, inputs: tuple[Any, ...], _: Any) -> None:
        nonlocal recurrent
        steps = inputs[0].shape[0] * inputs[0].shape[1]
        ways = 2 if layer.bidirectional else 1
        recurrent += steps * ways * 2 * 4 * layer.hidden_size * (layer.input_size + layer.hidden_size)

    for layer in network.modules():
        if isinstance(layer, torch.nn.LSTM):  # the counter does not know these
            layer.register_forward_hook(count)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(frames, 1, recipe.views, recipe.bands.num_cells))
    return {
        "parameters": sum(int(each.count_nonzero()) for each in weights.values()),  # zeros fill narrow bands
        "operations": (counter.get_total_flops() + recurrent) / 10 / 1e9,
    }


def score(path: str, data: str) -> dict[str, Any]:
    """Score a network on songs.

    Args:
        path: Name or path of the model.
        data: Folder of songs with stems.

    Returns:
        songs, their number; karaoke, the karaoke medians; and stems: stem to measure to (low, median, high) in dB. 90 %
        of resampled sets of songs are between low and high. "mean" is the mean of the stems' medians.
    """
    from stembridge.training.data.songs import find_songs
    from stembridge.training.evaluate import score_songs, songs_to_score

    songs = songs_to_score(find_songs([data]))
    evaluation = score_songs(songs, path)
    scores = evaluation.songs
    random = np.random.default_rng(0)
    draws = random.integers(len(scores), size=(NUM_RESAMPLINGS, len(scores)))
    names = load_model(path).card.stems
    rows: dict[str, Any] = {}
    for measure in "sdr", "sir", "sar":
        table = np.array([[song.get(stem, {}).get(measure, np.nan) for stem in names] for song in scores.values()])
        resampled = np.nanmedian(table[draws], axis=1)  # (draws, stems)
        columns = dict(zip(names, zip(np.nanmedian(table, axis=0), resampled.T, strict=True), strict=True))
        columns["mean"] = np.nanmedian(table, axis=0).mean(), resampled.mean(axis=1)
        for stem, (median, spread) in columns.items():
            low, high = np.percentile(spread, INTERVAL_PERCENTILES)
            rows.setdefault(stem, {})[measure] = float(low), float(median), float(high)
    return {"songs": len(scores), "stems": rows, "karaoke": evaluation.karaoke_medians()}


def watch_strange_sounds(path: str) -> dict[str, float]:
    """Return the peak of all stems divided by that of the input, for each strange signal.

    Args:
        path: Name or path of the model.

    Raises:
        RuntimeError: A stem has NaN or infinite samples.
    """
    from stembridge import separate

    n = round(STRANGE_S * RATE)
    random, time = np.random.default_rng(0), np.arange(n) / RATE
    voice = music(STRANGE_S, RATE)
    spectrum = np.fft.rfft(voice)
    hertz = np.fft.rfftfreq(n, 1 / RATE)
    telephone = np.fft.irfft(np.where((hertz > 300) & (hertz < 3400), spectrum, 0), n)
    sounds = {
        "silence": np.zeros((2, n)),
        "sweep": np.tile(
            0.5 * np.sin(2 * np.pi * 20 * STRANGE_S / 7 * (2 ** (7 * 1.4 * time / STRANGE_S) - 1)), (2, 1)
        ),
        "white noise": 0.2 * random.standard_normal((2, n)),
        "telephone": telephone,
        "burst": np.where(time % 2 < 0.01, 1.0, 1e-4) * random.uniform(-1, 1, (2, n)),
    }
    greatest = {}
    for name, sound in sounds.items():
        stems = separate(sound.astype(np.float32), RATE, path)
        stacked = np.stack(list(stems.values()))
        if not np.isfinite(stacked).all():
            raise RuntimeError(f"{path}: {name} gives NaN or infinite samples")
        greatest[name] = float(np.abs(stacked).max() / max(np.abs(sound).max(), 1e-9))
    return greatest


def watch_drift(path: str, data: str, minutes: float) -> dict[str, float]:
    """Return the mean SDR in dB of the first and the last time that a song is separated, while it repeats.

    Args:
        path: Name or path of the model.
        data: Folder of songs with stems.
        minutes: Total length.
    """
    from stembridge import StemProcessor
    from stembridge.training.metrics import clip_sdr

    references, mixture = _song(path, data)
    n = mixture.shape[1]
    processor = StemProcessor(path, RATE)
    latency = processor.latency_samples
    rounds = max(2, round(minutes * 60 * RATE / n))
    heard: dict[int, list[NDArray[np.float32]]] = {0: [], rounds - 1: []}
    position = -latency
    for _ in range(rounds + -(-latency // n)):
        for start in range(0, n, 65536):
            out = processor.separate(mixture[:, start : start + 65536])
            for turn, parts in heard.items():
                first, last = (max(0, min(out.shape[-1], turn * n + end - position)) for end in (0, n))
                parts.append(out[..., first:last])
            position += out.shape[-1]
    scores = {}
    for turn, parts in heard.items():
        stems = np.concatenate(parts, axis=-1)
        sdrs = [clip_sdr(reference, stem) for reference, stem in zip(references, stems, strict=True)]
        scores[turn] = float(np.mean([sdr for sdr in sdrs if sdr is not None]))
    return {"first": scores[0], "last": scores[rounds - 1], "minutes": rounds * n / RATE / 60}


def watch_seams(path: str, data: str, offsets: int) -> dict[str, float]:
    """Measure whether the borders of chunks are noticeable.

    Args:
        path: Name or path of a chunked model.
        data: Folder of songs with stems.
        offsets: Number of offsets.

    Returns:
        margin: by how many dB the difference between renders at several offsets is smaller than their errors, the
        minimum. steeper: the change of masks from frame to frame where chunks meet, divided by that elsewhere.
    """
    from stembridge import separate

    model = load_model(path)
    references, song = _song(path, data)
    card = model.card
    assert isinstance(card, MaskCard)
    assert card.chunk is not None
    stride = (card.chunk.frames - card.chunk.overlap) * card.hop
    mixture = np.tile(song, (1, -(-4 * stride // song.shape[1])))  # so long that it has borders
    true = np.tile(np.stack(references), (1, 1, -(-4 * stride // song.shape[1])))
    whole = np.stack(list(separate(mixture, RATE, path).values()))
    margins = []
    random = np.random.default_rng(0)
    for _ in range(offsets):
        offset = int(random.integers(1, stride))
        moved = np.stack(list(separate(np.pad(mixture, ((0, 0), (offset, 0))), RATE, path).values()))[..., offset:]
        for stem in range(len(whole)):
            error = np.square(whole[stem] - true[stem]).sum()
            margins.append(10 * np.log10(error / max(np.square(whole[stem] - moved[stem]).sum(), 1e-20)))
    return {"margin": float(min(margins)), "steeper": _steeper(model, mixture)}


def _steeper(model: Model, mixture: NDArray[np.float32]) -> float:
    """Return the median change of masks from frame to frame where chunks meet, divided by that elsewhere."""
    from stembridge.engine.network import ChunkedNetwork
    from stembridge.engine.sessions import open_session
    from stembridge.engine.stft import Analysis, FrameGrid

    card = model.card
    assert isinstance(card, MaskCard)
    assert card.chunk is not None
    grid = FrameGrid(card.sample_rate, card.hop, card.window, card.synthesis_window)
    spectra = Analysis(grid, 2).push(mixture)
    masked = ChunkedNetwork(open_session(model), card, 2, grid.bins).push(spectra)  # without the last chunk
    there = np.abs(spectra[: len(masked), None])
    masks = np.where(there > 1e-5, np.abs(masked) / np.maximum(there, 1e-9), 0)
    change = np.abs(np.diff(masks, axis=0)).mean(axis=(1, 2, 3))
    stride = card.chunk.frames - card.chunk.overlap
    # From the last frame before a cross-fade to its end.
    border = np.arange(1, len(masked)) % stride <= card.chunk.overlap
    border[: stride - 1] = False
    return float(np.median(change[border]) / np.median(change[~border]))


def _song(path: str, data: str) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
    """Return the first song to score: its stems in the network's order, and their sum."""
    from stembridge.training.data.songs import find_songs
    from stembridge.training.evaluate import songs_to_score

    song = songs_to_score(find_songs([data]))[0]
    references = [song.decode(stem) for stem in load_model(path).card.stems]
    length = min(reference.shape[1] for reference in references)
    references = [reference[:, :length] for reference in references]
    return references, np.sum(references, axis=0)


def measure(path: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return all measurements of one network.

    Args:
        path: Name or path of the model.
        options: Options of the command line.
    """
    model = load_model(path)
    row: dict[str, Any] = {"mode": model.card.mode, "megabytes": model.size_bytes / 1e6}
    say(f"{model.card.name}: speed")
    if isinstance(model.card, StemsCard):
        row |= {"parameters": count_parameters(path), "operations": None, "guest": measure_guest(path)}
        row["speed"] = row["guest"]["speed"]
    else:
        row |= count_work(path) | {"speed": alone(1, time_engine, path, options.seconds, 1)["median"]}
    say(f"{model.card.name}: strange sounds")
    row["strange"] = watch_strange_sounds(path)
    if options.data:
        say(f"{model.card.name}: scores")
        row["scores"] = score(path, options.data)
        say(f"{model.card.name}: drift")
        row["drift"] = watch_drift(path, options.data, options.minutes)
        if isinstance(model.card, MaskCard) and model.card.chunk:
            say(f"{model.card.name}: seams")
            row["seams"] = watch_seams(path, options.data, options.offsets)
    return row


def show(report: dict[str, Any]) -> None:
    """Print the report as tables.

    Args:
        report: The report.
    """
    from stembridge.cli.table import print_table
    from stembridge.training.evaluate import KARAOKE

    networks = report["networks"]
    print("\nCosts: operations are multiplications and additions, in 10^9 for each second of audio")
    print_table(
        ["network", "mode", "parameters", "MB", "operations", "times real time"],
        [
            [
                name,
                row["mode"],
                f"{row['parameters']:,}",
                f"{row['megabytes']:.1f}",
                "-" if row["operations"] is None else f"{row['operations']:.2f}",
                f"{row['speed']:.1f}",
            ]
            for name, row in networks.items()
        ],
    )
    if guests := {name: row["guest"] for name, row in networks.items() if "guest" in row}:
        print("\nImported networks on one core: speed in times real time, and what the engine adds to the graphs")
        print_table(
            ["network", "latency", "all stems", "one stem", "time", "graphs' memory", "memory"],
            [
                [
                    name,
                    f"{row['latency']:.2f} s",
                    f"{row['speed']:.2f}",
                    f"{row['one']:.2f}",
                    f"+{row['added']:.1f} %",
                    f"{row['graphs_mib']:.0f} MiB",
                    f"+{row['engine_mib']:.0f} MiB",
                ]
                for name, row in guests.items()
            ],
        )
    print("\nPeak of all stems, divided by that of the input")
    names = [*next(iter(networks.values()))["strange"]]
    print_table(
        ["network", *names],
        [[name, *(f"{row['strange'][sound]:.2f}" for sound in names)] for name, row in networks.items()],
    )
    scored = {name: row for name, row in networks.items() if "scores" in row}
    if not scored:
        return
    songs = next(iter(scored.values()))["scores"]["songs"]
    print(f"\nMedians over {songs} songs in dB, and the interval of 90 % of resampled sets of songs")
    print_table(
        ["network", "stem", "SDR", "SIR", "SAR"],
        [
            [name, stem] + ["{1:.2f} ({0:.2f} to {2:.2f})".format(*measures[each]) for each in ("sdr", "sir", "sar")]
            for name, row in scored.items()
            for stem, measures in row["scores"]["stems"].items()
        ],
    )
    print("\nThe mix without vocals, medians in dB: its SDR, and the level of the vocals, compared with the true ones")
    print_table(
        ["network", "SDR", "vocals remaining"],
        [
            [name, *(f"{row['scores']['karaoke'].get(each, float('nan')):.2f}" for each in KARAOKE)]
            for name, row in scored.items()
        ],
    )
    print("\nOne song that repeats: mean SDR in dB of the first time and the last")
    print_table(
        ["network", "minutes", "first", "last"],
        [
            [name, f"{row['drift']['minutes']:.1f}", f"{row['drift']['first']:.2f}", f"{row['drift']['last']:.2f}"]
            for name, row in scored.items()
        ],
    )
    print("\nBorders of chunks: how much smaller the difference of renders at two offsets is than their errors;")
    print("and the median change of masks there from frame to frame, divided by that elsewhere")
    print_table(
        ["network", "margin", "goal", "change", "goal"],
        [
            [
                name,
                f"{seams['margin']:.1f} dB",
                goal_text({"goal": MARGIN_DB, "reached": seams["margin"] >= MARGIN_DB}, ">= {:g}"),
                f"{seams['steeper']:.2f}",
                goal_text({"goal": MAX_STEEPNESS, "reached": seams["steeper"] <= MAX_STEEPNESS}, "<= {:g}"),
            ]
            for name, row in scored.items()
            if (seams := row.get("seams"))
        ],
    )


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """Return the report.

    Args:
        options: Options of the command line.

    Raises:
        ValueError: An option cannot be used.
    """
    if not 0 < options.minutes <= 600:
        raise ValueError(f"--minutes {options.minutes:g} is out of range; give more than 0, to 600")
    if not 1 <= options.offsets <= 1000:
        raise ValueError(f"--offsets {options.offsets} is out of range; give 1 to 1000")
    from stembridge.training.data.songs import find_songs
    from stembridge.training.evaluate import songs_to_score
    from stembridge.training.export import load_parameters

    models: dict[str, str] = {}
    for each in [*shipped_models(), *options.model]:
        card = load_model(each).card
        if not isinstance(card, StemsCard):
            load_parameters(each)  # refuses models that training did not make now, not after hours
        name = card.name
        models[each if name in models else name] = each
    if options.data:
        songs_to_score(find_songs([options.data]))
    return start_report() | {"networks": {name: measure(each, options) for name, each in models.items()}}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="DIR", help="songs with stems, like MUSDB18's; without it, no scores")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="PATH",
        help="another model that `train` made, or an imported one",
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="music to measure speed with (default: 30)")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the song that repeats (default: 10)")
    parser.add_argument("--offsets", type=int, default=10, help="number of offsets for renders (default: 10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to this file")
    run_benchmark(parser, measure_all, show)


if __name__ == "__main__":
    main()
