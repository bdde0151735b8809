// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IBondedOperators} from "./interfaces/IBondedOperators.sol";
import {IEpochLedger} from "./interfaces/IEpochLedger.sol";
import {IJobEscrow} from "./interfaces/IJobEscrow.sol";
import {ISlashingCourt} from "./interfaces/ISlashingCourt.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {Messages} from "./libraries/Messages.sol";
import {PpmMath} from "./libraries/PpmMath.sol";

/// @title VerifierPunishment
/// @notice The part of the court that takes verifiers' bonds and splits them. Documentation stands in `ISlashingCourt`.
abstract contract VerifierPunishment is ISlashingCourt, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    uint256 internal constant PROVER_PPM = 200_000;
    uint256 internal constant BURNED_PPM = 300_000;
    address internal constant BURN_ADDRESS = 0x000000000000000000000000000000000000dEaD;

    IERC20 internal immutable _token;
    address public immutable escrow;
    address public immutable epochLedger;
    address public immutable verifiers;

    mapping(bytes32 key => bool) internal _punished;

    constructor(address stakeToken_, address escrow_, address epochLedger_, address verifiers_) {
        _token = IERC20(Bounds.known("stakeToken", stakeToken_));
        escrow = Bounds.known("escrow", escrow_);
        epochLedger = Bounds.known("epochLedger", epochLedger_);
        verifiers = Bounds.known("verifiers", verifiers_);
    }

    // ------------------------------------------------------------------------------------------------ two ProbeDays

    /// @inheritdoc ISlashingCourt
    function proveProbeDays(
        ProbeDay calldata a,
        bytes calldata signatureA,
        ProbeDay calldata b,
        bytes calldata signatureB
    ) external nonReentrant {
        if (a.provider != b.provider || a.epoch != b.epoch) revert NotEquivocal();
        bytes32 hashA = Messages.probeDay(a.provider, a.epoch, a.up, a.histogram);
        bytes32 hashB = Messages.probeDay(b.provider, b.epoch, b.up, b.histogram);
        if (hashA == hashB) revert NotEquivocal();
        address verifier = _signer(hashA, signatureA);
        address other = _signer(hashB, signatureB);
        if (other != verifier || verifier == address(0)) revert WrongSigner(other, verifier);
        _once(_daysKey(verifier, a.provider, a.epoch));

        emit DaysEquivocated(verifier, a.provider, a.epoch, msg.sender);
        uint256 taken = IBondedOperators(verifiers).slash(verifier, PpmMath.WHOLE_PPM);
        // otherwise the proof could be used up before there is anything to lose
        if (taken == 0) revert NothingBonded(verifier);
        emit VerifierSlashed(verifier, a.epoch, taken);
        _splitBonds(a.epoch, taken, address(0), 0, msg.sender);
    }

    function _daysKey(address verifier, address provider, uint64 epoch) private pure returns (bytes32) {
        return keccak256(abi.encode("ProbeDay", verifier, provider, epoch));
    }

    function _signer(bytes32 structHash, bytes calldata signature) internal view returns (address) {
        return Messages.signer(IEpochLedger(epochLedger).domainSeparator(), structHash, signature);
    }

    // ------------------------------------------------------------------------------------------------------- bonds

    // every caller is nonReentrant, and the set of operators calls nobody but the token
    // slither-disable-next-line reentrancy-no-eth
    function _punish(
        uint64 epoch,
        address[] calldata signers,
        uint256 ppm,
        address vindicated,
        uint256 lost,
        address prover
    ) internal {
        bytes32 digest = IEpochLedger(epochLedger).record(epoch).digest;
        uint256 taken;
        for (uint256 i = 0; i < signers.length; ++i) {
            address signer = signers[i];
            // the whole bond is the price of two ProbeDays, which can be shown without any report as well
            bytes32 key = ppm == PpmMath.WHOLE_PPM
                ? _daysKey(signer, vindicated, epoch)
                : keccak256(abi.encode("Report", digest, signer));
            if (_punished[key]) continue;
            uint256 part = IBondedOperators(verifiers).slash(signer, ppm);
            if (part == 0) continue;
            _punished[key] = true;
            taken += part;
            emit VerifierSlashed(signer, epoch, part);
        }
        _splitBonds(epoch, taken, vindicated, lost, prover);
    }

    /// @dev The vindicated is made whole first; the prover's and the fire's parts are of what is left.
    function _splitBonds(uint64 epoch, uint256 taken, address vindicated, uint256 lost, address prover) private {
        if (taken == 0) return;
        uint256 toVindicated = vindicated == address(0) ? 0 : Math.min(taken, lost);
        uint256 rest = taken - toVindicated;
        uint256 toProver = prover == address(0) ? 0 : PpmMath.shareDown(rest, PROVER_PPM);
        uint256 burned = PpmMath.shareDown(rest, BURNED_PPM);
        uint256 toSlaFund = rest - toProver - burned;
        emit VerifierSlashSplit(epoch, vindicated, toVindicated, prover, toProver, toSlaFund, burned);
        _pay(vindicated, toVindicated);
        _pay(prover, toProver);
        _pay(BURN_ADDRESS, burned);
        _fund(toSlaFund);
    }

    function _pay(address to, uint256 amount) internal {
        if (amount != 0) _token.safeTransfer(to, amount);
    }

    function _fund(uint256 amount) internal {
        if (amount == 0) return;
        _token.forceApprove(escrow, amount);
        IJobEscrow(escrow).fundSlaStake(amount);
    }

    function _once(bytes32 key) internal {
        if (_punished[key]) revert AlreadyPunished(key);
        _punished[key] = true;
    }

    /// @inheritdoc ISlashingCourt
    function stakeToken() external view returns (address) {
        return address(_token);
    }
}
