//! A chain of generated blocks: deterministic by its seed, since only the oracle decides how it
//! goes on.

use std::collections::HashMap;

use alloy_eips::eip4895::{Withdrawal, Withdrawals};
use banyan_chainspec::{Fork, OpFork, Rules};
use banyan_executor::{
    BlockContext, BlockExecutor, BlockOutput, ExecutionError, MemoryState, TxOutcome,
    execute_block_with_roots,
};
use banyan_primitives::{
    Account, Address, B256, BlockBody, Bytes, Header, RecoveredBlock, Sealed, SealedBlock,
    SourceError, StateDiff, StateSource, Transaction, U256, keccak256,
};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use crate::{
    common::block::BASE_FEE,
    txs::Plan,
    world::{World, is_op},
};

/// The state below a block with what its transactions did so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live {
    pub(crate) parent: MemoryState,
    pub(crate) diff: StateDiff,
}

impl StateSource for Live {
    fn account(&self, address: &Address) -> Result<Option<Account>, SourceError> {
        self.diff.account(address).map_or_else(|| self.parent.account(address), Ok)
    }

    fn storage(&self, address: &Address, slot: U256) -> Result<U256, SourceError> {
        self.diff.storage(address, slot).map_or_else(|| self.parent.storage(address, slot), Ok)
    }

    fn code(&self, hash: &B256) -> Result<Bytes, SourceError> {
        self.diff.code(hash).cloned().map_or_else(|| self.parent.code(hash), Ok)
    }

    fn block_hash(&self, number: u64) -> Result<B256, SourceError> {
        self.parent.block_hash(number)
    }
}

impl Live {
    pub(crate) fn account(&self, address: Address) -> Account {
        StateSource::account(self, &address).unwrap().unwrap_or_default()
    }
}

/// A transaction with its sender.
pub(crate) type Sent = (Transaction, Address);

/// What became of a transaction, in a form that compares.
pub(crate) fn told<E: std::fmt::Debug>(result: &Result<TxOutcome, E>) -> String {
    format!("{result:?}")
}

/// A block of the chain with what the oracle says about it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) parent: MemoryState,
    /// Everything that was tried, in order, with what the plain executor said.
    pub(crate) tried: Vec<(Sent, String)>,
    /// Changes before the first transaction, and after each try.
    pub(crate) opening: StateDiff,
    pub(crate) diffs: Vec<StateDiff>,
    /// Blocks on that parent: the one of all that was accepted, and perhaps one with a fault.
    pub(crate) blocks: Vec<RecoveredBlock>,
    /// What the oracle says about the last of them.
    pub(crate) verdict: Result<BlockOutput, String>,
    /// Every second block is also built, with decisions by this seed.
    pub(crate) build: Option<u64>,
}

/// What became of all that was tried for a block.
struct Filled {
    opening: StateDiff,
    tried: Vec<(Sent, String)>,
    diffs: Vec<StateDiff>,
    accepted: Vec<Sent>,
}

/// The chain of a seed.
pub(crate) struct Chain {
    pub(crate) world: World,
    rng: ChaCha8Rng,
    plan: Plan,
    state: MemoryState,
    number: u64,
    time: u64,
    /// Gas that calls took, by target and selector: where limits get tight.
    gas: HashMap<(Address, [u8; 4]), u64>,
}

impl Chain {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let plan = Plan::new(&mut rng);
        let world = World::new(&mut rng, plan.is_only_transfers());
        let (state, time) = (world.genesis.clone(), world.first_time);
        Self { world, rng, plan, state, number: 1, time, gas: HashMap::new() }
    }

    /// The next block.
    pub(crate) fn step(&mut self) -> Step {
        let rules = self.world.spec.rules(self.number, self.time, self.is_merged());
        let mut header = self.header(&rules);
        let count = match self.rng.random_range(0..10) {
            // More than workers look ahead.
            0 if self.rng.random_ratio(1, 40) => {
                header.gas_limit = 1_000_000_000;
                self.rng.random_range(520..700)
            }
            0 => self.rng.random_range(20..40),
            1 | 2 => self.rng.random_range(10..20),
            _ => self.rng.random_range(1..10),
        };
        let Filled { tried, opening, diffs, accepted } = self.fill(&header, &rules, count);
        let body = self.body(&rules, &header);
        let parent = self.state.clone();
        let good = block(&header, &body, &accepted);
        let mut blocks = Vec::new();
        if let Some(faulty) = self.fault(&accepted, &tried) {
            blocks.push(block(&header, &body, &faulty));
        }
        // The next block stands on this one, if nothing at its end makes it invalid.
        let verdict = oracle(&self.world.spec, &good, &parent);
        let verdict = verdict.map_err(|error| format!("{error:?}"));
        if let Ok(output) = &verdict {
            self.state.apply(&output.diff);
            self.remember_gas(&accepted, output);
            self.state.block_hashes.insert(self.number, keccak256(self.number.to_be_bytes()));
            self.number += 1;
            self.time += 12;
        }
        blocks.push(good);
        let build = self.rng.random::<bool>().then(|| self.rng.random());
        Step { parent, tried, opening, diffs, blocks, verdict, build }
    }

    /// Tries transactions until `count` of them were made.
    fn fill(&mut self, header: &Header, rules: &Rules, count: usize) -> Filled {
        let Self { world, rng, plan, state, gas, .. } = self;
        let context = BlockContext::from_header(header);
        let mut executor = BlockExecutor::new(&world.spec, context, &*state);
        executor.begin().unwrap();
        let mut live = Live { parent: state.clone(), diff: executor.diff_so_far().unwrap() };
        let opening = live.diff.clone();
        let (mut tried, mut diffs, mut accepted) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..count {
            let sent = plan.transaction(rng, world, header, rules, &live, gas, index);
            let result = executor.execute(&sent.0, sent.1);
            if result.is_ok() {
                live.diff = executor.diff_so_far().unwrap();
                accepted.push(sent.clone());
            }
            tried.push((sent, told(&result)));
            diffs.push(live.diff.clone());
        }
        Filled { tried, opening, diffs, accepted }
    }

    fn is_merged(&self) -> bool {
        self.world.spec.terminal_total_difficulty.is_some() || self.world.spec.is_op()
    }

    fn header(&mut self, rules: &Rules) -> Header {
        let rng = &mut self.rng;
        let base_fee = *[0, 1, 7, BASE_FEE].choose(rng).unwrap();
        let gas_limit = match rng.random_range(0..8) {
            0 => rng.random_range(100_000..2_000_000),
            _ => 30_000_000,
        };
        let op_genesis = self.world.spec.is_op();
        Header {
            number: self.number,
            timestamp: self.time,
            parent_hash: keccak256((self.number - 1).to_be_bytes()),
            beneficiary: *self.world.cast.beneficiaries.choose(rng).unwrap(),
            gas_limit,
            base_fee_per_gas: rules.is(Fork::London).then_some(base_fee),
            difficulty: U256::from(u64::from(!rules.is(Fork::Paris)) * 1000),
            mix_hash: B256::from(U256::from(rng.random_range(0..4))),
            excess_blob_gas: rules
                .is(Fork::Cancun)
                .then(|| if op_genesis { 0 } else { rng.random_range(0..3) * (10 << 17) }),
            parent_beacon_block_root: rules.is(Fork::Cancun).then_some(B256::repeat_byte(9)),
            ..Default::default()
        }
    }

    fn body(&mut self, rules: &Rules, header: &Header) -> BlockBody {
        let rng = &mut self.rng;
        let addresses = &self.world.cast.pools.addresses;
        let mut body = BlockBody::default();
        if rules.is(Fork::Shanghai) {
            let count = if rules.op.is_some() { 0 } else { rng.random_range(0..3) };
            let withdrawals = (0..count).map(|index| {
                let address = match rng.random_range(0..4) {
                    0 => header.beneficiary,
                    _ => *addresses.choose(rng).unwrap(),
                };
                Withdrawal { index, amount: rng.random_range(0..3), address, ..Default::default() }
            });
            body.withdrawals = Some(Withdrawals::new(withdrawals.collect()));
        }
        if !rules.is(Fork::Paris) && rng.random_ratio(1, 6) {
            let age = rng.random_range(1..8);
            body.ommers.push(Header {
                number: header.number.saturating_sub(age),
                beneficiary: *addresses.choose(rng).unwrap(),
                ..Default::default()
            });
        }
        body
    }

    /// The accepted transactions with a fault among them: a refused one, a pair swapped, one gone
    /// or there twice.
    fn fault(&mut self, accepted: &[Sent], tried: &[(Sent, String)]) -> Option<Vec<Sent>> {
        let rng = &mut self.rng;
        if !rng.random_ratio(1, 5) || accepted.is_empty() {
            return None;
        }
        let mut faulty = accepted.to_vec();
        let at = rng.random_range(0..faulty.len());
        match rng.random_range(0..5) {
            0 => drop(faulty.remove(at)),
            1 => faulty.insert(at, accepted[at].clone()),
            2 => faulty.swap(at, rng.random_range(0..accepted.len())),
            _ => {
                let refused: Vec<_> =
                    tried.iter().filter(|(_, said)| said.starts_with("Err")).collect();
                faulty.insert(at, refused.choose(rng)?.0.clone());
            }
        }
        Some(faulty)
    }

    fn remember_gas(&mut self, accepted: &[Sent], output: &BlockOutput) {
        use banyan_primitives::TransactionTrait;
        let mut before = 0;
        for ((tx, _), receipt) in accepted.iter().zip(&output.receipts) {
            let used = receipt.cumulative_gas_used - before;
            before = receipt.cumulative_gas_used;
            if let Some(to) = tx.to() {
                self.gas.insert((to, selector(tx.input())), used);
            }
        }
    }
}

pub(crate) fn selector(data: &[u8]) -> [u8; 4] {
    data.first_chunk().copied().unwrap_or_default()
}

fn block(header: &Header, body: &BlockBody, sent: &[Sent]) -> RecoveredBlock {
    let (transactions, senders) = sent.iter().cloned().unzip();
    let body = BlockBody { transactions, ..body.clone() };
    // Execution does not ask for the hash.
    let header = Sealed::new_unchecked(header.clone(), B256::ZERO);
    RecoveredBlock::new(SealedBlock { header, body }, senders)
}

/// The oracle's answer.
pub(crate) fn oracle(
    spec: &banyan_chainspec::ChainSpec,
    block: &RecoveredBlock,
    parent: &MemoryState,
) -> Result<BlockOutput, ExecutionError> {
    execute_block_with_roots(spec, block, parent, &mut |diff| Ok(digest(diff)))
}

/// Stands for the state root of receipts before Byzantium: any difference in the state shows.
pub(crate) fn digest(diff: &StateDiff) -> B256 {
    let mut accounts: Vec<_> = diff.accounts.iter().collect();
    accounts.sort_by_key(|(address, _)| **address);
    let mut bytes = Vec::new();
    for (address, change) in accounts {
        let mut slots: Vec<_> = change.storage.iter().collect();
        slots.sort();
        bytes.extend(format!("{address}{:?}{slots:?}", change.after).bytes());
    }
    keccak256(bytes)
}

/// All that a block's output says, in an order that is always the same.
pub(crate) fn print(verdict: &Result<BlockOutput, String>) -> String {
    match verdict {
        Err(reason) => reason.clone(),
        Ok(output) => {
            let gas = (output.gas_used, output.blob_gas_used);
            let diff = digest(&output.diff);
            format!("{:?} {gas:?} {:?} {diff}", output.receipts, output.requests)
        }
    }
}

/// The attributes deposit of a block is due, by the rules of OP chains.
pub(crate) fn attributes_length(world: &World, time: u64) -> usize {
    let spec = &world.spec;
    match time {
        _ if is_op(spec, time, OpFork::Jovian) => 178,
        _ if is_op(spec, time, OpFork::Isthmus) => 176,
        _ if is_op(spec, time, OpFork::Ecotone) => 164,
        _ => 260,
    }
}
