// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {IChallengeCourt} from "../interfaces/IChallengeCourt.sol";
import {ISlashingCourt} from "../interfaces/ISlashingCourt.sol";

/// @title Messages
/// @notice EIP-712 struct hashes of what providers, gateways and verifiers sign, and who signed it.
/// @dev The Python side is `contracts.messages`; docs/protocol.md, section 2.
library Messages {
    bytes32 internal constant PROBE_DAY_TYPE =
        keccak256("ProbeDay(address provider,uint64 epoch,uint256[6] up,uint256 histogram)");
    bytes32 internal constant RECEIPT_TYPE = keccak256(
        "Receipt(bytes32 job,uint32 attempt,address provider,bytes32 model,uint64 slot,uint32 inputTokens,uint32 cachedTokens,uint32 outputTokens,uint32 ttftMs,uint32 itlUs,uint128 chargeAtto,bytes32 requestDigest,bytes32 responseDigest,uint8 status,bytes32 taken,uint8 attestationType,bytes32 attestation)"
    );
    bytes32 internal constant COUNTERSIGNATURE_TYPE =
        keccak256("Countersignature(bytes32 receipt,address customer,uint64 slot,uint32 ttftMs,uint32 itlUs,uint8 serviceClass)");

    /// @notice The struct hash of a verifier's day.
    function probeDay(address provider, uint64 epoch, uint256[6] calldata up, uint256 histogram)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(PROBE_DAY_TYPE, provider, epoch, keccak256(abi.encode(up)), histogram));
    }

    /// @notice The struct hash of a receipt.
    function receipt(ISlashingCourt.Receipt calldata r) internal pure returns (bytes32) {
        return keccak256(abi.encode(RECEIPT_TYPE, r));
    }

    /// @notice The struct hash of a gateway's acceptance.
    function countersignature(IChallengeCourt.Countersignature calldata c) internal pure returns (bytes32) {
        return keccak256(abi.encode(COUNTERSIGNATURE_TYPE, c));
    }

    /// @notice Who signed a struct hash in a domain; zero when the signature is none: another length than 65 bytes, `s` in the
    /// upper half of the curve's order, or `v` neither 27 nor 28. So a signature has exactly one form.
    function signer(bytes32 separator, bytes32 structHash, bytes calldata signature)
        internal
        pure
        returns (address recovered)
    {
        // nobody (zero) is the answer to every kind of wrong signature
        // slither-disable-next-line unused-return
        (recovered,,) = ECDSA.tryRecoverCalldata(MessageHashUtils.toTypedDataHash(separator, structHash), signature);
    }
}
