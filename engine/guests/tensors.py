"""Rearrange arrays between the engine's layout and a graph's, by the names of their axes."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack(array: NDArray[Any], names: Sequence[str], axes: Sequence[str]) -> NDArray[Any]:
    """Rearrange an array for a graph.

    Args:
        array: An array of any shape.
        names: Names of its axes.
        axes: Axes of the result. Each is a product of names, of which the last changes fastest. A name that only one
            side has stands for an axis of size 1.

    Returns:
        A contiguous array.

    >>> spectrum = np.zeros((2, 336, 2048, 2))
    >>> pack(spectrum, ("channel", "frame", "bin", "part"), ("batch", "channel*part", "bin", "frame")).shape
    (1, 4, 2048, 336)
    """
    sizes = dict(zip(names, array.shape, strict=True))
    factors = [factor for axis in axes for factor in axis.split("*")]
    kept = [name for name in names if name in factors]
    array = array.reshape([sizes[name] for name in kept]).transpose(
        [kept.index(each) for each in factors if each in kept]
    )
    return np.ascontiguousarray(array).reshape([prod(sizes.get(each, 1) for each in axis.split("*")) for axis in axes])


def unpack(array: NDArray[Any], axes: Sequence[str], names: Sequence[str], sizes: Mapping[str, int]) -> NDArray[Any]:
    """Undo `pack`.

    Args:
        array: An array from a graph.
        axes: Its axes. Each is a product of names.
        names: Names of the axes of the result. A name that is not in `axes` stands for an axis of size 1.
        sizes: Sizes of all names in `axes`.

    Returns:
        A view of the array, if possible.
    """
    factors = [factor for axis in axes for factor in axis.split("*")]
    array = array.reshape([sizes[factor] for factor in factors])
    order = [name for name in names if name in factors] + [factor for factor in factors if factor not in names]
    array = array.transpose([factors.index(each) for each in order])
    return array.reshape([sizes[name] if name in factors else 1 for name in names])
