"""Brownie without what these tests do not use, because most of the time of a run went there.

* Requests to the devnet go over one kept connection a thread: no proxies, cookies, sessions or retries.
* No second request, for the chain id, before every call; no names of ENS and no gas price are looked up.
* No snapshot after every transaction for an undo that nobody asks for.
* Going back to a snapshot looks only at contracts that came since the market was deployed, not at all there are.

What a test sees of the chain is the same.
"""

from __future__ import annotations

import json
import threading
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from brownie import project, web3
from brownie.network import state
from brownie.network.contract import ContractContainer
from web3.providers.rpc import HTTPProvider

_TIMEOUT_S = 120


class KeptConnection(HTTPProvider):
    """A provider that keeps a connection to a server on this machine for every thread."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self._at = urlsplit(uri)
        self._own = threading.local()

    def make_request(self, method: Any, params: Any) -> Any:
        """Ask once; raises OSError or HTTPException if the devnet does not answer."""
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = HTTPConnection(self._at.hostname or "", self._at.port, timeout=_TIMEOUT_S)
            self._own.connection = connection
        body = self.encode_rpc_request(method, params)
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())


class Known:
    """The contracts that no test can make undone, because they were there before the first."""

    def __init__(self) -> None:
        self._ids: set[int] = set()

    def remember(self) -> None:
        """Take all contracts there are now for known."""
        self._ids = {id(contract) for container in _containers() for contract in container._contracts}

    def notify(self, height: int | None = None) -> None:
        """Tell brownie's registries that the chain went back to `height`, as brownie does, but for known contracts."""
        height = web3.eth.block_number if height is None else height
        for ref in state._revert_refs.copy():
            kept = ref()
            if kept is None:
                state._revert_refs.remove(ref)
            elif not height:
                kept._reset()
            elif isinstance(kept, ContractContainer):
                self._forget(kept)
            else:
                kept._revert(height)

    def _forget(self, container: ContractContainer) -> None:
        for contract in [each for each in container._contracts if id(each) not in self._ids]:
            if not web3.eth.get_code(contract.address):
                container.remove(contract)
                contract._reverted = True


def _containers() -> list[ContractContainer]:
    return [each for loaded in project.get_loaded_projects() for each in loaded]


def make_plain() -> Known:
    """Take out of brownie what the module's head names; returns who remembers contracts."""
    known = Known()
    web3.provider = KeptConnection(web3.provider.endpoint_uri)
    for name in ("gas_price_strategy", "ens_name_to_address", "validation", "gas_estimate"):
        web3.middleware_onion.remove(name)
    state._notify_registry = known.notify
    state.Chain._add_to_undo_buffer = lambda *_: None
    return known
