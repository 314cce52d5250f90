"""A processor that does nothing, to measure the bridge alone."""


class Through:
    """Returns its input."""

    latency_samples = 0

    def process(self, block):
        """Return a block as it is."""
        return block

    def reset(self):
        """Do nothing, because there is no state."""
