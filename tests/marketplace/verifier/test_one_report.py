"""A verifier signs one report of an epoch: another one only as long as none is on chain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.devnet import Devnet
from contracts.event_types import ReportSubmitted
from contracts.events import fetch
from marketplace.db import Database
from marketplace.indexer import Indexer
from marketplace.verifier.signing import ReportRefused, ReportSigner
from tests.marketplace.store.conftest import database, empty_url, server
from tests.marketplace.store.market import UNIT, market

__all__ = ["database", "empty_url", "server"]
OTHER = "0x" + "11" * 32


@pytest.fixture
def devnet() -> Iterator[Devnet]:
    with Devnet.start() as running:
        yield running


async def test_another_report_is_signed_before_one_is_on_chain_and_refused_afterwards(
    devnet: Devnet,
    database: Database,
    tmp_path: Path,
):
    async with market(devnet, database, tmp_path) as town:
        await Indexer(town.database, town.chain, UNIT).follow()
        for verifier in town.verifiers:
            verifier.store.add_signed(0, OTHER)
        await town.live_through(0)
        async with town.settler() as settler:
            await settler.tick()
        head = await town.chain.head()
        (submitted,) = await fetch(town.chain, town.chain.deployment.block, head.number, kinds=[ReportSubmitted])
        verifier = next(one for one in town.verifiers if len(one.store.signed(0)) == 2)
        assert verifier.store.signed(0)[0] == OTHER

        signer = ReportSigner(town.chain, verifier.signer, verifier, town.store)
        first = await signer.sign(0, submitted.evidence)
        assert first["digest"] == verifier.store.signed(0)[1], "the report that is on chain is signed again"
        assert await signer.sign(0, submitted.evidence) is first, "and then not even recomputed"

        kept = tmp_path / verifier.signer.address / "signed-00000000.json"
        kept.write_text(f'["{OTHER}"]')
        with pytest.raises(ReportRefused, match=OTHER):
            await ReportSigner(town.chain, verifier.signer, verifier, town.store).sign(0, submitted.evidence)
        assert verifier.store.signed(0) == (OTHER,)
