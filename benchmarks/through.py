"""A processor that does nothing, so that what is left to measure is the bridge."""


class Through:
    latency_samples = 0

    def process(self, block):
        return block

    def reset(self):
        pass
