//! The command line as launchers use it.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use banyan_node::{
    ChainChoice, DEV_MNEMONIC, DataDir, Durability, ExecutorConfig, LogFormat, LogLevel, Namespace,
    Nat, NodeConfig, NodeKey, ProgramMode,
};
use clap::CommandFactory;
use serde_json::Value;

use crate::{
    args::{Cli, Command},
    compat, config,
};

fn command_line(words: &[&str]) -> Result<(Cli, Vec<&'static str>), clap::Error> {
    parse_words(words.iter().map(|word| (*word).to_owned()))
}

fn parse_words(
    words: impl Iterator<Item = String>,
) -> Result<(Cli, Vec<&'static str>), clap::Error> {
    let words = std::iter::once("banyan".to_owned()).chain(words).map(OsString::from);
    let (cli, matches) = crate::parse(words)?;
    Ok((cli, compat::ignored_on(&matches)))
}

/// Configuration of a `node` command line.
fn node(words: &[&str]) -> NodeConfig {
    let (cli, _) = command_line(words).unwrap_or_else(|error| panic!("{error}"));
    let Command::Node(args) = &cli.command else { panic!("not `node`") };
    config::node(args).0
}

fn vectors() -> Vec<Value> {
    let text = include_str!("../../../testdata/argv.json");
    let mut file: Value = serde_json::from_str(text).unwrap();
    file["vectors"].as_array_mut().map(std::mem::take).unwrap()
}

fn vector(id: &str) -> NodeConfig {
    let vector = vectors().into_iter().find(|vector| vector["id"] == id).unwrap();
    let words = vector["args"].as_array().unwrap();
    let words: Vec<_> = words.iter().map(|word| word.as_str().unwrap()).collect();
    node(&words)
}

#[test]
fn the_definition_is_consistent() {
    compat::accept_ignored(Cli::command()).debug_assert();
}

#[test]
fn every_launcher_is_understood() {
    for vector in vectors() {
        let id = vector["id"].as_str().unwrap();
        let words = vector["args"].as_array().unwrap().iter();
        let parsed = parse_words(words.map(|word| word.as_str().unwrap().to_owned()));
        match vector["expect"].as_str().unwrap() {
            "error" => assert!(parsed.is_err(), "{id}"),
            _ => {
                let (cli, _) = parsed.unwrap_or_else(|error| panic!("{id}: {error}"));
                if let Command::Node(args) = &cli.command {
                    config::node(args);
                }
            }
        }
    }
}

#[test]
fn a_misspelt_flag_is_refused_with_the_nearest_name() {
    let error = command_line(&["node", "--http.prot=8545"]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("--http.prot") && text.contains("--http.port"), "{text}");
    assert_ne!(error.exit_code(), 0);
    assert!(command_line(&["node", "--nonsense"]).is_err());
    assert!(command_line(&["init", "--jit"]).is_err(), "a flag of `node` only");
}

#[test]
fn of_repeated_flags_the_last_one_counts() {
    let config = node(&["node", "--http", "--http.api=eth", "--http.api=eth,miner"]);
    assert_eq!(config.http.unwrap().api, [Namespace::Eth, Namespace::Miner]);
    let config = node(&["node", "--datadir=/a", "--datadir", "/b", "--metrics=1", "--metrics=:2"]);
    assert_eq!(config.datadir, DataDir::At(PathBuf::from("/b")));
    assert_eq!(config.metrics.unwrap().to_string(), "127.0.0.1:2");
    assert!(command_line(&["node", "--jit.blocking", "--jit.blocking"]).is_ok());
}

#[test]
fn the_op_package_gets_its_ports_and_address() {
    let config = vector("optimism-package/op-reth/sequencer");
    assert_eq!(
        config.chain,
        ChainChoice::File(PathBuf::from("/network-configs/genesis-2151908.json"))
    );
    let (http, ws) = (config.http.unwrap(), config.ws.unwrap());
    assert_eq!(http.addr.to_string(), "0.0.0.0:8545");
    assert_eq!(http.origins, ["*"]);
    assert!(http.api.contains(&Namespace::Miner) && http.api.contains(&Namespace::Admin));
    assert_eq!(ws.addr.to_string(), "0.0.0.0:8546");
    let auth = config.auth.unwrap();
    assert_eq!(auth.addr.to_string(), "0.0.0.0:8551");
    assert_eq!(auth.jwt_secret, Some(PathBuf::from("/jwt/jwtsecret")));
    assert_eq!(config.network.nat, Nat::External([172, 16, 0, 10].into()));
    assert_eq!(config.metrics.unwrap().to_string(), "0.0.0.0:9001");
    assert!(config.dev.is_none());
}

#[test]
fn devstack_gets_free_ports_and_its_key() {
    let config = vector("devstack/node");
    let ports = [config.http.unwrap().addr, config.ws.unwrap().addr, config.auth.unwrap().addr]
        .map(|addr| addr.port());
    assert_eq!(ports, [0; 3]);
    assert_eq!((config.network.port, config.network.discovery_port), (0, 0));
    assert_eq!(config.metrics.unwrap().port(), 0);
    assert_eq!(config.network.key, NodeKey::File(PathBuf::from("/tmp/t/p2p.key")));
    assert_eq!(config.builder.interval, Duration::from_millis(100));
    assert_eq!(config.builder.deadline, Duration::from_secs(2));
    assert_eq!(config.pool.minimum_priority_fee, 1);
}

#[test]
fn hive_may_write_values_as_words_of_their_own() {
    let config = vector("hive/reth/node-automine");
    assert_eq!(config.dev.unwrap().block_time, Duration::from_secs(5));
    assert_eq!(config.rpc.network_id, Some(1337));
    let config = vector("ethereum-package/reth");
    assert_eq!(config.builder.gas_limit, Some(60_000_000));
}

#[test]
fn transactions_are_sent_to_the_sequencer_that_was_named() {
    assert!(node(&["node"]).rpc.sequencer.is_none());
    for flag in ["--rollup.sequencer", "--rollup.sequencer-http", "--rollup.sequencer-ws"] {
        let words = ["node", flag, "https://sequencer.example", "--rollup.sequencer-headers"];
        let words: Vec<_> = words.into_iter().chain(["a=b,c=d"]).collect();
        assert!(node(&words).rpc.sequencer.is_some(), "{flag}");
    }
    assert!(command_line(&["node", "--rollup.sequencer", "nowhere"]).is_err());
    assert!(command_line(&["node", "--rollup.sequencer-headers", "a"]).is_err());
    let words = ["node", "--rpc.send-raw-transaction-sync-timeout=90s", "--txpool.lifetime=60"];
    let config = node(&words);
    let seconds = Duration::from_secs;
    let rpc = (config.rpc.sync_timeout, config.rpc.max_sync_timeout, config.pool.lifetime);
    assert_eq!(rpc, (seconds(90), seconds(90), seconds(60)));
}

#[test]
fn flags_without_effect_are_named_once() {
    let words = ["node", "--full", "--block-interval", "500000", "--rollup.discovery.v4"];
    let (_, ignored) = command_line(&words).unwrap();
    assert_eq!(ignored, ["full", "prune.block-interval", "rollup.discovery.v4"]);
    let (_, ignored) = command_line(&["node", "--http", "--txpool.nolocals", "-d"]).unwrap();
    assert!(ignored.is_empty(), "{ignored:?}");
}

#[test]
fn namespaces_that_we_do_not_serve_are_a_warning() {
    let (cli, _) = command_line(&["node", "--http", "--http.api=eth,engine,flashbots"]).unwrap();
    let Command::Node(args) = &cli.command else { panic!("not `node`") };
    let (config, warnings) = config::node(args);
    assert_eq!(config.http.unwrap().api, [Namespace::Eth]);
    assert_eq!(warnings, ["--http.api: not served: engine, flashbots"]);
}

#[test]
fn durability_is_of_the_process_unless_power_is_asked_for() {
    assert_eq!(node(&["node"]).persistence.durability, Durability::Process);
    let power = node(&["node", "--durability=power"]);
    assert_eq!(power.persistence.durability, Durability::Power);
    assert!(command_line(&["node", "--durability=fire"]).is_err());
}

#[test]
fn blocks_are_executed_as_asked_for() {
    let executor = |words: &[&str]| node(words).persistence.executor;
    assert_eq!(executor(&["node"]), ExecutorConfig::default());
    assert_eq!(executor(&["node", "--executor.workers=0"]).workers, 0);
    let asked = executor(&["node", "--executor.workers", "3", "--executor.programs", "shadow"]);
    assert_eq!((asked.workers, asked.programs), (3, ProgramMode::Shadow));
    assert!(command_line(&["node", "--executor.programs=maybe"]).is_err());
    assert!(command_line(&["import", "--executor.workers=1", "blocks.rlp"]).is_ok());
}

#[test]
fn the_proof_window_reaches_the_rpc_settings() {
    let window = |blocks: &str| {
        node(&["node", &format!("--rpc.eth-proof-window={blocks}")]).rpc.max_proof_blocks
    };
    assert_eq!((window("10"), window("400000")), (302_400, 400_000));
}

#[test]
fn a_dev_chain_serves_everything_without_a_secret() {
    let config = node(&["node", "--dev"]);
    assert_eq!(config.chain, ChainChoice::Dev);
    assert_eq!(config.dev.unwrap().block_time, Duration::from_secs(1));
    let http = config.http.unwrap();
    assert_eq!(http.addr.to_string(), "127.0.0.1:8545");
    assert_eq!((http.api.len(), http.origins.len()), (Namespace::ALL.len(), 1));
    assert_eq!(config.ws.unwrap().addr.to_string(), "127.0.0.1:8546");
}

#[test]
fn instances_have_ports_of_their_own() {
    let config = node(&["node", "--http", "--ws", "--instance=3"]);
    assert_eq!(config.http.unwrap().addr.port(), 8543);
    assert_eq!(config.ws.unwrap().addr.port(), 8550);
    assert_eq!(config.auth.unwrap().addr.port(), 8751);
    assert_eq!(config.network.port, 30305);
    assert!(command_line(&["node", "--instance=0"]).is_err());
}

#[test]
fn verbosity_may_stand_anywhere() {
    let level = |words: &[&str]| {
        let (cli, _) = command_line(words).unwrap();
        config::logging(&cli.log, false).level
    };
    assert_eq!(level(&["node"]), LogLevel::Info);
    assert_eq!(level(&["init", "-vvvv", "--datadir", "/d", "--chain", "dev"]), LogLevel::Debug);
    assert_eq!(level(&["-v", "node"]), LogLevel::Error);
    assert_eq!(level(&["node", "-q"]), LogLevel::Off);
    let (cli, _) =
        command_line(&["node", "--log.stdout.format=json", "--log.file.max-files=0"]).unwrap();
    let logging = config::logging(&cli.log, false);
    assert_eq!(logging.format, LogFormat::Json);
    assert!(logging.file.is_none());
}

#[test]
fn the_same_phrase_is_the_same_chain_and_another_one_is_not() {
    let chain = |words: &[&str]| node(&[&["node", "--dev"], words].concat()).chain;
    assert_eq!(chain(&["--dev.mnemonic", DEV_MNEMONIC]), ChainChoice::Dev);
    let phrase = "abandon ".repeat(11) + "about";
    assert_eq!(chain(&["--dev.mnemonic", &phrase]), ChainChoice::DevFunded(phrase.clone()));
    let (cli, _) = command_line(&["node", "--chain=/g.json", "--dev.mnemonic", &phrase]).unwrap();
    let Command::Node(args) = &cli.command else { panic!("not `node`") };
    let (config, warnings) = config::node(args);
    assert!(matches!(config.chain, ChainChoice::File(_)));
    assert!(warnings[0].contains("--dev.mnemonic"), "{warnings:?}");
}

#[test]
fn limits_and_fees_reach_the_settings() {
    let words = [
        "node",
        "--http",
        "--http.vhosts=localhost,node.example",
        "--rpc.max-request-size=1",
        "--rpc.max-response-size=2",
        "--rpc.max-connections=3",
        "--rpc.max-subscriptions-per-connection=4",
        "--rpc.batch-request-limit=5",
        "--rpc.max-blocking-io-requests=6",
        "--rpc.evmtimeout=7s",
        "--rpc.gascap=0",
        "--gpo.blocks=8",
        "--gpo.percentile=9",
        "--gpo.maxprice=10",
        "--gpo.ignoreprice=11",
    ];
    let config = node(&words);
    let http = config.http.unwrap();
    assert_eq!(http.hosts, ["localhost", "node.example"]);
    let limits = http.limits;
    assert_eq!((limits.max_request_bytes, limits.max_response_bytes), (1 << 20, 2 << 20));
    assert_eq!((limits.max_connections, limits.max_subscriptions, limits.max_batch), (3, 4, 5));
    let rpc = config.rpc;
    assert_eq!((rpc.max_heavy_reads, rpc.call_timeout), (6, Duration::from_secs(7)));
    assert_eq!(rpc.gas_cap, u64::MAX / 2, "no limit");
    assert_eq!((rpc.fee_blocks, rpc.fee_percentile), (8, 9));
    assert_eq!((rpc.max_suggested_priority_fee, rpc.ignored_priority_fee), (10, 11));
    assert!(command_line(&["node", "--gpo.percentile=101"]).is_err());
}

#[test]
fn who_asks_for_pruning_is_told_that_nothing_is_pruned() {
    let (_, ignored) =
        command_line(&["node", "--full", "--prune.bodies.before=5", "--jit"]).unwrap();
    let warnings: Vec<_> = ignored.iter().map(|flag| compat::warning(flag)).collect();
    assert_eq!(warnings[0], "--full: pruning is not there yet, all history is kept");
    assert!(warnings.iter().any(|text| text.starts_with("--prune.bodies.before: pruning")));
    assert!(warnings.contains(&"--jit has no effect here".to_owned()), "{warnings:?}");
}

#[test]
fn help_is_grouped_as_people_search_it() {
    let mut command = Cli::command();
    let help = command.find_subcommand_mut("node").unwrap().render_long_help().to_string();
    let groups: Vec<_> = help
        .lines()
        .filter(|line| line.ends_with(':') && !line.starts_with(' '))
        .map(|line| line.trim_end_matches(':'))
        .collect();
    let expected = [
        "Chain and data",
        "HTTP/WS RPC",
        "Engine API",
        "RPC limits",
        "Gas price oracle",
        "Pool",
        "Execution",
        "Building",
        "Rollup",
        "Metrics",
        "Dev",
        "Network",
        "Debug",
    ];
    assert_eq!(
        groups.iter().filter(|group| **group != "Options").collect::<Vec<_>>(),
        expected.iter().collect::<Vec<_>>(),
        "{help}"
    );
}

#[test]
fn config_prints_what_is_in_effect_and_says_what_is_default() {
    let words = ["banyan", "config", "--http", "--http.port=1", "--http.port=2", "--jit"];
    let (_, matches) = crate::parse(words.map(OsString::from)).unwrap();
    let text = compat::settings(&compat::accept_ignored(Cli::command()), &matches);
    let lines: Vec<_> = text.lines().collect();
    for line in ["# HTTP/WS RPC", "--http=true", "--http.port=2", "--ws.port=8546    # default"] {
        assert!(lines.contains(&line), "{line}: {text}");
    }
}

#[test]
fn the_version_has_the_two_lines_that_hive_reads() {
    let error = command_line(&["--version"]).unwrap_err();
    let text = error.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].contains("Version: ") && lines[1].contains("Commit SHA: "), "{text}");
    assert_eq!(error.exit_code(), 0);
}

#[test]
fn the_compatibility_table_knows_both_kinds() {
    let table = compat::table(&compat::accept_ignored(Cli::command()));
    let effect = |flag: &str| {
        let line = table.lines().find(|line| line.split(' ').next() == Some(flag)).unwrap();
        line.ends_with("takes effect")
    };
    assert!(effect("--http.port") && effect("--log.stdout.format"));
    assert!(!effect("--jit") && !effect("--prune.bodies.before"));
    assert!(table.lines().count() > 284, "all of op-reth's flags");
}
