"""Format times as text."""


def clock(seconds: float, decimals: int = 0) -> str:
    """Format a time as hours, minutes and seconds.

    Args:
        seconds: The time, 0 or more.
        decimals: Number of decimals of the seconds.

    >>> clock(61), clock(3700), clock(0.25, 1), clock(59.96, 1)
    ('1:01', '1:01:40', '0:00.2', '1:00.0')
    """
    minutes, seconds = divmod(round(seconds, decimals), 60)
    text = f"{seconds:0{3 + decimals if decimals else 2}.{decimals}f}"
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{text}" if hours else f"{minutes}:{text}"
