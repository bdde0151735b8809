// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IEpochLedger} from "./interfaces/IEpochLedger.sol";
import {IGuardian} from "./interfaces/IGuardian.sol";
import {IJobEscrow} from "./interfaces/IJobEscrow.sol";
import {SpendingCaps} from "./SpendingCaps.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {ExactToken} from "./libraries/ExactToken.sol";

/// @title JobEscrow
/// @notice The half that holds tokens: balances, funds, compensation. Documentation stands in `IJobEscrow`.
contract JobEscrow is SpendingCaps, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using ExactToken for IERC20;
    using SafeCast for uint256;

    uint256 internal constant MOST_THAW_SECONDS = 30 days;
    address internal constant BURN_ADDRESS = 0x000000000000000000000000000000000000dEaD;

    IERC20 internal immutable _paymentToken;
    IERC20 internal immutable _stakeToken;
    address public immutable epochLedger;
    address public immutable court;
    address public immutable guardian;
    uint64 public immutable thawSeconds;

    uint256 public totalBalances;
    uint256 public totalCompensation;
    uint256 public slaFund;
    uint256 public stakeSlaFund;

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

    modifier whenOpen() {
        IGuardian(guardian).requireOpen();
        _;
    }

    constructor(
        address paymentToken_,
        address stakeToken_,
        address clock_,
        address epochLedger_,
        address court_,
        address guardian_,
        Config memory config
    ) SpendingCaps(clock_) {
        _paymentToken = ExactToken.existing("paymentToken", paymentToken_);
        _stakeToken = ExactToken.existing("stakeToken", stakeToken_);
        epochLedger = Bounds.known("epochLedger", epochLedger_);
        court = Bounds.known("court", court_);
        guardian = Bounds.known("guardian", guardian_);
        Bounds.linked("ledger.escrow", IEpochLedger(epochLedger_).escrow(), address(this));
        Bounds.linked("ledger.paymentToken", IEpochLedger(epochLedger_).paymentToken(), paymentToken_);
        Bounds.linked("ledger.clock", IEpochLedger(epochLedger_).clock(), clock_);
        // money asked back in the first second of an epoch must still be there when that epoch is charged
        uint256 charged = uint256(IEpochClock(clock_).epochSeconds()) + IEpochClock(clock_).reportDelay();
        thawSeconds = uint64(Bounds.within("thawSeconds", config.thawSeconds, charged + charged / 5, MOST_THAW_SECONDS));
    }

    // ------------------------------------------------------------------------------------------------- customers' own

    /// @inheritdoc IJobEscrow
    function deposit(address customer_, uint256 amount) external whenOpen nonReentrant {
        _deposit(customer_, amount);
    }

    /// @inheritdoc IJobEscrow
    function depositWithPermit(address customer_, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        whenOpen
        nonReentrant
    {
        // a permit seen in the mempool can be used up by anybody; what counts is the allowance it leaves
        try IERC20Permit(address(_paymentToken)).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
        _deposit(customer_, amount);
    }

    function _deposit(address customer_, uint256 amount) private {
        // checked, not needed
        // slither-disable-next-line unused-return
        Bounds.known("customer", customer_);
        if (amount == 0) revert ZeroAmount();
        if (customer_ == msg.sender) {
            _customers[customer_].acted = true;
            _endSession(customer_);
        }
        uint256 balanceAfter = _add(customer_, amount);
        totalBalances += amount;
        emit Deposited(customer_, msg.sender, amount, balanceAfter);
        _pullNew(_paymentToken, amount);
    }

    /// @dev Adds to a customer's balance, and the customer to the list when it is not there.
    function _add(address customer_, uint256 amount) private returns (uint256 balanceAfter) {
        Customer storage c = _customers[customer_];
        if (!c.listed) {
            c.listed = true;
            _list.push(customer_);
        }
        balanceAfter = c.balance + amount;
        c.balance = balanceAfter.toUint120();
    }

    /// @inheritdoc IJobEscrow
    function requestWithdrawal(uint128 amount) external {
        if (amount == 0) revert ZeroAmount();
        Customer storage c = _customers[msg.sender];
        uint256 thawing = uint256(c.thawing) + amount;
        if (thawing > c.balance) revert WithdrawalAboveBalance(thawing, c.balance);
        c.thawing = thawing.toUint120();
        c.thawedAt = uint64(block.timestamp) + thawSeconds;
        emit WithdrawalRequested(msg.sender, amount, thawing, c.thawedAt);
    }

    /// @inheritdoc IJobEscrow
    function cancelWithdrawal() external {
        Customer storage c = _customers[msg.sender];
        uint256 thawing = c.thawing;
        if (thawing == 0) revert NothingThawing(msg.sender);
        c.thawing = 0;
        emit WithdrawalCancelled(msg.sender, thawing);
    }

    /// @inheritdoc IJobEscrow
    function withdraw() external nonReentrant returns (uint256 amount) {
        Customer storage c = _customers[msg.sender];
        amount = c.thawing;
        if (amount == 0) revert NothingThawing(msg.sender);
        if (block.timestamp < c.thawedAt) revert StillThawing(c.thawedAt, block.timestamp);
        c.thawing = 0;
        c.balance -= amount.toUint120();
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

    // --------------------------------------------------------------------------------------------- the ledger's calls

    /// @inheritdoc IJobEscrow
    function charge(uint64 epoch, Charge[] calldata charges)
        external
        onlyLedger
        nonReentrant
        returns (uint256 total)
    {
        address before;
        for (uint256 i = 0; i < charges.length; ++i) {
            Charge calldata one = charges[i];
            (address customer_, uint256 amount) = (one.customer, one.amount);
            if (customer_ <= before) revert ChargesNotAscending(before, customer_);
            before = customer_;
            _charge(epoch, customer_, amount);
            total += amount;
        }
        totalBalances -= total;
        if (total != 0) _paymentToken.safeTransfer(epochLedger, total);
    }

    function _charge(uint64 epoch, address customer_, uint256 amount) private {
        if (amount == 0) revert ZeroAmount();
        Customer storage c = _customers[customer_];
        uint256 cap = _capAt(c, epoch);
        if (amount > cap) revert ChargeAboveCap(customer_, amount, cap);
        (uint256 balance, uint256 thawing) = (c.balance, c.thawing);
        if (amount > balance) revert ChargeAboveBalance(customer_, amount, balance);
        balance -= amount;
        // it was a balance before and has become smaller
        // forge-lint: disable-next-line(unsafe-typecast)
        c.balance = uint120(balance);
        if (thawing > balance) c.thawing = c.balance;
        emit Charged(customer_, epoch, amount, balance);
    }

    /// @inheritdoc IJobEscrow
    function returnCharges(uint64 epoch, Charge[] calldata charges) external onlyLedger nonReentrant {
        uint256 total;
        for (uint256 i = 0; i < charges.length; ++i) {
            (address customer_, uint256 amount) = (charges[i].customer, charges[i].amount);
            if (amount == 0) revert ZeroAmount();
            total += amount;
            emit ChargeReturned(customer_, epoch, amount, _add(customer_, amount));
        }
        totalBalances += total;
        if (total != 0) _paymentToken.pull(msg.sender, total);
    }

    /// @inheritdoc IJobEscrow
    function credit(Credit[] calldata credits) external onlyLedger nonReentrant {
        uint256 total;
        for (uint256 i = 0; i < credits.length; ++i) {
            (address customer_, uint256 amount) = (credits[i].customer, credits[i].amount);
            if (amount == 0) revert ZeroAmount();
            total += amount;
            emit Credited(customer_, credits[i].provider, amount, _add(customer_, amount));
        }
        totalBalances += total;
        if (total != 0) _paymentToken.pull(msg.sender, total);
    }

    /// @inheritdoc IJobEscrow
    function settleFund(uint256 inflow, uint256 outflow) external onlyLedger nonReentrant {
        uint256 fund = slaFund + inflow;
        if (outflow > fund) revert SlaFundShort(fund, outflow);
        slaFund = fund - outflow;
        if (inflow != 0) {
            emit SlaFundChanged(inflow.toInt256(), fund);
            _paymentToken.pull(msg.sender, inflow);
        }
        if (outflow != 0) {
            emit SlaFundChanged(-outflow.toInt256(), fund - outflow);
            _paymentToken.safeTransfer(msg.sender, outflow);
        }
    }

    // ----------------------------------------------------------------------------------------- funds and compensation

    /// @inheritdoc IJobEscrow
    function fundSla(uint256 amount) external whenOpen nonReentrant {
        if (amount == 0) revert ZeroAmount();
        slaFund += amount;
        emit SlaFundChanged(amount.toInt256(), slaFund);
        _pullNew(_paymentToken, amount);
    }

    /// @inheritdoc IJobEscrow
    function fundSlaStake(uint256 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        stakeSlaFund += amount;
        emit StakeSlaFundChanged(amount.toInt256(), stakeSlaFund);
        _stakeToken.pull(msg.sender, amount);
    }

    /// @inheritdoc IJobEscrow
    function burnSlaStake() external nonReentrant returns (uint256 amount) {
        amount = stakeSlaFund;
        if (amount == 0) revert ZeroAmount();
        stakeSlaFund = 0;
        emit StakeSlaFundChanged(-amount.toInt256(), 0);
        _stakeToken.safeTransfer(BURN_ADDRESS, amount);
    }

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

    /// @dev Pulls new money, already booked, from the caller. What comes from ledger and court is taken even when tokens are short, or
    /// a refund would be held up by a loss that it does not make larger.
    function _pullNew(IERC20 token, uint256 amount) private {
        uint256 booked = totalBalances + slaFund;
        if (_paymentToken == _stakeToken) booked += totalCompensation + stakeSlaFund;
        token.pull(msg.sender, amount, booked - amount);
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
        uint64 running = IEpochClock(clock).currentEpoch();
        v.balance = c.balance;
        v.thawing = c.thawing;
        v.thawedAt = c.thawing == 0 ? 0 : c.thawedAt;
        v.cap = _capAt(c, running);
        v.capNext = v.cap;
        v.compensation = _compensation[customer_];
        if (c.priorFrom > running) (v.capNext, v.capNextFrom) = (c.priorCap, c.priorFrom);
        else if (c.lastFrom > running) (v.capNext, v.capNextFrom) = (c.lastCap, c.lastFrom);
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
}
