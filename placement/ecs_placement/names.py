"""The nearest valid name, for messages about names that nobody knows."""

from collections.abc import Iterable
from difflib import get_close_matches


def unknown(what: str, given: str, known: Iterable[str], besides: str = "") -> str:
    """Say that `given` is no `what`, what there is, and which of it comes nearest.

    `besides` names a family of further values, such as attribute:NAME.
    """
    names = tuple(known)
    close = get_close_matches(given, names, n=1, cutoff=0.5)
    listed = ", ".join([*(name or "none" for name in names), *([besides] if besides else [])])
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"{what} {given!r} is unknown, expected one of {listed}{hint}"
