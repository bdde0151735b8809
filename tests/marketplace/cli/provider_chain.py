"""A devnet with the real contracts, a bonded gateway, and one provider's folder: what the commands are tried on."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.calls import Call
from contracts.clock import Clock
from contracts.deployment import Deployment
from contracts.devnet import Devnet
from contracts.operators import Operators
from contracts.signing import Signer
from contracts.testing import deploy
from contracts.tokens import Token
from marketplace import cli
from tests.marketplace.agent.harness import write_provider_file

PASSWORD = "correct horse"
WHOLE = 10**18


@dataclass
class Market:
    """A devnet, its deployment, and the keys that play the operator's part."""

    devnet: Devnet
    deployment: Deployment
    gateway: Signer
    path: Path

    def send(self, sender: str, call: Call) -> None:
        """Send a call from an unlocked account of the devnet and check that it was not reverted."""
        transaction = {"from": sender, "to": call.to, "data": "0x" + call.data.hex(), "gas": hex(3_000_000)}
        hash_ = self.devnet.rpc("eth_sendTransaction", transaction)
        while (receipt := self.devnet.rpc("eth_getTransactionReceipt", hash_)) is None:
            time.sleep(0.01)
        assert receipt["status"] == "0x1", call

    def give_stake(self, to: str, whole: int) -> None:
        self.send(self.devnet.accounts[0].address, Token(self.deployment, "StakeToken").mint(to, whole * WHOLE))


LONG_PAUSES = {
    "governance": {"most_pause_seconds": 3_600},
    "staking": {"unbonding_seconds": 4_000},
    "verifiers": {"unbonding_seconds": 4_000},
}
"""A deployment whose guardian may pause for an hour, and from which leaving takes longer than that."""


def open_market(
    folder: Path,
    gateway_endpoint: str = "http://127.0.0.1:1",
    changes: Mapping[str, Mapping[str, Any]] | None = None,
) -> Market:
    """Start a devnet, deploy with single parameters changed, open the epoch clock and let one gateway join."""
    devnet = Devnet.start()
    try:
        deployment = deploy(devnet, changes)
        path = folder / "deployment.json"
        deployment.write(path)
        market = Market(devnet, deployment, devnet.accounts[7], path)
        admin = devnet.accounts[0].address
        market.send(admin, Clock(deployment).open(int(time.time()) + 1))
        market.give_stake(market.gateway.address, 5000)
        gateways = Operators(deployment, "Gateways")
        token = Token(deployment, "StakeToken")
        market.send(market.gateway.address, token.approve(deployment.address("Gateways"), 5000 * WHOLE))
        market.send(market.gateway.address, gateways.join(gateway_endpoint))
        return market
    except BaseException:
        devnet.stop()
        raise


def free_port() -> int:
    """Return a port of the loopback interface that nobody holds."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_provider(folder: Path, market: Market, **file: Any) -> Provider:
    """Write the provider file of the devnet's sixth account."""
    owner = market.devnet.accounts[5]
    path = write_provider_file(folder, owner=owner.address, **file)
    path.write_text(path.read_text() + '\n[keys]\nowner = "keys/owner.json"\nsigner = "keys/signer.json"\n')
    return Provider(folder, market, owner)


@dataclass
class Provider:
    """One provider's folder and the environment its commands run in."""

    folder: Path
    market: Market
    owner: Signer

    @property
    def environment(self) -> dict[str, str]:
        return {
            "BONDED_PASSWORD": PASSWORD,
            "BONDED_RPC_URLS": self.market.devnet.url,
            "BONDED_DEPLOYMENT": str(self.market.path),
            "BONDED_PROVIDER_FILE": str(self.folder / "provider.toml"),
        }

    def run(self, capsys: Any, monkeypatch: Any, *arguments: str, code: int = 0) -> Any:
        """Run `bonded provider …` in this process, check its exit code and return its JSON."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        found = cli.run(["provider", *arguments, "--json"])
        told = capsys.readouterr()
        assert found == code, told.out + told.err
        return json.loads(told.out)

    def settle_in(self, port: int) -> Signer:
        """Make the keys, register on chain and stake, without the command line; return the signer."""
        from contracts import keystore
        from contracts.staking import Staking
        from marketplace.agent.config import read_provider_file
        from marketplace.agent.offer import make_offer

        keystore.import_key(self.folder / "keys" / "owner.json", self.owner.secret(), PASSWORD, light=True)
        signer = keystore.create(self.folder / "keys" / "signer.json", PASSWORD, light=True)
        path = self.folder / "provider.toml"
        text = path.read_text().replace("http://127.0.0.1:9100", f"http://127.0.0.1:{port}")
        path.write_text(text.replace('listen = "127.0.0.1:0"', f'listen = "127.0.0.1:{port}"'))
        config = read_provider_file(path)
        staking = Staking(self.market.deployment)
        token = Token(self.market.deployment, "StakeToken")
        offer = make_offer(config)
        self.market.give_stake(self.owner.address, 200)
        for call in (
            staking.register(signer.address, 0, 1, offer.digest, config.region, config.endpoint),
            token.approve(self.market.deployment.address("ProviderStaking"), 200 * WHOLE),
            staking.stake(200 * WHOLE),
        ):
            self.market.send(self.owner.address, call)
        return signer

    def start(self) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        """Start `bonded provider serve` as a process of its own; return it and its ready line."""
        process = subprocess.Popen(
            [sys.executable, "-m", "marketplace.cli", "provider", "serve", "--json"],
            env=os.environ | self.environment,
            stdout=subprocess.PIPE,
            stderr=(self.folder / "serve.log").open("a"),
            text=True,
        )
        line = process.stdout.readline()
        assert line, (self.folder / "serve.log").read_text()
        return process, json.loads(line)


@dataclass
class Terminal:
    """Somebody with a keystore and the environment of this market, without a provider file."""

    folder: Path
    market: Market
    signer: Signer

    @property
    def keystore(self) -> Path:
        return self.folder / f"{self.signer.address}.json"

    def run(self, capsys: Any, monkeypatch: Any, *arguments: str, code: int = 0) -> Any:
        """Run `bonded …` in this process, check its exit code and return its JSON."""
        from contracts import keystore

        if not self.keystore.exists():
            keystore.import_key(self.keystore, self.signer.secret(), PASSWORD, light=True)
        for name, value in {
            "BONDED_KEYSTORE": str(self.keystore),
            "BONDED_PASSWORD": PASSWORD,
            "BONDED_RPC_URLS": self.market.devnet.url,
            "BONDED_DEPLOYMENT": str(self.market.path),
            "BONDED_FINALITY": "0",
        }.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        found = cli.run([*arguments, "--json"])
        told = capsys.readouterr()
        assert found == code, told.out + told.err
        return json.loads(told.out)
