"""Earnings and claims of a provider from a report on a real chain, with proofs built from its events alone."""

from __future__ import annotations

import pytest

from contracts.epochs import Epochs
from contracts.escrow import Escrow
from contracts.leaves import report_digest
from contracts.operators import Operators
from contracts.testing import AnvilControl
from contracts.tokens import Token
from contracts.types import Charge, Credit, Leaf, Payee, Report, Totals
from tests.marketplace.cli.provider_chain import WHOLE, Market, Provider, free_port, make_provider, open_market

pytestmark = pytest.mark.chain

ZERO32 = bytes(32)
CUSTOMER = 9
VERIFIERS = (1, 2, 3)


@pytest.fixture
def market(tmp_path):
    market = open_market(tmp_path)
    yield market
    market.devnet.stop()


@pytest.fixture
def provider(tmp_path, market) -> Provider:
    provider = make_provider(tmp_path, market)
    provider.settle_in(free_port())
    return provider


@pytest.fixture
def bonded(provider, capsys, monkeypatch):
    def run(*arguments: str, code: int = 0):
        return provider.run(capsys, monkeypatch, *arguments, code=code)

    return run


def gather(market: Market) -> None:
    """Let three verifiers join and a customer deposit five payment tokens."""
    deployment, admin = market.deployment, market.devnet.accounts[0].address
    stake, pay = Token(deployment, "StakeToken"), Token(deployment, "PaymentToken")
    for number in VERIFIERS:
        verifier = market.devnet.accounts[number].address
        market.give_stake(verifier, 5000)
        market.send(verifier, stake.approve(deployment.address("Verifiers"), 5000 * WHOLE))
        market.send(verifier, Operators(deployment, "Verifiers").join("http://127.0.0.1:1"))
    customer, escrow = market.devnet.accounts[CUSTOMER].address, Escrow(deployment)
    market.send(admin, pay.mint(customer, 5_000_000))
    market.send(customer, pay.approve(deployment.address("JobEscrow"), 5_000_000))
    market.send(customer, escrow.deposit(customer, 5_000_000))
    market.send(customer, escrow.set_cap(5_000_000))


def settle(market: Market, report: Report) -> None:
    """Submit a report signed by two verifiers after its epoch, and activate it."""
    epochs, control = Epochs(market.deployment), AnvilControl(market.devnet)
    control.pass_time(61)
    domain = market.deployment.domain()
    digest = report_digest(report, domain).digest(domain.separator())
    signers = sorted((market.devnet.accounts[number] for number in VERIFIERS[:2]), key=lambda one: one.address)
    admin = market.devnet.accounts[0].address
    for call in epochs.submission(report, [signer.sign(digest) for signer in signers]):
        market.send(admin, call)
    control.pass_time(5)
    for call in epochs.activation(report):
        market.send(admin, call)


def report_of(
    market: Market, provider: Provider, epoch: int, previous: bytes, cumulative: int, level: int = 0
) -> Report:
    """Return a report in which the customer pays one token, 0.84 of it to the provider and 0.1 back.

    With a slash level of 4 the provider was down for more than half of the epoch.
    """
    customer, verifier = market.devnet.accounts[CUSTOMER].address, market.devnet.accounts[VERIFIERS[0]].address
    others = sorted([provider.owner.address, market.devnet.accounts[8].address, market.devnet.accounts[6].address])
    leaves = tuple(
        Leaf(
            provider=one,
            cumulative_fees=cumulative if one == provider.owner.address else 0,
            cumulative_incentive=0,
            uptime_ppm=400_000 if level and one == provider.owner.address else 985_000,
            success_ppm=10**6,
            verification_ppm=10**6,
            score_ppm=912_345,
            ttft_p95_bucket=3,
            strikes=1,
            standing=1,
            slash_level=level if one == provider.owner.address else 0,
            measured=True,
        )
        for one in others
    )
    block = market.devnet.rpc("eth_getBlockByNumber", "latest", False)
    return Report(
        epoch=epoch,
        previous=previous,
        evidence=b"\x01" * 32,
        state=b"\x02" * 32,
        rules=b"\x03" * 32,
        checkpoint_block=int(block["number"], 16),
        checkpoint_hash=bytes.fromhex(block["hash"][2:]),
        totals=Totals(1_000_000, 840_000, 20_000, 20_000, 20_000, 100_000, 0, 0, 0),
        leaves=leaves,
        measurements=b"\x04" * 32,
        charges=(Charge(customer, 1_000_000),),
        credits=(Credit(customer, provider.owner.address, 100_000),),
        pools=(),
        payees=(Payee(verifier, 20_000),),
        harms=(),
    )


def test_earnings_are_shown_by_epoch_and_claimed_once_with_a_proof_from_events(provider, bonded, market):
    gather(market)
    first = report_of(market, provider, 0, ZERO32, 840_000)
    settle(market, first)
    second = report_of(market, provider, 1, report_digest(first, market.deployment.domain()).struct_hash(), 1_680_000)

    state = bonded("status")
    assert (state["claimable_fees"], state["reported_epoch"], state["score"], state["strikes"]) == (
        "0.84",
        0,
        "0.9123",
        1,
    )
    assert (state["standing"], state["slashes"], state["delegated"], state["commission"]) == ("half", [], "0", "0 %")
    dry = bonded("claim", "--dry-run")
    assert dry["fees"] == "0.84" and dry["steps"][0]["gas"] > 0
    assert bonded("status")["payment_balance"] == "0"
    bonded("claim", "--yes")
    state = bonded("status")
    assert (state["payment_balance"], state["claimable_fees"]) == ("0.84", "0")
    assert "was claimed" in bonded("claim", "--yes", code=1)["error"]["message"]

    settle(market, second)
    bonded("claim", "--yes")
    assert bonded("status")["payment_balance"] == "1.68"
    found = bonded("earnings")
    assert [(row["epoch"], row["fees"], row["credits"], row["claimable"]) for row in found["epochs"]] == [
        (0, "0.84", "0.1", "yes"),
        (1, "0.84", "0.1", "yes"),
    ]
    assert [(one["epoch"], one["fees"]) for one in found["claims"]] == [(0, "0.84"), (1, "0.84")]
    assert found["slashes"] == []


def test_the_tables_for_people_say_the_same(provider, bonded, market, capsys):
    from marketplace import cli

    gather(market)
    settle(market, report_of(market, provider, 0, ZERO32, 840_000))
    bonded("status")
    for command in (["status"], ["earnings"], ["offer"]):
        assert cli.run(["provider", *command]) == 0
    told = capsys.readouterr().out
    assert "0.84" in told and "98.50 %" in told and "smollm2-135m-instruct" in told


def test_ten_times_the_fees_of_an_open_report_stay_locked_and_the_rest_can_leave(provider, bonded, market):
    gather(market)
    settle(market, report_of(market, provider, 0, ZERO32, 840_000))
    error = bonded("unbond", "191.7", "--yes", code=1)["error"]
    assert "8.4 of the stake answer for fees" in error["message"] and "8.3 would be left" in error["message"]
    assert "unbond at most 191.6" in error["mend"]
    told = bonded("unbond", "191.6", "--yes")
    assert told["locked for fees at risk"] == "8.4"
    assert bonded("status")["stake"] == "8.4"
    AnvilControl(market.devnet).pass_time(60)
    bonded("unbond", "8.4", "--yes")
    assert bonded("status")["stake"] == "0", "the report's challenge window is over"
