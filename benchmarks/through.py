"""A processor that does nothing, to measure the bridge alone."""


class Through:
    """Returns its input."""

    latency_samples = 0

    def process(self, block):
        return block

    def reset(self):
        pass
