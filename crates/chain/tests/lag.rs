//! A chain whose headers carry the state root of an earlier block (`wide`): what they carry, what is
//! refused, and what happens while roots are late.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod common;

use std::time::{Duration, Instant};

use banyan_chain::{ChainConfig, Durability, ForkchoiceState, PayloadStatus, Roots};
use banyan_primitives::{
    B256, Block, BlockRef, EMPTY_ROOT_HASH, Header, MESSAGE_PASSER, RecoveredBlock, SealedBlock,
    SealedHeader,
};
use common::{Kit, STORE, account, sign, store, unlagged_root, wide_genesis_json};

const LAG: u64 = 3;
/// So long for what must happen soon.
const PATIENCE: Duration = Duration::from_secs(60);

fn kit(durability: Durability) -> Kit {
    let config =
        ChainConfig { keep_blocks: 0, persist_threshold: 1, durability, ..Default::default() };
    Kit::with_genesis(&wide_genesis_json(LAG, 1), config, Default::default())
}

fn roots(kit: &Kit) -> Roots {
    kit.chain.view().roots().unwrap().clone()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A block that changes two contracts; one of them is the message passer.
fn block(kit: &Kit, parent: &SealedHeader, mark: u8) -> RecoveredBlock {
    kit.build(parent, &[mark], |state, base_fee| {
        [(0, STORE), (1, MESSAGE_PASSER)]
            .map(|(from, to)| {
                let nonce = state.account(&account(from)).unwrap().unwrap().nonce;
                let input = store(parent.number, u64::from(mark) + 1);
                sign(from, nonce, base_fee, to, 0, input)
            })
            .into()
    })
}

async fn make_head(kit: &Kit, block: &RecoveredBlock) {
    let hash = block.hash();
    let status = kit.chain.new_payload(block.clone()).await.unwrap();
    assert_eq!(status, PayloadStatus::Valid(hash));
    let state = ForkchoiceState { head: hash, ..Default::default() };
    let (status, _) = kit.chain.forkchoice(state).await.unwrap();
    assert_eq!(status, PayloadStatus::Valid(hash));
}

/// `count` blocks on the head, and the head's own root after each.
async fn grow(kit: &Kit, count: u64) -> Vec<(RecoveredBlock, B256)> {
    let mut grown = Vec::new();
    for _ in 0..count {
        let block = block(kit, kit.chain.view().head(), 0);
        make_head(kit, &block).await;
        let state = kit.chain.view().trie_state_at(&block.hash()).unwrap().unwrap();
        grown.push((block, unlagged_root(&state)));
    }
    grown
}

fn changed(block: &RecoveredBlock, change: impl FnOnce(&mut Header)) -> RecoveredBlock {
    let mut header = block.header.inner().clone();
    change(&mut header);
    let block_ = Block { header, body: block.body.clone() };
    RecoveredBlock::new(SealedBlock::seal(block_), block.senders.to_vec())
}

#[tokio::test]
async fn a_header_carries_the_root_of_the_block_that_lies_the_lag_below() {
    let kit = kit(Durability::Process);
    let genesis = kit.spec.genesis_header.clone();
    let grown = grow(&kit, 3 * LAG).await;
    let mut withdrawals = vec![genesis.withdrawals_root.unwrap()];
    for (index, (block, _)) in grown.iter().enumerate() {
        let wanted = match index.checked_sub(LAG as usize) {
            None => genesis.state_root,
            Some(below) => grown[below].1,
        };
        assert_eq!(block.header.state_root, wanted, "block {}", index + 1);
        withdrawals.push(block.header.withdrawals_root.unwrap());
    }
    // Those of withdrawals do not lag: each block changes them.
    assert_eq!(withdrawals[0], EMPTY_ROOT_HASH);
    withdrawals.sort_unstable();
    withdrawals.dedup();
    assert_eq!(withdrawals.len(), grown.len() + 1);
}

#[tokio::test]
async fn a_wrong_root_makes_the_block_that_carries_it_invalid_and_none_below() {
    let kit = kit(Durability::Process);
    let grown = grow(&kit, 2 * LAG).await;
    let head = kit.chain.view().head().clone();
    let good = block(&kit, &head, 1);
    let own = grown.last().unwrap().1;
    let wrong = [
        changed(&good, |header| header.state_root = B256::repeat_byte(1)),
        changed(&good, |header| header.state_root = own),
        changed(&good, |header| header.state_root = head.state_root),
        changed(&good, |header| header.withdrawals_root = head.withdrawals_root),
    ];
    for bad in wrong {
        match kit.chain.new_payload(bad).await.unwrap() {
            PayloadStatus::Invalid { latest_valid, error } => {
                assert_eq!(latest_valid, Some(head.hash()), "{error}");
                assert!(error.contains("root"), "{error}");
            }
            status => panic!("a wrong root was answered {status:?}"),
        }
    }
    make_head(&kit, &good).await;
}

/// The blocks come faster than their roots, further than the lag: then they are answered as roots
/// become ready, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_beyond_the_lag_waits_for_roots_and_goes_on() {
    let blocks: Vec<_> = grow(&kit(Durability::Process), 4 * LAG).await;
    let kit = kit(Durability::Process);
    let roots = roots(&kit);
    roots.hold(true);
    let (first, rest) = blocks.split_at(LAG as usize);
    for (block, _) in first {
        make_head(&kit, block).await;
    }
    assert_eq!(roots.queue_depth(), LAG as usize);
    let view = kit.chain.view();
    assert_eq!((view.head().number, view.persisted_number()), (LAG, 0), "written without a root");
    assert_eq!(roots.known(first[0].0.block_ref()).unwrap(), None);

    let chain = kit.chain.clone();
    let burst: Vec<_> = rest.iter().map(|(block, _)| block.clone()).collect();
    let burst = tokio::spawn(async move {
        for block in burst {
            let hash = block.hash();
            assert_eq!(chain.new_payload(block).await.unwrap(), PayloadStatus::Valid(hash));
            let state = ForkchoiceState { head: hash, ..Default::default() };
            chain.forkchoice(state).await.unwrap();
        }
    });
    roots.hold(false);
    burst.await.unwrap();
    let head = kit.chain.view().head().number;
    assert_eq!(head, blocks.len() as u64);
    wait_until("roots are late for good", || roots.queue_depth() == 0);
    for (block, root) in &blocks {
        assert_eq!(roots.known(block.block_ref()).unwrap(), Some(*root));
    }
    wait_until("nothing is written", || kit.chain.view().persisted_number() == head);
}

#[tokio::test]
async fn a_crash_while_roots_are_missing_loses_neither_blocks_nor_roots() {
    let mut kit = kit(Durability::Process);
    let mut grown = grow(&kit, 2 * LAG).await;
    wait_until("roots are late for good", || roots(&kit).queue_depth() == 0);
    roots(&kit).hold(true);
    grown.extend(grow(&kit, LAG).await);
    assert_eq!(roots(&kit).queue_depth(), LAG as usize);
    kit.crash();
    let head = kit.chain.view().head().number;
    assert_eq!(head, 3 * LAG, "the journal holds what was acknowledged");
    // The next headers commit to blocks from both sides of the crash.
    grown.extend(grow(&kit, 2 * LAG).await);
    for (below, above) in grown.iter().zip(grown.iter().skip(LAG as usize)) {
        assert_eq!(above.0.header.state_root, below.1, "block {}", above.0.number());
    }
    wait_until("roots are late for good", || roots(&kit).queue_depth() == 0);
    for (block, root) in &grown {
        assert_eq!(roots(&kit).known(block.block_ref()).unwrap(), Some(*root));
    }
}

/// The first headers of a new branch commit to states before the fork, and those may be in the
/// database only.
#[tokio::test]
async fn after_a_deep_reorg_headers_commit_to_their_own_branch() {
    let mut kit = kit(Durability::Process);
    let grown = grow(&kit, 4 * LAG).await;
    kit.restart();
    let fork = &grown[LAG as usize].0;
    let mut branch = Vec::new();
    let mut parent = fork.block.header.clone();
    for _ in 0..2 * LAG {
        let block = block(&kit, &parent, 7);
        make_head(&kit, &block).await;
        let state = kit.chain.view().trie_state_at(&block.hash()).unwrap().unwrap();
        parent = block.block.header.clone();
        branch.push((block, unlagged_root(&state)));
    }
    let all: Vec<_> = grown[..=LAG as usize].iter().chain(&branch).collect();
    for (below, above) in all.iter().zip(all.iter().skip(LAG as usize)) {
        assert_eq!(above.0.header.state_root, below.1, "block {}", above.0.number());
    }
    // What was left is still known by its hash.
    let (left, root) = grown.last().unwrap();
    let left = BlockRef::new(left.number(), left.hash());
    assert_eq!(roots(&kit).known(left).unwrap(), Some(*root));
    make_head(&kit, &grown[4 * LAG as usize - 1].0).await;
}
