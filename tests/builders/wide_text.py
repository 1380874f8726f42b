"""A made corpus as varied as what a page must cope with: Zipf-distributed tokens of prose, code, Arabic and emoji.

Nothing of it means anything, but it looks on screen as real text does: words with their spaces, lines of code, text
from right to left, and emoji whose bytes two tokens share.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CTX_LEN = 128
CONTEXTS_PER_DOCUMENT = 8
N_VOCAB = 5000
N_PIECES = 200  # tokens without a space before them

_COMMON = (
    "the of and a to in is was that for it as with he on his by at from are this be or had not which but have an they"
    " were she one all their has been would when there who more if will what its into them than some other time could"
    " these two may first then any my now over such our like even most after also did many before must through years"
    " where your way well down should because long each just those people how too good very make still see men work"
    " day get here old life both between being under three never know same last another while us off might great state"
    " go come since against right came take used himself few house use during without again place around however small"
    " found thought went say part once high general upon school every court judge law appeal water river language"
    " number system market city music history science energy model theory evidence government"
)
_SYLLABLES = (
    "ba be bra ca che cla co cra da de dra el en er fa fi flo ga gen gra ha he il in ja ka ke la le li lo ma me mi"
    " mor na ne no ol or pa pe pla po pra qua ra re ri ro sa se shi so sta ta te ther ti to tra un ur va ve vi wa"
    " we wi ya ze"
)
ENDINGS = ("", "n", "r", "st", "ing", "ed", "tion", "ly", "ment", "s", "ous", "al")
PUNCTUATION = (",", ".", ";", ":", "!", "?", ")", ' "', '"', " (", "'s", "-", " —", "\n", "\n\n", "…")
_CODE = (
    "def| return| self|self|.|(|)|():|\n    |\n        |[|]| =| ==| +=| None| True| if| for| in| range| len| import|"
    " from| class| lambda|_|0|1|2|10|,|:|{|}| =>| const| let| await| async|;\n|//| #| x| i| n|items|.append|.get|"
    " raise| ValueError|\\|\t|<div>|</div>|&&| ||| !=| print"
)
_ARABIC = (
    "في من على إلى أن هذا التي كان قال بعد مع كل بين عند لم كتاب مدينة محكمة القاضي العلم اللغة الماء تاريخ العالم سنة"
    " يوم بيت طريق كبير صغير جديد قديم السلام الشمس القمر نهر"
)
EMOJI = ("😀", "🎉", "👍🏽", "❤️", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🚀", "e\u0301", "日本", "語", "नमस्ते", "가나다")
HALVES = ((b" \xf0\x9f", b"\x98\x82"), (b"\xf0\x9f\x8c", b"\x8d"), (b" \xe2\x82", b"\xac"))
"""Pairs of tokens that are one character together; the second always follows the first."""

PROSE, CODE_KIND, ARABIC_KIND, CHAT = range(4)
_SHARES = (0.8, 0.1, 0.05, 0.05)


COMMON, SYLLABLES, ARABIC = _COMMON.split(), _SYLLABLES.split(), _ARABIC.split()
CODE = _CODE.split("|")


@dataclass(frozen=True)
class MadeText:
    """`token_ids` [n_contexts, CTX_LEN]; `kind` says of each token of the vocabulary where it is at home."""

    tokens: list[bytes]
    kind: NDArray[np.int64]
    token_ids: NDArray[np.uint32]

    @property
    def n_contexts(self) -> int:
        return len(self.token_ids)

    @property
    def n_documents(self) -> int:
        return self.n_contexts // CONTEXTS_PER_DOCUMENT

    def documents(self) -> NDArray[np.int64]:
        """The document of each context."""
        return np.arange(self.n_contexts) // CONTEXTS_PER_DOCUMENT

    def occurrences(self) -> NDArray[np.int64]:
        """How often each token stands there. Shape [N_VOCAB]."""
        return np.bincount(self.token_ids.ravel(), minlength=len(self.tokens))


def make_text(n_contexts: int, seed: int = 0) -> MadeText:
    """Documents of one kind each, whose tokens are drawn from that kind's part of one Zipf distribution."""
    chance = np.random.default_rng(seed)
    tokens, kind = make_vocabulary(chance)
    rank_weight = 1 / (np.arange(len(tokens)) + 2.7)
    rank_weight[0] = 0  # the BOS token stands nowhere
    document_kind = chance.choice(4, size=n_contexts // CONTEXTS_PER_DOCUMENT, p=_SHARES)
    of_context = np.repeat(document_kind, CONTEXTS_PER_DOCUMENT)
    token_ids = np.zeros((n_contexts, CTX_LEN), dtype=np.uint32)
    for which in range(4):
        home = np.where(kind == which, 1.0, 0.3 if which == CHAT else 0.02)
        weight = rank_weight * (home if which != PROSE else np.where(kind == PROSE, 1.0, 0.01))
        chosen = np.flatnonzero(of_context == which)
        cumulative = np.cumsum(weight / weight.sum())
        drawn = np.searchsorted(cumulative, chance.random((len(chosen), CTX_LEN)))
        token_ids[chosen] = np.minimum(drawn, len(tokens) - 1)
    for first, second in HALVES:
        context, position = np.nonzero(token_ids[:, :-1] == tokens.index(first))
        token_ids[context, position + 1] = tokens.index(second)
    return MadeText(tokens, kind, token_ids)


def make_vocabulary(chance: np.random.Generator) -> tuple[list[bytes], NDArray[np.int64]]:
    """N_VOCAB distinct tokens, commonest first, and the kind of text where each is at home."""
    head = [f" {word}" for word in COMMON[:20]] + list(PUNCTUATION) + [f" {word}" for word in COMMON[20:]]
    words: dict[str, int] = {"<s>": PROSE, **dict.fromkeys(head, PROSE)}
    special: dict[bytes, int] = {}
    for part, kind in ((CODE, CODE_KIND), ([f" {word}" for word in ARABIC], ARABIC_KIND), (EMOJI, CHAT)):
        special.update({token.encode(): kind for token in part if token and token not in words})
    special.update({half: CHAT for pair in HALVES for half in pair})
    while len(words) + len(special) < N_VOCAB:
        stem = "".join(chance.choice(SYLLABLES, size=int(chance.integers(1, 4))))
        word = stem + str(chance.choice(ENDINGS))
        lead = "" if len(words) < len(head) + N_PIECES else " "
        if (lead + word).encode() not in special:
            words.setdefault(lead + word, PROSE)
    # What is special stands behind the common words, so that it is common where it is at home.
    plain = [(token.encode(), kind) for token, kind in words.items()]
    ordered = [*plain[: len(head)], *special.items(), *plain[len(head) :]]
    return [token for token, _ in ordered], np.array([kind for _, kind in ordered])
