// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IEpochLedger} from "./interfaces/IEpochLedger.sol";
import {IJobEscrow} from "./interfaces/IJobEscrow.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {ExactToken} from "./libraries/ExactToken.sol";

/// @title JobEscrow
/// @notice Documentation stands in `IJobEscrow`.
contract JobEscrow is IJobEscrow, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using ExactToken for IERC20;
    using SafeCast for uint256;
    using SafeCast for int256;

    uint256 internal constant MOST_THAW_SECONDS = 30 days;

    /// @dev From this epoch on this cap holds, until the next point.
    struct CapPoint {
        uint64 fromEpoch;
        uint128 cap;
    }

    /// @dev `thawing <= balance` always. Cap points have strictly ascending epochs; at most the last lies in the future.
    struct Customer {
        uint128 balance;
        uint128 thawing;
        uint64 thawedAt;
        bool listed;
        CapPoint[] caps;
    }

    IERC20 internal immutable _paymentToken;
    IERC20 internal immutable _stakeToken;
    address public immutable epochLedger;
    address public immutable court;
    uint64 public immutable thawSeconds;

    uint256 public totalBalances;
    uint256 public totalCompensation;
    uint256 public slaFund;
    uint256 public stakeSlaFund;

    mapping(address customer => Customer) internal _customers;
    mapping(address customer => uint256) internal _compensation;
    address[] internal _list;

    modifier onlyLedger() {
        if (msg.sender != epochLedger) revert NotLedger(msg.sender);
        _;
    }

    modifier onlyCourt() {
        if (msg.sender != court) revert NotCourt(msg.sender);
        _;
    }

    constructor(
        address paymentToken_,
        address stakeToken_,
        address epochLedger_,
        address court_,
        Config memory config
    ) {
        _paymentToken = IERC20(Bounds.known("paymentToken", paymentToken_));
        _stakeToken = IERC20(Bounds.known("stakeToken", stakeToken_));
        epochLedger = Bounds.known("epochLedger", epochLedger_);
        court = Bounds.known("court", court_);
        Bounds.linked("ledger.escrow", IEpochLedger(epochLedger_).escrow(), address(this));
        Bounds.linked("ledger.paymentToken", IEpochLedger(epochLedger_).paymentToken(), paymentToken_);
        // money asked back in the first second of an epoch must still be there when that epoch is charged
        uint256 charged = uint256(IEpochLedger(epochLedger_).epochSeconds()) + IEpochLedger(epochLedger_).reportDelay();
        thawSeconds = uint64(Bounds.within("thawSeconds", config.thawSeconds, charged + charged / 5, MOST_THAW_SECONDS));
    }

    // ------------------------------------------------------------------------------------------------- customers' own

    /// @inheritdoc IJobEscrow
    function deposit(address customer_, uint256 amount) external nonReentrant {
        _deposit(customer_, amount);
    }

    /// @inheritdoc IJobEscrow
    function depositWithPermit(address customer_, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        nonReentrant
    {
        // a permit seen in the mempool can be used up by anybody; what counts is the allowance it leaves
        try IERC20Permit(address(_paymentToken)).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
        _deposit(customer_, amount);
    }

    function _deposit(address customer_, uint256 amount) private {
        Bounds.known("customer", customer_);
        if (amount == 0) revert ZeroAmount();
        Customer storage c = _customers[customer_];
        if (!c.listed) {
            c.listed = true;
            _list.push(customer_);
        }
        uint256 balanceAfter = c.balance + amount;
        c.balance = balanceAfter.toUint128();
        totalBalances += amount;
        _paymentToken.pull(msg.sender, amount);
        emit Deposited(customer_, msg.sender, amount, balanceAfter);
    }

    /// @inheritdoc IJobEscrow
    function setCap(uint128 capPerEpoch) external {
        CapPoint[] storage caps = _customers[msg.sender].caps;
        uint64 running = IEpochLedger(epochLedger).currentEpoch();
        uint64 fromEpoch = capPerEpoch >= _capAt(caps, running) ? running : running + 1;
        uint256 length = caps.length;
        // a change that waited is overtaken by this one
        while (length != 0 && caps[length - 1].fromEpoch >= fromEpoch) {
            caps.pop();
            --length;
        }
        caps.push(CapPoint({fromEpoch: fromEpoch, cap: capPerEpoch}));
        emit CapSet(msg.sender, capPerEpoch, fromEpoch);
    }

    /// @inheritdoc IJobEscrow
    function requestWithdrawal(uint128 amount) external {
        if (amount == 0) revert ZeroAmount();
        Customer storage c = _customers[msg.sender];
        uint256 thawing = uint256(c.thawing) + amount;
        if (thawing > c.balance) revert WithdrawalAboveBalance(thawing, c.balance);
        c.thawing = thawing.toUint128();
        c.thawedAt = uint64(block.timestamp) + thawSeconds;
        emit WithdrawalRequested(msg.sender, amount, thawing, c.thawedAt);
    }

    /// @inheritdoc IJobEscrow
    function cancelWithdrawal() external {
        Customer storage c = _customers[msg.sender];
        uint256 thawing = c.thawing;
        if (thawing == 0) revert NothingThawing(msg.sender);
        (c.thawing, c.thawedAt) = (0, 0);
        emit WithdrawalCancelled(msg.sender, thawing);
    }

    /// @inheritdoc IJobEscrow
    function withdraw() external nonReentrant returns (uint256 amount) {
        Customer storage c = _customers[msg.sender];
        amount = c.thawing;
        if (amount == 0) revert NothingThawing(msg.sender);
        if (block.timestamp < c.thawedAt) revert StillThawing(c.thawedAt, block.timestamp);
        (c.thawing, c.thawedAt) = (0, 0);
        c.balance -= amount.toUint128();
        totalBalances -= amount;
        emit Withdrawn(msg.sender, amount, c.balance);
        _paymentToken.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IJobEscrow
    function withdrawCompensation() external nonReentrant returns (uint256 amount) {
        amount = _compensation[msg.sender];
        if (amount == 0) revert NothingToWithdraw(msg.sender);
        _compensation[msg.sender] = 0;
        totalCompensation -= amount;
        emit CompensationWithdrawn(msg.sender, amount);
        _stakeToken.safeTransfer(msg.sender, amount);
    }

    // ---------------------------------------------------------------------------------------------- charge and credit

    /// @inheritdoc IJobEscrow
    function charge(uint64 epoch, Charge[] calldata charges)
        external
        onlyLedger
        nonReentrant
        returns (uint256 total)
    {
        address before;
        for (uint256 i = 0; i < charges.length; ++i) {
            address customer_ = charges[i].customer;
            if (customer_ <= before) revert ChargesNotAscending(before, customer_);
            before = customer_;
            total += _charge(epoch, customer_, charges[i].amount);
        }
        totalBalances -= total;
        if (total != 0) _paymentToken.safeTransfer(epochLedger, total);
    }

    function _charge(uint64 epoch, address customer_, uint256 amount) private returns (uint256) {
        Customer storage c = _customers[customer_];
        uint256 cap = _capAt(c.caps, epoch);
        if (amount > cap) revert ChargeAboveCap(customer_, amount, cap);
        (uint256 balance, uint256 thawing) = (c.balance, c.thawing);
        if (amount > balance) revert ChargeAboveBalance(customer_, amount, balance);
        balance -= amount;
        c.balance = balance.toUint128();
        c.thawing = Math.min(thawing, balance).toUint128();
        emit Charged(customer_, epoch, amount, balance);
        return amount;
    }

    /// @inheritdoc IJobEscrow
    function credit(Credit[] calldata credits, uint256 fromFund, uint256 slaFundIn) external onlyLedger nonReentrant {
        uint256 total;
        for (uint256 i = 0; i < credits.length; ++i) {
            Customer storage c = _customers[credits[i].customer];
            uint128 amount = credits[i].amount;
            c.balance += amount;
            total += amount;
            emit Credited(credits[i].customer, credits[i].provider, amount, c.balance);
        }
        if (fromFund > total) revert CreditsBelowFundPart(total, fromFund);
        if (fromFund > slaFund + slaFundIn) revert SlaFundShort(slaFund + slaFundIn, fromFund);
        totalBalances += total;
        _changeSlaFund(slaFundIn.toInt256() - fromFund.toInt256());
        uint256 due = total - fromFund + slaFundIn;
        if (due != 0) _paymentToken.pull(msg.sender, due);
    }

    /// @inheritdoc IJobEscrow
    function fundSla(uint256 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        _changeSlaFund(amount.toInt256());
        _paymentToken.pull(msg.sender, amount);
    }

    function _changeSlaFund(int256 delta) private {
        if (delta == 0) return;
        slaFund = (slaFund.toInt256() + delta).toUint256();
        emit SlaFundChanged(delta, slaFund);
    }

    // -------------------------------------------------------------------------------------------------- compensation

    /// @inheritdoc IJobEscrow
    function compensate(address[] calldata customers_, uint256[] calldata amounts) external onlyCourt nonReentrant {
        if (customers_.length != amounts.length) revert LengthMismatch(customers_.length, amounts.length);
        uint256 total;
        for (uint256 i = 0; i < amounts.length; ++i) {
            uint256 compensationAfter = _compensation[customers_[i]] + amounts[i];
            _compensation[customers_[i]] = compensationAfter;
            total += amounts[i];
            emit Compensated(customers_[i], amounts[i], compensationAfter);
        }
        totalCompensation += total;
        if (total != 0) _stakeToken.pull(msg.sender, total);
    }

    /// @inheritdoc IJobEscrow
    function fundSlaStake(uint256 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        stakeSlaFund += amount;
        emit StakeSlaFundChanged(amount.toInt256(), stakeSlaFund);
        _stakeToken.pull(msg.sender, amount);
    }

    // --------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc IJobEscrow
    function paymentToken() external view returns (address) {
        return address(_paymentToken);
    }

    /// @inheritdoc IJobEscrow
    function stakeToken() external view returns (address) {
        return address(_stakeToken);
    }

    /// @inheritdoc IJobEscrow
    function customer(address customer_) public view returns (CustomerView memory v) {
        Customer storage c = _customers[customer_];
        uint64 running = IEpochLedger(epochLedger).currentEpoch();
        v.balance = c.balance;
        v.thawing = c.thawing;
        v.thawedAt = c.thawedAt;
        v.cap = _capAt(c.caps, running);
        v.capNext = v.cap;
        v.compensation = _compensation[customer_];
        uint256 length = c.caps.length;
        if (length != 0 && c.caps[length - 1].fromEpoch > running) {
            v.capNext = c.caps[length - 1].cap;
            v.capNextFrom = c.caps[length - 1].fromEpoch;
        }
    }

    /// @inheritdoc IJobEscrow
    function customerCount() external view returns (uint256) {
        return _list.length;
    }

    /// @inheritdoc IJobEscrow
    function customerAt(uint256 index) external view returns (address) {
        return _list[index];
    }

    /// @inheritdoc IJobEscrow
    function customers(uint256 from, uint256 count)
        external
        view
        returns (address[] memory addresses, CustomerView[] memory views)
    {
        uint256 length = from < _list.length ? Math.min(count, _list.length - from) : 0;
        addresses = new address[](length);
        views = new CustomerView[](length);
        for (uint256 i = 0; i < length; ++i) {
            addresses[i] = _list[from + i];
            views[i] = customer(addresses[i]);
        }
    }

    /// @inheritdoc IJobEscrow
    function capFor(address customer_, uint64 epoch) external view returns (uint128) {
        return _capAt(_customers[customer_].caps, epoch);
    }

    /// @dev Looks from the newest point backwards: the epochs asked for are recent, and an epoch adds two points at most.
    function _capAt(CapPoint[] storage caps, uint64 epoch) private view returns (uint128) {
        for (uint256 i = caps.length; i != 0; --i) {
            if (caps[i - 1].fromEpoch <= epoch) return caps[i - 1].cap;
        }
        return 0;
    }
}
