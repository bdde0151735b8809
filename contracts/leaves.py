"""Pack and hash an epoch report: its leaves, their tree, and the words of it that verifiers sign.

The formulas stand in docs/protocol.md, section 4. All of it bit for bit what the contracts compute; tests compare the
two on a real chain. Every value hashed here is a list of whole 32-byte words, so the ABI encoding is written out by
hand: ten thousand leaves cost some tens of milliseconds, where a general encoder takes seconds. No web3 here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from contracts.errors import BadArgument, MalformedLeaf, NotInTree
from contracts.messages import ZERO32, Domain, ReportDigest
from contracts.signing import keccak
from contracts.types import Charge, Credit, Harm, Harmed, HarmPage, Leaf, Movements, Payee, Pool, Report, Totals

CHUNK = 512
"""Most leaves, charges, credits or pools in one call."""
PAGE_CUSTOMERS = 200
"""Most customers on one page of a slash's harmed."""
LEAF_BYTES = 64
WHOLE_PPM = 1_000_000
_MOST_STANDING = 2
_WORD = 32

T = TypeVar("T")

# --------------------------------------------------------------------------------------------------------------- leaves


def pack(leaf: Leaf) -> bytes:
    """Return a leaf's two words as published; raises MalformedLeaf naming the provider.

    Word 0 is provider (160 bits) and cumulative fees (96). Word 1, from its top: cumulative incentive (96), uptime,
    success, verification and score in ppm (24 each), ttft bucket, strikes, standing, slash level and measured (8 each),
    24 zero bits.
    """
    _check(leaf)
    try:
        return (
            bytes.fromhex(leaf.provider[2:])
            + leaf.cumulative_fees.to_bytes(12)
            + leaf.cumulative_incentive.to_bytes(12)
            + leaf.uptime_ppm.to_bytes(3)
            + leaf.success_ppm.to_bytes(3)
            + leaf.verification_ppm.to_bytes(3)
            + leaf.score_ppm.to_bytes(3)
            + bytes((leaf.ttft_p95_bucket, leaf.strikes, leaf.standing, leaf.slash_level, leaf.measured, 0, 0, 0))
        )
    except (OverflowError, ValueError) as error:
        raise MalformedLeaf(f"the leaf of {leaf.provider} has a field outside its range ({error}): {leaf}") from error


def words(leaf: Leaf) -> tuple[bytes, bytes]:
    """Return a leaf's two words, as `claim` takes them; raises MalformedLeaf."""
    packed = pack(leaf)
    return packed[:_WORD], packed[_WORD:]


def unpack(packed: bytes) -> Leaf:
    """Return the leaf behind 64 packed bytes; raises MalformedLeaf where the contract refuses them."""
    if len(packed) != LEAF_BYTES:
        raise MalformedLeaf(f"a packed leaf has {LEAF_BYTES} bytes, this one has {len(packed)}")
    leaf = Leaf(
        provider="0x" + packed[:20].hex(),
        cumulative_fees=int.from_bytes(packed[20:32]),
        cumulative_incentive=int.from_bytes(packed[32:44]),
        uptime_ppm=int.from_bytes(packed[44:47]),
        success_ppm=int.from_bytes(packed[47:50]),
        verification_ppm=int.from_bytes(packed[50:53]),
        score_ppm=int.from_bytes(packed[53:56]),
        ttft_p95_bucket=packed[56],
        strikes=packed[57],
        standing=packed[58],
        slash_level=packed[59],
        measured=packed[60] == 1,
    )
    if packed[60] > 1 or any(packed[61:]):
        raise MalformedLeaf(f"the packed leaf of {leaf.provider} has bits that no leaf has: 0x{packed.hex()}")
    _check(leaf)
    return leaf


def unpack_all(packed: bytes) -> tuple[Leaf, ...]:
    """Return the leaves of a chunk as published, in order; raises MalformedLeaf."""
    if len(packed) % LEAF_BYTES:
        raise MalformedLeaf(f"{len(packed)} bytes are no whole number of packed leaves")
    return tuple(unpack(packed[start : start + LEAF_BYTES]) for start in range(0, len(packed), LEAF_BYTES))


def leaf_hash(chain_id: int, epoch_ledger: str, epoch: int, leaf: Leaf) -> bytes:
    """Return the doubly hashed leaf, bound to one chain, one ledger and one epoch."""
    return packed_hash(chain_id, epoch_ledger, epoch, pack(leaf))


def packed_hash(chain_id: int, epoch_ledger: str, epoch: int, packed: bytes) -> bytes:
    """Return keccak256(keccak256(chain id ‖ ledger ‖ epoch ‖ two words)), for bytes that may be no leaf at all.

    Hashed twice, so that no inner node of the tree can be presented as a leaf.
    """
    return keccak(keccak(_number(chain_id) + _address(epoch_ledger) + _number(epoch) + packed))


def leaf_hashes(chain_id: int, epoch_ledger: str, report: Report) -> list[bytes]:
    """Return the hashes of a report's leaves in their order."""
    prefix = _number(chain_id) + _address(epoch_ledger) + _number(report.epoch)
    return [keccak(keccak(prefix + pack(leaf))) for leaf in report.leaves]


# ----------------------------------------------------------------------------------------------------------------- tree


def root(hashes: Sequence[bytes]) -> bytes:
    """Return the root of the tree over `hashes`; 32 zero bytes when there are none.

    Level by level, left to right: neighbours are paired by keccak256(min ‖ max), an odd last node moves up unchanged.
    """
    if not hashes:
        return ZERO32
    level = list(hashes)
    while len(level) > 1:
        level = _above(level)
    return level[0]


def proof(hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the siblings from leaf `index` up to the root, as OpenZeppelin's `MerkleProof` takes them."""
    if not 0 <= index < len(hashes):
        raise NotInTree(index, len(hashes))
    siblings = []
    level = list(hashes)
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            siblings.append(level[beside])
        level, index = _above(level), index // 2
    return tuple(siblings)


def verify(expected_root: bytes, hash_: bytes, siblings: Iterable[bytes]) -> bool:
    """Say whether a leaf hash and its proof lead to the root."""
    for sibling in siblings:
        hash_ = _pair(hash_, sibling)
    return hash_ == expected_root


def chunks(items: Sequence[T], size: int = CHUNK) -> list[tuple[T, ...]]:
    """Return `items` in their order, cut into chunks of `size`, the last one shorter; no chunk for no items."""
    return [tuple(items[start : start + size]) for start in range(0, len(items), size)]


def chunk_roots(hashes: Sequence[bytes]) -> list[bytes]:
    """Return the root of every chunk of leaves; a chunk is a whole subtree, so the root over these is that of all."""
    return [root(one) for one in chunks(hashes)]


# ------------------------------------------------------------------------------------------------------------ movements


def movements(report: Report) -> Movements:
    """Return the hashes of what a report moves, chunk by chunk."""
    return Movements(
        charges=tuple(charges_hash(one) for one in chunks(report.charges)),
        credits=tuple(credits_hash(one) for one in chunks(report.credits)),
        pools=tuple(pools_hash(one) for one in chunks(report.pools)),
        payees=payees_hash(report.payees),
    )


def movements_hash(moved: Movements) -> bytes:
    """Return keccak256(abi.encode(Movements))."""
    lists = [_array(one) for one in (moved.charges, moved.credits, moved.pools)]
    offset, head = 4 * _WORD, b""
    for part in lists:
        head += _number(offset)
        offset += len(part)
    return keccak(_number(_WORD) + head + moved.payees + b"".join(lists))


def charges_hash(chunk: Sequence[Charge]) -> bytes:
    """Return keccak256(abi.encode(Charge[])) of a chunk."""
    return _list_hash([_address(one.customer) + _number(one.amount) for one in chunk])


def credits_hash(chunk: Sequence[Credit]) -> bytes:
    """Return keccak256(abi.encode(Credit[])) of a chunk."""
    return _list_hash([_address(one.customer) + _address(one.provider) + _number(one.amount) for one in chunk])


def pools_hash(chunk: Sequence[Pool]) -> bytes:
    """Return keccak256(abi.encode(Pool[])) of a chunk."""
    return _list_hash([_address(one.provider) + _number(one.amount) for one in chunk])


def payees_hash(payees: Sequence[Payee]) -> bytes:
    """Return keccak256(abi.encode(Payee[])), which is in one piece, empty or not."""
    return _list_hash([_address(one.verifier) + _number(one.amount) for one in payees])


def harms_hash(harms: Sequence[Harm]) -> bytes:
    """Return keccak256(abi.encode(Harm[]))."""
    return _list_hash([_address(one.provider) + one.root for one in harms])


def totals_hash(totals: Totals) -> bytes:
    """Return keccak256(abi.encode(Totals))."""
    return keccak(
        b"".join(
            _number(value)
            for value in (
                totals.charged,
                totals.provider_fees,
                totals.verifier_fees,
                totals.treasury,
                totals.sla_fund_in,
                totals.credits,
                totals.credits_from_fund,
                totals.incentive,
                totals.pools,
            )
        )
    )


# ----------------------------------------------------------------------------------------------------------- harm pages


def harm_pages(harmed: Harmed) -> tuple[HarmPage, ...]:
    """Return the pages by which the court compensates the harmed, in order; none when nobody was harmed.

    Raises BadArgument unless customers strictly ascend and each has a weight above zero.
    """
    ascending = all(one < other for one, other in zip(harmed.customers, harmed.customers[1:], strict=False))
    if not ascending or len(harmed.customers) != len(harmed.weights) or not all(one > 0 for one in harmed.weights):
        raise BadArgument(f"the customers harmed by {harmed.provider} must ascend, each with a weight above zero")
    customers, weights = chunks(harmed.customers, PAGE_CUSTOMERS), chunks(harmed.weights, PAGE_CUSTOMERS)
    total = sum(harmed.weights)
    return tuple(
        HarmPage(index, len(customers), total, *page) for index, page in enumerate(zip(customers, weights, strict=True))
    )


def page_hash(page: HarmPage) -> bytes:
    """Return keccak256(keccak256(abi.encode(Page))): a leaf of the tree under a `Harm`."""
    customers = _array([_address(one) for one in page.customers])
    weights = _array([_number(one) for one in page.weights])
    return keccak(
        keccak(
            _number(_WORD)
            + _number(page.index)
            + _number(page.pages)
            + _number(page.total_weight)
            + _number(5 * _WORD)
            + _number(5 * _WORD + len(customers))
            + customers
            + weights
        )
    )


def harm_root(harmed: Harmed) -> bytes:
    """Return the root over the pages of the harmed; 32 zero bytes when nobody was."""
    return root([page_hash(page) for page in harm_pages(harmed)])


def page_proof(harmed: Harmed, index: int) -> tuple[bytes, ...]:
    """Return the proof of a page under `harm_root`."""
    return proof([page_hash(page) for page in harm_pages(harmed)], index)


# --------------------------------------------------------------------------------------------------------------- digest


def report_digest(report: Report, domain: Domain) -> ReportDigest:
    """Return the message that verifiers sign for a report in a domain.

    Its `struct_hash()` is what the next report names as `previous`; sign its `digest(domain.separator())`.
    """
    return ReportDigest(
        epoch=report.epoch,
        previous=report.previous,
        evidence=report.evidence,
        state=report.state,
        rules=report.rules,
        checkpoint_block=report.checkpoint_block,
        checkpoint_hash=report.checkpoint_hash,
        totals=totals_hash(report.totals),
        leaves=root(leaf_hashes(domain.chain_id, domain.epoch_ledger, report)),
        leaf_count=len(report.leaves),
        measurements=report.measurements,
        movements=movements_hash(movements(report)),
        harms=harms_hash(report.harms),
    )


def _check(leaf: Leaf) -> None:
    if (
        leaf.uptime_ppm > WHOLE_PPM
        or leaf.success_ppm > WHOLE_PPM
        or leaf.verification_ppm > WHOLE_PPM
        or leaf.score_ppm > WHOLE_PPM
        or leaf.standing > _MOST_STANDING
    ):
        raise MalformedLeaf(f"the leaf of {leaf.provider} has a share above the whole or a standing above 2: {leaf}")


def _above(level: list[bytes]) -> list[bytes]:
    paired = [_pair(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    if len(level) % 2:
        paired.append(level[-1])
    return paired


def _pair(a: bytes, b: bytes) -> bytes:
    return keccak(a + b if a < b else b + a)


def _list_hash(items: Sequence[bytes]) -> bytes:
    return keccak(_number(_WORD) + _array(items))


def _array(items: Sequence[bytes]) -> bytes:
    return _number(len(items)) + b"".join(items)


def _number(value: int) -> bytes:
    return value.to_bytes(32)


def _address(value: str) -> bytes:
    return bytes(12) + bytes.fromhex(value[2:])
