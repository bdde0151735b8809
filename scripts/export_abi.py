#!/usr/bin/env python3
"""Write contracts/abi/<Name>.json from a fresh forge build, or compare with `--check`.

    python scripts/export_abi.py            write the files that differ
    python scripts/export_abi.py --check    write nothing; name the files that differ and exit 1 if any does

Each file is {"contractName", "abi", "bytecode"}: all that Python needs to deploy a contract, call it and decode its
errors and events. The compiler appends a digest of its own input, comments included, to the bytecode; the comparison
leaves that digest out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "forge" / "out"
TARGET = ROOT / "contracts" / "abi"
NAMES = (
    "Authority",
    "BondedOperators",
    "ChallengeCourt",
    "Delegation",
    "DevToken",
    "EpochClock",
    "EpochLedger",
    "Guardian",
    "JobEscrow",
    "ProviderStaking",
    "SlashingCourt",
    "Timelock",
)


def built(name: str) -> dict[str, Any]:
    """Return a contract's artifact as it is committed, from forge's output."""
    raw = json.loads((BUILD / f"{name}.sol" / f"{name}.json").read_text())
    return {"contractName": name, "abi": raw["abi"], "bytecode": raw["bytecode"]["object"]}


def essence(artifact: dict[str, Any]) -> tuple[str, Any, str]:
    """Return what must agree between two builds of the same code."""
    return artifact["contractName"], artifact["abi"], without_metadata(artifact["bytecode"])


def without_metadata(bytecode: str) -> str:
    """Cut the compiler's metadata, whose length stands in the last two bytes."""
    code = bytes.fromhex(bytecode.removeprefix("0x"))
    return code[: len(code) - 2 - int.from_bytes(code[-2:], "big")].hex()


def committed(name: str) -> dict[str, Any] | None:
    """Return the artifact in contracts/abi, or None where there is none."""
    path = TARGET / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 and name the files that differ")
    check: bool = parser.parse_args().check
    command = [ROOT / "scripts" / "forge", "build", "contracts"]
    build = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if build.returncode != 0:
        print(build.stdout + build.stderr, file=sys.stderr)
        return build.returncode

    differing = []
    for name in NAMES:
        new, old = built(name), committed(name)
        if old is not None and essence(new) == essence(old):
            continue
        differing.append(name)
        if not check:
            TARGET.mkdir(parents=True, exist_ok=True)
            (TARGET / f"{name}.json").write_text(json.dumps(new, indent=1) + "\n")
    unknown = sorted(path.stem for path in TARGET.glob("*.json") if path.stem not in NAMES)
    if check and (differing or unknown):
        print(f"contracts/abi differs from a fresh build: {', '.join(differing + unknown)}. Run scripts/export_abi.py.")
        return 1
    print(f"{len(NAMES)} contracts, {'all as committed' if not differing else 'written: ' + ', '.join(differing)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
