"""A verifier signs what it recomputed, and nothing in which its own word was changed or a unit went astray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from contracts.history import read_report
from contracts.leaves import report_digest
from contracts.messages import ProbeDay
from contracts.signing import recover
from marketplace.verifier.signing import ReportRefused, ReportSigner
from rewards.blobs import FolderStore
from rewards.errors import EvidenceError
from rewards.evidence import Bundle, copy_bundle, read_bundle, write_bundle
from rewards.settlement import settle
from rewards.types import SignedProbeDay
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres]


class Signing:
    """The first verifier's signer over a folder of evidence of its own."""

    def __init__(self, settled: Settled, folder: Path) -> None:
        self.settled = settled
        self.verifier = settled.market.verifiers[0]
        self.store = FolderStore(folder)
        self.signer = ReportSigner(settled.market.chain, self.verifier.signer, self.verifier, self.store)
        self.published = settled.do(_published(settled))
        copy_bundle(FolderStore(settled.evidence), self.store, self.published.report.evidence)
        self.honest = read_bundle(self.store, self.published.report.evidence)

    def sign(self, bundle: Bundle, settled_anew: bool = True) -> dict[str, Any]:
        """Write a bundle and ask for a signature under it."""
        report = settle(bundle.inputs).report if settled_anew else bundle.report
        written = write_bundle(self.store, bundle.inputs, report)
        return self.settled.do(self.signer.sign(report.epoch, written.evidence))


async def _published(settled: Settled):
    return await read_report(settled.market.chain, 0, await settled.market.chain.head())


@pytest.fixture
def signing(settled: Settled, tmp_path: Path) -> Signing:
    return Signing(settled, tmp_path / "evidence")


def test_the_report_that_holds_is_signed_under_its_digest(settled: Settled, signing: Signing):
    evidence = signing.published.report.evidence
    answer = settled.do(signing.signer.sign(0, evidence))
    domain = settled.market.chain.deployment.domain()
    digest = report_digest(signing.published.report, domain).digest(domain.separator())
    assert answer["digest"] == "0x" + digest.hex() and answer["verifier"] == signing.verifier.signer.address
    assert recover(digest, bytes.fromhex(answer["signature"][2:])) == signing.verifier.signer.address


def test_a_report_of_another_epoch_than_asked_is_refused(settled: Settled, signing: Signing):
    with pytest.raises(ReportRefused, match="of epoch 0, not 1"):
        settled.do(signing.signer.sign(1, signing.published.report.evidence))


def test_evidence_that_is_not_there_or_damaged_is_refused(settled: Settled, signing: Signing):
    with pytest.raises(EvidenceError):
        settled.do(signing.signer.sign(0, b"\x01" * 32))
    victim = sorted(signing.store.path.iterdir())[0]
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    with pytest.raises(EvidenceError):
        settled.do(signing.signer.sign(0, signing.published.report.evidence))


def test_a_unit_moved_from_one_leaf_to_another_is_named(signing: Signing):
    leaves = signing.honest.report.leaves
    richest = max(leaves, key=lambda leaf: leaf.cumulative_fees)
    other = next(leaf for leaf in leaves if leaf is not richest)
    moved = tuple(
        replace(leaf, cumulative_fees=leaf.cumulative_fees - 1)
        if leaf is richest
        else replace(leaf, cumulative_fees=leaf.cumulative_fees + 1)
        if leaf is other
        else leaf
        for leaf in leaves
    )
    lie = replace(signing.honest, report=replace(signing.honest.report, leaves=moved))
    with pytest.raises(ReportRefused, match="cumulative_fees") as refused:
        signing.sign(lie, settled_anew=False)
    assert "recomputed" in str(refused.value) and "the bundle says" in str(refused.value)


def test_totals_that_differ_by_a_unit_are_named(signing: Signing):
    report = signing.honest.report
    lie = replace(report, totals=replace(report.totals, treasury=report.totals.treasury + 1))
    with pytest.raises(ReportRefused, match=r"totals\.treasury"):
        signing.sign(replace(signing.honest, report=lie), settled_anew=False)


def _mine(signing: Signing, change: Callable[[SignedProbeDay], SignedProbeDay | None]) -> Bundle:
    """Return the bundle with this verifier's days changed, everybody else's as they were."""
    me = signing.verifier.signer
    days = []
    for signed in signing.honest.inputs.probe_days:
        changed = change(signed) if signed.verifier == me.address else signed
        if changed is not None:
            days.append(changed)
    return replace(signing.honest, inputs=replace(signing.honest.inputs, probe_days=tuple(days)))


def test_an_attestation_of_its_own_that_was_changed_is_refused_even_with_its_own_signature(
    settled: Settled, signing: Signing
):
    separator = settled.market.chain.deployment.domain().separator()
    dead, me = settled.market.dead, signing.verifier.signer

    def whitewash(signed: SignedProbeDay) -> SignedProbeDay:
        if signed.day.provider != dead:
            return signed
        up = (1 << settled.market.timing.slots_per_epoch) - 1
        day = ProbeDay(dead, signed.day.epoch, (up, 0, 0, 0, 0, 0), signed.day.histogram)
        return SignedProbeDay(me.address, day, me.sign(day.digest(separator)))

    with pytest.raises(ReportRefused, match="is not what it attested"):
        signing.sign(_mine(signing, whitewash))


def test_an_attestation_of_its_own_of_which_a_part_was_left_out_is_refused(settled: Settled, signing: Signing):
    dead = settled.market.dead
    with pytest.raises(ReportRefused, match="is not what it attested"):
        signing.sign(_mine(signing, lambda signed: None if signed.day.provider == dead else signed))


def test_facts_of_the_chain_that_were_changed_are_named(signing: Signing):
    rich = replace(signing.honest.inputs, incentive_fund=signing.honest.inputs.incentive_fund + 1)
    with pytest.raises(ReportRefused, match="incentive_fund"):
        signing.sign(replace(signing.honest, inputs=rich))


def test_over_http_a_refusal_is_a_conflict_with_the_first_difference(settled: Settled, signing: Signing):
    port = settled.market.servers[0].port
    good = {"epoch": 0, "evidence": "0x" + signing.published.report.evidence.hex()}
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
        answer = client.post("/reports", json=good)
        assert answer.status_code == 200 and set(answer.json()) == {"verifier", "digest", "signature"}
        answer = client.post("/reports", json=good | {"epoch": 1})
        assert answer.status_code == 409 and answer.json()["error"]["code"] == "ReportRefused"
        answer = client.post("/reports", json=good | {"evidence": "0x" + "01" * 32})
        assert answer.status_code == 409 and answer.json()["error"]["code"] == "EvidenceMissing"
        shown = client.get("/attestations/0").json()
        assert set(shown) == {"verifier", "epoch", "seed", "probe_days", "canary_days", "check_days"}
        assert {day["provider"] for day in shown["probe_days"]} == {one.address for one in settled.market.providers}
        assert client.get("/attestations/99999999").status_code == 404
        assert client.get("/attestations/-1").status_code == 404
        assert client.get("/health").json() == {"verifier": signing.verifier.signer.address}
