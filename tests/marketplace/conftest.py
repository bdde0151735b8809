"""What tests of API, dashboard, command line and verifier share: one settled marketplace per session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.marketplace.settled import Settled, settled_market


@pytest.fixture(scope="session")
def settled() -> Iterator[Settled]:
    """Return the marketplace. Tests leave it usable: each takes a customer's money only as far as it brought it."""
    with settled_market() as made:
        yield made
