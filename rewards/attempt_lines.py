"""One attempt as one line of `attempts.jsonl`: canonical JSON, written and read a million times an epoch.

Writing fills a template, reading matches one regular expression that only canonical lines fit; whatever does not fit
goes through the general reader (`rewards.canonical`), which accepts every JSON form of an attempt and names what is
wrong with anything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from contracts.messages import ZERO32, Countersignature, Receipt
from rewards.canonical import build, read_json
from rewards.types import Attempt

_TEMPLATE = (
    '{"countersignature":{"customer":"%s","itlUs":%d,"receipt":"0x%s","serviceClass":%d,"slot":%d,"ttftMs":%d},'
    '"gateway":"%s","gateway_signature":"0x%s","provider_signature":"0x%s",'
    '"receipt":{"attempt":%d,"attestation":"0x%s","attestationType":%d,"cachedTokens":%d,"chargeAtto":%d,"inputTokens":%d,"itlUs":%d,"job":"0x%s","model":"0x%s",'
    '"outputTokens":%d,"provider":"%s","requestDigest":"0x%s","responseDigest":"0x%s","slot":%d,'
    '"status":%d,"taken":"0x%s","ttftMs":%d}}\n'
)
_NONE = "00" * 32
_ADDRESS = "(0x[0-9a-f]{40})"
_DIGEST = "([0-9a-f]{64})"
_SIGNATURE = "((?:[0-9a-f]{130})?)"  # none, or 65 bytes
_SMALL = r"(0|[1-9]\d{0,8})"  # fits uint32
_SLOT = r"(0|[1-9]\d{0,17})"  # fits uint64
_MONEY = r"(0|[1-9]\d{0,37})"  # fits uint128
_TINY = r"(0|[1-9]\d?)"  # fits uint8
_ORDER = (
    _ADDRESS, _SMALL, _DIGEST, _TINY, _SLOT, _SMALL, _ADDRESS, _SIGNATURE, _SIGNATURE,
    _SMALL, _DIGEST, _TINY, _SMALL, _MONEY, _SMALL, _SMALL, _DIGEST, _DIGEST, _SMALL, _ADDRESS, _DIGEST, _DIGEST,
    _SLOT, _TINY, _DIGEST, _SMALL,
)  # fmt: skip


def _pattern() -> re.Pattern[str]:
    """Turn the template into a pattern: each placeholder becomes its group."""
    literals = [re.escape(literal) for literal in re.split(r"%[sd]", _TEMPLATE)]
    groups = [*_ORDER, ""]
    return re.compile("".join(f"{literal}{group}" for literal, group in zip(literals, groups, strict=True)), re.ASCII)


_LINE = _pattern()


def write_line(one: Attempt) -> str:
    """Return an attempt as its canonical line, newline included."""
    receipt, counter = one.receipt, one.countersignature
    return _TEMPLATE % (
        counter.customer,
        counter.itl_us,
        counter.receipt.hex(),
        counter.service_class,
        counter.slot,
        counter.ttft_ms,
        one.gateway,
        one.gateway_signature.hex(),
        one.provider_signature.hex(),
        receipt.attempt,
        receipt.attestation.hex(),
        receipt.attestation_type,
        receipt.cached_tokens,
        receipt.charge_atto,
        receipt.input_tokens,
        receipt.itl_us,
        receipt.job.hex(),
        receipt.model.hex(),
        receipt.output_tokens,
        receipt.provider,
        receipt.request_digest.hex(),
        receipt.response_digest.hex(),
        receipt.slot,
        receipt.status,
        receipt.taken.hex(),
        receipt.ttft_ms,
    )


def read_lines(lines: Iterable[str]) -> Iterator[Attempt]:
    """Read attempts from lines; raises Unreadable for the first that is none. Equal addresses and models are shared."""
    same: dict[str, str] = {}
    models: dict[str, bytes] = {}
    match, unhex = _LINE.fullmatch, bytes.fromhex
    for line in lines:
        found = match(line)
        if found is None:
            yield build(Attempt, read_json(line))
            continue
        (
            customer, its_itl, hashed, service_class, its_slot, its_ttft, gateway, gateway_signature,
            provider_signature, attempt, attestation, attestation_type, cached, charge, tokens, itl, job, model, output,
            provider, request, response, slot, status, taken, ttft,
        ) = found.groups()  # fmt: skip
        receipt = Receipt(
            unhex(job),
            int(attempt),
            same.setdefault(provider, provider),
            models.get(model) or models.setdefault(model, unhex(model)),
            int(slot),
            int(tokens),
            int(cached),
            int(output),
            int(ttft),
            int(itl),
            int(charge),
            unhex(request),
            unhex(response),
            int(status),
            ZERO32 if taken == _NONE else unhex(taken),
            int(attestation_type),
            ZERO32 if attestation == _NONE else unhex(attestation),
        )
        counter = Countersignature(
            unhex(hashed),
            same.setdefault(customer, customer),
            int(its_slot),
            int(its_ttft),
            int(its_itl),
            int(service_class),
        )
        yield Attempt(
            receipt, unhex(provider_signature), counter, same.setdefault(gateway, gateway), unhex(gateway_signature)
        )
