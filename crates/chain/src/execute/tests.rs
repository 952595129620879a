use std::sync::Arc;

use banyan_chainspec::ChainSpec;
use banyan_executor::{BlockContext, BlockExecutor, ExecutorConfig};
use banyan_primitives::{
    Address, BlockRef, Bytes, Receipt, SealedBlock, TxType, Withdrawal, address, keccak256,
    trie::{Leaf, Nibbles, TrieId},
};
use banyan_storage::{Database, DatabaseOptions};
use tempfile::TempDir;

use super::*;
use crate::{ChainConfig, PayloadStatus, SealRequest, seal};

const GENESIS: &str = r#"{"config":{"chainId":7,"homesteadBlock":0,"eip150Block":0,"eip155Block":0,
    "eip158Block":0,"byzantiumBlock":0,"constantinopleBlock":0,"petersburgBlock":0,
    "istanbulBlock":0,"berlinBlock":0,"londonBlock":0,"mergeNetsplitBlock":0,
    "terminalTotalDifficulty":0,"shanghaiTime":0},"gasLimit":"0x1c9c380","difficulty":"0x0",
    "timestamp":"0x1000","baseFeePerGas":"0x7",
    "alloc":{"0x00000000000000000000000000000000000000aa":{"balance":"0x1"}}}"#;

/// A chain at genesis and a valid block on it, which pays out a withdrawal.
struct Kit {
    chain: Chain,
    block: RecoveredBlock,
    output: BlockOutput,
    _dir: TempDir,
}

impl Kit {
    fn new(workers: usize) -> Self {
        let spec = Arc::new(ChainSpec::from_genesis_json(GENESIS).unwrap());
        let dir = TempDir::new().unwrap();
        let database = Database::open(dir.path(), DatabaseOptions::default()).unwrap();
        let executor = ExecutorConfig { workers, record: true, ..ExecutorConfig::default() };
        let config = ChainConfig { executor, ..ChainConfig::default() };
        let mut chain = Chain::open(Arc::clone(&spec), database, config).unwrap();
        let parent = BlockRef::from(&spec.genesis_header);
        let executed = chain.with_state(parent, build).unwrap();
        let (block, output) = (executed.block.clone(), (*executed.output).clone());
        Self { chain, block, output, _dir: dir }
    }

    /// The verdict if the executor comes to `outcome`.
    fn settle(&mut self, block: &RecoveredBlock, outcome: Outcome) -> Result<(), InvalidBlock> {
        let parent = block.parent_ref();
        let settle = |chain: &Chain, state: &StateView| {
            chain.settle(block, &SharedView::new(state, 1), outcome.clone(), Duration::ZERO)
        };
        self.chain.with_state(parent, settle).unwrap().map(|executed| {
            assert_eq!(*executed.output, self.output);
        })
    }

    fn is_distrusted(&self) -> bool {
        self.chain.executor.is_distrusted()
    }
}

fn build(chain: &Chain, state: &StateView) -> Result<ExecutedBlock, ChainError> {
    let spec = &*chain.spec;
    let context = BlockContext {
        number: 1,
        timestamp: spec.genesis_header.timestamp + 1,
        parent_hash: spec.genesis_header.hash(),
        gas_limit: spec.genesis_header.gas_limit,
        base_fee: Some(7),
        ..Default::default()
    };
    let withdrawal =
        Withdrawal { index: 0, validator_index: 0, address: Address::repeat_byte(1), amount: 1 };
    let mut executor = BlockExecutor::new(spec, context.clone(), state);
    executor.begin().unwrap();
    let output = executor.finish(&[], Some(&[withdrawal])).unwrap();
    let request = SealRequest {
        context,
        extra_data: Default::default(),
        transactions: Vec::new(),
        senders: Vec::new(),
        withdrawals: Some(vec![withdrawal].into()),
        execute: Duration::ZERO,
    };
    seal(spec, &chain.commitments, state, request, output)
}

fn receipt() -> Receipt {
    Receipt {
        tx_type: TxType::Legacy,
        success: true,
        post_state: None,
        cumulative_gas_used: 21_000,
        logs: Vec::new(),
        deposit_nonce: None,
        deposit_receipt_version: None,
    }
}

/// Ways in which an executor could be wrong about the block.
fn wrong(output: &BlockOutput) -> Vec<(&'static str, Outcome)> {
    let change = |change: fn(&mut BlockOutput)| {
        let mut output = output.clone();
        change(&mut output);
        Ok(output)
    };
    vec![
        ("gas, requests, number of receipts, or code", change(|output| output.gas_used += 1)),
        (
            "gas, requests, number of receipts, or code",
            change(|output| output.receipts.push(receipt())),
        ),
        (
            "0x0101010101010101010101010101010101010101: None / Some(",
            change(|output| output.diff = StateDiff::default()),
        ),
        (
            "transaction 0: nonce too low / valid",
            Err(InvalidBlock::Rule("transaction 0: nonce too low".into())),
        ),
    ]
}

#[test]
fn a_valid_block_is_valid_whatever_the_executor_makes_of_it() {
    let cases = wrong(&Kit::new(1).output);
    for (what, outcome) in cases {
        let mut kit = Kit::new(1);
        let found = difference(&outcome, &Ok(kit.output.clone())).unwrap();
        assert!(found.starts_with(what), "{found}");
        let block = kit.block.clone();
        assert_eq!(kit.settle(&block, outcome), Ok(()), "{what}");
        assert!(kit.is_distrusted(), "{what}");
    }
}

#[test]
fn an_invalid_block_is_no_reason_to_distrust_the_executor() {
    let mut kit = Kit::new(1);
    let mut header = kit.block.header.inner().clone();
    header.state_root = B256::repeat_byte(1);
    let body = kit.block.body.clone();
    let block = SealedBlock { header: banyan_primitives::Sealable::seal_slow(header), body };
    let block = RecoveredBlock::new(block, Vec::new());
    let outcome = Ok(kit.output.clone());
    let error = kit.settle(&block, outcome).unwrap_err();
    assert!(error.to_string().starts_with("state root mismatch"), "{error}");
    assert!(!kit.is_distrusted());
}

#[test]
fn plain_execution_is_not_checked_by_itself() {
    let mut kit = Kit::new(0);
    let block = kit.block.clone();
    let output = BlockOutput { gas_used: 1, ..kit.output.clone() };
    assert!(kit.settle(&block, Ok(output)).is_err());
    assert!(!kit.is_distrusted());
}

#[test]
fn a_block_that_comes_back_runs_with_what_it_touched_and_is_as_valid() {
    let mut kit = Kit::new(2);
    let block = kit.block.clone();
    assert!(kit.chain.accesses.peek(&block.hash()).is_none());
    assert!(matches!(kit.chain.on_new_payload(block.clone()), Ok(PayloadStatus::Valid(_))));
    let accesses = kit.chain.accesses.peek(&block.hash()).unwrap();
    assert_eq!(accesses.list()[0].address, Address::repeat_byte(1));
    let execute = |chain: &Chain, state: &StateView| chain.execute(&block, state);
    let again = kit.chain.with_state(block.parent_ref(), execute).unwrap().unwrap();
    assert_eq!(*again.output, kit.output);
    assert_eq!(again.accesses.unwrap().list().len(), 1);
}

/// Nodes of one state with leaves of another.
struct Lies<'a>(&'a StateView);

impl TrieSource for Lies<'_> {
    fn first_node(
        &self,
        trie: TrieId,
        prefix: &Nibbles,
    ) -> Result<Option<(Nibbles, Bytes)>, SourceError> {
        self.0.first_node(trie, prefix)
    }

    fn leaves(
        &self,
        trie: TrieId,
        prefix: &Nibbles,
        from: B256,
        limit: usize,
    ) -> Result<Vec<(B256, Leaf)>, SourceError> {
        let mut leaves = self.0.leaves(trie, prefix, from, limit)?;
        for (_, leaf) in &mut leaves {
            if let Leaf::Account(account) = leaf {
                account.nonce += 1;
            }
        }
        Ok(leaves)
    }
}

#[test]
fn a_valid_block_is_valid_whatever_the_tries_in_memory_make_of_it() {
    let mut kit = Kit::new(2);
    let block = kit.block.clone();
    let stands = address!("0x00000000000000000000000000000000000000aa");
    let mislead = |chain: &Chain, state: &StateView| {
        let tries = chain.commitments.tries().unwrap();
        tries.reveal(&Lies(state), &[(keccak256(stands), Vec::new())])?;
        let created = HashedDiff::from_diff(&kit.output.diff);
        Ok(tries.state_root(state, &created)?.root)
    };
    let wrong = kit.chain.with_state(block.parent_ref(), mislead).unwrap();
    assert_ne!(wrong, block.header.state_root, "the tries were misled");
    assert!(matches!(kit.chain.on_new_payload(block.clone()), Ok(PayloadStatus::Valid(_))));
    let state = kit.chain.published.load().trie_state_at(&block.hash()).unwrap().unwrap();
    assert_eq!(banyan_commitment::rebuild(&state).unwrap().root, block.header.state_root);
}
