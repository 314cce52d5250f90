"""A processor that does nothing, to measure the bridge alone."""

import numpy as np
from numpy.typing import NDArray


class Through:
    """Returns its input."""

    latency_samples = 0

    def process(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a block as it is."""
        return block

    def reset(self) -> None:
        """Do nothing, because there is no state."""
