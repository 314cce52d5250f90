"""`stembridge evaluate`."""

import itertools
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import StemBridgeError
from ..core.extras import install_extra
from .lines import complain
from .options import AsJson, DataFolders, Force, ModelName, MoreFolders, ProviderName, Threads, check_new
from .rendering import progress_bar

if TYPE_CHECKING:
    from ..training.evaluate import StemScores

KARAOKE = {"instrumental_sdr": "SDR", "vocals_remaining": "vocals remaining"}  # as they are printed


def evaluate_model(
    data: DataFolders,
    model: ModelName = "studio",
    more: MoreFolders = None,
    sample_rate: Annotated[
        int,
        typer.Option("--sample-rate", min=8000, max=192000, help="Resample songs and references to this rate, in Hz."),
    ] = 44100,
    input_db: Annotated[float, typer.Option("--input-db", min=-60, max=20, help="Gain on the mixture, in dB.")] = 0.0,
    all_songs: Annotated[
        bool, typer.Option("--all", help="Score all complete songs, not only MUSDB18's validation songs.")
    ] = False,
    bss_eval: Annotated[
        bool | None, typer.Option(help="Score SIR and SAR too (slow; default: if museval is installed).")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write all scores to a .json file.")
    ] = None,
    as_json: AsJson = False,
    force: Force = False,
    threads: Threads = 1,
    provider: ProviderName = None,
) -> None:
    """Score a model on songs with true stems.

    Prints medians over the songs, in dB: clip SDR, median SDR of one-second frames, and SIR and SAR over whole clips;
    then the SDR of the mix without vocals, and how much of the vocals remains in it.
    """
    if output:
        if output.suffix != ".json":
            raise StemBridgeError(f"{output}: scores are written as JSON, so the name must end in .json")
        check_new(output, force)
    has_museval = find_spec("museval") is not None
    if not has_museval:
        missing = f"SIR and SAR need museval, which is not installed: {install_extra('train')}"
        if bss_eval:
            raise StemBridgeError(missing)
    from ..core.atomic import write_whole
    from ..models import load_model
    from ..training.data.songs import find_songs
    from ..training.evaluate import MEASURES, score_songs, songs_to_score
    from .table import print_json, print_table, printable

    loaded = load_model(model)
    songs = songs_to_score(find_songs([*data, *(more or ())]), every=all_songs)
    if not has_museval and bss_eval is None:  # neither asked for nor declined
        complain(f"{missing}; the other scores follow")
    count = itertools.count(1)

    def show(name: str, scores: "StemScores") -> None:
        text = ", ".join(f"{stem} {measured['sdr']:.2f}" for stem, measured in scores.items() if "sdr" in measured)
        line = printable(f"{next(count)}/{len(songs)}  {name}: {text or 'silence'}")
        print(line, file=sys.stderr if as_json else sys.stdout, flush=True)

    with progress_bar() as progress:
        evaluation = score_songs(
            songs,
            loaded,
            sample_rate=sample_rate,
            input_db=input_db,
            bss_eval=has_museval if bss_eval is None else bss_eval,
            threads=threads,
            progress=progress and (lambda done: progress("scoring", done)),
            scored=show,
        )
    medians, karaoke = evaluation.medians(), evaluation.karaoke_medians()
    if not medians:
        raise StemBridgeError("all stems in --data are below -60 dBFS, so there is nothing to score; give other songs")
    report = {
        "model": loaded.card.name,
        "sha256": loaded.card.sha256,
        "sample_rate": sample_rate,
        "input_db": input_db,
        "left_out": evaluation.left_out,
        "medians": medians,
        "karaoke": karaoke,
        "songs": evaluation.songs,
        "karaoke_songs": evaluation.karaoke,
    }
    if output:
        write_whole(output, (json.dumps(report, indent=2) + "\n").encode())
    if as_json:
        print_json(report)
        return
    measures = [measure for measure in MEASURES if any(measure in scores for scores in medians.values())]
    print_table(
        ["stem", *measures],
        [[stem, *(f"{scores[m]:.2f}" if m in scores else "" for m in measures)] for stem, scores in medians.items()],
    )
    if karaoke:
        print("without vocals: " + ", ".join(f"{KARAOKE[m]} {score:.2f} dB" for m, score in karaoke.items()))
    print(f"{len(songs)} song{'s'[: len(songs) != 1]}, {evaluation.left_out} references below -60 dBFS left out")
