"""Networks by others: graphs that give stems, run in overlapping segments at the one sample rate that they know."""

from .guest_separator import GuestSeparator, guest_timing

__all__ = ["GuestSeparator", "guest_timing"]
