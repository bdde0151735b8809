"""Options that many commands take alike, each list written once as a dataclass whose instance the command is given.

    @with_options
    def withdraw(access: Access, manner: Manner) -> None: ...

is to the command line a command with all options of `Access` and `Manner`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

from marketplace.cli.chain import (
    FINALITY_DEFAULT,
    RPC_DEFAULT,
    DeploymentOption,
    FinalityOption,
    RpcOption,
    open_chain,
)
from marketplace.cli.keys import KeystoreOption, PasswordFileOption, open_keystore

if TYPE_CHECKING:
    from contracts.chain import Chain
    from contracts.signing import Signer


@dataclass(frozen=True, slots=True)
class Access:
    """Whose key signs, and how the chain is reached."""

    keystore: KeystoreOption = None
    password_file: PasswordFileOption = None
    rpc: RpcOption = RPC_DEFAULT
    deployment: DeploymentOption = None
    finality: FinalityOption = FINALITY_DEFAULT

    def open_key(self) -> Signer:
        """Open the key; ends the command with what to do when that cannot be."""
        return open_keystore(self.keystore, self.password_file)

    def chain(self) -> AbstractAsyncContextManager[Chain]:
        """Connect to the chain; raises ChainUnavailable, WrongChain or BadDeployment."""
        return open_chain(self.rpc, self.deployment, self.finality)


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of its parameters that are dataclasses; its own parameters come first in its help."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if isinstance(kind, type) and dataclasses.is_dataclass(kind)}
    own = [one for name, one in inspect.signature(command).parameters.items() if name not in groups]
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[one.name]) for one in own]
    for kind in groups.values():
        options = get_type_hints(kind, include_extras=True)
        for field in dataclasses.fields(kind):
            parameters.append(
                inspect.Parameter(
                    field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=options[field.name]
                )
            )

    @functools.wraps(command)
    def with_groups(**given: Any) -> None:
        for name, kind in groups.items():
            given[name] = kind(**{field.name: given.pop(field.name) for field in dataclasses.fields(kind)})
        command(**given)

    del with_groups.__wrapped__  # or its parameters would be read instead
    with_groups.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_groups.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_groups
