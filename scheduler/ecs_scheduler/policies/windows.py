"""When jobs of a policy may start: windows of the week such as `Mon-Fri 20:00-06:00`."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from ecs_placement.names import unknown

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY_MINUTES = 24 * 60
_FORM = re.compile(
    r"(?:(?P<days>[A-Za-z]{3}(?:-[A-Za-z]{3})?(?:,[A-Za-z]{3}(?:-[A-Za-z]{3})?)*))?"
    r"(?:(?(days)\s+)(?P<from>\d{1,2}:\d\d)-(?P<to>\d{1,2}:\d\d))?"
)


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` to `end`, in minutes of the day, on these days (Monday is 0); an end that is
    not after the start lies on the next day.
    """

    days: frozenset[int]
    start: int = 0
    end: int = _DAY_MINUTES

    def holds(self, day: int, minute: int) -> bool:
        """Whether this minute of this day of the week is inside."""
        if self.end > self.start:
            return day in self.days and self.start <= minute < self.end
        late = day in self.days and minute >= self.start
        return late or ((day - 1) % 7 in self.days and minute < self.end)


@lru_cache(maxsize=1024)
def parse_span(text: str) -> Span:
    """A window as it is written; raises ValueError that says what was expected."""
    found = _FORM.fullmatch(text.strip())
    if found is None or not text.strip():
        raise ValueError(
            f"{text!r} is no window, expected days, times or both: "
            "'Mon-Fri 20:00-06:00', 'Sat,Sun', '22:00-04:00'"
        )
    days = _days(found["days"]) if found["days"] else frozenset(range(7))
    if found["from"] is None:
        return Span(days)
    return Span(days, _minutes(found["from"]), _minutes(found["to"]))


def _days(text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        start, end = _day(first), _day(last or first)
        days.update((start + step) % 7 for step in range((end - start) % 7 + 1))
    return frozenset(days)


def _day(name: str) -> int:
    if name.capitalize() not in DAYS:
        raise ValueError(unknown("day", name, DAYS))
    return DAYS.index(name.capitalize())


def _minutes(text: str) -> int:
    hours, minutes = map(int, text.split(":"))
    if hours > 24 or minutes > 59 or (hours == 24 and minutes):
        raise ValueError(f"{text} is no time of the day, expected 00:00 to 24:00")
    return hours * 60 + minutes


@lru_cache(maxsize=64)
def zone(name: str) -> tzinfo:
    """The time zone of this name; raises ValueError."""
    if name == "UTC":
        return UTC  # needs no database
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = get_close_matches(name, sorted(available_timezones()), 1, 0.7)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(
            f"time zone {name!r} is unknown here, expected UTC or a name such as "
            f"Europe/Berlin{hint}"
        ) from None


@dataclass(frozen=True, slots=True)
class Windows:
    """Spans of the week in one time zone; no spans: always open."""

    texts: tuple[str, ...] = ()
    timezone: str = "UTC"

    def open_at(self, now_ms: int) -> bool:
        """Whether jobs may start now."""
        return not self.texts or self.holds(self._local(now_ms))

    def opens_at_ms(self, now_ms: int) -> int | None:
        """The next time they may, to the minute; now if they may now, None if never."""
        return now_ms if self.open_at(now_ms) else _opens_after(self, now_ms // 60_000)

    def _local(self, now_ms: int) -> datetime:
        return datetime.fromtimestamp(now_ms / 1000, zone(self.timezone))

    def holds(self, moment: datetime) -> bool:
        """Whether a moment of the windows' own time zone is inside."""
        day, minute = moment.weekday(), moment.hour * 60 + moment.minute
        return any(parse_span(text).holds(day, minute) for text in self.texts)

    def __str__(self) -> str:
        return f"{', '.join(self.texts)} ({self.timezone})"


ALWAYS = Windows()


@lru_cache(maxsize=1024)
def _opens_after(windows: Windows, minute: int) -> int | None:
    """The first minute after this one, counted since 1970, that is inside."""
    moment = datetime.fromtimestamp(minute * 60, UTC)
    for _ in range(8 * _DAY_MINUTES):
        moment += timedelta(minutes=1)
        if windows.holds(moment.astimezone(zone(windows.timezone))):
            return round(moment.timestamp() * 1000)
    return None
