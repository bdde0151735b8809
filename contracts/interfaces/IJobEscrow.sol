// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title IJobEscrow
/// @notice Holds what customers have paid in, lets the ledger take what an epoch cost, and pays back what is theirs.
///
/// A customer's **balance** is in payment-token units. A part of it may be thawing: on its way out, still chargeable,
/// because work may have been done for it. A charge never exceeds the cap the customer set for that epoch. A second
/// balance, the **compensation**, is in stake-token units and comes from slashes; it may be withdrawn at any time.
///
/// A **session key** stands for a customer towards gateways and may set its cap within a limit; it can move no money. Whoever
/// deposits for itself or sets a cap of its own acts as a customer and is nobody's key: a session in its name ends with
/// that, so nobody is made somebody else's key for longer than it likes.
///
/// The SLA fund pays the part of a credit that a provider's fees do not cover. It has a payment-token part (from
/// reports and gifts) and a stake-token part (from slashes and gifts).
///
/// Books, true after every call: payment token: `balance >= totalBalances + slaFund`;
/// stake token: `balance >= totalCompensation + stakeSlaFund`; the sums add where both are one token.
/// A token that keeps a fee of its transfers is refused at the first one. Where the tokens held fall below the books (a token that shrinks
/// balances), deposits and gifts of payment tokens are refused with `TokenShort`; everything by which money returns goes on.
/// Amounts are at most 2^120 - 1 per customer, caps at most 2^88 - 1.
/// WARNING: tokens sent here by a plain transfer are nobody's and cannot be recovered.
interface IJobEscrow {
    /// @param thawSeconds From `requestWithdrawal` to `withdraw`; longer than an epoch takes to be charged.
    /// At least 1.2 × (epoch + report delay) and at most 30 days.
    struct Config {
        uint64 thawSeconds;
    }

    /// @notice What one customer pays for an epoch.
    struct Charge {
        address customer;
        uint128 amount;
    }

    /// @notice What one customer gets back for one provider's missed service level.
    struct Credit {
        address customer;
        address provider;
        uint128 amount;
    }

    /// @notice A customer at this block.
    /// @param balance All of it, the thawing part included.
    /// @param thawedAt When `withdraw` becomes possible; zero when nothing thaws.
    /// @param cap In force for the running epoch.
    /// @param capNext In force from epoch `capNextFrom` on: the next change, where two wait; `capFor` tells each epoch's. Equal
    /// to `cap` with `capNextFrom` zero when no change waits.
    /// @param compensation Stake-token units.
    struct CustomerView {
        uint256 balance;
        uint256 thawing;
        uint64 thawedAt;
        uint128 cap;
        uint128 capNext;
        uint64 capNextFrom;
        uint256 compensation;
    }

    /// @notice `from` paid in for `customer`; the first such event of a customer puts it on the list, as its first `Credited` does.
    event Deposited(address indexed customer, address indexed from, uint256 amount, uint256 balanceAfter);
    /// @notice From `fromEpoch` on at most `cap` may be charged per epoch; what earlier events said of these epochs is void.
    event CapSet(address indexed customer, uint128 cap, uint64 fromEpoch);
    /// @notice `key` may act for the customer until `expiresAt`; zero ends that. It may set caps up to `mostCap`.
    event SessionSet(address indexed customer, address indexed key, uint64 expiresAt, uint128 mostCap);
    /// @notice `amount` more thaws; all of it, `thawingAfter`, can be withdrawn from `thawedAt` on.
    event WithdrawalRequested(address indexed customer, uint256 amount, uint256 thawingAfter, uint64 thawedAt);
    /// @notice Nothing thaws any more; `amount` did.
    event WithdrawalCancelled(address indexed customer, uint256 amount);
    /// @notice Everything that had thawed was paid out.
    event Withdrawn(address indexed customer, uint256 amount, uint256 balanceAfter);
    /// @notice A charge; what thaws is cut to `balanceAfter` where it was more.
    event Charged(address indexed customer, uint64 indexed epoch, uint256 amount, uint256 balanceAfter);
    /// @notice A charge of a cancelled report came back.
    event ChargeReturned(address indexed customer, uint64 indexed epoch, uint256 amount, uint256 balanceAfter);
    /// @notice What a provider's missed service level gave a customer back.
    event Credited(address indexed customer, address indexed provider, uint256 amount, uint256 balanceAfter);
    /// @notice The payment-token part of the SLA fund: an epoch's inflow and outflow, in this order, or a gift.
    event SlaFundChanged(int256 delta, uint256 fundAfter);
    /// @notice The stake-token part of the SLA fund; it only grows.
    event StakeSlaFundChanged(int256 delta, uint256 fundAfter);
    /// @notice Stake-token units for a customer out of a slash; zero where its weight was too small for a unit.
    event Compensated(address indexed customer, uint256 amount, uint256 compensationAfter);
    /// @notice All of a customer's compensation was paid out.
    event CompensationWithdrawn(address indexed customer, uint256 amount);

    /// @notice Only the ledger may do this.
    error NotLedger(address caller);
    /// @notice Only the court may do this.
    error NotCourt(address caller);
    /// @notice An amount is zero, of the call or of one line of it.
    error ZeroAmount();
    /// @notice Two lists that belong together differ in length.
    error LengthMismatch(uint256 customers, uint256 amounts);
    /// @notice Charges must name each customer once, in ascending order.
    error ChargesNotAscending(address before, address customer);
    /// @notice The customer permitted less for that epoch.
    error ChargeAboveCap(address customer, uint256 amount, uint256 cap);
    /// @notice The customer has less, its thawing part included.
    error ChargeAboveBalance(address customer, uint256 amount, uint256 balance);
    /// @notice The fund with its inflow is smaller than what is to leave it.
    error SlaFundShort(uint256 fund, uint256 needed);
    /// @notice `key` acts for itself (then `customer` is `key`), or is the caller, or has a session of `customer`.
    error KeyTaken(address key, address customer);
    /// @notice A session may end at `most` at the latest.
    error SessionTooLong(uint64 expiresAt, uint256 most);
    /// @notice This key has no session, none any more, or none of the caller.
    error NoSession(address key);
    /// @notice The session permits caps up to `mostCap`.
    error CapAboveSession(uint128 cap, uint128 mostCap);
    /// @notice Thawing and the amount asked for, together, exceed the balance.
    error WithdrawalAboveBalance(uint256 asked, uint256 balance);
    /// @notice Nothing of this customer thaws.
    error NothingThawing(address customer);
    /// @notice The thaw ends at `thawedAt`.
    error StillThawing(uint64 thawedAt, uint256 time);
    /// @notice This customer has no compensation.
    error NothingToWithdraw(address customer);

    /// @notice Adds `amount` from the caller to `customer`'s balance. Requires an allowance and a token without fees. Not while paused.
    /// @dev A deposit for oneself ends a session in which one is the key.
    function deposit(address customer, uint256 amount) external;

    /// @notice As `deposit`, with an EIP-2612 permit by the caller instead of an allowance.
    /// @dev A permit that somebody else used up first does no harm: the allowance it gave counts.
    function depositWithPermit(address customer, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external;

    /// @notice Sets how much may be charged to the caller per epoch. Zero, the beginning, permits nothing. Never paused.
    /// @dev Requires at most 2^88 - 1. A raise holds for the running epoch and later. A lowering holds from the epoch after the next, because work
    /// may be under way and gateways must come to know of it; it never changes what may be charged for epochs that have begun. Where a lowering waits
    /// already, both rules hold for each epoch by itself: with 100 now and 50 from epoch 7 on, 70 set in epoch 6 holds from epoch 7 on.
    /// Ends a session in which the caller is the key.
    function setCap(uint128 capPerEpoch) external;

    /// @notice Lets `key` act for the caller until `expiresAt`, with caps up to `mostCap`; `expiresAt` zero ends that at once, which the key
    /// itself may do too. Never paused.
    /// @dev Requirements: in the future and at most 90 days ahead; `key` is not the caller, has no unexpired session of another customer, never
    /// deposited for itself and never set a cap of its own. Gateways accept the key's sign-in as the customer's until then. It can move no money.
    function setSession(address key, uint64 expiresAt, uint128 mostCap) external;

    /// @notice As `setCap`, by a session key for its customer.
    /// @dev Requires an unexpired session and `capPerEpoch <= mostCap`. The cap may be lowered, too.
    function setCapBySession(uint128 capPerEpoch) external;

    /// @notice Moves `amount` more of the caller's balance into the thaw and restarts the thaw of all of it.
    /// @dev Requires `0 < amount` and thawing + amount <= balance.
    function requestWithdrawal(uint128 amount) external;

    /// @notice Takes everything out of the thaw; it stays in the balance.
    function cancelWithdrawal() external;

    /// @notice Pays what has thawed to the caller; returns the amount.
    function withdraw() external returns (uint256 amount);

    /// @notice Pays the caller's compensation, at any time; returns the amount.
    function withdrawCompensation() external returns (uint256 amount);

    /// @notice Gives `amount` payment-token units to the SLA fund. Anybody may, unless paused.
    function fundSla(uint256 amount) external;

    /// @notice Gives `amount` stake-token units to the stake part of the SLA fund. Anybody may; the court does.
    function fundSlaStake(uint256 amount) external;

    /// @notice Burns all of the stake part of the SLA fund; returns the amount. Anybody may; never paused.
    /// @dev Its only way out. Nobody who could bring about a slash, be harmed in one or hold a role gets anything by it, so there is nothing
    /// to be gained from filling or emptying it.
    function burnSlaStake() external returns (uint256 amount);

    /// @notice Takes an epoch's charges and sends them to the ledger; returns their sum.
    /// @dev Requirements: the caller is the ledger; customers strictly ascending; each amount above zero, within the customer's cap
    /// for that epoch and within its balance, thawing part included.
    /// WARNING: relies on the ledger to charge an epoch once.
    function charge(uint64 epoch, Charge[] calldata charges) external returns (uint256 total);

    /// @notice Returns charges of a cancelled report, pulling their sum from the ledger. Requires the caller to be the ledger.
    /// @dev What a charge cut from the thaw stays in the balance and does not thaw again by itself.
    function returnCharges(uint64 epoch, Charge[] calldata charges) external;

    /// @notice Adds credits to customers' balances, pulling their sum from the ledger. Requires the caller to be the ledger, and amounts above zero.
    function credit(Credit[] calldata credits) external;

    /// @notice Moves the SLA fund: pulls `inflow` from the ledger, then sends `outflow` to it. Requires the caller to be the ledger, and
    /// the fund with its inflow to cover the outflow.
    function settleFund(uint256 inflow, uint256 outflow) external;

    /// @notice Adds to customers' compensation, pulling the sum from the court. Requires the caller to be the court.
    /// @dev Amounts of zero are logged and change nothing, so that one small weight does not hold up a page.
    function compensate(address[] calldata customers, uint256[] calldata amounts) external;

    /// @notice The contracts this one knows, fixed at deployment.
    function paymentToken() external view returns (address);
    function stakeToken() external view returns (address);
    function clock() external view returns (address);
    function epochLedger() external view returns (address);
    function court() external view returns (address);
    function guardian() external view returns (address);

    /// @notice From `requestWithdrawal` to `withdraw`.
    function thawSeconds() external view returns (uint64);

    /// @notice Whose session key this is and until when; zero for nobody's or after it expired.
    function sessionOf(address key) external view returns (address customer_, uint64 expiresAt, uint128 mostCap);

    /// @notice One customer, listed or not; all zero for a stranger.
    function customer(address customer_) external view returns (CustomerView memory);

    /// @notice How many accounts ever received a deposit or a credit.
    function customerCount() external view returns (uint256);

    /// @notice One of them, in the order in which they came.
    function customerAt(uint256 index) external view returns (address);

    /// @notice Up to `count` customers from index `from` on; fewer at the end of the list.
    function customers(uint256 from, uint256 count)
        external
        view
        returns (address[] memory addresses, CustomerView[] memory views);

    /// @notice What may be charged to a customer for an epoch, as it stands now.
    function capFor(address customer_, uint64 epoch) external view returns (uint128);

    /// @notice Sum of all balances, payment-token units.
    function totalBalances() external view returns (uint256);

    /// @notice Sum of all compensations, stake-token units.
    function totalCompensation() external view returns (uint256);

    /// @notice Payment-token part of the SLA fund.
    function slaFund() external view returns (uint256);

    /// @notice Stake-token part of the SLA fund.
    function stakeSlaFund() external view returns (uint256);
}
