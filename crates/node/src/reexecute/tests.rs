use std::{fs, path::Path};

use banyan_chain::{ChainConfig, Durability};
use banyan_chainspec::ChainSpec;
use banyan_executor::{BlockOutput, ProgramMode};
use banyan_primitives::{AccountDiff, Address, BlockRef, Receipt, TxType};
use banyan_storage::{DatabaseOptions, Table};
use banyan_txpool::PoolConfig;
use serde_json::Value;
use tempfile::TempDir;

use super::{block::difference, *};
use crate::{
    ChainChoice, DataDir,
    bench::{Generator, Stack, Workload},
};

const GAS_LIMIT: u64 = 30_000_000;
const BLOCKS: u64 = 3;
const PER_BLOCK: u32 = 60;

/// A stopped node's data directory: blocks of transfers, token calls and creations.
struct Stopped {
    folder: TempDir,
}

impl Stopped {
    fn with(workload: Workload) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut generator = Generator::new(workload, 1, 5, ChainSpec::dev().chain_id);
        let genesis = generator.genesis(GAS_LIMIT, None).unwrap();
        fs::write(folder.path().join("genesis.json"), &genesis).unwrap();
        let spec = std::sync::Arc::new(ChainSpec::from_genesis_json(&genesis).unwrap());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let pool = PoolConfig::default();
            let config = ChainConfig { durability: Durability::Off, ..ChainConfig::default() };
            let stack = Stack::open(&spec, folder.path(), config, pool).unwrap();
            for _ in 0..BLOCKS {
                let transactions = generator.transactions(PER_BLOCK);
                stack.build(GAS_LIMIT, &transactions).await.unwrap();
            }
            stack.close().await.unwrap();
        });
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn config(&self, workers: usize) -> ReExecuteConfig {
        let store = StoreConfig {
            chain: ChainChoice::File(self.path().join("genesis.json")),
            datadir: DataDir::At(self.path().to_owned()),
        };
        let executor =
            ExecutorConfig { workers, programs: ProgramMode::On, perturb: None, record: false };
        ReExecuteConfig { store, from: None, to: None, executor }
    }

    fn run(&self, workers: usize) -> Value {
        let report = re_execute(&self.config(workers)).unwrap();
        assert_eq!(report.first_difference(), None);
        report.to_json()
    }
}

fn count(report: &Value, class: &str) -> u64 {
    report["classes"][class]["transactions"].as_u64().unwrap()
}

#[test]
fn token_calls_are_learnt_and_then_answered() {
    let node = Stopped::with(Workload::Erc20);
    for workers in [1, 2] {
        let report = node.run(workers);
        assert_eq!((&report["from"], &report["to"]), (&1.into(), &BLOCKS.into()));
        assert_eq!((count(&report, "deposits"), count(&report, "transfers")), (BLOCKS, 0));
        let calls = ["programs", "programChecks", "programMisses", "callsWithoutProgram"];
        let calls = calls.map(|class| count(&report, class));
        assert_eq!(calls.iter().sum::<u64>(), BLOCKS * u64::from(PER_BLOCK), "{report}");
        let [answered, checks, _, without] = calls;
        assert!(answered > checks && checks > 0 && without > 0, "{report}");
        let missing = report["missingPrograms"].as_array().unwrap();
        assert_eq!(missing.len(), 1, "{report}");
        assert_eq!(missing[0]["selector"], "0xa9059cbb");
        assert_eq!(missing[0]["transactions"], without);
        let share = report["coverage"]["transactionShare"].as_f64().unwrap();
        assert!((share - answered as f64 / calls.iter().sum::<u64>() as f64).abs() < 1e-9);
    }
}

#[test]
fn every_transaction_has_its_class() {
    let node = Stopped::with(Workload::Mixed);
    let report = node.run(1);
    let classes = report["classes"].as_object().unwrap();
    let sum = |what: &str| classes.values().map(|class| class[what].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum("transactions"), BLOCKS * u64::from(PER_BLOCK + 1));
    assert_eq!(report["transactions"], sum("transactions"));
    assert_eq!(report["gas"], sum("gas"));
    assert!(count(&report, "transfers") > 0 && count(&report, "creations") > 0, "{report}");
    assert_eq!(count(&report, "others"), 0, "{report}");
    assert_eq!(count(&report, "deposits"), BLOCKS);
}

#[test]
fn without_programs_all_calls_are_listed_as_missing() {
    let node = Stopped::with(Workload::Erc20);
    let mut config = node.config(1);
    config.executor.programs = ProgramMode::Off;
    (config.from, config.to) = (Some(2), Some(2));
    let report = re_execute(&config).unwrap();
    let json = report.to_json();
    assert_eq!(count(&json, "callsWithoutProgram"), u64::from(PER_BLOCK));
    assert_eq!(json["missingPrograms"][0]["gasShare"], 1.0);
    let text = report.to_string();
    assert!(text.contains("blocks 2 to 2: 1 blocks, 61 transactions"), "{text}");
    assert!(text.contains("0xa9059cbb") && text.ends_with("no block differs\n"), "{text}");
}

#[test]
fn a_block_that_comes_out_otherwise_is_named_and_the_others_are_counted() {
    let node = Stopped::with(Workload::Transfers);
    let hash = {
        let path = node.path().join("db");
        let database = Database::open(&path, DatabaseOptions::default()).unwrap();
        let block = database.read().unwrap();
        let hash = block.canonical_hash(2).unwrap().unwrap();
        let key = [&2_u64.to_be_bytes(), hash.as_slice()].concat();
        let mut header = block.header(BlockRef::new(2, hash)).unwrap().unwrap().into_inner();
        header.gas_used += 1;
        let txn = database.write().unwrap();
        txn.put(Table::Headers, &key, &alloy_rlp::encode(&header)).unwrap();
        txn.commit().unwrap();
        hash
    };
    let report = re_execute(&node.config(2)).unwrap();
    assert_eq!(report.differing_blocks(), 1);
    let first = report.first_difference().unwrap();
    assert!(first.starts_with(&format!("block 2 ({hash}): plain execution: ")), "{first}");
    assert!(first.contains("invalid gas used"), "{first}");
    assert_eq!(report.to_json()["blocks"], BLOCKS);
    assert!(report.to_string().contains("1 of 3 blocks differ"), "{report}");
}

#[test]
fn the_first_difference_of_two_outputs_is_told() {
    let receipt = Receipt {
        tx_type: TxType::Legacy,
        success: true,
        post_state: None,
        cumulative_gas_used: 21_000,
        logs: Vec::new(),
        deposit_nonce: None,
        deposit_receipt_version: None,
    };
    let plain = BlockOutput { receipts: vec![receipt; 2], gas_used: 9, ..BlockOutput::default() };
    let differs = |change: fn(&mut BlockOutput)| {
        let mut other = plain.clone();
        change(&mut other);
        difference(&plain, &other)
    };
    assert_eq!(differs(|_| ()), None);
    assert_eq!(differs(|it| it.receipts[1].success = false), Some("receipt 1".into()));
    assert_eq!(differs(|it| it.gas_used = 8), Some("gas used 8 for 9".into()));
    assert!(differs(|it| it.blob_gas_used = 1).is_some());
    let state = differs(|it| {
        it.diff.accounts.insert(Address::repeat_byte(7), AccountDiff::default());
        it.diff.accounts.insert(Address::repeat_byte(5), AccountDiff::default());
    });
    assert_eq!(state, Some(format!("state of {}", Address::repeat_byte(5))));
}

#[test]
fn a_range_that_is_not_there_is_refused_with_the_reason() {
    let stored = Stored { oldest_state: 9, tip: 20 };
    assert_eq!(stored.choose(None, None), Ok(10..=20));
    assert_eq!(stored.choose(Some(12), Some(12)), Ok(12..=12));
    let check = |from, to, expected: &str| {
        let error = stored.choose(from, to).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    check(Some(0), None, "the first block is 1");
    check(Some(9), None, "the state before block 9 is not kept, --from 10 is the first");
    check(Some(15), Some(14), "no blocks: --from 15 is above --to 14");
    check(None, Some(9), "no blocks: --from 10 is above --to 9");
    check(None, Some(21), "--to 21 is beyond the newest block of the database, 20");
    check(Some(21), None, "--from 21 is beyond the newest block of the database, 20");
    let genesis_alone = Stored { oldest_state: 0, tip: 0 };
    let error = genesis_alone.choose(None, None).unwrap_err();
    assert!(error.contains("no block can be executed"), "{error}");
}

#[test]
fn what_cannot_be_executed_again_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let node = Stopped { folder };
    let store =
        StoreConfig { chain: ChainChoice::Dev, datadir: DataDir::At(node.path().to_owned()) };
    let config = ReExecuteConfig { store, ..node.config(1) };
    let error = re_execute(&config).unwrap_err().to_string();
    assert!(error.starts_with("there is no database at"), "{error}");
    assert!(!node.path().join("db").exists(), "nothing was made");
    let error = re_execute(&node.config(0)).unwrap_err().to_string();
    assert!(error.contains("--executor.workers"), "{error}");
}
