//! The first block of an OP fork since Jovian holds deposits alone: it upgrades the contracts that
//! users' transactions are charged by.

use banyan_chainspec::{ChainSpec, OpFork};
use banyan_primitives::{Header, Transaction};

use crate::InvalidBlock;

/// True if a block at `timestamp` on `parent` activates an OP fork, Jovian or later.
pub fn is_activation_block(spec: &ChainSpec, parent: &Header, timestamp: u64) -> bool {
    // OP forks go by time alone.
    let fork_at = |time| spec.rules_at(0, time).op;
    let fork = fork_at(timestamp);
    fork >= Some(OpFork::Jovian) && fork != fork_at(parent.timestamp)
}

/// Checks that a block which activates an OP fork has no transaction of a user.
pub fn validate_activation(
    spec: &ChainSpec,
    parent: &Header,
    timestamp: u64,
    transactions: &[Transaction],
) -> Result<(), InvalidBlock> {
    if !is_activation_block(spec, parent, timestamp) {
        return Ok(());
    }
    match transactions.iter().position(|tx| !tx.is_deposit()) {
        None => Ok(()),
        Some(index) => Err(InvalidBlock::Rule(format!(
            "transaction {index}: unexpected non-deposit transaction in a fork activation block"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{SignableTransaction, TxLegacy};
    use banyan_primitives::{Signature, TxDeposit, U256};

    use super::*;
    use crate::testing::{OP_START, merged, optimism};

    fn check(spec: &ChainSpec, parent_time: u64, time: u64, user: bool) -> bool {
        let parent = Header { timestamp: parent_time, ..Default::default() };
        let mut transactions: Vec<Transaction> = vec![TxDeposit::default().into()];
        if user {
            let signature = Signature::new(U256::from(1), U256::from(2), false);
            transactions.push(Transaction::Legacy(TxLegacy::default().into_signed(signature)));
        }
        validate_activation(spec, &parent, time, &transactions).is_ok()
    }

    #[test]
    fn the_first_block_of_a_fork_since_jovian_holds_deposits_alone() {
        for fork in ["jovianTime", "karstTime"] {
            let spec = optimism(fork);
            assert!(!check(&spec, OP_START - 1, OP_START, true), "{fork}");
            assert!(!check(&spec, OP_START - 2, OP_START + 1, true), "{fork}, between two blocks");
            assert!(check(&spec, OP_START - 1, OP_START, false), "{fork}, deposits");
            assert!(check(&spec, OP_START - 3, OP_START - 1, true), "{fork}, before");
            assert!(check(&spec, OP_START, OP_START + 2, true), "{fork}, after");
        }
        assert!(check(&optimism("isthmusTime"), OP_START - 1, OP_START, true), "older forks");
        assert!(check(&merged(&["osakaTime"]), 0, OP_START, true), "Ethereum");
    }
}
