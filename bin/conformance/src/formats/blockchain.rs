//! `blockchain_test`: blocks in RLP, imported one after the other.

use std::collections::BTreeMap;

use alloy_rlp::Decodable;
use anyhow::{Context, bail, ensure};
use banyan_chain::{ForkchoiceState, PayloadStatus};
use banyan_primitives::{B256, Block, Bytes, RecoveredBlock, SealedBlock, U256, signer};
use serde::Deserialize;

use super::{Loaded, named_cases};
use crate::{
    Worker,
    alloc::{self, Alloc},
    collect::FixtureFile,
    genesis::{FixtureConfig, FixtureHeader, chain_spec},
    node::Node,
    witness::check_witness,
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockchainCase {
    network: String,
    #[serde(default)]
    config: FixtureConfig,
    pre: Alloc,
    genesis_block_header: FixtureHeader,
    #[serde(rename = "genesisRLP")]
    genesis_rlp: Option<Bytes>,
    blocks: Vec<FixtureBlock>,
    lastblockhash: B256,
    post_state: Option<Alloc>,
    post_state_hash: Option<B256>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FixtureBlock {
    rlp: Bytes,
    expect_exception: Option<String>,
}

/// One case per entry of the file.
pub(crate) fn load(_file: &FixtureFile, text: &str) -> anyhow::Result<Loaded> {
    named_cases(text, |case: &BlockchainCase| &case.network, run)
}

fn run(case: &BlockchainCase, worker: &Worker) -> anyhow::Result<()> {
    let spec = chain_spec(&case.network, &case.config, &case.genesis_block_header, &case.pre)?;
    if let Some(rlp) = &case.genesis_rlp {
        let genesis = decode(rlp).context("genesisRLP")?;
        ensure!(genesis.hash() == spec.genesis_header.hash(), "genesisRLP is another block");
    }
    let mut best = BestChain::new(spec.genesis_header.hash(), spec.genesis_header.difficulty);
    let node = Node::start(spec, worker)?;
    for (number, block) in case.blocks.iter().enumerate() {
        let verdict = import(&node, &block.rlp);
        let what = || format!("block {}", number + 1);
        match (verdict.with_context(what)?, &block.expect_exception) {
            (Verdict::Valid(block), None) => {
                check_witness(&node, &block.hash())
                    .with_context(|| format!("witness of {}", what()))?;
                best.add(&block);
            }
            (Verdict::Refused(_), Some(_)) => {}
            (Verdict::Refused(reason), None) => bail!("{} was refused: {reason}", what()),
            (Verdict::Valid(_), Some(wanted)) => bail!("{} is VALID, expected {wanted}", what()),
        }
    }
    check_end(case, &node, best.head)
}

enum Verdict {
    Valid(Box<SealedBlock>),
    Refused(String),
}

/// Decodes and imports one block. An error is a fault of ours.
fn import(node: &Node<'_>, rlp: &[u8]) -> anyhow::Result<Verdict> {
    let refused = |reason: String| Ok(Verdict::Refused(reason));
    let block = match decode(rlp) {
        Ok(block) => block,
        Err(error) => return refused(format!("{error:#}")),
    };
    let senders = match signer::senders(&block.body.transactions, |_| None) {
        Ok(senders) => senders,
        Err((index, error)) => return refused(format!("transaction {index}: {error}")),
    };
    let hash = block.hash();
    match node.chain().import(RecoveredBlock::new(block.clone(), senders))? {
        PayloadStatus::Valid(valid) if valid == hash => Ok(Verdict::Valid(Box::new(block))),
        PayloadStatus::Invalid { error, .. } => refused(error),
        PayloadStatus::Syncing => refused("unknown parent".to_owned()),
        other => bail!("import answered {other:?}"),
    }
}

fn decode(rlp: &[u8]) -> anyhow::Result<SealedBlock> {
    let mut rest = rlp;
    let block = Block::decode(&mut rest)?;
    ensure!(rest.is_empty(), "{} bytes after the block", rest.len());
    Ok(SealedBlock::seal(block))
}

/// Finds the head that a client of proof-of-work days would choose: the block with the greatest
/// total difficulty, the first of equals; a proof-of-stake block follows its parent.
struct BestChain {
    head: B256,
    total: BTreeMap<B256, U256>,
}

impl BestChain {
    fn new(genesis: B256, difficulty: U256) -> Self {
        Self { head: genesis, total: [(genesis, difficulty)].into() }
    }

    fn add(&mut self, block: &SealedBlock) {
        let parent = self.total.get(&block.header.parent_hash).copied().unwrap_or_default();
        let total = parent.saturating_add(block.header.difficulty);
        self.total.insert(block.hash(), total);
        let best = self.total.get(&self.head).copied().unwrap_or_default();
        let extends = block.header.difficulty.is_zero() && block.header.parent_hash == self.head;
        if total > best || extends {
            self.head = block.hash();
        }
    }
}

/// Moves to the best chain (importing follows every valid block) and compares head and state.
fn check_end(case: &BlockchainCase, node: &Node<'_>, best: B256) -> anyhow::Result<()> {
    node.check_executor()?;
    let state = ForkchoiceState { head: best, ..Default::default() };
    let (status, _) = node.block_on(node.chain().forkchoice(state))?;
    ensure!(status == PayloadStatus::Valid(best), "forkchoice to {best} answered {status:?}");
    let view = node.chain().view();
    let head = view.head();
    ensure!(
        head.hash() == case.lastblockhash,
        "head is {}, expected {}",
        head.hash(),
        case.lastblockhash
    );
    if let Some(root) = case.post_state_hash {
        ensure!(head.state_root == root, "state root {}, expected {root}", head.state_root);
    }
    if let Some(post_state) = &case.post_state {
        alloc::compare(&view.state()?, post_state).context("state after the last block")?;
    }
    Ok(())
}
