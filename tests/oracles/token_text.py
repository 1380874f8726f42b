"""The bytes of a byte-level tokenizer's tokens, from its vocabulary alone."""

from pathlib import Path

from tokenizers import Tokenizer


def byte_letters() -> dict[str, int]:
    """GPT-2's letter for each byte, turned around: printable bytes stand for themselves, the rest for U+0100 …"""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(rest)}


def token_bytes(folder: Path) -> list[bytes]:
    """The bytes of every token id; an added token's are its own text."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    letters = byte_letters()
    added = {number: token.content for number, token in tokenizer.get_added_tokens_decoder().items()}
    found = []
    for number in range(tokenizer.get_vocab_size(with_added_tokens=True)):
        if number in added:
            found.append(added[number].encode())
        else:
            found.append(bytes(letters[letter] for letter in tokenizer.id_to_token(number)))
    return found
