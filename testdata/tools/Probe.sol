// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// What a tool can be tried on: state, events, and every way to fail.
contract Probe {
    event Changed(address indexed who, uint256 indexed value, string note);

    error TooBig(uint256 value, uint256 limit);

    uint256 public value;
    uint256[] private list;

    constructor(uint256 first) {
        value = first;
    }

    function set(uint256 next, string calldata note) external {
        value = next;
        emit Changed(msg.sender, next, note);
    }

    function sum(uint256 a, uint256 b) external pure returns (uint256) {
        return a + b;
    }

    function sender() external view returns (address) {
        return msg.sender;
    }

    /// Reverts with a reason.
    function refuse() external pure {
        revert("not today");
    }

    /// Reverts with an error of its own.
    function limit(uint256 next) external {
        if (next > 100) revert TooBig(next, 100);
        value = next;
    }

    /// Panics with 0x11.
    function overflow(uint8 by) external pure returns (uint8) {
        return uint8(255) + by;
    }

    /// Panics with 0x32.
    function beyond(uint256 index) external view returns (uint256) {
        return list[index];
    }
}
