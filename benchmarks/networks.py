"""What each network costs and how well it separates: the tables of docs/measurements.md.

    python benchmarks/networks.py --data musdb18-7

Every network that ships and every `--model`: parameters, file size, operations, speed on one core, scores with
intervals, how steady it is on long and strange input, and whether the borders of its chunks can be seen. Networks of
others are listed beside them, with what the engine costs. Needs stembridge[train].
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from guests import count_parameters, measure_guest
from numpy.typing import NDArray
from stembridge.models import Model, StemsCard, load_model, shipped_models

from engine import RATE, alone, music, run_benchmark, say, start_report, time_engine

RESAMPLINGS = 2000
INTERVAL = 5, 95  # per cent: 90 % lie between
SHORT = 5.0  # s of each strange signal
MARGIN_DB = 10.0  # the renders at two offsets should differ by this much less than either is wrong
STEEPER = 1.2  # times the usual change of masks from frame to frame, at most, at a border


def count_work(path: str) -> dict[str, float]:
    """Parameters, and multiplications and additions a second of audio, in 10^9, counted in PyTorch."""
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
        if isinstance(layer, torch.nn.LSTM):  # which the counter does not know
            layer.register_forward_hook(count)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(frames, 1, recipe.views, recipe.bands.num_cells))
    return {
        "parameters": sum(int(each.count_nonzero()) for each in weights.values()),  # zeros fill narrow bands
        "operations": (counter.get_total_flops() + recurrent) / 10 / 1e9,
    }


def score(path: str, data: str) -> dict[str, Any]:
    """Medians over the songs, and between what 90 % of resampled sets of songs lie: stem -> measure -> (low, median,
    high) in dB. "mean" is the mean of the stems' medians."""
    from stembridge.training.data.songs import find_songs
    from stembridge.training.evaluate import score_songs, songs_to_score

    songs = songs_to_score(find_songs([data]))
    evaluation = score_songs(songs, path)
    scores = evaluation.songs
    random = np.random.default_rng(0)
    draws = random.integers(len(scores), size=(RESAMPLINGS, len(scores)))
    names = load_model(path).card.stems
    rows: dict[str, Any] = {}
    for measure in "sdr", "sir", "sar":
        table = np.array([[song.get(stem, {}).get(measure, np.nan) for stem in names] for song in scores.values()])
        resampled = np.nanmedian(table[draws], axis=1)  # (draws, stems)
        columns = dict(zip(names, zip(np.nanmedian(table, axis=0), resampled.T, strict=True), strict=True))
        columns["mean"] = np.nanmedian(table, axis=0).mean(), resampled.mean(axis=1)
        for stem, (median, spread) in columns.items():
            low, high = np.percentile(spread, INTERVAL)
            rows.setdefault(stem, {})[measure] = float(low), float(median), float(high)
    return {"songs": len(scores), "stems": rows, "karaoke": evaluation.karaoke_medians()}


def watch_strange_sounds(path: str) -> dict[str, float]:
    """The greatest sample of any stem, in times of the input's, for each strange signal; NaN would be an error."""
    from stembridge import separate

    n = round(SHORT * RATE)
    random, time = np.random.default_rng(0), np.arange(n) / RATE
    voice = music(SHORT, RATE)
    spectrum = np.fft.rfft(voice)
    hertz = np.fft.rfftfreq(n, 1 / RATE)
    telephone = np.fft.irfft(np.where((hertz > 300) & (hertz < 3400), spectrum, 0), n)
    sounds = {
        "silence": np.zeros((2, n)),
        "sweep": np.tile(0.5 * np.sin(2 * np.pi * 20 * SHORT / 7 * (2 ** (7 * 1.4 * time / SHORT) - 1)), (2, 1)),
        "white noise": 0.2 * random.standard_normal((2, n)),
        "telephone": telephone,
        "burst": np.where(time % 2 < 0.01, 1.0, 1e-4) * random.uniform(-1, 1, (2, n)),
    }
    greatest = {}
    for name, sound in sounds.items():
        stems = separate(sound.astype(np.float32), RATE, path)
        stacked = np.stack(list(stems.values()))
        if not np.isfinite(stacked).all():
            raise RuntimeError(f"{path}: {name} gives what is not finite")
        greatest[name] = float(np.abs(stacked).max() / max(np.abs(sound).max(), 1e-9))
    return greatest


def watch_drift(path: str, data: str, minutes: float) -> dict[str, float]:
    """Mean SDR in dB of the first and of the last time that a song is heard, again and again for many minutes."""
    from stembridge import StemProcessor
    from stembridge.training.metrics import clip_sdr

    references, mixture = _song(path, data)
    n = mixture.shape[1]
    processor = StemProcessor(path, RATE)
    latency = processor.latency_samples
    rounds = max(2, round(minutes * 60 * RATE / n))
    heard: dict[int, list[NDArray]] = {0: [], rounds - 1: []}
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
    """How much less, in dB, renders differ that meet a song at other offsets than they are wrong; the least of all.

    And the change of masks from frame to frame where chunks meet, in times of that elsewhere.
    """
    from stembridge import separate

    model = load_model(path)
    references, song = _song(path, data)
    chunk = model.card.chunk
    assert chunk is not None
    stride = (chunk.frames - chunk.overlap) * model.card.hop
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
    """The change of the masks from one frame to the next where chunks meet, in times of that elsewhere; medians."""
    from stembridge.engine.network import ChunkedNetwork
    from stembridge.engine.sessions import open_session
    from stembridge.engine.stft import Analysis, FrameGrid

    card, chunk = model.card, model.card.chunk
    assert chunk is not None
    grid = FrameGrid(card.sample_rate, card.hop, card.window, card.synthesis_window)
    spectra = Analysis(grid, 2).push(mixture)
    masked = ChunkedNetwork(open_session(model), card, 2, grid.bins).push(spectra)  # without the last chunk
    there = np.abs(spectra[: len(masked), None])
    masks = np.where(there > 1e-5, np.abs(masked) / np.maximum(there, 1e-9), 0)
    change = np.abs(np.diff(masks, axis=0)).mean(axis=(1, 2, 3))
    stride = chunk.frames - chunk.overlap
    border = np.arange(1, len(masked)) % stride <= chunk.overlap  # from the last frame before a cross-fade to its end
    border[: stride - 1] = False
    return float(np.median(change[border]) / np.median(change[~border]))


def _song(path: str, data: str) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
    """The first song to score: its stems in the network's order, and their sum."""
    from stembridge.training.data.songs import find_songs
    from stembridge.training.evaluate import songs_to_score

    song = songs_to_score(find_songs([data]))[0]
    references = [song.decode(stem) for stem in load_model(path).card.stems]
    length = min(reference.shape[1] for reference in references)
    references = [reference[:, :length] for reference in references]
    return references, np.sum(references, axis=0)


def measure(path: str, options: argparse.Namespace) -> dict[str, Any]:
    """All of it for one network."""
    model = load_model(path)
    guest = isinstance(model.card, StemsCard)
    row: dict[str, Any] = {"mode": model.card.mode, "megabytes": model.size_bytes / 1e6}
    say(f"{model.card.name}: speed")
    if guest:
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
        if not guest and model.card.chunk:
            say(f"{model.card.name}: seams")
            row["seams"] = watch_seams(path, options.data, options.offsets)
    return row


def show(report: dict[str, Any]) -> None:
    """The report as tables."""
    from stembridge.cli.table import print_table
    from stembridge.training.evaluate import KARAOKE

    networks = report["networks"]
    print("\nWhat they cost: operations are multiplications and additions, 10^9 a second of audio")
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
        print(
            "\nNetworks of others on one core: speed in times real time, and what the engine needs besides the graphs"
        )
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
    print("\nThe loudest sample of any stem, in times of the input's")
    names = [*next(iter(networks.values()))["strange"]]
    print_table(
        ["network", *names],
        [[name, *(f"{row['strange'][sound]:.2f}" for sound in names)] for name, row in networks.items()],
    )
    scored = {name: row for name, row in networks.items() if "scores" in row}
    if not scored:
        return
    songs = next(iter(scored.values()))["scores"]["songs"]
    print(f"\nMedians over {songs} songs in dB, and between what 90 % of resampled sets of songs lie")
    print_table(
        ["network", "stem", "SDR", "SIR", "SAR"],
        [
            [name, stem] + ["{1:.2f} ({0:.2f} to {2:.2f})".format(*measures[each]) for each in ("sdr", "sir", "sar")]
            for name, row in scored.items()
            for stem, measures in row["scores"]["stems"].items()
        ],
    )
    print("\nThe mix without vocals, medians in dB: its SDR, and how loud the vocals still are, against as they were")
    print_table(
        ["network", "SDR", "vocals left over"],
        [
            [name, *(f"{row['scores']['karaoke'].get(each, float('nan')):.2f}" for each in KARAOKE)]
            for name, row in scored.items()
        ],
    )
    print("\nOne song again and again: mean SDR in dB of the first time and the last")
    print_table(
        ["network", "minutes", "first", "last"],
        [
            [name, f"{row['drift']['minutes']:.1f}", f"{row['drift']['first']:.2f}", f"{row['drift']['last']:.2f}"]
            for name, row in scored.items()
        ],
    )
    print("\nBorders of chunks: how much less renders at two offsets differ than either is wrong, at least;")
    print("and the change of masks there from frame to frame, in times of that elsewhere (medians)")
    print_table(
        ["network", "margin", "goal", "change", "goal"],
        [
            [
                name,
                f"{seams['margin']:.1f} dB",
                _goal(seams["margin"] >= MARGIN_DB, f">= {MARGIN_DB:g}"),
                f"{seams['steeper']:.2f}",
                _goal(seams["steeper"] <= STEEPER, f"<= {STEEPER:g}"),
            ]
            for name, row in scored.items()
            if (seams := row.get("seams"))
        ],
    )


def _goal(reached: bool, goal: str) -> str:
    return f"{goal}: {'reached' if reached else 'missed'}"


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """The report. Raises ValueError for options out of range."""
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
            load_parameters(each)  # what training did not make is refused before hours are spent
        name = card.name
        models[each if name in models else name] = each
    if options.data:
        songs_to_score(find_songs([options.data]))
    return start_report() | {"networks": {name: measure(each, options) for name, each in models.items()}}


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="DIR", help="songs with stems, like MUSDB18's; without it nothing is scored")
    parser.add_argument(
        "--model", action="append", default=[], metavar="PATH", help="one more that `train` made, or of others"
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="of music, for speed (default: 30)")
    parser.add_argument("--minutes", type=float, default=10.0, help="of one song again and again (default: 10)")
    parser.add_argument("--offsets", type=int, default=10, help="at which renders are compared (default: 10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers here too")
    run_benchmark(parser, measure_all, show)


if __name__ == "__main__":
    main()
