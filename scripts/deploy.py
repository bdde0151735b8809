"""Deploy Bonded's contracts to the chain at an RPC address, verify all of it, and write down where they are.

    BONDED_RPC_URL=http://127.0.0.1:8545 .venv-contracts/bin/python scripts/deploy.py [--dry-run]

Settings, all from the environment:
    BONDED_RPC_URL             the chain; default http://127.0.0.1:8545
    BONDED_DEPLOYER_KEY        private key of the deployer; on an anvil's chain id its first account may stand in
    BONDED_DEPLOY_PARAMETERS   JSON of parameters; default contracts/deployments/devnet-parameters.json
    BONDED_DEPLOYMENT_OUT      where to write; default contracts/deployments/<chain id>.json

Contracts know each other by immutable addresses, some of them in circles. The address of each follows from the
deployer's nonce, so it is known before it exists: nothing else may send from the deployer's account meanwhile. When all
links and parameters have been read back, roles are given out and, where the parameters name the timelock as
administrator, the deployer gives up its own; then every role is read back too. `main()` also serves brownie's own `run`
command, on whatever network that has connected.
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
sys.path.insert(0, str(ROOT / "scripts"))  # where this file is loaded by its path

from deploy_parameters import DEV_TOKEN, NUMBERS, TOKENS, DeploymentError, read_parameters  # noqa: E402

ANVIL_CHAIN_ID = 31337
ANVIL_FIRST_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ZERO_ADDRESS = "0x" + 40 * "0"
BETWEEN_PAUSES = 30 * 86_400  # a constant of Guardian
# in order of deployment: name in the deployment file, contract
CONTRACTS = {
    "Authority": "Authority",
    "Timelock": "Timelock",
    "Guardian": "Guardian",
    "StakeToken": "DevToken",
    "PaymentToken": "DevToken",
    "EpochClock": "EpochClock",
    "EpochLedger": "EpochLedger",
    "ProviderStaking": "ProviderStaking",
    "Delegation": "Delegation",
    "JobEscrow": "JobEscrow",
    "Verifiers": "BondedOperators",
    "Gateways": "BondedOperators",
    "SlashingCourt": "SlashingCourt",
    "ChallengeCourt": "ChallengeCourt",
}
# roles of the Authority, and the functions each of them may call
ADMIN, PARAMETERS, GUARDIAN, ARBITRATOR = range(4)
ROLE_NAMES = {PARAMETERS: "PARAMETERS", GUARDIAN: "GUARDIAN", ARBITRATOR: "ARBITRATOR"}
RESTRICTED: Mapping[int, tuple[tuple[str, str], ...]] = {
    PARAMETERS: (
        *(("EpochClock", name) for name in ("open", "setRules", "setLimits")),
        ("SlashingCourt", "release"),
    ),
    GUARDIAN: (("Guardian", "pause"), ("Guardian", "unpause")),
    ARBITRATOR: (("SlashingCourt", "rule"),),
}


# ------------------------------------------------------------------------------------------------------------- plan


def created_address(sender: str, nonce: int) -> str:
    """Return the address of the contract that `sender` creates with its transaction number `nonce`."""
    import rlp
    from eth_utils import keccak, to_checksum_address

    return to_checksum_address(keccak(rlp.encode([bytes.fromhex(sender[2:]), nonce]))[12:])


def account_of(word: str, deployer: str) -> str:
    """Return the address that a word of the parameter file stands for."""
    return {"deployer": deployer, "anybody": ZERO_ADDRESS}.get(word, word)


def values(p: Mapping[str, Any], group: str) -> tuple[int, ...]:
    """Return a group of parameters as the tuple that stands for its Solidity struct."""
    return tuple(p[group][name] for name in NUMBERS[group])


def plan(p: Mapping[str, Any], deployer: str, nonce: int) -> tuple[dict[str, str], list[tuple[str, str, list[Any]]]]:
    """Return every address as it will be, and the deployments in order as (name, contract, constructor arguments)."""
    given = {name: p[key]["address"] for name, key in TOKENS.items() if "address" in p[key]}
    own = [name for name in CONTRACTS if name not in given]
    at = given | {name: created_address(deployer, nonce + i) for i, name in enumerate(own)}
    stake, payment, clock, ledger = (at[name] for name in ("StakeToken", "PaymentToken", "EpochClock", "EpochLedger"))
    staking, escrow, court = (at[name] for name in ("ProviderStaking", "JobEscrow", "SlashingCourt"))
    authority, guardian, verifiers = (at[name] for name in ("Authority", "Guardian", "Verifiers"))
    delegation, challenges, gateways = (at[name] for name in ("Delegation", "ChallengeCourt", "Gateways"))
    g = p["governance"]
    proposers, executors = ([account_of(who, deployer) for who in g[name]] for name in ("proposers", "executors"))
    tokens = {name: [p[key]["deploy"][part] for part in DEV_TOKEN] for name, key in TOKENS.items() if name not in given}
    arguments: dict[str, list[Any]] = {
        **tokens,
        # the deployer administers until roles are given out
        "Authority": [deployer],
        "Timelock": [g["timelock_seconds"], proposers, executors],
        "Guardian": [authority, g["most_pause_seconds"]],
        "EpochClock": [authority, values(p, "clock"), values(p, "rules"), values(p, "limits")],
        "EpochLedger": [
            *(clock, payment, escrow, verifiers, delegation),
            *(account_of(p["treasury"], deployer), challenges, guardian),
        ],
        "ProviderStaking": [stake, clock, ledger, court, delegation, verifiers, guardian, values(p, "staking")],
        "Delegation": [stake, payment, clock, staking, ledger, guardian],
        "JobEscrow": [payment, stake, clock, ledger, court, guardian, values(p, "escrow")],
        "Verifiers": [stake, clock, court, guardian, values(p, "verifiers")],
        "Gateways": [stake, clock, court, guardian, values(p, "gateways")],
        "SlashingCourt": [
            *(stake, staking, escrow, ledger, verifiers),
            *(challenges, authority, guardian, values(p, "court")),
        ],
        "ChallengeCourt": [ledger, staking, court, verifiers, gateways],
    }
    return at, [(name, CONTRACTS[name], arguments[name]) for name in own]


# ----------------------------------------------------------------------------------------------------------- verify


def expectations(p: Mapping[str, Any], at: Mapping[str, str], deployer: str) -> dict[str, dict[str, Any]]:
    """Return what every getter of every contract has to answer after deployment, before anything else happened."""
    stake, clock = at["StakeToken"], at["EpochClock"]
    tokens = {"stakeToken": stake, "paymentToken": at["PaymentToken"]}
    ledger = {"clock": clock, "epochLedger": at["EpochLedger"]}
    guardian, court = {"guardian": at["Guardian"]}, {"court": at["SlashingCourt"]}
    authority = {"authority": at["Authority"]}
    slot, slots, activation, report = values(p, "clock")
    epoch = slot * slots

    def operators(group: str) -> dict[str, Any]:
        bond, most, least, quorum, unbonding = values(p, group)
        numbers = {"bond": bond, "most": most, "least": least, "quorum": quorum, "unbondingSeconds": unbonding}
        return {"stakeToken": stake, "clock": clock, **court, **guardian, **numbers, "totalBonds": 0, "memberCount": 0}

    unbonding, base, notice, maintenance = values(p, "staking")
    challenge, arbitration, margin, least_bond = values(p, "court")
    g = p["governance"]
    return {
        "Timelock": {"getMinDelay": g["timelock_seconds"], "leastDelay": g["timelock_seconds"]},
        "Guardian": {
            **{**authority, "mostPauseSeconds": g["most_pause_seconds"], "betweenPauses": BETWEEN_PAUSES},
            **{"pausedUntil": 0, "nextPauseAt": 0, "paused": False},
        },
        "EpochClock": {
            **authority,
            **{"slotSeconds": slot, "slotsPerEpoch": slots, "epochSeconds": epoch, "genesis": 0},
            **{"activationDelay": activation, "reportDelay": report, "settlementSeconds": epoch + report + activation},
            **{"rules": values(p, "rules"), "limits": values(p, "limits")},
            "mostPerProvider": p["limits"]["most_per_provider"],
        },
        "EpochLedger": {
            **{"clock": clock, "paymentToken": at["PaymentToken"], "escrow": at["JobEscrow"]},
            **{"verifiers": at["Verifiers"], "delegation": at["Delegation"], **guardian},
            **{"treasury": account_of(p["treasury"], deployer), "challengeCourt": at["ChallengeCourt"]},
            **{"nextEpoch": 0, "nextActivation": 0, "incentiveFund": 0, "refundsDue": 0},
        },
        "ProviderStaking": {
            **{"stakeToken": stake, **ledger, **court, "delegation": at["Delegation"], "verifiers": at["Verifiers"]},
            **{**guardian, "unbondingSeconds": unbonding, "baseStake": base},
            **{"noticeSeconds": notice, "maintenanceSeconds": maintenance, "providerCount": 0},
        },
        "Delegation": {**tokens, **ledger, **guardian, "staking": at["ProviderStaking"], "totalDelegated": 0},
        "JobEscrow": {**tokens, **ledger, **court, **guardian, "thawSeconds": p["escrow"]["thaw_seconds"]},
        "Verifiers": operators("verifiers"),
        "Gateways": operators("gateways"),
        "SlashingCourt": {
            **{"stakeToken": stake, **ledger, **authority, **guardian, "staking": at["ProviderStaking"]},
            **{"escrow": at["JobEscrow"], "verifiers": at["Verifiers"], "challengeCourt": at["ChallengeCourt"]},
            **{"challengeSeconds": challenge, "arbitrationSeconds": arbitration, "marginSeconds": margin},
            **{"leastBond": least_bond, "slashCount": 0},
        },
        "ChallengeCourt": {
            **{**ledger, "staking": at["ProviderStaking"], "slashingCourt": at["SlashingCourt"]},
            **{"verifiers": at["Verifiers"], "gateways": at["Gateways"]},
        },
    }


def verify(p: Mapping[str, Any], at: Mapping[str, str], deployed: Mapping[str, Any], deployer: str) -> int:
    """Read every link and parameter back from the chain.

    Returns how many agreed; raises DeploymentError on the first that does not.
    """
    checked = 0
    for name, getters in expectations(p, at, deployer).items():
        for getter, expected in getters.items():
            _same(f"{name}.{getter}", getattr(deployed[name], getter)(), expected)
            checked += 1
    return checked


def _same(what: str, found: Any, expected: Any) -> None:
    if _plain(found) != _plain(expected):
        raise DeploymentError(f"{what} reads {found}, expected {expected}: do not use this deployment.")


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.lower()
    return tuple(_plain(each) for each in value) if isinstance(value, (tuple, list)) else value


# ------------------------------------------------------------------------------------------------------- governance


def grants(p: Mapping[str, Any], at: Mapping[str, str], deployer: str) -> dict[tuple[int, str], int]:
    """Return who holds which role of the Authority in the end, with the delay of what it does by it."""
    g = p["governance"]
    held = {
        (ADMIN, at["Timelock"]): g["role_delay_seconds"],
        (PARAMETERS, at["Timelock"]): 0,
        (GUARDIAN, account_of(g["guardian"], deployer)): 0,
        (ARBITRATOR, account_of(g["arbitrator"], deployer)): 0,
    }
    if g["administrator"] == "deployer":
        held |= {(ADMIN, deployer): 0, (PARAMETERS, deployer): 0}
    return {(role, account.lower()): delay for (role, account), delay in held.items()}


def hand_over(p: Mapping[str, Any], at: Mapping[str, str], deployed: Mapping[str, Any], deployer: Any) -> None:
    """Give every role to whom the parameters name, and give up the deployer's own where it is not named."""
    authority, sender = deployed["Authority"], {"from": deployer, "silent": True}
    for role, functions in RESTRICTED.items():
        authority.labelRole(role, ROLE_NAMES[role], sender)
        for name in dict.fromkeys(name for name, _ in functions):
            selectors = [_selector(deployed[name], function) for owner, function in functions if owner == name]
            authority.setTargetFunctionRole(deployed[name].address, selectors, role, sender)
    final = grants(p, at, deployer.address)
    for (role, account), delay in final.items():
        if (role, account) != (ADMIN, deployer.address.lower()):
            authority.grantRole(role, account, delay, sender)
    if (ADMIN, deployer.address.lower()) not in final:
        authority.renounceRole(ADMIN, deployer.address, sender)


def _selector(contract: Any, function: str) -> str:
    return str(getattr(contract, function).signature)


def verify_roles(
    p: Mapping[str, Any], at: Mapping[str, str], deployed: Mapping[str, Any], deployer: str, first_block: int
) -> int:
    """Read every role back: who holds it, by events nobody else, with which delay, and what it may call.

    Returns how many agreed; raises DeploymentError on the first that does not.
    """
    authority, timelock = deployed["Authority"], deployed["Timelock"]
    checked = 0
    final = grants(p, at, deployer)
    _same("Authority: holders of roles", sorted(_holders(authority, first_block, "roleId")), sorted(final))
    for (role, account), delay in final.items():
        _same(f"Authority: role {role} of {account}", tuple(authority.hasRole(role, account)), (True, delay))
        checked += 1
    for role, functions in RESTRICTED.items():
        _same(f"Authority: administrator of role {role}", authority.getRoleAdmin(role), ADMIN)
        _same(f"Authority: who cancels for role {role}", authority.getRoleGuardian(role), ADMIN)
        for name, function in functions:
            contract = deployed[name]
            found = authority.getTargetFunctionRole(contract.address, _selector(contract, function))
            _same(f"Authority: role of {name}.{function}", found, role)
            checked += 1
    g = p["governance"]
    held = [(timelock.DEFAULT_ADMIN_ROLE(), timelock.address)]
    held += [(timelock.PROPOSER_ROLE(), account_of(who, deployer)) for who in g["proposers"]]
    held += [(timelock.CANCELLER_ROLE(), account_of(who, deployer)) for who in g["proposers"]]
    held += [(timelock.EXECUTOR_ROLE(), account_of(who, deployer)) for who in g["executors"]]
    expected = sorted((bytes.fromhex(str(role)[2:]), account.lower()) for role, account in held)
    _same("Timelock: holders of roles", sorted(_holders(timelock, first_block, "role")), expected)
    return checked + len(held)


def _holders(contract: Any, first_block: int, role_field: str) -> set[tuple[Any, str]]:
    """Return (role, account) of everybody who was given a role since `first_block` and still has it."""
    holders: set[tuple[Any, str]] = set()
    events = contract.events.get_sequence(first_block, None)
    every = [e for name in ("RoleGranted", "RoleRevoked") for e in events.get(name, ())]
    for event in sorted(every, key=lambda e: (e["blockNumber"], e["logIndex"])):
        holder = (event["args"][role_field], event["args"]["account"].lower())
        if event["event"] == "RoleGranted":
            holders.add(holder)
        else:
            holders.discard(holder)
    return holders


# ----------------------------------------------------------------------------------------------------------- deploy


def deploy(parameters: Path, out: Path | None, dry_run: bool, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Deploy on the connected network and return the deployment record; with `dry_run` only say what would be done."""
    from brownie import accounts, project, web3
    from brownie.exceptions import VirtualMachineError

    p = read_parameters(parameters)
    chain_id = web3.eth.chain_id
    key = os.environ.get("BONDED_DEPLOYER_KEY")
    if key is None and chain_id != ANVIL_CHAIN_ID:
        raise DeploymentError(f"Chain {chain_id} is not an anvil's: set BONDED_DEPLOYER_KEY to the deployer's key.")
    deployer = accounts.add(key or ANVIL_FIRST_KEY)
    for group in TOKENS.values():
        token = p[group].get("address")
        if token is not None and not web3.eth.get_code(web3.to_checksum_address(token)):
            raise DeploymentError(f"{group}.address is {token}, but there is no contract on chain {chain_id}.")
    at, steps = plan(p, deployer.address, web3.eth.get_transaction_count(deployer.address))
    first_block = web3.eth.block_number + 1
    say(f"chain {chain_id}, deployer {deployer.address}, parameters {parameters.name}")
    built = project.get_loaded_projects()[0]
    deployed: dict[str, Any] = {}
    for number, (name, contract, arguments) in enumerate(steps, 1):
        say(f"[{number}/{len(steps)}] {name:<16} {at[name]}  {contract}{tuple(arguments)}")
        if dry_run:
            continue
        try:
            deployed[name] = deployer.deploy(built[contract], *arguments, silent=True)
        except (ValueError, VirtualMachineError) as error:  # refused when estimated, or when mined
            raise DeploymentError(f"{name} refused its parameters: {error}") from error
        if deployed[name].address != at[name]:
            raise DeploymentError(
                f"{name} is at {deployed[name].address}, expected {at[name]}: "
                "the deployer's account was used meanwhile. Deploy again."
            )
    record = {
        "chain_id": chain_id,
        "block": first_block,
        "contracts": {name: at[name].lower() for name in CONTRACTS},
        "parameters": p,
    }
    for (role, account), delay in grants(p, at, deployer.address).items():
        say(f"role {ROLE_NAMES.get(role, 'ADMIN'):<11} {account}  {f'{delay} s later' if delay else 'at once'}")
    if dry_run:
        say("dry run: nothing was sent and nothing written")
        return record
    say(f"verified {verify(p, at, deployed, deployer.address)} links and parameters")
    if p["open_after_seconds"] is not None:
        genesis = web3.eth.get_block("latest")["timestamp"] + p["open_after_seconds"]
        deployed["EpochClock"].open(genesis, {"from": deployer, "silent": True})
        say(f"epoch 0 begins at {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(genesis))}")
    hand_over(p, at, deployed, deployer)
    say(f"verified {verify_roles(p, at, deployed, deployer.address, first_block)} roles and permissions")
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
