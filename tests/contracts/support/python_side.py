"""What settlement and verifiers compute for a report, run in the server's environment.

`contracts.signing` needs packages that brownie's environment does not have, so the tests start this file with the other
interpreter: pickled (chain id, ledger, report, private keys) in, JSON of hex strings out.
"""

from __future__ import annotations

import json
import pickle
import sys

from contracts import leaves
from contracts.messages import Domain
from contracts.signing import Signer


def main() -> None:
    chain_id, ledger, report, keys = pickle.load(sys.stdin.buffer)
    domain = Domain(chain_id, ledger.lower())
    hashes = leaves.leaf_hashes(chain_id, ledger.lower(), report)
    message = leaves.report_digest(report, domain)
    digest = message.digest(domain.separator())
    signers = sorted((Signer(key) for key in keys), key=lambda signer: int(signer.address, 16))
    answer = {
        "separator": domain.separator(),
        "leaves": hashes,
        "root": leaves.root(hashes),
        "proofs": [leaves.proof(hashes, i) for i in range(len(hashes))],
        "structHash": message.struct_hash(),
        "digest": digest,
        "creditsHash": leaves.credits_hash(report.credits),
        "payeesHash": leaves.payees_hash(report.payees),
        "signatures": [signer.sign(digest) for signer in signers],
    }
    json.dump(answer, sys.stdout, default=lambda value: "0x" + value.hex())


if __name__ == "__main__":
    main()
