"""Recognise the kind of a network by the shapes of its graphs' inputs and outputs, and make its card."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import ModelError
from .kinds import all_kinds, card_numbers
from .match import Match, match_kind, stems_of_a_run
from .onnx_file import Signature, read_signature
from .store import imported_name

# Networks by the MD5 of their files' ends, as Ultimate Vocal Remover has it.
MDX_FILE = Path(__file__).with_name("mdx.json")
GENERIC_KINDS = "waveform", "waveform-one"  # many networks fit these kinds, so the user must name the stems
SAMPLE_RATE_HZ = 44100  # of all known kinds
MDX_HASHED_BYTES = 10_000 * 1024  # length of the file's end over which the MD5 is taken
STEM_WORDS = ("vocals", "drums", "bass", "other", "guitar", "piano", "accompaniment", "instrumental")
STEM_NAME = re.compile("[a-z][a-z0-9_]*")  # as the schema of cards has it
STEM_SYNONYMS = {
    "vocal": "vocals",
    "voice": "vocals",
    "drum": "drums",
    "inst": "instrumental",
    "instrum": "instrumental",
}
# Names for the mix without a stem.
REMAINDERS = {"vocals": "instrumental", "instrumental": "vocals", "accompaniment": "vocals", "other": "rest"}


@dataclass(frozen=True)
class GuestFile:
    """A graph to import.

    Attributes:
        path: Path of the file, which may be a copy.
        name: Name of the user's file, without a folder.
        sha256: Its checksum.
    """

    path: Path
    name: str
    sha256: str


def recognise(
    files: Sequence[GuestFile],
    name: str,
    *,
    kind: str | None = None,
    stems: Sequence[str] | None = None,
    terms: str | None = None,
) -> dict[str, Any]:
    """Make the card of a model from its graphs. A graph is run only if it does not declare its number of stems.

    Args:
        files: The graphs, one or several of the same kind.
        name: Name of the model.
        kind: Name of a kind in `all_kinds()`; needed if the graphs fit several kinds.
        stems: Names of the stems in the network's order, or of the stem of each file; by default those of the kind, or
            words in the files' names.
        terms: Permitted uses of the weights; by default those known for the kind.

    Returns:
        A card's JSON object. The files of its graphs have names that begin with the model's.

    Raises:
        ModelError: The graphs do not fit exactly one known kind; the error says what to give.
    """
    if kind is not None and kind not in all_kinds():
        raise ModelError(f"unknown kind {kind!r}; choose from {', '.join(all_kinds())}")
    if wrong := [stem for stem in stems or () if not STEM_NAME.fullmatch(stem)]:
        raise ModelError(
            f"{wrong[0]!r} in --stems cannot be the name of a stem; use lower-case letters, digits and _, "
            "such as vocals,other"
        )
    known = [_known_mdx(file.path) for file in files]
    signatures = [read_signature(file.path, file.name) for file in files]
    matches = [
        _only_kind(file, signature, kind or (f"mdx-{facts['size']}" if facts else None), stems)
        for file, signature, facts in zip(files, signatures, known, strict=True)
    ]
    counts = [_count_stems(*each) for each in zip(files, signatures, matches, strict=True)]
    for file, signature, match, count in zip(files, signatures, matches, counts, strict=True):
        if (match.kind, match.sizes, count) != (matches[0].kind, matches[0].sizes, counts[0]):
            raise ModelError(
                f"{file.name} is {match.kind} with {signature}, but {files[0].name} is {matches[0].kind} with "
                f"{signatures[0]}; graphs of one model must be of one kind and size"
            )
    facts = all_kinds()[matches[0].kind]
    given = _stems_of_graphs(files, counts[0], facts, stems, known)
    used = [[stem for stem in graph if stem] for graph in given]
    ordered = _faders(
        list(dict.fromkeys(stem for graph in used for stem in graph)), one_each=all(len(graph) == 1 for graph in used)
    )
    graphs = []
    for file, match, names, about in zip(files, matches, given, known, strict=True):
        graph = {"file": imported_name(name, file.sha256), "sha256": file.sha256, "stems": names, **match.tensors}
        graphs.append(graph | ({"gain": about["gain"]} if about else {}))
    return {
        "format": 2,
        "name": name,
        "version": "1",
        "description": f"{facts['title']}, imported from {', '.join(file.name for file in files)}",
        "kind": matches[0].kind,
        "stems": ordered,
        "sample_rate": SAMPLE_RATE_HZ,
        "num_channels": 2,
        **card_numbers(facts, matches[0].sizes, single=len(ordered) == 2 and len(files) == 1),
        "graphs": graphs,
        "terms": terms or facts["terms"],
    }


def _known_mdx(path: Path) -> dict[str, Any] | None:
    """Return transform size, stem and gain of an MDX file with a known checksum, otherwise None."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - MDX_HASHED_BYTES))
        digest = hashlib.md5(file.read(), usedforsecurity=False).hexdigest()
    known: dict[str, dict[str, Any]] = json.loads(MDX_FILE.read_text("utf-8"))
    return known.get(digest)


def _only_kind(file: GuestFile, signature: Signature, kind: str | None, stems: Sequence[str] | None) -> Match:
    if kind is not None:
        if (match := match_kind(kind, all_kinds()[kind], signature)) is None:
            raise ModelError(f"{file.name} is not {kind}: it has {signature}, not {_shape_text(kind)}")
        return match
    fitting = [match for name, facts in all_kinds().items() if (match := match_kind(name, facts, signature))]
    generic = [match for match in fitting if match.kind in GENERIC_KINDS]
    found = [match for match in fitting if match.kind not in GENERIC_KINDS]
    found = [match for match in found if match.exact] or found or (generic if stems else [])
    if len(found) == 1:
        return found[0]
    if found:
        choices = ", ".join(match.kind for match in (*found, *generic))
        raise ModelError(f"{file.name} may be one of several kinds: give --kind with one of {choices}")
    if generic:
        raise ModelError(f"{file.name} takes and gives waveforms ({signature}): name its stems in order with --stems")
    raise ModelError(
        f"{file.name} is not a known kind of network: it has {signature}; if it is one of these, give --kind: "
        f"{', '.join(all_kinds())}; or write a card (`stembridge docs model-format`)"
    )


def _shape_text(kind: str) -> str:
    facts = all_kinds()[kind]
    sides = [[str(tensor["shape"]).replace("'", "") for tensor in facts[side]] for side in ("inputs", "outputs")]
    return " -> ".join(", ".join(side) for side in sides)


def _count_stems(file: GuestFile, signature: Signature, match: Match) -> int:
    """Return how many stems a graph gives."""
    facts = all_kinds()[match.kind]
    if not any("stems" in tensor["shape"] for tensor in facts["outputs"]):
        return 1
    if "stems" in match.sizes:
        return match.sizes["stems"]
    try:
        return stems_of_a_run(file.path, match, facts, signature)
    except ModelError as error:
        raise ModelError(f"{file.name} {error}") from error


def _stems_of_graphs(
    files: Sequence[GuestFile],
    count: int,
    facts: dict[str, Any],
    stems: Sequence[str] | None,
    known: Sequence[dict[str, Any] | None],
) -> list[list[str | None]]:
    """Return the names of the `count` stems that each graph gives; None for a stem that is not used."""
    one_each = _one_stem_each(files, stems, known)
    if count == 1:
        if one_each is None:
            unknown = "which stem it gives" if len(files) == 1 else "the stem of each file"
            example = ",".join(STEM_WORDS[: len(files)])
            raise ModelError(f"{files[0].name} does not say {unknown}: give --stems, such as --stems {example}")
        return [[stem] for stem in one_each]
    names = list(stems) if stems is not None and len(files) == 1 else facts.get("stems", {}).get(str(count))
    if names is None or len(names) != count:
        given = f", not {len(names)}" if names else ""
        raise ModelError(f"{files[0].name} gives {count} stems{given}: name them in order with --stems A,B,...")
    if one_each is not None and len(files) > 1:
        if lacking := [stem for stem in one_each if stem not in names]:
            raise ModelError(f"{files[0].name} gives {', '.join(names)}, but not {lacking[0]}")
        return [[name if name == stem else None for name in names] for stem in one_each]
    return [list(names) for _ in files]


def _one_stem_each(
    files: Sequence[GuestFile], stems: Sequence[str] | None, known: Sequence[dict[str, Any] | None]
) -> list[str] | None:
    """Return the stem of each file, if each has a different one: as given, as known, or from the files' names."""
    if stems is not None:
        return list(stems) if len(stems) == len(files) else None
    found = [facts["stem"] if facts else _stem_in(file.name) for file, facts in zip(files, known, strict=True)]
    if all(found) and len(set(found)) == len(files):
        return [stem for stem in found if stem]
    return None


def _stem_in(name: str) -> str | None:
    words = {STEM_SYNONYMS.get(word, word) for word in re.split("[^a-z]+", name.lower())} & set(STEM_WORDS)
    return words.pop() if len(words) == 1 else None


def _faders(stems: list[str], one_each: bool) -> list[str]:
    """Return the stems in the order of faders, of which the last is the rest of the mix.

    Args:
        stems: Stems that the graphs give.
        one_each: Whether each graph gives one stem. Then a song may have more stems than these.
    """
    if len(stems) == 1:
        return [*stems, REMAINDERS.get(stems[0], "other")]
    ordered = sorted(stems, key=lambda stem: STEM_WORDS.index(stem) if stem in STEM_WORDS else len(STEM_WORDS))
    for rest in ("other", "accompaniment", "instrumental"):
        if rest in ordered:
            return [*(stem for stem in ordered if stem != rest), rest]
    return [*ordered, "other"] if one_each else ordered
