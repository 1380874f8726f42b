"""What a provider asks for tokens, from a list kept offline, so that a price can be told before the first call."""

from dataclasses import dataclass
from decimal import Decimal

from genai_prices import Usage, calc_price

_A_CALL = 1000
"""Tokens of a call whose price is looked up: some models ask more per token of a very long one."""

_MILLION = 1_000_000


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens, in and out."""

    usd_in: float
    usd_out: float

    def micro_usd(self, n_tokens_in: float, n_tokens_out: float) -> int:
        """The cost of so many tokens, in millionths of a US dollar: dollars per million tokens are that per token."""
        return round(self.usd_in * n_tokens_in + self.usd_out * n_tokens_out)


def find_price(provider: str, model: str) -> Price | None:
    """The listed price of a model of OpenAI or Anthropic; None where none is known, as for servers of one's own."""
    if provider == "compatible":
        return None
    try:
        found = calc_price(Usage(input_tokens=_A_CALL, output_tokens=_A_CALL), model_ref=model, provider_id=provider)
    except LookupError:
        return None
    return Price(_per_million(found.input_price), _per_million(found.output_price))


def _per_million(price: Decimal) -> float:
    return float(price * _MILLION / _A_CALL)
