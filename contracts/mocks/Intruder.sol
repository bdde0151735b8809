// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ITransferWatcher} from "./ReentrantToken.sol";

/// @title Intruder
/// @notice A contract that takes part in the market like anybody and, in the middle of a transfer, does what it was armed with.
contract Intruder is ITransferWatcher {
    struct Attempt {
        address target;
        bytes data;
    }

    /// @notice What became of attempt `index`: the answer of its target.
    event Attempted(uint256 indexed index, address from, address to, bool succeeded, bytes answer);

    Attempt[] internal _attempts;
    bool internal _busy;

    /// @notice Calls anything in the intruder's name.
    function act(address target, bytes calldata data) external returns (bytes memory answer) {
        bool succeeded;
        (succeeded, answer) = target.call(data);
        if (!succeeded) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
    }

    /// @notice Replaces what is attempted in the middle of each transfer.
    function arm(Attempt[] calldata attempts) external {
        delete _attempts;
        for (uint256 i = 0; i < attempts.length; ++i) {
            _attempts.push(attempts[i]);
        }
    }

    /// @inheritdoc ITransferWatcher
    function onTransfer(address from, address to, uint256) external {
        if (_busy) return;
        _busy = true;
        for (uint256 i = 0; i < _attempts.length; ++i) {
            (bool succeeded, bytes memory answer) = _attempts[i].target.call(_attempts[i].data);
            emit Attempted(i, from, to, succeeded, answer);
        }
        _busy = false;
    }
}
