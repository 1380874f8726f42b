"""From the tree of a query back to its canonical text: parse_query(print_query(q)) == q."""

import re

from featlas.query.parser import ESCAPES, RESERVED
from featlas.query.tree import (
    And,
    Between,
    Category,
    Compare,
    Has,
    InList,
    Is,
    Node,
    Not,
    Operator,
    Or,
    Query,
    Term,
    Text,
    Token,
)

_BARE = re.compile(r'[^\s"():\\-][^\s"():\\]*')
_ESCAPED = {code.decode(): f"\\{letter}" for letter, code in ESCAPES.items()}


def print_query(query: Query) -> str:
    """The canonical text of a query: parse_query(print_query(q)) == q."""
    keys = [f"sort:{'-' * key.is_descending}{key.field}" for key in query.sort]
    where = [] if query.where is None else [_print_node(query.where, is_top=not keys)]
    return " ".join([*where, *keys])


def _print_node(node: Node, *, is_top: bool = False) -> str:
    if isinstance(node, And):
        text = " ".join(_print_node(clause) for clause in node.clauses)
        return text if is_top else f"({text})"
    if isinstance(node, Or):
        text = " OR ".join(_print_node(clause) for clause in node.clauses)
        return text if is_top else f"({text})"
    return f"-{_print_node(node.clause)}" if isinstance(node, Not) else _print_term(node)


def _print_term(term: Term) -> str:
    match term:
        case Text(text):
            return _print_text(text)
        case Token(token):
            return f"token:{_quote(token)}"
        case Category(path):
            return f"category:{_print_text(' > '.join(path))}"
        case Is(state):
            return f"is:{state}"
        case Has(name):
            return f"has:{name}"
        case InList(name):
            return f"in:{_print_text(name)}"
        case Compare(name, operator, value):
            return f"{name}:{'' if operator is Operator.EQUAL else operator}{_print_number(value)}"
        case Between(name, low, high):
            ends = ["" if end is None else _print_number(end) for end in (low, high)]
            return f"{name}:{'..'.join(ends)}"


def _print_number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)


def _print_text(text: str) -> str:
    return text if _BARE.fullmatch(text) and text not in RESERVED else _quote(text.encode())


def _quote(content: bytes) -> str:
    shown = []
    for character in content.decode(errors="surrogateescape"):
        if character in _ESCAPED:
            shown.append(_ESCAPED[character])
        elif character.isprintable():
            shown.append(character)
        else:
            raw = character.encode(errors="surrogateescape")
            shown.append("".join(f"\\x{byte:02x}" for byte in raw))
    return '"' + "".join(shown) + '"'
