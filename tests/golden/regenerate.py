"""Write the golden epoch anew: only when the rules of settlement change on purpose; say in the commit which and why.

    python -m tests.golden.regenerate

Eight providers over two epochs of a day; the second epoch is kept. One is dead, one loses an hour, one fails its
canaries, one is in maintenance, one is jailed, the others are perfect; customers pay fractions of a unit, and one
attempt ended with nobody's signature but the gateway's.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from contracts.leaves import report_digest
from contracts.messages import Domain, Status
from contracts.types import ProviderStatus, Report
from rewards.blobs import FolderStore
from rewards.evidence import write_bundle
from rewards.settlement import settle
from rewards.testing import LEDGER, Network
from rewards.types import EpochInputs

FOLDER = Path(__file__).parent / "epoch-1"
EXPECTED = Path(__file__).parent / "epoch-1.json"


def golden_inputs() -> EpochInputs:
    """Build the inputs of the golden epoch from names and seeds alone."""
    net = Network(providers=8, customers=3, slots=1440)
    dead, short, wrong, upkeep, jailed, *_ = net.provider_names
    first = settle(net.inputs(attempts=net.attempts(0, 30, seed=1), probe_days=net.probe_days(0, {short: range(200)})))
    net.change(jailed, status=ProviderStatus.JAILED)
    timeout = net.attempt(dead, net.customer_names[0], 1440 + 7, job=b"\x2a" * 32, status=Status.TIMEOUT, signed=False)
    down = {dead: range(3, 1440), short: range(600, 660), upkeep: range(100, 400)}
    return net.inputs(
        1,
        attempts=[*net.attempts(1, 40, seed=2, most_atto=10**16), timeout],
        probe_days=net.probe_days(1, down),
        canary_days=[
            net.canary_day(verifier, name, 1, 6, 5 if name == wrong else 6)
            for verifier in range(3)
            for name in net.provider_names
        ],
        maintenance={upkeep: range(100, 400)},
        opening=replace(first.closing, report=b"\x11" * 32),
    )


def words(report: Report) -> dict[str, str]:
    """Return what has to reproduce: every digest that amounts decide; `rules` covers the source text, so not that."""
    message = report_digest(report, Domain(31_337, LEDGER)).to_json()
    return {name: message[name] for name in ("previous", "state", "totals", "leaves", "movements")}


def main() -> None:
    """Settle, write the bundle and the expected words."""
    inputs = golden_inputs()
    shutil.rmtree(FOLDER, ignore_errors=True)
    report = write_bundle(FolderStore(FOLDER), inputs, settle(inputs).report)
    value = {"evidence": "0x" + report.evidence.hex(), **words(report)}
    EXPECTED.write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    main()
