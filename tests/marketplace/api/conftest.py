"""Visitors of the settled marketplace's gateway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.marketplace.api.visitor import Visitor, program
from tests.marketplace.settled import Settled


@pytest.fixture
def visitor(settled: Settled) -> Iterator[Visitor]:
    """Return somebody who has not signed in."""
    with Visitor(settled.url) as visitor:
        yield visitor


@pytest.fixture
def alice(settled: Settled) -> Iterator[Visitor]:
    """Return the first customer's program."""
    with closing(program(settled.url, settled.customers[0])) as visitor:
        yield visitor


@pytest.fixture
def bob(settled: Settled) -> Iterator[Visitor]:
    """Return the second customer's program."""
    with closing(program(settled.url, settled.customers[1])) as visitor:
        yield visitor


@pytest.fixture
def stranger(settled: Settled) -> Iterator[Visitor]:
    """Return a program of somebody who never deposited."""
    with closing(program(settled.url, settled.outsider)) as visitor:
        yield visitor
