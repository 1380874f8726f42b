"""Find, fill in and judge the figures that documents quote from docs/records.

A quote is `<!-- figure RECORD.KEY [FORMAT] -->TEXT<!-- end -->`; FORMAT is a Python format spec without the comma,
which is added for numbers of 1,000 and more.
"""

import re
from collections.abc import Iterator, Mapping

from tools.record import Figure, Record

QUOTE = re.compile(
    r"<!-- figure (?P<record>[\w-]+)\.(?P<key>\w+)(?: (?P<format>[^ ]+))? -->(?P<text>.*?)<!-- end -->", re.S
)
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.S)
_LINK_TARGET = re.compile(r"\]\([^)]*\)")
_NUMBER = re.compile(r"(?<![\w.])\d[\d,.]*")


def format_figure(figure: Figure, spec: str | None) -> str:
    """The figure as documents show it: thousands separated by commas."""
    if isinstance(figure, bool | str):
        return str(figure)
    if spec and spec.endswith("%"):
        return format(figure, spec)
    return format(figure, f",{spec}" if spec else ",")


def fill_in(text: str, records: Mapping[str, Record]) -> str:
    """The document with every quote's text replaced by its record's figure; quotes without a record are left alone."""

    def replace(match: re.Match[str]) -> str:
        shown = _shown(match, records)
        if shown is None:
            return match.group(0)
        opening = match.group(0)[: match.start("text") - match.start()]
        return f"{opening}{shown}<!-- end -->"

    return QUOTE.sub(replace, text)


def find_faults(text: str, records: Mapping[str, Record]) -> Iterator[str]:
    """Quotes without a record, and quotes that say something else than their record."""
    for match in QUOTE.finditer(text):
        name = f"{match['record']}.{match['key']}"
        shown = _shown(match, records)
        if shown is None:
            yield f"the figure {name} has no record in docs/records"
        elif shown != match["text"]:
            yield f"the figure {name} reads {match['text']!r}, its record says {shown!r} (make docs)"


def find_loose_numbers(text: str) -> Iterator[str]:
    """Numbers that are neither a quote nor code nor part of a heading: in a page of benchmarks each needs a record."""
    for line in _CODE.sub("", QUOTE.sub("", text)).splitlines():
        if not line.startswith("#"):
            bare = re.sub(r"^\s*\d+\. ", "", _LINK_TARGET.sub("]", line))
            yield from (f"the number {number} has no record: {line.strip()}" for number in _NUMBER.findall(bare))


def _shown(match: re.Match[str], records: Mapping[str, Record]) -> str | None:
    record = records.get(match["record"])
    if record is None or match["key"] not in record.figures:
        return None
    return format_figure(record.figures[match["key"]], match["format"])
