"""Write the golden epoch anew: only when the rules of settlement change on purpose; say in the commit which and why.

    python -m tests.golden.regenerate

Ten providers over four epochs of a day; the last epoch is kept. One is dead for the third day, one loses time every day
and one did until the day before, one is down half the day, one fails its canaries, one rests as it declared, one is
jailed, one registered at noon, the others are perfect but for an hour in which half the market is down. Three have
delegators behind them, with and without commission and more of them than count. Customers pay fractions of a unit, and
some attempts ended with nobody's signature but the gateway's. Customers bought all service classes, two hardware
classes are used unevenly, one receipt of the day before is missing and one of this day is awaited.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from contracts.leaves import report_digest
from contracts.messages import Domain, ServiceClass, Status
from contracts.signing import keccak
from contracts.types import HardwareClass, ProviderStatus, Report
from rewards.blobs import FolderStore
from rewards.evidence import write_bundle
from rewards.settlement import settle
from rewards.state import GENESIS
from rewards.testing import LEDGER, Network
from rewards.types import RULES_NUMBER, Attempt, EpochInputs

EPOCH = 3
FOLDER = Path(__file__).parent / f"rules-{RULES_NUMBER}"
EXPECTED = Path(__file__).parent / f"rules-{RULES_NUMBER}.json"
DAY = 1440


def golden_inputs() -> EpochInputs:
    """Build the inputs of the golden epoch from names and seeds alone."""
    net = Network(providers=10, customers=3, slots=DAY)
    dead, short, mended, half, wrong, upkeep, jailed, late, *_ = net.provider_names
    for name in net.provider_names[1::2]:
        net.change(name, hardware_class=HardwareClass.A100, weight=6)
    noon = net.timing.epoch_start(EPOCH) + DAY * 60 // 2
    net.change(late, hardware_class=HardwareClass.H100, weight=11, registered_at=noon)
    net.change(wrong, delegated=700 * 10**18 + 1, commission_ppm=123_456)
    net.change(mended, delegated=10**22)
    net.change(half, stake=net.records[half].stake + 3, delegated=50 * 10**18, commission_ppm=10**6)
    opening = GENESIS
    for epoch in range(EPOCH):
        if epoch == EPOCH - 1:
            net.change(jailed, status=ProviderStatus.JAILED)
        gone = {
            short: range(200),
            mended: range(300, 500),
            dead: range(7, DAY) if epoch == 1 else range(DAY if epoch else 0),
        }
        attempts = [*net.attempts(epoch, 30, seed=epoch + 1, failing=[dead] if epoch else []), *_sold(net, epoch)]
        settled = settle(
            net.inputs(
                epoch,
                attempts=attempts[1:] if epoch == EPOCH - 1 else attempts,
                probe_days=net.probe_days(epoch, gone),
                opening=opening,
            )
        )
        opening = replace(settled.closing, report=bytes([0x11 + epoch]) * 32)
    first, customer = EPOCH * DAY, net.customer_names[0]
    timeout = net.attempt(dead, customer, first + 7, job=b"\x2a" * 32, status=Status.TIMEOUT, signed=False)
    storm = range(700, 760)
    down: dict[str, list[int]] = {
        dead: [*range(DAY)],
        short: [*range(900, 950), *storm],
        half: [*range(0, 650), *storm],
        upkeep: [*range(100, 400)],
        late: [*range(DAY // 2)],
        **{name: [*storm] for name in net.provider_names[8:]},
    }
    return net.inputs(
        EPOCH,
        attempts=[*net.attempts(EPOCH, 60, seed=EPOCH + 1, most_atto=10**16)[1:], *_sold(net, EPOCH), timeout],
        probe_days=net.probe_days(EPOCH, down),
        canary_days=[
            net.canary_day(verifier, name, EPOCH, 6, 5 if name == wrong else 6)
            for verifier in range(3)
            for name in net.provider_names
        ],
        maintenance={upkeep: [net.window(EPOCH, 100, 250), net.window(EPOCH, 250, 400)]},
        opening=opening,
    )


def _sold(net: Network, epoch: int) -> list[Attempt]:
    """Let every customer buy of every class at the same two providers, one of which is half down on the last day."""
    half, wrong = net.provider_names[3], net.provider_names[4]
    return [
        net.attempt(
            provider,
            customer,
            epoch * DAY + 3 + kind,
            job=keccak(f"{epoch} {provider} {customer} {kind}".encode()),
            charge_atto=10**13 + kind,
            service_class=kind,
        )
        for provider in (half, wrong)
        for customer in net.customer_names
        for kind in ServiceClass
    ]


def words(report: Report, rules_number: int = RULES_NUMBER) -> dict[str, str]:
    """Return what has to reproduce: every digest that amounts decide; `rules` covers the source text, so not that."""
    message = report_digest(report, Domain(31_337, LEDGER)).to_json()
    return {
        name: message[name] for name in ("previous", "state", "totals", "leaves", "measurements", "movements", "harms")
    }


def main() -> None:
    """Settle, write the bundle and the expected words."""
    inputs = golden_inputs()
    shutil.rmtree(FOLDER, ignore_errors=True)
    report = write_bundle(FolderStore(FOLDER), inputs, settle(inputs).report)
    value = {"evidence": "0x" + report.evidence.hex(), **words(report)}
    EXPECTED.write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    main()
