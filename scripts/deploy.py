"""Deploy Bonded's contracts to the chain at an RPC address, verify every link, and write down where they are.

    BONDED_RPC_URL=http://127.0.0.1:8545 .venv-contracts/bin/python scripts/deploy.py [--dry-run]

Settings, all from the environment:
    BONDED_RPC_URL             the chain; default http://127.0.0.1:8545
    BONDED_DEPLOYER_KEY        private key of the deployer; on an anvil's chain id its first account may stand in
    BONDED_DEPLOY_PARAMETERS   JSON of parameters; default contracts/deployments/devnet-parameters.json
    BONDED_DEPLOYMENT_OUT      where to write; default contracts/deployments/<chain id>.json

Contracts know each other by immutable addresses, some of them in circles. The address of each follows from the
deployer's nonce, so it is known before it exists: nothing else may send from the deployer's account meanwhile. `main()`
also serves brownie's own `run` command, on whatever network that has connected.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ANVIL_CHAIN_ID = 31337
ANVIL_FIRST_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
TOKENS = {"StakeToken": "stake_token", "PaymentToken": "payment_token"}
# in order of deployment: name in the deployment file, contract
CONTRACTS = {
    "EpochLedger": "EpochLedger",
    "ProviderStaking": "ProviderStaking",
    "JobEscrow": "JobEscrow",
    "Verifiers": "BondedOperators",
    "Gateways": "BondedOperators",
    "SlashingCourt": "SlashingCourt",
}


class DeploymentError(Exception):
    """The deployment cannot go on; the message says what to change."""


def read_parameters(path: Path) -> dict[str, Any]:
    """Read the parameter file and check what no single contract can see; raises DeploymentError."""
    p: dict[str, Any] = json.loads(path.read_text())
    for name in (*TOKENS.values(), "administrator", "treasury", "ledger", "rules", "staking", "escrow", "verifiers"):
        if p.get(name) is None or p[name] == {"address": None}:
            raise DeploymentError(f"{path.name} leaves {name} open: write it there before deploying.")
    epoch = p["ledger"]["slot_seconds"] * p["ledger"]["slots_per_epoch"]
    report = epoch + p["ledger"]["report_delay_seconds"]
    reach = report + p["ledger"]["activation_delay_seconds"] + p["court"]["challenge_seconds"]
    at_least("escrow.thaw_seconds", p["escrow"]["thaw_seconds"], report + report // 5)
    at_least("staking.unbonding_seconds", p["staking"]["unbonding_seconds"], reach)
    at_least("verifiers.unbonding_seconds", p["verifiers"]["unbonding_seconds"], reach)
    at_least("verifiers.quorum (a majority of `most`)", p["verifiers"]["quorum"], p["verifiers"]["most"] // 2 + 1)
    return p


def at_least(name: str, value: int, least: int) -> None:
    """Refuse a parameter that is too small, with both numbers."""
    if value < least:
        raise DeploymentError(f"{name} is {value}, but must be at least {least} with the other parameters as they are.")


def created_address(sender: str, nonce: int) -> str:
    """Return the address of the contract that `sender` creates with its transaction number `nonce`."""
    import rlp
    from eth_utils import keccak, to_checksum_address

    return to_checksum_address(keccak(rlp.encode([bytes.fromhex(sender[2:]), nonce]))[12:])


def plan(p: Mapping[str, Any], deployer: str, nonce: int) -> tuple[dict[str, str], list[tuple[str, str, list[Any]]]]:
    """Return every address as it will be, and the deployments in order as (name, contract, constructor arguments)."""
    account = {"deployer": deployer}
    at = {"Authority": created_address(deployer, nonce)}
    steps: list[tuple[str, str, list[Any]]] = [
        ("Authority", "Authority", [account.get(p["administrator"], p["administrator"])])
    ]
    for name, key in TOKENS.items():
        token = p[key]
        if "deploy" in token:
            at[name] = created_address(deployer, nonce + len(steps))
            steps.append((name, "DevToken", [token["deploy"][part] for part in ("name", "symbol", "decimals")]))
        else:
            at[name] = token["address"]
    first = nonce + len(steps)
    at |= {name: created_address(deployer, first + i) for i, name in enumerate(CONTRACTS)}

    stake, payment, ledger, court = at["StakeToken"], at["PaymentToken"], at["EpochLedger"], at["SlashingCourt"]
    treasury = account.get(p["treasury"], p["treasury"])
    arguments: dict[str, list[Any]] = {
        "EpochLedger": [
            payment,
            at["JobEscrow"],
            at["Verifiers"],
            treasury,
            at["Authority"],
            values(p["ledger"], "slot_seconds", "slots_per_epoch", "activation_delay_seconds", "report_delay_seconds"),
            rules(p),
        ],
        "ProviderStaking": [stake, ledger, court, values(p["staking"], "unbonding_seconds", "base_stake")],
        "JobEscrow": [payment, stake, ledger, court, values(p["escrow"], "thaw_seconds")],
        "Verifiers": [stake, ledger, operators(p["verifiers"])],
        "Gateways": [stake, ledger, operators(p["gateways"])],
        "SlashingCourt": [
            stake,
            at["ProviderStaking"],
            at["JobEscrow"],
            ledger,
            values(p["court"], "challenge_seconds"),
        ],
    }
    steps += [(name, contract, arguments[name]) for name, contract in CONTRACTS.items()]
    return at, steps


def values(group: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    """Return the named values as the tuple that stands for a Solidity struct."""
    return tuple(group[name] for name in names)


def operators(group: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return a `BondedOperators.Config`."""
    return values(group, "bond", "most", "least", "quorum", "unbonding_seconds")


def rules(p: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return an `EpochLedger.Rules`."""
    shares = ("provider_ppm", "verifier_ppm", "sla_fund_ppm", "treasury_ppm")
    return values(p["rules"], *shares, "incentive_per_epoch", "stake_rate", "ttft_target_ms", "probe_gap_slots")


def verify(p: Mapping[str, Any], at: Mapping[str, str], deployed: Mapping[str, Any], deployer: str) -> int:
    """Read every link and parameter back from the chain.

    Returns how many agreed; raises DeploymentError on the first that does not.
    """
    account = {"deployer": deployer}
    ledger, staking, escrow = deployed["EpochLedger"], deployed["ProviderStaking"], deployed["JobEscrow"]
    court, authority = deployed["SlashingCourt"], deployed["Authority"]
    administrator = account.get(p["administrator"], p["administrator"])
    checks: list[tuple[str, Any, Any]] = [
        ("Authority administrator", tuple(authority.hasRole(0, administrator)), (True, 0)),
        ("EpochLedger.authority", ledger.authority(), at["Authority"]),
        ("EpochLedger.paymentToken", ledger.paymentToken(), at["PaymentToken"]),
        ("EpochLedger.escrow", ledger.escrow(), at["JobEscrow"]),
        ("EpochLedger.verifiers", ledger.verifiers(), at["Verifiers"]),
        ("EpochLedger.treasury", ledger.treasury(), account.get(p["treasury"], p["treasury"])),
        ("EpochLedger.slotSeconds", ledger.slotSeconds(), p["ledger"]["slot_seconds"]),
        ("EpochLedger.slotsPerEpoch", ledger.slotsPerEpoch(), p["ledger"]["slots_per_epoch"]),
        ("EpochLedger.activationDelay", ledger.activationDelay(), p["ledger"]["activation_delay_seconds"]),
        ("EpochLedger.reportDelay", ledger.reportDelay(), p["ledger"]["report_delay_seconds"]),
        ("EpochLedger.rules", tuple(ledger.rules()), rules(p)),
        ("ProviderStaking.stakeToken", staking.stakeToken(), at["StakeToken"]),
        ("ProviderStaking.epochLedger", staking.epochLedger(), at["EpochLedger"]),
        ("ProviderStaking.court", staking.court(), at["SlashingCourt"]),
        ("ProviderStaking.unbondingSeconds", staking.unbondingSeconds(), p["staking"]["unbonding_seconds"]),
        ("ProviderStaking.baseStake", staking.baseStake(), p["staking"]["base_stake"]),
        ("JobEscrow.paymentToken", escrow.paymentToken(), at["PaymentToken"]),
        ("JobEscrow.stakeToken", escrow.stakeToken(), at["StakeToken"]),
        ("JobEscrow.epochLedger", escrow.epochLedger(), at["EpochLedger"]),
        ("JobEscrow.court", escrow.court(), at["SlashingCourt"]),
        ("JobEscrow.thawSeconds", escrow.thawSeconds(), p["escrow"]["thaw_seconds"]),
        ("SlashingCourt.stakeToken", court.stakeToken(), at["StakeToken"]),
        ("SlashingCourt.staking", court.staking(), at["ProviderStaking"]),
        ("SlashingCourt.escrow", court.escrow(), at["JobEscrow"]),
        ("SlashingCourt.epochLedger", court.epochLedger(), at["EpochLedger"]),
        ("SlashingCourt.challengeSeconds", court.challengeSeconds(), p["court"]["challenge_seconds"]),
    ]
    for name, key in (("Verifiers", "verifiers"), ("Gateways", "gateways")):
        them = deployed[name]
        config = (them.bond(), them.most(), them.least(), them.quorum(), them.unbondingSeconds())
        checks += [
            (f"{name}.stakeToken", them.stakeToken(), at["StakeToken"]),
            (f"{name}.epochLedger", them.epochLedger(), at["EpochLedger"]),
            (f"{name} configuration", config, operators(p[key])),
        ]
    for name, found, expected in checks:
        if _plain(found) != _plain(expected):
            raise DeploymentError(f"{name} reads {found}, expected {expected}: do not use this deployment.")
    return len(checks)


def _plain(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def deploy(parameters: Path, out: Path | None, dry_run: bool, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Deploy on the connected network and return the deployment record; with `dry_run` only say what would be done."""
    from brownie import accounts, project, web3

    p = read_parameters(parameters)
    chain_id = web3.eth.chain_id
    key = os.environ.get("BONDED_DEPLOYER_KEY")
    if key is None and chain_id != ANVIL_CHAIN_ID:
        raise DeploymentError(f"Chain {chain_id} is not an anvil's: set BONDED_DEPLOYER_KEY to the deployer's key.")
    deployer = accounts.add(key or ANVIL_FIRST_KEY)
    at, steps = plan(p, deployer.address, web3.eth.get_transaction_count(deployer.address))
    first_block = web3.eth.block_number + 1
    say(f"chain {chain_id}, deployer {deployer.address}, parameters {parameters.name}")
    built = project.get_loaded_projects()[0]
    deployed: dict[str, Any] = {}
    for number, (name, contract, arguments) in enumerate(steps, 1):
        say(f"[{number}/{len(steps)}] {name:<16} {at[name]}  {contract}{tuple(arguments)}")
        if dry_run:
            continue
        deployed[name] = deployer.deploy(built[contract], *arguments, silent=True)
        if deployed[name].address != at[name]:
            raise DeploymentError(
                f"{name} is at {deployed[name].address}, expected {at[name]}: "
                "the deployer's account was used meanwhile. Deploy again."
            )
    record = {
        "chain_id": chain_id,
        "block": first_block,
        "contracts": {name: address.lower() for name, address in at.items()},
        "parameters": p,
    }
    if dry_run:
        say("dry run: nothing was sent and nothing written")
        return record
    say(f"verified {verify(p, at, deployed, deployer.address)} links and parameters")
    if p["open_after_seconds"] is not None:
        genesis = web3.eth.get_block("latest")["timestamp"] + p["open_after_seconds"]
        deployed["EpochLedger"].open(genesis, {"from": deployer, "silent": True})
        say(f"epoch 0 begins at {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(genesis))}")
    path = out or ROOT / "contracts" / "deployments" / f"{chain_id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")
    say(f"written to {path}")
    return record


def main(dry_run: bool = False) -> None:
    """Deploy by the settings in the environment on the network that is connected."""
    default = ROOT / "contracts" / "deployments" / "devnet-parameters.json"
    parameters = Path(os.environ.get("BONDED_DEPLOY_PARAMETERS", default))
    out = os.environ.get("BONDED_DEPLOYMENT_OUT")
    deploy(parameters, Path(out) if out else None, dry_run)


def run_alone() -> int:
    """Load brownie as a library with a home of its own, connect it to BONDED_RPC_URL and deploy."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dry-run", action="store_true", help="say what would be deployed; send nothing")
    dry_run: bool = parser.parse_args().dry_run
    url = os.environ.get("BONDED_RPC_URL", "http://127.0.0.1:8545")
    # brownie keeps records by chain id; ours are the deployment file, so it gets an id of its own and they are removed
    run_id = f"run{os.getpid()}"
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / ".brownie").mkdir()
        entry = {"name": run_id, "id": run_id, "chainid": run_id, "host": url}
        (Path(home) / ".brownie" / "network-config.yaml").write_text(
            json.dumps({"live": [{"name": "Bonded", "networks": [entry]}], "development": []})
        )
        os.environ |= {"HOME": home, "SOLCX_BINARY_PATH": str(ROOT / ".solcx")}
        from brownie import network, project

        loaded = project.load(str(ROOT))
        try:
            network.connect(run_id)
            main(dry_run)
        except DeploymentError as error:
            print(error, file=sys.stderr)
            return 1
        except OSError as error:
            print(f"The chain at {url} or a file cannot be reached: {error}", file=sys.stderr)
            return 1
        finally:
            for container in loaded:
                for contract in list(container):
                    container.remove(contract)
            shutil.rmtree(ROOT / "build" / "deployments" / run_id, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_alone())
