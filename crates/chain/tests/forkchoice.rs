//! `forkchoiceUpdated`, row by row: what other clients got wrong at one time or another.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod common;

use std::sync::Arc;

use banyan_chain::{ChainConfig, ForkchoiceError, ForkchoiceState, PayloadStatus};
use banyan_primitives::{B256, RecoveredBlock, SealedHeader};
use common::{Kit, STORE, sign, store};

/// A chain of `length` empty blocks on `parent`, delivered; `mark` tells branches apart.
async fn branch(kit: &Kit, parent: &SealedHeader, length: usize, mark: u8) -> Vec<RecoveredBlock> {
    let mut blocks: Vec<RecoveredBlock> = Vec::new();
    for _ in 0..length {
        let parent = blocks.last().map_or(parent, |block| &block.block.header).clone();
        let block = kit.build(&parent, &[mark], |_, _| vec![]);
        let status = kit.chain.new_payload(block.clone()).await.unwrap();
        assert_eq!(status, PayloadStatus::Valid(block.hash()));
        blocks.push(block);
    }
    blocks
}

async fn move_to(kit: &Kit, head: B256, safe: B256, finalized: B256) {
    let state = ForkchoiceState { head, safe, finalized };
    let (status, view) = kit.chain.forkchoice(state).await.unwrap();
    assert_eq!((status, view.head().hash()), (PayloadStatus::Valid(head), head));
}

fn genesis(kit: &Kit) -> SealedHeader {
    kit.spec.genesis_header.clone()
}

#[tokio::test]
async fn rewinds_to_an_ancestor_although_no_block_is_finalized() {
    // reth answered VALID here without moving the head (reth#27244).
    let kit = Kit::new(ChainConfig::default());
    let chain = branch(&kit, &genesis(&kit), 12, 0).await;
    move_to(&kit, chain[11].hash(), B256::ZERO, B256::ZERO).await;
    for index in [9, 2] {
        move_to(&kit, chain[index].hash(), B256::ZERO, B256::ZERO).await;
        assert_eq!(kit.chain.view().canonical_hash(index as u64 + 2).unwrap(), None);
    }
    move_to(&kit, chain[11].hash(), B256::ZERO, B256::ZERO).await;
    assert_eq!(kit.chain.view().canonical_hash(7).unwrap(), Some(chain[6].hash()));
}

#[tokio::test]
async fn an_unknown_label_is_refused_before_the_head_moves() {
    // geth moved the head first and then answered -38002 (go-ethereum#35713).
    let kit = Kit::new(ChainConfig::default());
    let chain = branch(&kit, &genesis(&kit), 3, 0).await;
    move_to(&kit, chain[0].hash(), B256::ZERO, B256::ZERO).await;
    let unknown = B256::repeat_byte(7);
    for (safe, finalized) in [(unknown, B256::ZERO), (B256::ZERO, unknown)] {
        let state = ForkchoiceState { head: chain[2].hash(), safe, finalized };
        let error = kit.chain.forkchoice(state).await.unwrap_err();
        assert!(matches!(error, ForkchoiceError::InvalidState(_)), "{error}");
        assert_eq!(kit.chain.view().head().hash(), chain[0].hash());
    }
}

#[tokio::test]
async fn labels_must_be_ancestors_of_the_head_and_in_order() {
    let kit = Kit::new(ChainConfig::default());
    let chain = branch(&kit, &genesis(&kit), 4, 0).await;
    let side = branch(&kit, &chain[0].block.header, 3, 1).await;
    move_to(&kit, chain[3].hash(), B256::ZERO, B256::ZERO).await;
    let on_other_branch = (side[2].hash(), chain[2].hash(), B256::ZERO);
    let above_the_head = (chain[1].hash(), chain[3].hash(), B256::ZERO);
    let finalized_above_safe = (chain[3].hash(), chain[0].hash(), chain[1].hash());
    for (head, safe, finalized) in [on_other_branch, above_the_head, finalized_above_safe] {
        let state = ForkchoiceState { head, safe, finalized };
        let error = kit.chain.forkchoice(state).await.unwrap_err();
        assert!(matches!(error, ForkchoiceError::InvalidState(_)), "{error}");
        assert_eq!(kit.chain.view().head().hash(), chain[3].hash());
    }
    move_to(&kit, side[2].hash(), side[0].hash(), chain[0].hash()).await;
}

#[tokio::test]
async fn labels_stay_when_the_head_does_not_move_and_go_with_their_branch() {
    // Erigon lost safe and finalized when the head stood still.
    let kit = Kit::new(ChainConfig::default());
    let chain = branch(&kit, &genesis(&kit), 4, 0).await;
    move_to(&kit, chain[3].hash(), chain[2].hash(), chain[0].hash()).await;
    move_to(&kit, chain[3].hash(), B256::ZERO, B256::ZERO).await;
    let labels = |kit: &Kit| {
        let view = kit.chain.view();
        (view.safe().map(|h| h.hash()), view.finalized().map(|h| h.hash()))
    };
    assert_eq!(labels(&kit), (Some(chain[2].hash()), Some(chain[0].hash())));
    move_to(&kit, chain[3].hash(), chain[3].hash(), chain[1].hash()).await;
    assert_eq!(labels(&kit), (Some(chain[3].hash()), Some(chain[1].hash())));
    let side = branch(&kit, &chain[1].block.header, 1, 1).await;
    move_to(&kit, side[0].hash(), B256::ZERO, B256::ZERO).await;
    assert_eq!(labels(&kit), (None, Some(chain[1].hash())), "a label never leaves the chain");
}

#[tokio::test]
async fn an_unknown_head_is_syncing_and_a_zero_head_is_refused() {
    let kit = Kit::new(ChainConfig::default());
    let state = ForkchoiceState { head: B256::repeat_byte(3), ..Default::default() };
    assert_eq!(kit.chain.forkchoice(state).await.unwrap().0, PayloadStatus::Syncing);
    assert!(kit.chain.forkchoice(ForkchoiceState::default()).await.is_err());
}

#[tokio::test]
async fn a_built_block_is_unknown_until_its_payload_comes() {
    let kit = Kit::new(ChainConfig::default());
    let built = Arc::new(kit.execute(&genesis(&kit), &[9], |_, _| vec![]));
    let (block, hash) = (built.block.clone(), built.block.hash());
    // Handed in once more after its payload, it stays what it has become.
    for before in [true, false] {
        kit.chain.insert_built(Arc::clone(&built)).unwrap();
        assert_eq!(kit.chain.view().block_by_hash(&hash).unwrap().is_none(), before);
        let state = ForkchoiceState { head: hash, ..Default::default() };
        let (status, _) = kit.chain.forkchoice(state).await.unwrap();
        assert_eq!(status == PayloadStatus::Syncing, before);
        let status = kit.chain.new_payload(block.clone()).await.unwrap();
        assert_eq!(status, PayloadStatus::Valid(hash));
        move_to(&kit, hash, B256::ZERO, B256::ZERO).await;
    }
}

#[tokio::test]
async fn a_reorg_below_the_limit_is_refused_and_the_node_goes_on() {
    let kit = Kit::new(ChainConfig { max_reorg_depth: 3, ..Default::default() });
    let chain = branch(&kit, &genesis(&kit), 6, 0).await;
    move_to(&kit, chain[5].hash(), B256::ZERO, B256::ZERO).await;
    let state = ForkchoiceState { head: chain[0].hash(), ..Default::default() };
    let error = kit.chain.forkchoice(state).await.unwrap_err();
    assert!(matches!(error, ForkchoiceError::TooDeep(_)), "{error}");
    move_to(&kit, chain[3].hash(), B256::ZERO, B256::ZERO).await;
}

#[tokio::test]
async fn a_reorg_right_after_a_restart_works() {
    // reth#13940.
    let mut kit = Kit::new(ChainConfig::default());
    let chain = branch(&kit, &genesis(&kit), 10, 0).await;
    move_to(&kit, chain[9].hash(), chain[5].hash(), chain[3].hash()).await;
    kit.restart();
    let side = branch(&kit, &chain[4].block.header, 8, 1).await;
    move_to(&kit, side[7].hash(), chain[4].hash(), chain[3].hash()).await;
    move_to(&kit, chain[9].hash(), chain[5].hash(), chain[3].hash()).await;
}

#[tokio::test]
async fn blocks_that_leave_and_join_the_chain_are_announced_in_order() {
    let kit = Kit::new(ChainConfig::default());
    let chain = branch(&kit, &genesis(&kit), 8, 0).await;
    move_to(&kit, chain[7].hash(), B256::ZERO, B256::ZERO).await;
    let side = branch(&kit, &chain[1].block.header, 2, 1).await;
    let mut changes = kit.chain.subscribe();
    move_to(&kit, side[1].hash(), B256::ZERO, B256::ZERO).await;
    let change = changes.recv().await.unwrap();
    let reverted: Vec<B256> = change.reverted.iter().map(|block| block.hash()).collect();
    let included: Vec<B256> = change.included.iter().map(|block| block.block.hash()).collect();
    assert_eq!(reverted, chain[2..].iter().map(|block| block.hash()).collect::<Vec<_>>());
    assert_eq!(included, side.iter().map(|block| block.hash()).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_work_that_an_old_state_costs_is_told_beforehand() {
    let mut kit = Kit::new(ChainConfig::default());
    let block = kit.build(&genesis(&kit), &[0], |_, base_fee| {
        vec![sign(0, 0, base_fee, STORE, 0, store(1, 1))]
    });
    kit.chain.new_payload(block.clone()).await.unwrap();
    let chain = branch(&kit, &block.block.header, 5, 0).await;
    move_to(&kit, chain[4].hash(), chain[4].hash(), B256::ZERO).await;
    // Writes all blocks to the database.
    kit.restart();
    let view = kit.chain.view();
    assert_eq!((view.head().number, view.oldest_state().unwrap()), (6, 0));
    assert!(view.changed_at_most(0, 1_000).unwrap());
    // At least the sender, the contract and its slot.
    assert!(!view.changed_at_most(0, 2).unwrap());
    assert!(view.changed_at_most(1, 0).unwrap());
}
