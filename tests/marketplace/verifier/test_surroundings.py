"""A verifier's view of a real chain and gateway: who is there, tickets as any customer's, receipts that are paid."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.errors import ChainUnavailable
from contracts.file_outbox import FileOutbox
from contracts.operators import Operators
from contracts.signing import keccak
from contracts.transactions import Sender
from contracts.types import ProviderRecord
from marketplace.gateway.inquiry import CHAT, read_inquiry
from marketplace.gateway.upstream import Upstream
from marketplace.verifier.road import CheckedRoad
from marketplace.verifier.surroundings import ChainAndGateway
from rewards.verifier.probe import ProbeResult, Verdict, probe
from rewards.verifier.service import TicketRefused
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres]

BODY = json.dumps(
    {"model": "mock-model", "messages": [{"role": "user", "content": "hi"}], "stream": True, "max_tokens": 5},
    separators=(",", ":"),
).encode()


class Desk:
    """A verifier's surroundings, and what they were made of."""

    def __init__(self, settled: Settled, folder: Path, key: str, url: str | None = None) -> None:
        chain, self.settled = settled.market.chain, settled
        self.signer = settled.market.verifier_keys[0]
        self.outbox = FileOutbox.open(folder, sender=self.signer.address, chain_key=chain.key)
        self.upstream = Upstream(devnet=True)
        self.road = CheckedRoad(self.upstream, devnet=True)
        sender = Sender(chain, self.signer, self.outbox, poll_s=0.02)
        self.view = ChainAndGateway(chain, sender, settled.market.timing, 4, url or settled.url, key, self.road)

    async def close(self) -> None:
        """Give everything back."""
        await self.view.close()
        await self.outbox.close()
        self.upstream.close()

    def live(self) -> ProviderRecord:
        """Return the provider that answers."""
        records = self.settled.do(self.view.providers())
        return next(record for record in records if record.provider == self.settled.live_owner.address)


@pytest.fixture
def key(settled: Settled) -> str:
    """Return an API key of the first customer."""
    return settled.do(settled.services.accounts.create_key(settled.customers[0].address, "probes"))[1]


@pytest.fixture
def desk(settled: Settled, tmp_path: Path, key: str) -> Iterator[Desk]:
    async def make() -> Desk:
        return Desk(settled, tmp_path, key)

    made = settled.do(make())
    yield made
    settled.do(made.close())


def test_providers_are_those_that_are_active_with_their_full_stake(settled: Settled, desk: Desk):
    found = {record.provider for record in settled.do(desk.view.providers())}
    assert found == {one.address for one in settled.market.providers} | {
        settled.live_owner.address, settled.hostile_owner.address,
    }  # fmt: skip


def test_a_chain_that_is_away_is_an_os_error(settled: Settled, desk: Desk, monkeypatch: pytest.MonkeyPatch):
    async def away() -> None:
        raise ChainUnavailable((("http://127.0.0.1:1", "refused"),))

    monkeypatch.setattr(settled.market.chain, "checkpoint", away)
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        settled.do(desk.view.providers())


def test_an_offer_counts_only_when_it_is_the_one_on_chain(settled: Settled, desk: Desk):
    live = desk.live()
    assert settled.do(desk.view.reachable(live)) is True
    model = settled.do(desk.view.model_of(live))
    assert model is not None and (model.id, model.weights_digest) == ("mock-model", settled.live.weights_digest)
    other = replace(live, offer_digest=b"\x01" * 32)
    assert settled.do(desk.view.reachable(other)) is False
    assert settled.do(desk.view.model_of(other)) is None
    for gone in ("http://127.0.0.1:1", "http://127.0.0.1:1/<script>", ""):
        assert settled.do(desk.view.reachable(replace(other, endpoint=gone))) is False
    assert settled.do(desk.view.model_of(replace(live, endpoint="http://127.0.0.1:1"))) == model, "it was shown before"


def test_a_probe_with_a_bought_ticket_is_served_handed_in_and_paid(settled: Settled, desk: Desk):
    live, salt = desk.live(), secrets.token_bytes(32)
    customer = settled.customers[0].address
    before = settled.services.accounts.balance(customer)

    async def work() -> ProbeResult:
        digest = hashlib.sha256(salt + BODY).digest()
        ticket = await desk.view.ticket(live.provider, "mock-model", BODY, 5, digest)
        assert ticket["maxInputTokens"] == read_inquiry(CHAT, BODY).input_tokens_most, "as in the gateway's own"
        held = settled.services.accounts.balance(customer).held_atto - before.held_atto
        assert held > 0, "a ticket places a hold, as a customer's does"
        return await probe(desk.road, live.endpoint, live.signer, desk.view.separator, ticket, salt, BODY, 5.0)

    result = settled.do(work())
    assert result.verdict is Verdict.SERVED and result.receipt is not None and result.ttft_ms is not None
    settled.do(desk.view.hand_in(result))
    settled.do(desk.view.hand_in(result))
    after = settled.services.accounts.balance(customer)
    charge = int(result.receipt["receipt"]["chargeAtto"])
    assert charge > 0 and before.available_atto - after.available_atto == charge
    assert after.held_atto == before.held_atto


def test_a_receipt_that_lies_is_not_taken(settled: Settled, desk: Desk):
    live, salt = desk.live(), secrets.token_bytes(32)

    async def work() -> ProbeResult:
        ticket = await desk.view.ticket(live.provider, "mock-model", BODY, 5, hashlib.sha256(salt + BODY).digest())
        return await probe(desk.road, live.endpoint, live.signer, desk.view.separator, ticket, salt, BODY, 5.0)

    result = settled.do(work())
    assert result.receipt is not None
    forged = result.receipt | {"receipt": result.receipt["receipt"] | {"outputTokens": 4}}
    with pytest.raises(OSError, match="answered 400"):
        settled.do(desk.view.hand_in(replace(result, receipt=forged)))
    settled.do(desk.view.hand_in(result))
    settled.do(desk.view.hand_in(replace(result, receipt=None)))


def test_no_ticket_is_given_for_what_cannot_be_served(settled: Settled, desk: Desk):
    live = desk.live()
    for provider, model, tokens in (
        ("0x" + "99" * 20, "mock-model", 5),
        (live.provider, "another", 5),
        (live.provider, "mock-model", 10**8),
    ):
        with pytest.raises(TicketRefused):
            settled.do(desk.view.ticket(provider, model, BODY, tokens, b"\x01" * 32))


def test_no_ticket_is_given_without_key_or_money(settled: Settled, tmp_path: Path):
    poor = settled.do(settled.services.accounts.create_key(settled.outsider.address, "poor"))[1]

    async def ask(key: str, url: str | None = None) -> None:
        made = Desk(settled, tmp_path / secrets.token_hex(4), key, url)
        try:
            await made.view.ticket(settled.live_owner.address, "mock-model", BODY, 5, b"\x01" * 32)
        finally:
            await made.close()

    with pytest.raises(TicketRefused, match="balance"):
        settled.do(ask(poor))
    with pytest.raises(TicketRefused, match="answered 401"):
        settled.do(ask("sk-bonded-made-up"))
    with pytest.raises(OSError, match="cannot be reached"):
        settled.do(ask(poor, "http://127.0.0.1:1"))


def test_a_ticket_for_another_request_is_no_ticket(settled: Settled, desk: Desk, monkeypatch: pytest.MonkeyPatch):
    live = desk.live()
    real = desk.view._post

    async def swapped(path: str, body: dict):
        body["requests"][0]["request_digest"] = "0x" + "77" * 32
        return await real(path, body)

    monkeypatch.setattr(desk.view, "_post", swapped)
    with pytest.raises(TicketRefused, match="another request"):
        settled.do(desk.view.ticket(live.provider, "mock-model", BODY, 5, b"\x01" * 32))


def test_a_seed_is_committed_once_and_a_late_one_is_no_error(settled: Settled, desk: Desk):
    operators = Operators(settled.market.chain, "Verifiers")
    seed = keccak(b"a seed")

    async def committed(epoch: int) -> bytes:
        return await operators.seed_commitment(desk.signer.address, epoch, await settled.market.chain.head())

    settled.do(desk.view.commit_seed(0, seed))
    assert settled.do(committed(0)) == bytes(32), "the epoch has long begun"
    far = 10**6
    before = settled.control.mined_count(desk.signer.address)
    for _ in range(2):
        settled.do(desk.view.commit_seed(far, seed))
    assert settled.do(committed(far)) == seed
    assert settled.control.mined_count(desk.signer.address) == before + 1
