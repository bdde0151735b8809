// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {IBondedOperators} from "./interfaces/IBondedOperators.sol";
import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IEpochLedger} from "./interfaces/IEpochLedger.sol";
import {IGuardian} from "./interfaces/IGuardian.sol";
import {IProviderStaking} from "./interfaces/IProviderStaking.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {Shares} from "./libraries/Shares.sol";

/// @title ProviderRegister
/// @notice The half of `ProviderStaking` that moves no tokens: who is a provider, with what hardware, and when it is away.
/// Documentation stands in `IProviderStaking`.
abstract contract ProviderRegister is IProviderStaking {
    uint8 internal constant MOST_HARDWARE_CLASS = 5;
    uint256 internal constant MOST_UNITS = 10_000;
    uint256 internal constant MOST_REGION_BYTES = 32;
    uint256 internal constant MOST_ENDPOINT_BYTES = 200;
    uint256 internal constant MOST_UNBONDING_SECONDS = 90 days;
    uint256 internal constant MOST_BASE_STAKE = 1e27;
    uint256 internal constant MOST_NOTICE_SECONDS = 7 days;
    uint256 internal constant MOST_MAINTENANCE_SECONDS = 3 days;
    uint256 internal constant ROLLING_SECONDS = 30 days;
    uint256 internal constant MOST_WINDOWS = 32;
    uint256 internal constant MOST_AHEAD_SECONDS = 90 days;
    bytes32 internal constant HARDWARE_TYPE =
        keccak256("Hardware(address provider,uint64 epoch,uint8 hardwareClass,uint32 units)");

    /// @dev Shares of the provider's unbonding pool, and when they mature.
    struct Exit {
        uint256 shares;
        uint64 releaseAt;
        uint32 id;
    }

    /// @dev Exits stand at places from `firstExit` up to, not including, `endExit`, at most ten; they mature in this order
    /// because every one waits equally long. They leave at the front when they mature and at the back when they are
    /// rebonded, so there are never holes that a slash would have to walk over. A counter counts exits of one provider:
    /// 2^32 of them do not happen, and the next would be refused.
    /// `measuredThrough` is the epoch of the newest measurement plus one; `measureFrom` the first whose measurement lets a provider return
    /// that was jailed for its hardware, zero if it never was. `listedAt` is zero until the stake first
    /// reached its requirement.
    struct Provider {
        address signer;
        uint64 registeredAt;
        uint32 units;
        uint8 hardwareClass;
        Status status;
        uint64 listedAt;
        uint64 measuredThrough;
        uint32 firstExit;
        uint32 endExit;
        uint32 nextId;
        uint64 measureFrom;
        uint256 stake;
        uint256 matured;
        uint256 slashedTotal;
        Shares.Pool pool;
        bytes32 offerDigest;
        string region;
        string endpoint;
        mapping(uint256 place => Exit) exits;
        Window[] windows;
    }

    address public immutable clock;
    address public immutable epochLedger;
    address public immutable verifiers;
    address public immutable guardian;
    uint128 public immutable baseStake;
    uint64 public immutable unbondingSeconds;
    uint64 public immutable noticeSeconds;
    uint64 public immutable maintenanceSeconds;

    mapping(address provider => Provider) internal _providers;
    mapping(address signer => address provider) public providerOfSigner;
    address[] internal _list;

    constructor(address clock_, address epochLedger_, address verifiers_, address guardian_, Config memory config) {
        clock = Bounds.known("clock", clock_);
        epochLedger = Bounds.known("epochLedger", epochLedger_);
        verifiers = Bounds.known("verifiers", verifiers_);
        guardian = Bounds.known("guardian", guardian_);
        Bounds.linked("clock", IEpochLedger(epochLedger_).clock(), clock_);
        Bounds.linked("verifiers", IEpochLedger(epochLedger_).verifiers(), verifiers_);
        Bounds.linked("guardian", IEpochLedger(epochLedger_).guardian(), guardian_);
        // stake must outlast the settlement of the epoch it was bonded in; the court adds its own delay to this bound
        uint256 settled = IEpochClock(clock_).settlementSeconds();
        unbondingSeconds =
            uint64(Bounds.within("unbondingSeconds", config.unbondingSeconds, settled, MOST_UNBONDING_SECONDS));
        baseStake = uint128(Bounds.within("baseStake", config.baseStake, 1, MOST_BASE_STAKE));
        noticeSeconds = uint64(Bounds.within("noticeSeconds", config.noticeSeconds, 0, MOST_NOTICE_SECONDS));
        maintenanceSeconds =
            uint64(Bounds.within("maintenanceSeconds", config.maintenanceSeconds, 0, MOST_MAINTENANCE_SECONDS));
    }

    modifier whenOpen() {
        _requireOpen();
        _;
    }

    function _requireOpen() private view {
        IGuardian(guardian).requireOpen();
    }

    // ------------------------------------------------------------------------------------------------- registration

    /// @inheritdoc IProviderStaking
    function register(
        address signer,
        uint8 hardwareClass,
        uint32 units,
        bytes32 offerDigest,
        string calldata region,
        string calldata endpoint
    ) external whenOpen {
        Provider storage p = _providers[msg.sender];
        if (p.status != Status.None) revert AlreadyRegistered(msg.sender);
        _checkHardware(hardwareClass, units);
        p.status = Status.Active;
        p.hardwareClass = hardwareClass;
        p.units = units;
        p.registeredAt = uint64(block.timestamp);
        _describe(p, signer, offerDigest, region, endpoint);
        emit ProviderRegistered(msg.sender, signer, hardwareClass, units, offerDigest, region, endpoint);
    }

    /// @inheritdoc IProviderStaking
    function update(address signer, bytes32 offerDigest, string calldata region, string calldata endpoint) external {
        _describe(_present(msg.sender), signer, offerDigest, region, endpoint);
        emit ProviderUpdated(msg.sender, signer, offerDigest, region, endpoint);
    }

    function _describe(
        Provider storage p,
        address signer,
        bytes32 offerDigest,
        string calldata region,
        string calldata endpoint
    ) private {
        // checked, not needed
        // slither-disable-next-line unused-return
        Bounds.known("signer", signer);
        if (offerDigest == 0) revert ZeroDigest();
        // checked, not needed
        // slither-disable-start unused-return
        Bounds.within("region bytes", bytes(region).length, 1, MOST_REGION_BYTES);
        Bounds.within("endpoint bytes", bytes(endpoint).length, 1, MOST_ENDPOINT_BYTES);
        // slither-disable-end unused-return
        address holder = providerOfSigner[signer];
        if (holder == address(0)) providerOfSigner[signer] = msg.sender;
        else if (holder != msg.sender) revert SignerTaken(signer, holder);
        p.signer = signer;
        p.offerDigest = offerDigest;
        p.region = region;
        p.endpoint = endpoint;
    }

    /// @inheritdoc IProviderStaking
    function measureHardware(
        address provider_,
        uint64 epoch,
        uint8 hardwareClass,
        uint32 units,
        bytes[] calldata signatures
    ) external {
        Provider storage p = _registered(provider_);
        _checkHardware(hardwareClass, units);
        // checked, not needed
        // slither-disable-next-line unused-return
        Bounds.within("epoch", epoch, 0, IEpochClock(clock).currentEpoch());
        uint64 through = p.measuredThrough;
        if (epoch < through) revert MeasurementTooOld(epoch, through - 1);

        bytes32 digest = MessageHashUtils.toTypedDataHash(
            IEpochLedger(epochLedger).domainSeparator(),
            keccak256(abi.encode(HARDWARE_TYPE, provider_, epoch, hardwareClass, units))
        );
        address[] memory signers = new address[](signatures.length);
        for (uint256 i = 0; i < signatures.length; ++i) {
            signers[i] = ECDSA.recoverCalldata(digest, signatures[i]);
        }
        IBondedOperators(verifiers).checkQuorum(signers);

        (p.hardwareClass, p.units, p.measuredThrough) = (hardwareClass, units, epoch + 1);
        emit HardwareMeasured(provider_, epoch, hardwareClass, units);
        _listWhenDue(provider_, p);
    }

    function _checkHardware(uint8 hardwareClass, uint32 units) private pure {
        if (hardwareClass > MOST_HARDWARE_CLASS) revert UnknownHardwareClass(hardwareClass, MOST_HARDWARE_CLASS);
        // checked, not needed
        // slither-disable-next-line unused-return
        Bounds.within("units", units, 1, MOST_UNITS);
    }

    /// @dev Whatever raises the stake or lowers the requirement calls this, so no provider works without a place in the list.
    function _listWhenDue(address provider_, Provider storage p) internal {
        if (p.listedAt != 0 || p.stake < _required(p)) return;
        p.listedAt = uint64(block.timestamp);
        emit ProviderListed(provider_, _list.length);
        _list.push(provider_);
    }

    /// @dev What a slash does to the status.
    function _suffer(address provider_, Provider storage p, Consequence consequence) internal {
        if (consequence == Consequence.None || p.status == Status.Removed) return;
        if (consequence == Consequence.Removal) {
            p.status = Status.Removed;
            emit Removed(provider_);
            return;
        }
        bool measured = consequence == Consequence.JailUntilMeasured;
        if (measured) p.measureFrom = IEpochClock(clock).currentEpoch() + 1;
        else if (p.status == Status.Jailed) return;
        p.status = Status.Jailed;
        emit Jailed(provider_, measured ? p.measureFrom : 0);
    }

    // ------------------------------------------------------------------------------------------------- maintenance

    /// @inheritdoc IProviderStaking
    function declareMaintenance(uint64 startsAt, uint64 endsAt) external returns (uint256 index) {
        Window[] storage windows = _registered(msg.sender).windows;
        uint256 earliest = block.timestamp + noticeSeconds;
        if (startsAt < earliest) revert NoticeTooShort(startsAt, earliest);
        index = windows.length;
        if (index != 0) {
            uint64 before = windows[index - 1].endsAt;
            if (startsAt < before) revert MaintenanceOverlaps(startsAt, before);
        }
        // checked, not needed
        // slither-disable-next-line unused-return
        Bounds.within("endsAt", endsAt, uint256(startsAt) + 1, type(uint64).max);

        uint256 from = Math.saturatingSub(endsAt, ROLLING_SECONDS);
        uint256 sum = endsAt - Math.max(startsAt, from);
        uint256 count = 1;
        for (uint256 i = index; i != 0; --i) {
            Window memory w = windows[i - 1];
            if (w.endsAt <= from) break;
            sum += w.endsAt - Math.max(w.startsAt, from);
            ++count;
        }
        if (sum > maintenanceSeconds) revert MaintenanceAboveAllowance(sum, maintenanceSeconds);
        // so that whoever reads the windows of an epoch reads few, and passes few that lie ahead
        // checked, not needed
        // slither-disable-start unused-return
        Bounds.within("windows in 30 days", count, 1, MOST_WINDOWS);
        Bounds.within("startsAt", startsAt, earliest, block.timestamp + MOST_AHEAD_SECONDS);
        // slither-disable-end unused-return
        windows.push(Window({startsAt: startsAt, endsAt: endsAt}));
        emit MaintenanceDeclared(msg.sender, index, startsAt, endsAt);
    }

    /// @inheritdoc IProviderStaking
    function cancelMaintenance(uint256 index) external {
        Window[] storage windows = _registered(msg.sender).windows;
        if (windows.length == 0 || index != windows.length - 1) revert UnknownMaintenance(index);
        uint64 startsAt = windows[index].startsAt;
        if (startsAt <= block.timestamp) revert MaintenanceBegun(startsAt, block.timestamp);
        windows.pop();
        emit MaintenanceCancelled(msg.sender, index);
    }

    /// @inheritdoc IProviderStaking
    function maintenance(address provider_, uint64 from, uint64 to) external view returns (Window[] memory found) {
        Window[] storage windows = _providers[provider_].windows;
        // they are in order and do not overlap, so those asked for are neighbours
        uint256 end = windows.length;
        while (end != 0 && windows[end - 1].startsAt >= to) --end;
        uint256 first = end;
        while (first != 0 && windows[first - 1].endsAt > from) --first;
        found = new Window[](end - first);
        for (uint256 i = 0; i < found.length; ++i) found[i] = windows[first + i];
    }

    /// @inheritdoc IProviderStaking
    function maintenanceCount(address provider_) external view returns (uint256) {
        return _providers[provider_].windows.length;
    }

    // -------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc IProviderStaking
    function providerCount() external view returns (uint256) {
        return _list.length;
    }

    /// @inheritdoc IProviderStaking
    function providerAt(uint256 index) external view returns (address) {
        return _list[index];
    }

    /// @inheritdoc IProviderStaking
    function measureFrom(address provider_) external view returns (uint64) {
        return _providers[provider_].measureFrom;
    }

    /// @inheritdoc IProviderStaking
    function signerOf(address provider_) external view returns (address) {
        return _providers[provider_].signer;
    }

    /// @inheritdoc IProviderStaking
    function isActive(address provider_) external view returns (bool) {
        Provider storage p = _providers[provider_];
        return p.status == Status.Active && p.stake >= _required(p);
    }

    /// @inheritdoc IProviderStaking
    function requiredStake(uint8 hardwareClass, uint32 units) public view returns (uint256) {
        return uint256(baseStake) * _weight(hardwareClass, units);
    }

    /// @inheritdoc IProviderStaking
    function classWeight(uint8 hardwareClass) public pure returns (uint32) {
        if (hardwareClass > MOST_HARDWARE_CLASS) revert UnknownHardwareClass(hardwareClass, MOST_HARDWARE_CLASS);
        bytes6 weights = hex"00_01_02_02_05_0a";
        return uint8(weights[hardwareClass]);
    }

    function _weight(uint8 hardwareClass, uint32 units) internal pure returns (uint32) {
        return 1 + classWeight(hardwareClass) * units;
    }

    function _required(Provider storage p) internal view returns (uint256) {
        return requiredStake(p.hardwareClass, p.units);
    }

    function _registered(address provider_) internal view returns (Provider storage p) {
        p = _providers[provider_];
        if (p.status == Status.None) revert NotRegistered(provider_);
    }

    function _present(address provider_) internal view returns (Provider storage p) {
        p = _registered(provider_);
        if (p.status == Status.Removed) revert ProviderRemoved(provider_);
    }
}
