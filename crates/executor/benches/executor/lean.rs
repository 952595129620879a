//! The contender: revm used plainly. One EVM for the block, a map of accounts below it, each
//! transaction executed and committed; receipts and final state are its output.

use banyan_primitives::{Address, Transaction, TransactionTrait};
use revm::{
    Context, ExecuteCommitEvm, MainBuilder, MainContext,
    context::{BlockEnv, CfgEnv, TxEnv},
    context_interface::block::BlobExcessGasAndPrice,
    database::{CacheDB, EmptyDB},
    primitives::{KECCAK_EMPTY, hardfork::SpecId},
    state::{AccountInfo, Bytecode},
};

use crate::workload::Workload;

/// Executes the block; gives the gas used.
pub(crate) fn run(workload: &Workload) -> u64 {
    let block = &workload.context;
    let mut cfg = CfgEnv::new_with_spec(SpecId::CANCUN);
    cfg.chain_id = workload.spec.chain_id;
    let mut evm = Context::mainnet()
        .with_db(CacheDB::new(&workload.lean))
        .with_cfg(cfg)
        .with_block(BlockEnv {
            number: revm::primitives::U256::from(block.number),
            beneficiary: block.beneficiary,
            timestamp: revm::primitives::U256::from(block.timestamp),
            gas_limit: block.gas_limit,
            basefee: block.base_fee.unwrap_or_default(),
            prevrandao: Some(block.prev_randao),
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice {
                excess_blob_gas: 0,
                blob_gasprice: 1,
            }),
            ..Default::default()
        })
        .build_mainnet();
    let mut gas_used = 0;
    let mut results = Vec::with_capacity(workload.transactions.len());
    for (tx, sender) in &workload.transactions {
        let result = evm.transact_commit(tx_env(tx, *sender)).unwrap();
        gas_used += result.tx_gas_used();
        results.push(result);
    }
    std::hint::black_box(results);
    gas_used
}

/// The state in revm's own form.
pub(crate) fn database(state: &banyan_executor::MemoryState) -> CacheDB<EmptyDB> {
    let mut db = CacheDB::new(EmptyDB::default());
    for (address, account) in &state.accounts {
        let code = state.codes.get(&account.code_hash).cloned();
        let info = AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: if code.is_some() { account.code_hash } else { KECCAK_EMPTY },
            code: code.map(Bytecode::new_legacy),
            ..Default::default()
        };
        db.insert_account_info(*address, info);
        for (slot, value) in state.storage.get(address).into_iter().flatten() {
            db.insert_account_storage(*address, *slot, *value).unwrap();
        }
    }
    db
}

fn tx_env(tx: &Transaction, sender: Address) -> TxEnv {
    TxEnv {
        tx_type: tx.tx_type() as u8,
        caller: sender,
        gas_limit: tx.gas_limit(),
        gas_price: tx.max_fee_per_gas(),
        kind: tx.kind(),
        value: tx.value(),
        data: tx.input().clone(),
        nonce: tx.nonce(),
        chain_id: tx.chain_id(),
        gas_priority_fee: tx.max_priority_fee_per_gas(),
        ..Default::default()
    }
}
