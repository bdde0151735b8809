// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title IJobEscrow
/// @notice Holds what customers have paid in, lets the ledger take what an epoch cost, and pays back what is theirs.
///
/// A customer's **balance** is in payment-token units. A part of it may be thawing: on its way out, still chargeable,
/// because work may have been done for it. A charge never exceeds the cap the customer set for that epoch. A second
/// balance, the **compensation**, is in stake-token units and comes from slashes; it may be withdrawn at any time.
///
/// The SLA fund pays the part of a credit that a provider's fees do not cover. It has a payment-token part (from
/// reports and gifts) and a stake-token part (from slashes and gifts).
///
/// Books, true after every call: payment token: `balance >= totalBalances + slaFund`;
/// stake token: `balance >= totalCompensation + stakeSlaFund`; the sums add where both are one token.
/// WARNING: tokens sent here by a plain transfer are nobody's and cannot be recovered.
interface IJobEscrow {
    /// @param thawSeconds From `requestWithdrawal` to `withdraw`; longer than an epoch takes to be charged.
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
    /// @param capNext In force from epoch `capNextFrom` on; equal to `cap` with `capNextFrom` zero when no change waits.
    struct CustomerView {
        uint256 balance;
        uint256 thawing;
        uint64 thawedAt;
        uint128 cap;
        uint128 capNext;
        uint64 capNextFrom;
        uint256 compensation;
    }

    event Deposited(address indexed customer, address indexed from, uint256 amount, uint256 balanceAfter);
    /// @notice From `fromEpoch` on, and until the next such event, at most `cap` may be charged per epoch.
    event CapSet(address indexed customer, uint128 cap, uint64 fromEpoch);
    /// @notice `key` may act for the customer until `expiresAt`; zero ends that. It may set the cap up to `mostCap`.
    event SessionSet(address indexed customer, address indexed key, uint64 expiresAt, uint128 mostCap);
    event WithdrawalRequested(address indexed customer, uint256 amount, uint256 thawingAfter, uint64 thawedAt);
    event WithdrawalCancelled(address indexed customer, uint256 amount);
    event Withdrawn(address indexed customer, uint256 amount, uint256 balanceAfter);
    /// @notice A charge; what thaws is cut to `balanceAfter` where it was more.
    event Charged(address indexed customer, uint64 indexed epoch, uint256 amount, uint256 balanceAfter);
    /// @notice A charge of a cancelled report came back.
    event ChargeReturned(address indexed customer, uint64 indexed epoch, uint256 amount, uint256 balanceAfter);
    event Credited(address indexed customer, address indexed provider, uint256 amount, uint256 balanceAfter);
    event SlaFundChanged(int256 delta, uint256 fundAfter);
    event StakeSlaFundChanged(int256 delta, uint256 fundAfter);
    event Compensated(address indexed customer, uint256 amount, uint256 compensationAfter);
    event CompensationWithdrawn(address indexed customer, uint256 amount);

    error NotLedger(address caller);
    error NotCourt(address caller);
    error ZeroAmount();
    error LengthMismatch(uint256 customers, uint256 amounts);
    /// @notice Charges must name each customer once, in ascending order.
    error ChargesNotAscending(address before, address customer);
    error ChargeAboveCap(address customer, uint256 amount, uint256 cap);
    error ChargeAboveBalance(address customer, uint256 amount, uint256 balance);
    error SlaFundShort(uint256 fund, uint256 needed);
    /// @notice `key` is a customer, a session key of somebody else, or the caller itself.
    error KeyTaken(address key, address customer);
    error SessionTooLong(uint64 expiresAt, uint256 most);
    error NoSession(address key);
    error CapAboveSession(uint128 cap, uint128 mostCap);
    error WithdrawalAboveBalance(uint256 asked, uint256 balance);
    error NothingThawing(address customer);
    error StillThawing(uint64 thawedAt, uint256 time);
    error NothingToWithdraw(address customer);

    /// @notice Adds `amount` from the caller to `customer`'s balance. Requires an allowance and a token without fees. Not while paused.
    function deposit(address customer, uint256 amount) external;

    /// @notice As `deposit`, with an EIP-2612 permit by the caller instead of an allowance.
    /// @dev A permit that somebody else used up first does no harm: the allowance it gave counts.
    function depositWithPermit(address customer, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external;

    /// @notice Sets how much may be charged to the caller per epoch. Zero, the beginning, permits nothing. Never paused.
    /// @dev A raise holds for the running epoch and later. A lowering holds from the epoch after the next, because work may be
    /// under way and gateways must come to know of it; it never changes what may be charged for epochs that have begun. At most 2^88 - 1.
    function setCap(uint128 capPerEpoch) external;

    /// @notice Lets `key` act for the caller until `expiresAt`, with caps up to `mostCap`; `expiresAt` zero ends that at once.
    /// @dev Requirements: at most 90 days ahead; `key` is not the caller and no other customer's key. Gateways accept
    /// the key's sign-in as the customer's until then. It can move no money.
    function setSession(address key, uint64 expiresAt, uint128 mostCap) external;

    /// @notice As `setCap`, by a session key for its customer.
    /// @dev Requires an unexpired session and `capPerEpoch <= mostCap`.
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

    /// @notice Gives `amount` payment-token units to the SLA fund. Anybody may.
    function fundSla(uint256 amount) external;

    /// @notice Gives `amount` stake-token units to the stake part of the SLA fund. Anybody may; the court does.
    function fundSlaStake(uint256 amount) external;

    /// @notice Takes an epoch's charges and sends them to the ledger; returns their sum.
    /// @dev Requirements: the caller is the ledger; customers strictly ascending; each amount within the customer's cap
    /// for that epoch and within its balance, thawing part included.
    /// WARNING: relies on the ledger to charge an epoch once.
    function charge(uint64 epoch, Charge[] calldata charges) external returns (uint256 total);

    /// @notice Returns charges of a cancelled report, pulling their sum from the ledger. Requires the caller to be the ledger.
    function returnCharges(uint64 epoch, Charge[] calldata charges) external;

    /// @notice Adds credits to customers' balances, pulling their sum from the ledger. Requires the caller to be the ledger.
    function credit(Credit[] calldata credits) external;

    /// @notice Moves the SLA fund: pulls `inflow` from the ledger, then sends `outflow` to it. Requires the caller to be the ledger, and
    /// the fund with its inflow to cover the outflow.
    function settleFund(uint256 inflow, uint256 outflow) external;

    /// @notice Adds to customers' compensation, pulling the sum from the court. Requires the caller to be the court.
    function compensate(address[] calldata customers, uint256[] calldata amounts) external;

    function paymentToken() external view returns (address);
    function stakeToken() external view returns (address);
    function clock() external view returns (address);
    function epochLedger() external view returns (address);
    function guardian() external view returns (address);

    /// @notice Whose session key this is and until when; zero for nobody's or after it expired.
    function sessionOf(address key) external view returns (address customer_, uint64 expiresAt, uint128 mostCap);
    function court() external view returns (address);
    function thawSeconds() external view returns (uint64);

    function customer(address customer_) external view returns (CustomerView memory);

    /// @notice How many accounts ever received a deposit.
    function customerCount() external view returns (uint256);
    function customerAt(uint256 index) external view returns (address);

    /// @notice Up to `count` customers from index `from` on; fewer at the end of the list.
    function customers(uint256 from, uint256 count)
        external
        view
        returns (address[] memory addresses, CustomerView[] memory views);

    /// @notice What may be charged to a customer for an epoch, as it stands now.
    function capFor(address customer_, uint64 epoch) external view returns (uint128);

    function totalBalances() external view returns (uint256);
    function totalCompensation() external view returns (uint256);
    function slaFund() external view returns (uint256);
    function stakeSlaFund() external view returns (uint256);
}
