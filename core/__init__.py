"""The parts that every room shares: errors, gains in dB, atomic file writes, documents, protocols, the version."""
