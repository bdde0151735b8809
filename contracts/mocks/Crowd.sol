// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IJobEscrow} from "../interfaces/IJobEscrow.sol";

/// @notice A customer that sets its cap while it is born, and has no code afterwards.
contract Puppet {
    constructor(IJobEscrow escrow, uint128 cap) {
        escrow.setCap(cap);
    }
}

/// @title Crowd
/// @notice Brings many customers into an escrow in one transaction, for tests of large batches.
contract Crowd {
    address[] internal _people;

    /// @notice Makes `count` more customers with the same balance and cap, out of tokens that were sent here.
    function gather(IJobEscrow escrow, uint256 count, uint256 amount, uint128 cap) external {
        IERC20(escrow.paymentToken()).approve(address(escrow), count * amount);
        for (uint256 i = 0; i < count; ++i) {
            address puppet = address(new Puppet(escrow, cap));
            escrow.deposit(puppet, amount);
            _people.push(puppet);
        }
    }

    /// @notice Everybody gathered, in the order of their coming.
    function people() external view returns (address[] memory) {
        return _people;
    }
}
