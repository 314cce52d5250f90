"""Times as text."""


def clock(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> clock(61), clock(3700)
    ('1:01', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
