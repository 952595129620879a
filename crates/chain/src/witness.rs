//! What executing a block takes of the chain before it (`debug_executionWitness`).

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use banyan_chainspec::{ChainSpec, Commitment};
use banyan_commitment::{Touched, TouchedAccount, witness};
use banyan_executor::{ExecutionError, execute_block};
use banyan_primitives::{
    Account, Address, B256, Bytes, RecoveredBlock, SealedHeader, SourceError, StateDiff,
    StateSource, U256, keccak256,
};

use crate::{ChainError, ChainView};

/// Enough of the chain to execute one block, and to compute the state root after it.
#[derive(Clone, Debug, Default)]
pub struct ExecutionWitness {
    /// Nodes of the state's tries before the block, RLP.
    pub state: Vec<Bytes>,
    /// Code that was there before and was read.
    pub codes: Vec<Bytes>,
    /// Addresses and slots that were touched: what the keys of the tries are hashes of.
    pub keys: Vec<Bytes>,
    /// Ancestors, from the oldest one that BLOCKHASH was asked for up to the parent.
    pub headers: Vec<SealedHeader>,
}

impl ChainView {
    /// The witness of a block, made by executing it once more. `None` if the state before it is not
    /// known; costs what [`Self::trie_state_at`] costs besides.
    pub fn execution_witness(
        &self,
        spec: &ChainSpec,
        block: &RecoveredBlock,
    ) -> Result<Option<ExecutionWitness>, ChainError> {
        if spec.commitment != Commitment::Mpt {
            return Err(ChainError::Fault("a wide chain has no such witness".to_owned()));
        }
        let parent = block.header.parent_hash;
        let Some(state) = self.trie_state_at(&parent)? else { return Ok(None) };
        let recorder = Recorder { state: &state, reads: RefCell::default() };
        let output = execute_block(spec, block, &recorder).map_err(|error| match error {
            ExecutionError::Source(error) => error.into(),
            error => ChainError::Fault(format!("block {}: {error}", block.block_ref())),
        })?;
        let mut reads = recorder.reads.into_inner();
        let touched = touched(&mut reads, &output.diff);
        let oldest = reads.block_hashes.first().copied().unwrap_or(u64::MAX);
        Ok(Some(ExecutionWitness {
            state: witness(&state, &touched)?,
            keys: reads.keys(),
            codes: reads.codes.into_values().collect(),
            headers: self.headers_from(oldest, parent)?,
        }))
    }

    /// The headers from `oldest` up to the block `newest`, at least that.
    fn headers_from(&self, oldest: u64, newest: B256) -> Result<Vec<SealedHeader>, ChainError> {
        let mut headers = Vec::new();
        let mut next = newest;
        while let Some(header) = self.header_by_hash(&next)? {
            next = header.parent_hash;
            let is_last = header.number <= oldest || header.number == 0;
            headers.push(header);
            if is_last {
                break;
            }
        }
        headers.reverse();
        Ok(headers)
    }
}

/// What a block has read.
#[derive(Debug, Default)]
struct Reads {
    slots: BTreeMap<Address, BTreeSet<U256>>,
    codes: BTreeMap<B256, Bytes>,
    block_hashes: BTreeSet<u64>,
}

impl Reads {
    fn keys(&self) -> Vec<Bytes> {
        let addresses = self.slots.keys().map(|address| Bytes::copy_from_slice(address.as_slice()));
        let slots: BTreeSet<U256> = self.slots.values().flatten().copied().collect();
        let slots = slots.into_iter().map(|slot| slot.to_be_bytes::<32>().into());
        addresses.chain(slots).collect()
    }
}

/// Adds what the block has written, and says what it has deleted.
fn touched(reads: &mut Reads, diff: &StateDiff) -> Touched {
    for (address, change) in &diff.accounts {
        reads.slots.entry(*address).or_default().extend(change.storage.keys());
    }
    let account = |(address, slots): (&Address, &BTreeSet<U256>)| {
        let change = diff.accounts.get(address);
        let deleted =
            change.is_some_and(|change| change.before.is_some() && change.after.is_none());
        let is_deleted = |slot: &U256| {
            let change = change.filter(|change| !change.wiped);
            let values = change.and_then(|change| change.storage.get(slot));
            values.is_some_and(|(before, after)| !before.is_zero() && after.is_zero())
        };
        let slots = slots.iter().map(|slot| (keccak256(B256::from(*slot)), is_deleted(slot)));
        (keccak256(address), TouchedAccount { deleted, slots: slots.collect() })
    };
    Touched { accounts: reads.slots.iter().map(account).collect() }
}

/// A state that notes what is read of it.
struct Recorder<'a, S> {
    state: &'a S,
    reads: RefCell<Reads>,
}

impl<S: StateSource> StateSource for Recorder<'_, S> {
    fn account(&self, address: &Address) -> Result<Option<Account>, SourceError> {
        self.reads.borrow_mut().slots.entry(*address).or_default();
        self.state.account(address)
    }

    fn storage(&self, address: &Address, slot: U256) -> Result<U256, SourceError> {
        self.reads.borrow_mut().slots.entry(*address).or_default().insert(slot);
        self.state.storage(address, slot)
    }

    fn code(&self, hash: &B256) -> Result<Bytes, SourceError> {
        let code = self.state.code(hash)?;
        self.reads.borrow_mut().codes.insert(*hash, code.clone());
        Ok(code)
    }

    fn block_hash(&self, number: u64) -> Result<B256, SourceError> {
        self.reads.borrow_mut().block_hashes.insert(number);
        self.state.block_hash(number)
    }
}
