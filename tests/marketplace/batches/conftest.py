"""A shop per test, with books that must balance afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from marketplace.batches.upload import UploadBounds
from marketplace.db import Database
from tests.marketplace.batches.shop import Buyer, Shop
from tests.marketplace.store.conftest import database, empty_url, server

__all__ = ["database", "empty_url", "server"]


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[Shop]:
    shop = Shop(database, tmp_path)
    await shop.start()
    try:
        yield shop
    finally:
        await shop.stop()


@pytest.fixture
async def buyer(shop: Shop) -> AsyncIterator[Buyer]:
    buyer = await shop.customer()
    yield buyer
    await shop.batches.stop(5.0)
    await shop.check_books(buyer.name)


@pytest.fixture
async def bounded(database: Database, tmp_path: Path, upload_bounds: UploadBounds) -> AsyncIterator[Shop]:
    """Return a shop that takes small uploads only."""
    shop = Shop(database, tmp_path, upload_bounds)
    await shop.start()
    try:
        yield shop
    finally:
        await shop.stop()
