"""The parts that every room shares: errors, gains in dB, files written whole, documents, protocols, the version."""
