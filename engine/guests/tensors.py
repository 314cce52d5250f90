"""Arrays between the engine's layout and the one that a graph has, by the names of their axes."""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray


def pack(array: NDArray, names: Sequence[str], axes: Sequence[str]) -> NDArray:
    """Arrange an array as a graph takes it.

    Args:
        array: Any shape.
        names: Names of its axes.
        axes: Axes of the result, each a product of names of which the last changes fastest. A name that only one side
            has is of size 1.

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


def unpack(array: NDArray, axes: Sequence[str], names: Sequence[str], sizes: Mapping[str, int]) -> NDArray:
    """Undo `pack`: return a view with axes `names`, if it can be one.

    Args:
        array: A graph's, of the shape that `axes` and `sizes` give.
        axes: Each a product of names.
        names: Names of the axes of the result; a name that `axes` lack is of size 1.
        sizes: Sizes of all names in `axes`.
    """
    factors = [factor for axis in axes for factor in axis.split("*")]
    array = array.reshape([sizes[factor] for factor in factors])
    order = [name for name in names if name in factors] + [factor for factor in factors if factor not in names]
    array = array.transpose([factors.index(each) for each in order])
    return array.reshape([sizes[name] if name in factors else 1 for name in names])
