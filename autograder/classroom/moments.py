"""Moments as people and platforms write them: understood right, or said to be unclear.

A moment that was handed in late costs points, so nothing is guessed: what can be read
as two moments is read as none.
"""

import re
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache

from dateutil import parser as dates
from dateutil import tz

# Two dates that share no part: what the text leaves open differs between them.
DEFAULTS = datetime(2001, 2, 3, 4, 5), datetime(2012, 11, 10, 9, 8)
NUMERIC = re.compile(r"(?<![\d.])(\d{1,4})([-/.])\s?(\d{1,2})\2\s?(\d{1,4})")


class Unclear(ValueError):
    """A text that is no moment, or more than one; the message says why."""


def moment(text: str, zone: tzinfo = UTC) -> datetime:
    """Return the moment that a text tells of, in UTC and without a time zone.

    Args:
        zone: where the text names none; `local` is that of this machine.

    Raises:
        Unclear: if the text is not understood, or could be another moment as well.
    """
    text = " ".join(text.replace("\ufeff", "").replace("\u200e", "").split())
    text = re.sub(r"(?:UTC|GMT)\s?(?=[+-]\d)", "", text)  # as ISO writes an offset
    worded = _in_words(text)
    text = worded or text
    numeric = NUMERIC.search(text)
    year_first = bool(numeric and len(numeric[1]) == 4)
    day_first = bool(numeric and not year_first)
    if numeric and not year_first and numeric[2] != ".":
        if int(numeric[1]) <= 12 and int(numeric[3]) <= 12 and numeric[1] != numeric[3]:
            raise Unclear("day and month could be exchanged: write 2025-03-01 12:00")
        day_first = int(numeric[1]) > 12
    found = []
    for default in DEFAULTS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", dates.UnknownTimezoneWarning)
                found.append(
                    dates.parse(
                        text,
                        default=default,
                        dayfirst=day_first,
                        yearfirst=year_first,
                        tzinfos=_known_zone,
                    )
                )
        except Unclear:
            raise
        except Exception:  # dateutil raises much
            raise Unclear("it is not understood: write 2025-03-01 12:00 UTC") from None
    one, other = found
    if one.replace(second=0) != other.replace(second=0):
        raise Unclear("day, month, year or time is missing: write 2025-03-01 12:00")
    try:
        return (
            (one if one.tzinfo else one.replace(tzinfo=zone))
            .astimezone(UTC)
            .replace(tzinfo=None)
        )
    except (OverflowError, ValueError):
        raise Unclear("the year is out of range") from None


local = tz.tzlocal()  # the time zone of this machine, with its summer time


def stamp(moment: datetime) -> str:
    """Return a moment (UTC) as nbgrader writes and reads it."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def shown(moment: datetime) -> str:
    """Return a moment (UTC) in the time zone of this machine."""
    there = moment.replace(tzinfo=UTC).astimezone()
    return f"{there:%Y-%m-%d %H:%M %Z}"


def _known_zone(name: str | None, offset: int | None) -> tzinfo | None:
    """Take a zone that is an offset; an abbreviation can be that of several zones."""
    if name is None and offset is None:
        return None
    if offset is None:
        raise Unclear(f"the time zone {name} is not known: write UTC or +01:00")
    return timezone(timedelta(seconds=offset))


# --------------------------------------------------------------- moments with words


def _in_words(text: str) -> str:
    """Return a date with the month in words, in any language, in numbers; else "".

    Moodle writes "Montag, 3. März 2025, 09:41": lang/LANGUAGE/langconfig.php,
    `strftimedaydatetime`, in the language of whoever downloads.

    Raises:
        Unclear: if languages that know all its words differ about the month.
    """
    words = re.findall(r"[^\W\d_][^\W\d_.'’-]*", text.casefold())
    year = re.search(r"(?<!\d)(?:19|20)\d\d(?!\d)", text)
    clock = re.search(r"(?<!\d)(\d{1,2})[:.](\d\d)(?::(\d\d))?(?!\d)", text[-14:])
    if not words or not year or not clock:
        return ""
    english, *others = _languages()
    months = {_month(words, english)} - {0}
    months = months or {_month(words, known) for known in others} - {0}
    if len(months) > 1:
        raise Unclear("the month differs between languages: write 2025-03-01 12:00")
    rest = text[: len(text[:-14]) + clock.start()].replace(year[0], " ", 1)
    days = re.findall(r"(?<!\d)\d{1,2}(?!\d)", rest)
    if not months or len(days) != 1:
        return ""
    hour = int(clock[1])
    half = re.search(r"\b([ap])\.?\s?m\.?\b", text.casefold())
    if half and hour <= 12:
        hour = hour % 12 + 12 * (half[1] == "p")
    made = f"{year[0]}-{months.pop():02}-{int(days[0]):02} {hour:02}:{clock[2]}"
    zone = re.search(r"(UTC|GMT|[+-]\d\d:?\d\d)$", text)
    return made + (f":{clock[3]}" if clock[3] else "") + (zone[1] if zone else "")


def _month(words: list[str], known: dict[str, int]) -> int:
    """Return the month that the words name in one language; 0 where one is foreign."""
    months = set()
    for word in words:
        if word not in known:
            return 0
        if known[word]:
            months.add(known[word])
    return months.pop() if len(months) == 1 else 0


ANYWHERE = ["am", "pm", "a", "p", "m", "utc", "gmt", "de", "at", "um", "h", "uhr"]
ANYWHERE += ["alle", "às", "kl", "г", "del", "à", "年", "月", "日", "o", "klo"]


@cache
def _languages() -> tuple[dict[str, int], ...]:
    """Return, for each language, its words for months (their number) and days (0)."""
    return tuple(_words())


def _words() -> Iterator[dict[str, int]]:
    from babel import Locale, UnknownLocaleError, localedata

    found = localedata.locale_identifiers()
    for name in ["en", *(name for name in found if "_" not in name)]:
        known = dict.fromkeys(ANYWHERE, 0)
        try:
            locale = Locale(name)
            for context in ("format", "stand-alone"):
                for width in ("wide", "abbreviated"):
                    for day in locale.days[context][width].values():
                        for word in re.findall(r"[^\W\d_]+", day.casefold()):
                            known.setdefault(word, 0)
            for context in ("format", "stand-alone"):
                for width in ("wide", "abbreviated"):
                    for number, month in locale.months[context][width].items():
                        known[month.casefold().rstrip(".")] = number
        except (KeyError, UnknownLocaleError):
            continue
        yield known
