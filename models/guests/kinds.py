"""The known kinds of networks, from kinds.json, and the numbers on the cards of their graphs."""

import json
from functools import cache
from pathlib import Path
from typing import Any

KINDS_FILE = Path(__file__).with_name("kinds.json")


@cache
def all_kinds() -> dict[str, dict[str, Any]]:
    """Return the known kinds of networks: name to facts.

    The graph of an MDX network does not say the size of its transform, so each size is a kind.
    """
    kinds = {}
    for name, facts in json.loads(KINDS_FILE.read_text("utf-8")).items():
        for size, bins in facts.get("sizes", {}).items():
            transform = facts["transform"] | {"size": int(size)}
            kinds[f"{name}-{size}"] = facts | {
                "title": f"{facts['title']}, FFT of {size}",
                "transform": transform,
                "bins": bins,
            }
        if "sizes" not in facts:
            kinds[name] = facts
    return kinds


def card_numbers(facts: dict[str, Any], sizes: dict[str, int], *, single: bool) -> dict[str, Any]:
    """Return the fields of a card that are numbers.

    Args:
        facts: Facts of the kind, from `all_kinds`.
        sizes: Sizes that differ between graphs of the kind, by name.
        single: Whether the graph gives the magnitude of only one stem, so that ratios are not possible.
    """
    sizes = facts.get("usual", {}) | sizes
    values: dict[str, Any] = {}
    segment = dict(facts["segment"])
    if "transform" in facts:
        transform = {"bins": sizes.get("bins")} | facts["transform"]
        if transform.get("pad") == "centre":
            transform["pad"] = [transform["size"] // 2] * 2
        values["transform"] = transform
        if "samples" not in segment:
            frames = sizes["frames"] + sum(transform.get("drop", [0]))
            segment["samples"] = (frames - 1) * transform["hop"] + transform["size"] - sum(transform.get("pad", [0]))
    segment.setdefault("samples", sizes.get("samples"))
    if segment.get("trim") in ("half", "size"):  # of the transform, for samples that only the outermost frames cover
        segment["trim"] = values["transform"]["size"] // (2 if segment["trim"] == "half" else 1)
    elif "trim" in segment:
        segment["trim"] = int(segment["trim"] * segment["samples"])
    kept = segment["samples"] - 2 * segment.get("trim", 0)
    overlaps = {quality: int(share * kept) for quality, share in facts["overlap"].items()}
    values["segment"] = segment | {"overlap": overlaps.pop("normal")}
    values["quality"] = {
        quality: {"overlap": overlap} | ({"denoise": True} if quality in facts.get("denoise", []) else {})
        for quality, overlap in overlaps.items()
    }
    if "normalize" in facts:
        values["normalize"] = facts["normalize"]
    if "masks" in facts:
        values["masks"] = {"kind": "phase"} if single else facts["masks"]
    return values
