"""`bonded auditor` against a quorum that left a receipt out: the report is equal to its evidence, and still exit 5."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.chain import Chain, Finality
from contracts.devnet import Devnet
from contracts.leaves import report_digest
from contracts.testing import deploy
from marketplace import cli
from rewards.attempt_lines import write_line
from rewards.settlement import settle
from rewards.types import Attempt
from tests.rewards.market import Market

pytestmark = pytest.mark.chain


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    with Devnet.start() as running:
        yield running


@pytest.fixture
async def market(devnet: Devnet, tmp_path: Path) -> AsyncIterator[Market]:
    deployment = deploy(devnet)
    deployment.write(tmp_path / "deployment.json")
    async with await Chain.connect([devnet.url], deployment, finality=Finality.depth(2)) as chain:
        made = Market(devnet, chain, tmp_path)
        await made.set_up()
        yield made


def _served(market: Market, count: int, epochs: int) -> list[Attempt]:
    """Let one provider serve a few jobs an epoch, each receipt naming the job before it."""
    net, made = market.net, []
    job = bytes(32)
    for epoch in range(epochs):
        for index in range(count):
            before, job = job, bytes([epoch + 1, index + 1]) * 16
            slot = epoch * net.slots + index
            made.append(
                net.attempt(
                    net.provider_names[0], net.customer_names[0], slot, job=job, charge_atto=10**15, taken=before
                )
            )
    return made


async def _settle(market: Market, epoch: int, attempts: list[Attempt]) -> None:
    own = [one for one in attempts if one.countersignature.slot // market.net.slots == epoch]
    inputs = await market.inputs(epoch, own, {}, await market.end_of(epoch))
    settled = settle(inputs)
    report = market.publish(inputs, settled.report)
    digest = report_digest(report, market.chain.deployment.domain())
    market.opening = replace(settled.closing, report=digest.struct_hash())


async def _said(market: Market, folder: Path, capsys: Any, *arguments: str) -> tuple[int, Any]:
    where = ("--rpc", market.devnet.url, "--deployment", str(folder / "deployment.json"), "--finality", "0")
    evidence = ("--evidence", str(market.store.path))
    code = await asyncio.to_thread(cli.run, ["auditor", *arguments, *evidence, *where, "--json"])
    return code, json.loads(capsys.readouterr().out)


async def test_a_receipt_that_a_quorum_left_out_is_named_and_its_provider_can_show_it(
    market: Market, tmp_path: Path, capsys: Any
) -> None:
    everything = _served(market, 3, 3)
    left_out = everything[1]
    for epoch in range(3):
        await _settle(market, epoch, [one for one in everything if one is not left_out])

    code, told = await _said(market, tmp_path, capsys, "replay", "--all")
    assert code == 5 and [row["equal"] for row in told["replays"]] == [True] * 3
    provider, job = left_out.receipt.provider, "0x" + left_out.receipt.job.hex()
    missing = [{"provider": provider, "job": job}]
    assert [row["missing"] for row in told["replays"]] == [[], missing, []]

    code, told = await _said(market, tmp_path, capsys, "explain", provider, "1")
    assert code == 0 and told["missing"] == [job] and told["leaf"]["provider"] == provider
    assert {"rule", "numbers", "where"} == told["lines"][0].keys()
    assert next(line for line in told["lines"] if line["rule"].startswith("receipts"))["numbers"]["missing"] == 1

    kept = tmp_path / "receipt.json"
    kept.write_text(json.dumps({"receipt": left_out.receipt.to_json(), "signature": "0x" + "00" * 65}))
    code, told = await _said(market, tmp_path, capsys, "verify-receipt", str(kept))
    assert code == 5 and "signature is none" in told["findings"][0]["words"]
    signature = "0x" + left_out.provider_signature.hex()
    kept.write_text(json.dumps({"receipt": left_out.receipt.to_json(), "signature": signature}))
    code, told = await _said(market, tmp_path, capsys, "verify-receipt", str(kept))
    assert code == 5 and not told["holds"]
    assert [one["holds"] for one in told["findings"]] == [True, True, False]
    assert "not in the evidence of epochs 0 to 2; later receipts that gateways accepted name it" in str(told)

    kept.write_text(write_line(everything[2]))
    code, told = await _said(market, tmp_path, capsys, "verify-receipt", str(kept))
    assert code == 0 and told["findings"][-1]["words"].startswith("settled in epoch 0, attempts.jsonl, line ")
    forged = replace(everything[2], countersignature=replace(everything[2].countersignature, slot=1))
    kept.write_text(write_line(forged))
    code, told = await _said(market, tmp_path, capsys, "verify-receipt", str(kept))
    assert code == 5 and "the line names the gateway" in told["findings"][1]["words"]
    kept.write_text("{}")
    code, told = await _said(market, tmp_path, capsys, "verify-receipt", str(kept))
    assert code == 1 and "holds no receipt" in told["error"]["message"]
