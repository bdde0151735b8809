"""Say how much one API key may ask in a minute."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.errors import BondedError

_MOST = 2**53


class BadRates(BondedError):
    """A key's limits per minute are whole numbers from 1 on; leave out what should not be limited."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests and tokens that a key may ask for in a minute; 0 says that it is not limited."""

    requests: int = 0
    tokens: int = 0

    def __bool__(self) -> bool:
        """Tell whether anything is limited."""
        return bool(self.requests or self.tokens)


UNLIMITED = Rates()


def read_rates(requests_per_minute: int | None, tokens_per_minute: int | None) -> Rates:
    """Return the limits that somebody asks for, None for one that is not wanted; raises BadRates."""
    for value in (requests_per_minute, tokens_per_minute):
        if value is not None and not 1 <= value <= _MOST:
            raise BadRates(BadRates.__doc__)
    return Rates(requests_per_minute or 0, tokens_per_minute or 0)
