//! A full disk, blocks that wait for an invalid one, a crash: the chain stays as it was answered.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod common;

use banyan_chain::{
    ChainConfig, ChainError, Durability, ForkchoiceError, ForkchoiceState, PayloadStatus,
};
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
    let (status, _) = kit.chain.forkchoice(state).await?;
    assert_ne!(status, PayloadStatus::Syncing, "{head} is not known");
    Ok(status)
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

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn without_room_for_the_journal_nothing_is_acknowledged_until_there_is_some() {
    let mut kit = Kit::new(in_memory());
    let segment = kit.dir.path().join("journal").join("000000.segment");
    std::os::unix::fs::symlink("/dev/full", &segment).unwrap();
    let block = kit.build(&kit.spec.genesis_header, &[], |_, _| vec![]);
    kit.chain.new_payload(block.clone()).await.unwrap();
    let error = move_to(&kit, block.hash()).await.unwrap_err();
    assert!(matches!(error, ForkchoiceError::Chain(ChainError::Write(_))), "{error}");
    assert!(error.to_string().contains("no space left"), "{error}");
    assert_eq!(kit.chain.view().head().number, 0);
    move_to(&kit, block.hash()).await.unwrap();
    kit.crash();
    assert_eq!(kit.chain.view().head().hash(), block.hash());
}

/// A chain of `count` empty blocks on genesis, each made head.
async fn grow(kit: &Kit, count: u64) -> Vec<RecoveredBlock> {
    let header = kit.spec.genesis_header.clone();
    let body = Default::default();
    let genesis = RecoveredBlock::new(SealedBlock { header, body }, vec![]);
    grow_on(kit, &genesis, count).await
}

/// The same on another block.
async fn grow_on(kit: &Kit, base: &RecoveredBlock, count: u64) -> Vec<RecoveredBlock> {
    let mut blocks: Vec<RecoveredBlock> = Vec::new();
    for number in 0..count {
        let parent = blocks.last().unwrap_or(base);
        let extra = [base.number() as u8, number as u8];
        let block = kit.build(&parent.block.header, &extra, |_, _| vec![]);
        kit.chain.new_payload(block.clone()).await.unwrap();
        move_to(kit, block.hash()).await.unwrap();
        blocks.push(block);
    }
    blocks
}

/// Nothing of the newest blocks is in the database.
fn in_memory() -> ChainConfig {
    ChainConfig { keep_blocks: 1000, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_journal_a_crash_loses_heads() {
    let mut kit = Kit::new(ChainConfig { durability: Durability::Off, ..in_memory() });
    grow(&kit, 3).await;
    kit.crash();
    assert_eq!(kit.chain.view().head().number, 0, "else the tests of the journal prove nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_and_a_rewind_work_right_after_a_crash() {
    let mut kit = Kit::new(in_memory());
    let blocks = grow(&kit, 5).await;
    kit.crash();
    assert_eq!(kit.chain.view().head().hash(), blocks[4].hash());
    let sibling = kit.build(&blocks[1].block.header, b"sibling", |_, _| vec![]);
    kit.chain.new_payload(sibling.clone()).await.unwrap();
    move_to(&kit, sibling.hash()).await.unwrap();
    kit.crash();
    assert_eq!(kit.chain.view().head().hash(), sibling.hash());
    move_to(&kit, blocks[0].hash()).await.unwrap();
    kit.crash();
    assert_eq!(kit.chain.view().head().hash(), blocks[0].hash(), "a rewind is not undone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_was_left_and_taken_up_again_survives() {
    // Everything is written at once, so that the way back leads through the database.
    let mut kit =
        Kit::new(ChainConfig { keep_blocks: 0, persist_threshold: 1, ..Default::default() });
    let blocks = grow(&kit, 6).await;
    while kit.chain.view().persisted_number() < 6 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let sibling = kit.build(&kit.spec.genesis_header, b"sibling", |_, _| vec![]);
    kit.chain.new_payload(sibling.clone()).await.unwrap();
    move_to(&kit, sibling.hash()).await.unwrap();
    kit.crash();
    assert_eq!(kit.chain.view().head().hash(), sibling.hash());
    move_to(&kit, blocks[5].hash()).await.unwrap();
    kit.crash();
    assert_eq!(kit.chain.view().head().hash(), blocks[5].hash());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_failure_costs_nothing_that_was_acknowledged() {
    let config = ChainConfig {
        keep_blocks: 0,
        persist_threshold: 1,
        durability: Durability::Power,
        ..Default::default()
    };
    // Nothing is flushed but at the end of a run.
    let hours = std::time::Duration::from_secs(10_000);
    let options = DatabaseOptions { sync_period: hours, ..Default::default() };
    let mut kit = Kit::with_database(config, options);
    let first = grow(&kit, 3).await;
    kit.restart();
    let [file, flushed] = ["mdbx.dat", "flushed"].map(|name| kit.dir.path().join(name));
    kit.crash_and(|_| {
        std::fs::copy(&file, &flushed).unwrap();
    });
    assert_eq!(kit.chain.view().head().hash(), first[2].hash());
    let later = grow_on(&kit, &first[0], 5).await;
    while kit.chain.view().persisted_number() < 6 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    // The database falls back to what was flushed, before a reorg; the journal does not.
    kit.crash_and(|folder| {
        std::fs::copy(&flushed, &file).unwrap();
        // MDBX's table of readers does not outlive the machine's boot either.
        std::fs::remove_file(folder.join("mdbx.lck")).unwrap();
    });
    assert_eq!(kit.chain.view().head().hash(), later[4].hash());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_older_than_the_database_does_not_take_it_back() {
    let mut kit =
        Kit::new(ChainConfig { keep_blocks: 0, persist_threshold: 1, ..Default::default() });
    let first = grow(&kit, 3).await;
    let segment = kit.dir.path().join("journal").join("000000.segment");
    let mut old = Vec::new();
    kit.crash_and(|_| old = std::fs::read(&segment).unwrap());
    let later = grow_on(&kit, &first[2], 3).await;
    kit.restart();
    // As after a power failure: the database was flushed, the journal was not.
    kit.crash_and(|_| {
        std::fs::remove_dir_all(segment.parent().unwrap()).unwrap();
        std::fs::create_dir(segment.parent().unwrap()).unwrap();
        std::fs::write(&segment, old).unwrap();
    });
    assert_eq!(kit.chain.view().head().hash(), later[2].hash());
    let last = grow_on(&kit, &later[2], 1).await;
    kit.crash();
    assert_eq!(kit.chain.view().head().hash(), last[0].hash(), "and it is of use again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_journal_gives_the_newest_head_that_is_whole() {
    let mut kit = Kit::new(in_memory());
    let blocks = grow(&kit, 4).await;
    let path = kit.dir.path().join("journal").join("000000.segment");
    kit.crash_and(|_| {
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        // The last record holds the labels after block 4; the one before it the block.
        bytes[last - 200] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
    });
    assert_eq!(kit.chain.view().head().hash(), blocks[2].hash());
    // The consensus client sends it again.
    kit.chain.new_payload(blocks[3].clone()).await.unwrap();
    move_to(&kit, blocks[3].hash()).await.unwrap();
    kit.crash();
    assert_eq!(kit.chain.view().head().hash(), blocks[3].hash());
}
