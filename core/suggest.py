"""Suggestions for misspelt names."""

from collections.abc import Iterable


def did_you_mean(name: object, choices: Iterable[str]) -> str:
    """Suggest the name that was probably meant.

    Args:
        name: The misspelt name.
        choices: The names that exist.

    Returns:
        Text for the middle of an error; "" if no choice is close.

    >>> did_you_mean("Kareoke", ["karaoke", "acapella"]), did_you_mean("kazoo", ["drums", "bass"])
    (" (did you mean 'karaoke'?)", '')
    """
    from difflib import get_close_matches

    by_lower = {choice.lower(): choice for choice in choices}
    near = get_close_matches(str(name).lower(), by_lower, n=1)
    return f" (did you mean {by_lower[near[0]]!r}?)" if near else ""
