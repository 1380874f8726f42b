"""How patterns are put into a few plain words that quote the tokens they speak of."""

from collections.abc import Sequence

N_QUOTED = 4
_MOST_CHARACTERS = 72
_VISIBLE = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def quoted(token: bytes, *, stripped: bool = False) -> str:
    r"""A token in double quotes, on one line; bytes that are no character are shown as \xf0."""
    text = token.decode("utf-8", errors="backslashreplace")
    if stripped and text.strip():
        text = text.strip()
    shown = "".join(_VISIBLE.get(c, c if c.isprintable() else f"\\u{ord(c):04x}") for c in text)
    return f'"{shown}"'


def listed(
    tokens: Sequence[bytes], *, stripped: bool = True, most: int = _MOST_CHARACTERS, n_most: int = N_QUOTED
) -> str:
    """`"a", "b", "c" and 5 more`: as many tokens as fit, at least one."""
    shown: list[str] = []
    for token in tokens[:n_most]:
        piece = quoted(token, stripped=stripped)
        if shown and len(", ".join([*shown, piece])) > most - len(" and 99 more"):
            break
        shown.append(piece)
    rest = len(tokens) - len(shown)
    if rest:
        return f"{', '.join(shown)} and {rest} more"
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def percent(share: float) -> str:
    """A share as a whole percentage."""
    return f"{share:.0%}"
