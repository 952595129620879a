//! The contender: revm used plainly. One EVM for the block on pre-sized tables, a map of accounts
//! below it (with analysed code), results and final state as its output. In two ways, of which the
//! better counts: each transaction committed to a map, or all of them left in the journal.

use std::any::Any;

use alloy_eips::{eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS};
use banyan_chainspec::{Fork, OpFork, Rules};
use banyan_primitives::{Address, Encodable2718, Transaction, TransactionTrait};
use op_revm::{
    DefaultOp, OpBuilder, OpContext, OpSpecId, OpTransaction, api::builder::DefaultOpEvm,
    transaction::deposit::DepositTransactionParts,
};
use revm::{
    Context, Database, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext, MainnetEvm,
    SystemCallEvm,
    context::{BlockEnv, CfgEnv, TxEnv},
    context_interface::{block::BlobExcessGasAndPrice, either::Either, result::ExecutionResult},
    database::{CacheDB, EmptyDB, WrapDatabaseRef},
    handler::MainnetContext,
    primitives::{KECCAK_EMPTY, U256, hardfork::SpecId},
    state::{AccountInfo, Bytecode},
};

use crate::workload::Workload;

/// How the state is kept during the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Each transaction is committed to a map over the state (`transact_commit`).
    Commit,
    /// All stay in revm's journal, finalized once at the end (`transact_one`).
    Journal,
}

/// Gas used, and the rest of the output, for dropping after the clock has stopped.
pub(crate) struct Output {
    pub(crate) gas_used: u64,
    _rest: Box<dyn Any>,
}

/// Executes the block; an error where plain revm cannot.
pub(crate) fn run(workload: &Workload, style: Style) -> Result<Output, String> {
    let rules = workload.spec.rules_of(&workload.block.header);
    match (rules.op, style) {
        (None, Style::Commit) => {
            let mut evm = ethereum(workload, &rules, map(workload));
            let (gas_used, results) =
                block(&mut evm, workload, &rules, tx_env, |evm| evm.commit_inner())?;
            Ok(Output::new(gas_used, (results, evm.ctx.journaled_state.database.cache)))
        }
        (None, Style::Journal) => {
            let mut evm = ethereum(workload, &rules, WrapDatabaseRef(&workload.lean));
            evm.ctx.journaled_state.inner.state.reserve(accounts(workload));
            let (gas_used, results) = block(&mut evm, workload, &rules, tx_env, |_| ())?;
            Ok(Output::new(gas_used, (results, evm.finalize())))
        }
        (Some(fork), Style::Commit) => {
            let mut evm = optimism(workload, &rules, fork, map(workload));
            let (gas_used, results) =
                block(&mut evm, workload, &rules, op_tx_env, |evm| evm.commit_inner())?;
            Ok(Output::new(gas_used, (results, evm.0.ctx.journaled_state.database.cache)))
        }
        (Some(fork), Style::Journal) => {
            let mut evm = optimism(workload, &rules, fork, WrapDatabaseRef(&workload.lean));
            evm.0.ctx.journaled_state.inner.state.reserve(accounts(workload));
            let (gas_used, results) = block(&mut evm, workload, &rules, op_tx_env, |_| ())?;
            Ok(Output::new(gas_used, (results, evm.finalize())))
        }
    }
}

impl Output {
    fn new(gas_used: u64, rest: impl Any) -> Self {
        Self { gas_used, _rest: Box::new(rest) }
    }
}

fn ethereum<DB: Database>(
    workload: &Workload,
    rules: &Rules,
    db: DB,
) -> MainnetEvm<MainnetContext<DB>> {
    let mut cfg = CfgEnv::new_with_spec(spec_id(rules.fork));
    cfg.chain_id = workload.spec.chain_id;
    Context::mainnet()
        .with_db(db)
        .with_cfg(cfg)
        .with_block(block_env(workload, rules))
        .build_mainnet()
}

fn optimism<DB: Database>(
    workload: &Workload,
    rules: &Rules,
    fork: OpFork,
    db: DB,
) -> DefaultOpEvm<OpContext<DB>> {
    let mut cfg = CfgEnv::new_with_spec(op_spec_id(fork));
    cfg.chain_id = workload.spec.chain_id;
    Context::op().with_db(db).with_cfg(cfg).with_block(block_env(workload, rules)).build_op()
}

/// The map that transactions are committed to.
fn map(workload: &Workload) -> CacheDB<&CacheDB<EmptyDB>> {
    let mut db = CacheDB::new(&workload.lean);
    db.cache.accounts.reserve(accounts(workload));
    db
}

/// Sender and receiver of each transaction.
fn accounts(workload: &Workload) -> usize {
    2 * workload.block.senders.len()
}

/// All that a block does in the EVM: system calls, then transactions; `then` follows each.
fn block<E, H>(
    evm: &mut E,
    workload: &Workload,
    rules: &Rules,
    env: fn(&Transaction, Address) -> E::Tx,
    then: fn(&mut E),
) -> Result<(u64, Vec<ExecutionResult<H>>), String>
where
    E: ExecuteEvm<ExecutionResult = ExecutionResult<H>, Error: ToString> + SystemCallEvm,
{
    let header = &workload.block.header;
    let beacon_root = header.parent_beacon_block_root.filter(|_| rules.is(Fork::Cancun));
    let beacon_root = beacon_root.map(|root| (BEACON_ROOTS_ADDRESS, root));
    let parent = rules.is(Fork::Prague).then_some((HISTORY_STORAGE_ADDRESS, header.parent_hash));
    for (contract, input) in beacon_root.into_iter().chain(parent) {
        evm.system_call_one(contract, input.0.into()).map_err(|error| error.to_string())?;
        then(evm);
    }
    let mut gas_used = 0;
    let mut results = Vec::with_capacity(workload.block.senders.len());
    for (tx, sender) in workload.block.transactions() {
        let result = evm.transact_one(env(tx, sender)).map_err(|error| error.to_string())?;
        then(evm);
        gas_used += result.tx_gas_used();
        results.push(result);
    }
    Ok((gas_used, results))
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
            code: code.map(Bytecode::new_raw),
            ..Default::default()
        };
        db.insert_account_info(*address, info);
        for (slot, value) in state.storage.get(address).into_iter().flatten() {
            db.insert_account_storage(*address, *slot, *value).unwrap();
        }
    }
    for (number, hash) in &state.block_hashes {
        db.cache.block_hashes.insert(U256::from(*number), *hash);
    }
    db
}

fn block_env(workload: &Workload, rules: &Rules) -> BlockEnv {
    let header = &workload.block.header;
    let blob_price = rules.blobs.map(|blobs| {
        let excess = header.excess_blob_gas.unwrap_or_default();
        BlobExcessGasAndPrice::new(excess, blobs.update_fraction.max(1))
    });
    BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: header.base_fee_per_gas.unwrap_or_default(),
        difficulty: header.difficulty,
        prevrandao: rules.is(Fork::Paris).then_some(header.mix_hash),
        blob_excess_gas_and_price: blob_price
            .or_else(|| rules.is(Fork::Cancun).then(|| BlobExcessGasAndPrice::new(0, 1))),
        ..Default::default()
    }
}

fn tx_env(tx: &Transaction, sender: Address) -> TxEnv {
    let authorizations = tx.authorization_list().unwrap_or_default();
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
        access_list: tx.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: tx.max_priority_fee_per_gas(),
        blob_hashes: tx.blob_versioned_hashes().unwrap_or_default().to_vec(),
        max_fee_per_blob_gas: tx.max_fee_per_blob_gas().unwrap_or_default(),
        authorization_list: authorizations.iter().cloned().map(Either::Left).collect(),
    }
}

fn op_tx_env(tx: &Transaction, sender: Address) -> OpTransaction<TxEnv> {
    let mut env = OpTransaction::new(tx_env(tx, sender));
    match tx.as_deposit() {
        Some(deposit) => {
            env.deposit = DepositTransactionParts::new(
                deposit.source_hash,
                Some(deposit.mint),
                deposit.is_system_transaction,
            );
        }
        None => env.enveloped_tx = Some(tx.encoded_2718().into()),
    }
    env
}

/// Rules of the blocks that are measured.
fn spec_id(fork: Fork) -> SpecId {
    match fork {
        Fork::Homestead | Fork::DaoFork => SpecId::HOMESTEAD,
        Fork::SpuriousDragon => SpecId::SPURIOUS_DRAGON,
        Fork::Byzantium => SpecId::BYZANTIUM,
        Fork::Petersburg => SpecId::PETERSBURG,
        Fork::Istanbul | Fork::MuirGlacier => SpecId::ISTANBUL,
        Fork::Berlin => SpecId::BERLIN,
        Fork::London | Fork::ArrowGlacier | Fork::GrayGlacier => SpecId::LONDON,
        Fork::Paris => SpecId::MERGE,
        Fork::Shanghai => SpecId::SHANGHAI,
        Fork::Cancun => SpecId::CANCUN,
        Fork::Prague => SpecId::PRAGUE,
        Fork::Osaka => SpecId::OSAKA,
        other => unreachable!("no block of {other:?} is measured"),
    }
}

fn op_spec_id(fork: OpFork) -> OpSpecId {
    match fork {
        OpFork::Holocene => OpSpecId::HOLOCENE,
        OpFork::Isthmus => OpSpecId::ISTHMUS,
        OpFork::Jovian => OpSpecId::JOVIAN,
        other => unreachable!("no block of {other:?} is measured"),
    }
}
