//! A full disk, blocks that wait for an invalid one, stopping with work left: the chain stays as it
//! was answered.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod common;

use banyan_chain::{ChainConfig, ChainError, ForkchoiceError, ForkchoiceState, PayloadStatus};
use banyan_primitives::{
    B256, Block, Header, RecoveredBlock, SealedBlock, SealedHeader, keccak256,
};
use banyan_storage::DatabaseOptions;
use common::{ACCOUNTS, Kit, STORE, account, sign};

/// A database that is full after a few large blocks.
fn small() -> DatabaseOptions {
    DatabaseOptions { max_size: 4 << 20, growth_step: 1 << 20, ..Default::default() }
}

/// A valid block on `parent` with some 30 kB of calldata.
fn large(kit: &Kit, parent: &SealedHeader, mark: u8) -> RecoveredBlock {
    kit.build(parent, &[mark], |state, base_fee| {
        (0..ACCOUNTS)
            .map(|from| {
                let nonce = state.account(&account(from)).unwrap().unwrap_or_default().nonce;
                let words = (0..110_u64).map(|word| keccak256((nonce + word).to_be_bytes()));
                let input = words.flat_map(|word| word.0).collect::<Vec<u8>>();
                sign(from, nonce, base_fee, STORE, 0, input.into())
            })
            .collect()
    })
}

async fn move_to(kit: &Kit, head: B256) -> Result<PayloadStatus, ForkchoiceError> {
    let state = ForkchoiceState { head, ..Default::default() };
    kit.chain.forkchoice(state).await.map(|(status, _)| status)
}

#[tokio::test]
async fn while_the_disk_is_full_the_head_stands_and_memory_does_not_grow() {
    let config = ChainConfig { max_unpersisted_blocks: 4, ..Default::default() };
    let kit = Kit::with_database(config, small());
    let mut head = kit.spec.genesis_header.clone();
    let error = loop {
        let block = large(&kit, &head, 0);
        kit.chain.new_payload(block.clone()).await.unwrap();
        match move_to(&kit, block.hash()).await {
            Ok(_) => head = block.block.header.clone(),
            Err(error) => break error,
        }
        assert!(head.number < 500, "the disk never filled");
    };
    assert!(matches!(error, ForkchoiceError::Chain(ChainError::Write(_))), "{error}");
    let view = kit.chain.view();
    assert_eq!(view.head().hash(), head.hash(), "an error has moved the head");
    assert!(head.number - view.persisted_number() <= 8, "{}", view.persisted_number());
    // As often as it is asked.
    let block = large(&kit, &head, 0);
    for _ in 0..3 {
        move_to(&kit, block.hash()).await.unwrap_err();
        assert_eq!(kit.chain.view().head().hash(), head.hash());
    }
    // What was answered VALID can still be read.
    assert!(kit.chain.view().state().is_ok());
    assert!(kit.chain.is_running());
}

/// `header` changed, with the same body.
fn changed(block: &RecoveredBlock, change: impl Fn(&mut Header)) -> RecoveredBlock {
    let mut header = block.block.header.inner().clone();
    change(&mut header);
    let body = block.block.body.clone();
    RecoveredBlock::new(SealedBlock::seal(Block { header, body }), block.senders.to_vec())
}

#[tokio::test]
async fn blocks_that_waited_for_an_invalid_one_are_invalid() {
    let kit = Kit::new(ChainConfig::default());
    let genesis = kit.spec.genesis_header.clone();
    let good = kit.build(&genesis, &[], |_, _| vec![]);
    let bad = changed(&good, |header| header.state_root = B256::repeat_byte(1));
    let child = changed(&good, |header| {
        header.number += 1;
        header.parent_hash = bad.hash();
    });
    let grandchild = changed(&good, |header| {
        header.number += 2;
        header.parent_hash = child.hash();
    });
    for waiting in [&grandchild, &child] {
        let status = kit.chain.new_payload(waiting.clone()).await.unwrap();
        assert_eq!(status, PayloadStatus::Syncing);
    }
    let status = kit.chain.new_payload(bad).await.unwrap();
    assert!(matches!(status, PayloadStatus::Invalid { .. }), "{status:?}");
    for waiting in [&child, &grandchild] {
        let status = move_to(&kit, waiting.hash()).await.unwrap();
        let PayloadStatus::Invalid { latest_valid, .. } = status else { panic!("{status:?}") };
        assert_eq!(latest_valid, Some(genesis.hash()));
    }
}

#[tokio::test]
async fn stopping_does_not_wait_for_what_is_queued() {
    let kit = Kit::new(ChainConfig::default());
    let genesis = kit.spec.genesis_header.clone();
    let blocks: Vec<RecoveredBlock> =
        (0..200_u8).map(|mark| kit.build(&genesis, &[mark], |_, _| vec![])).collect();
    let waiting: Vec<_> = blocks
        .into_iter()
        .map(|block| {
            let chain = kit.chain.clone();
            tokio::spawn(async move { chain.new_payload(block).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let chain = kit.chain.clone();
    tokio::task::spawn_blocking(move || chain.shutdown()).await.unwrap().unwrap();
    let mut answers = Vec::new();
    for task in waiting {
        answers.push(task.await.unwrap());
    }
    let stopped = answers.iter().filter(|answer| matches!(answer, Err(ChainError::Stopped)));
    assert!(stopped.count() > 0, "all of them were executed first");
    assert!(!kit.chain.is_running());
}
