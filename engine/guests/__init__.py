"""Run imported networks: graphs that give stems, on overlapping segments, at the one sample rate that they know."""

from .guest_separator import GuestSeparator, guest_timing

__all__ = ["GuestSeparator", "guest_timing"]
