//! From flags to the node's configuration: the only place that knows both.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use banyan_node::{
    AuthSettings, BuilderConfig, ChainChoice, ChainConfig, Client, DEV_MNEMONIC, DataDir,
    DevConfig, ExecutorConfig, FileLogConfig, LogConfig, LogLevel, Namespace, NetworkConfig,
    NodeConfig, NodeKey, PoolConfig, PublicSettings, RpcConfig, Sequencer, ServerLimits,
};

use crate::{
    args::{
        AuthArgs, ChainArgs, ExecutorArgs, HttpArgs, LogArgs, NetworkArgs, NodeArgs, RpcLimitArgs,
        SendArgs, StoreArgs, TxPoolArgs, WsArgs,
    },
    parse,
};

/// Bytes in what the flags call a megabyte.
const MB: usize = 1 << 20;

/// Who we are, for `web3_clientVersion` and the banner.
pub(crate) fn client() -> Client {
    Client {
        name: "Banyan".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: env!("BANYAN_COMMIT").to_owned(),
    }
}

/// `--chain`.
pub(crate) fn chain(args: &ChainArgs) -> ChainChoice {
    match args.chain.as_str() {
        "dev" => ChainChoice::Dev,
        path => ChainChoice::File(PathBuf::from(path)),
    }
}

/// `--datadir`.
pub(crate) fn datadir(args: &StoreArgs) -> DataDir {
    match &args.datadir {
        Some(path) => DataDir::At(path.clone()),
        None => DataDir::Default,
    }
}

/// Configuration of `node` and warnings about what was asked for but will not be.
pub(crate) fn node(args: &NodeArgs) -> (NodeConfig, Vec<String>) {
    let mut warnings = Vec::new();
    let ports = Ports::of(args);
    let limits = limits(&args.limits);
    let dev = args.dev.dev.then_some(DevConfig { block_time: args.dev.dev_block_time });
    let config = NodeConfig {
        client: client(),
        chain: node_chain(args, &mut warnings),
        datadir: datadir(&args.store),
        http: http(&args.http, ports.http, limits, dev.is_some(), &mut warnings),
        ws: ws(&args.ws, ports.ws, limits, dev.is_some(), &mut warnings),
        auth: auth(&args.auth, ports.auth),
        rpc: rpc(args),
        network: network(&args.network, &ports),
        metrics: args
            .metrics
            .map(|addr| if args.network.with_unused_ports { any_port(addr) } else { addr }),
        builder: builder(args),
        pool: pool(&args.pool, &args.limits),
        persistence: persistence(args),
        dev,
    };
    (config, warnings)
}

/// The chain, with the accounts that `--dev.mnemonic` names.
fn node_chain(args: &NodeArgs, warnings: &mut Vec<String>) -> ChainChoice {
    match (chain(&args.store.chain), &args.dev.dev_mnemonic) {
        (ChainChoice::Dev, Some(phrase))
            if !phrase.split_whitespace().eq(DEV_MNEMONIC.split(' ')) =>
        {
            ChainChoice::DevFunded(phrase.clone())
        }
        (ChainChoice::File(path), Some(_)) => {
            warnings.push("--dev.mnemonic: the genesis file says which accounts are funded".into());
            ChainChoice::File(path)
        }
        (chain, _) => chain,
    }
}

/// The ports, moved by `--instance` or `--with-unused-ports`.
struct Ports {
    http: u16,
    ws: u16,
    auth: u16,
    p2p: u16,
    discovery: u16,
}

impl Ports {
    fn of(args: &NodeArgs) -> Self {
        if args.network.with_unused_ports {
            return Self { http: 0, ws: 0, auth: 0, p2p: 0, discovery: 0 };
        }
        let step = args.network.instance.map_or(0, |number| number.saturating_sub(1));
        // As in reth: HTTP counts down, WebSocket up by two, the Engine API up by a hundred.
        Self {
            http: args.http.http_port.saturating_sub(step),
            ws: args.ws.ws_port.saturating_add(2 * step),
            auth: args.auth.auth_port.saturating_add(100 * step),
            p2p: args.network.port.saturating_add(step),
            discovery: args.network.discovery_port.saturating_add(step),
        }
    }
}

fn any_port(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip(), 0)
}

fn http(
    args: &HttpArgs,
    port: u16,
    limits: ServerLimits,
    dev: bool,
    warnings: &mut Vec<String>,
) -> Option<PublicSettings> {
    (args.http || dev).then(|| PublicSettings {
        addr: SocketAddr::new(args.http_addr, port),
        api: api("--http.api", args.http_api.as_deref(), dev, warnings),
        origins: origins(args.http_cors.as_deref(), dev),
        hosts: parse::words(&args.http_vhosts),
        limits,
    })
}

fn ws(
    args: &WsArgs,
    port: u16,
    limits: ServerLimits,
    dev: bool,
    warnings: &mut Vec<String>,
) -> Option<PublicSettings> {
    (args.ws || dev).then(|| PublicSettings {
        addr: SocketAddr::new(args.ws_addr, port),
        api: api("--ws.api", args.ws_api.as_deref(), dev, warnings),
        origins: origins(args.ws_origins.as_deref(), dev),
        hosts: Vec::new(),
        limits,
    })
}

fn api(flag: &str, names: Option<&str>, dev: bool, warnings: &mut Vec<String>) -> Vec<Namespace> {
    let Some(names) = names else {
        return if dev { Namespace::ALL.to_vec() } else { Namespace::DEFAULT.to_vec() };
    };
    let (known, unknown) = parse::namespaces(names);
    if !unknown.is_empty() {
        warnings.push(format!("{flag}: not served: {}", unknown.join(", ")));
    }
    known
}

/// On a dev chain browsers may call from anywhere.
fn origins(text: Option<&str>, dev: bool) -> Vec<String> {
    match text {
        Some(text) => parse::words(text),
        None if dev => vec!["*".to_owned()],
        None => Vec::new(),
    }
}

fn auth(args: &AuthArgs, port: u16) -> Option<AuthSettings> {
    (!args.disable_auth_server).then(|| AuthSettings {
        addr: SocketAddr::new(args.auth_addr, port),
        jwt_secret: args.auth_jwtsecret.clone(),
    })
}

fn limits(args: &RpcLimitArgs) -> ServerLimits {
    let bytes = |megabytes: u32| megabytes.saturating_mul(1 << 20);
    ServerLimits {
        max_request_bytes: or_unlimited(bytes(args.max_request_size), u32::MAX),
        max_response_bytes: or_unlimited(bytes(args.max_response_size), u32::MAX),
        max_connections: args.max_connections,
        max_subscriptions: args.max_subscriptions,
        max_batch: or_unlimited(args.batch_request_limit, u32::MAX),
    }
}

fn rpc(args: &NodeArgs) -> RpcConfig {
    let NodeArgs { limits, gas_price, network, send, .. } = args;
    RpcConfig {
        gas_cap: or_unlimited(limits.gas_cap, u64::MAX / 2),
        call_timeout: or_unlimited(limits.evm_timeout, Duration::MAX),
        max_heavy_reads: limits.max_blocking_io_requests.max(1),
        max_logs_blocks: or_unlimited(limits.max_blocks_per_filter, u64::MAX),
        max_logs: or_unlimited(limits.max_logs_per_response, usize::MAX),
        fee_blocks: gas_price.gpo_blocks,
        fee_percentile: gas_price.gpo_percentile,
        max_suggested_priority_fee: gas_price.gpo_maxprice,
        ignored_priority_fee: gas_price.gpo_ignoreprice,
        min_suggested_priority_fee: gas_price.min_suggested_priority_fee,
        network_id: network.network_id,
        // The flag is a lower bound.
        max_proof_blocks: limits.eth_proof_window.max(RpcConfig::default().max_proof_blocks),
        sync_timeout: send.sync_timeout,
        max_sync_timeout: send.max_sync_timeout.max(send.sync_timeout),
        sequencer: sequencer(send),
    }
}

fn sequencer(args: &SendArgs) -> Option<Sequencer> {
    let url = args.sequencer.as_deref()?;
    let sequencer = Sequencer::new(url, &args.sequencer_headers, args.retain_forwarded);
    Some(sequencer.expect("address and headers were checked while parsing"))
}

/// Zero on the command line means no limit.
fn or_unlimited<T: Default + PartialEq>(value: T, unlimited: T) -> T {
    if value == T::default() { unlimited } else { value }
}

fn network(args: &NetworkArgs, ports: &Ports) -> NetworkConfig {
    let key = match (&args.p2p_secret_key_hex, &args.p2p_secret_key) {
        (Some(hex), _) => NodeKey::Hex(hex.clone()),
        (None, Some(path)) => NodeKey::File(path.clone()),
        (None, None) => NodeKey::InDataDir,
    };
    NetworkConfig {
        addr: args.addr,
        nat: args.nat,
        port: ports.p2p,
        discovery_port: ports.discovery,
        key,
    }
}

fn builder(args: &NodeArgs) -> BuilderConfig {
    // A dev chain begins a block a whole block time before it ends.
    let block_time = if args.dev.dev { args.dev.dev_block_time } else { Duration::ZERO };
    let args = &args.builder;
    BuilderConfig {
        interval: args.builder_interval,
        deadline: args.builder_deadline.max(block_time),
        gas_limit: args.builder_gaslimit,
        extra_data: args.builder_extradata.0.clone().into(),
        max_jobs: args.builder_max_tasks.max(1),
    }
}

fn pool(args: &TxPoolArgs, limits: &RpcLimitArgs) -> PoolConfig {
    PoolConfig {
        pending_max_count: args.pending_max_count,
        pending_max_bytes: args.pending_max_size.saturating_mul(MB),
        queued_max_count: args.queued_max_count,
        queued_max_bytes: args.queued_max_size.saturating_mul(MB),
        max_account_slots: args.max_account_slots,
        price_bump: args.price_bump,
        blob_price_bump: args.blob_price_bump,
        lifetime: args.lifetime,
        minimum_priority_fee: args.minimum_priority_fee,
        max_tx_bytes: args.max_tx_bytes,
        max_tx_gas: args.max_tx_gas,
        tx_fee_cap: (limits.tx_fee_cap > 0).then_some(limits.tx_fee_cap),
        ..PoolConfig::default()
    }
}

/// `--executor.*`.
pub(crate) fn executor(args: &ExecutorArgs) -> ExecutorConfig {
    let default = ExecutorConfig::default();
    let workers = args.workers.map_or(default.workers, usize::from);
    // What a block touches serves those that run ahead.
    ExecutorConfig { workers, programs: args.programs, record: workers > 1, ..default }
}

fn persistence(args: &NodeArgs) -> ChainConfig {
    let default = ChainConfig::default();
    ChainConfig {
        keep_blocks: args.engine.memory_blocks.unwrap_or(default.keep_blocks),
        persist_threshold: args.engine.persistence_threshold.unwrap_or(default.persist_threshold),
        root_memory: args.engine.root_memory.map_or(default.root_memory, mebibytes),
        durability: args.engine.durability,
        executor: executor(&args.executor),
        ..default
    }
}

/// Bytes of so many MiB.
pub(crate) const fn mebibytes(count: u64) -> u64 {
    count.saturating_mul(1 << 20)
}

/// Logging. Subcommands that print their result keep standard output for it, and are quiet unless
/// asked.
pub(crate) fn logging(args: &LogArgs, to_stderr: bool) -> LogConfig {
    let level = match (args.quiet, args.verbosity) {
        (true, _) => LogLevel::Off,
        (false, 0) if to_stderr => LogLevel::Warn,
        (false, 0 | 3) => LogLevel::Info,
        (false, 1) => LogLevel::Error,
        (false, 2) => LogLevel::Warn,
        (false, 4) => LogLevel::Debug,
        (false, _) => LogLevel::Trace,
    };
    let file = args.file_directory.as_ref().filter(|_| args.file_max_files > 0);
    LogConfig {
        level,
        filter: args.stdout_filter.clone(),
        format: args.stdout_format,
        color: args.color,
        to_stderr,
        file: file.map(|directory| FileLogConfig {
            directory: directory.clone(),
            name: args.file_name.clone(),
            format: args.file_format,
            filter: args.file_filter.clone(),
            max_bytes: args.file_max_size.saturating_mul(1 << 20),
            max_files: args.file_max_files,
        }),
    }
}
