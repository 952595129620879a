use std::{net::SocketAddr, time::Duration};

use crate::{JwtSecret, Namespace, Sequencer};

/// Settings of the JSON-RPC methods, the same on every port.
#[derive(Clone, Debug)]
pub struct RpcConfig {
    /// Most gas of one simulated call (`--rpc.gascap`).
    pub gas_cap: u64,
    /// Longest time of one simulated call.
    pub call_timeout: Duration,
    /// Most simulated calls and other heavy reads under way at once; more wait.
    pub max_heavy_reads: usize,
    /// Most blocks that one `eth_getLogs` may span.
    pub max_logs_blocks: u64,
    /// How many blocks below the head `eth_getProof` goes at most (`--rpc.eth-proof-window`); less
    /// far if more has changed since than can be taken back in a few seconds.
    pub max_proof_blocks: u64,
    /// Most logs in one answer.
    pub max_logs: usize,
    /// Blocks looked at for `eth_maxPriorityFeePerGas`.
    pub fee_blocks: u64,
    /// Part of the tips seen that a suggestion beats, percent (`--gpo.percentile`).
    pub fee_percentile: u8,
    /// Highest priority fee ever suggested, wei (`--gpo.maxprice`).
    pub max_suggested_priority_fee: u128,
    /// Tips below this are not looked at, wei (`--gpo.ignoreprice`).
    pub ignored_priority_fee: u128,
    /// Lowest priority fee ever suggested, wei (`--min-suggested-priority-fee`).
    pub min_suggested_priority_fee: u128,
    /// Network id (`net_version`); the chain id if `None`.
    pub network_id: Option<u64>,
    /// How long `eth_sendRawTransactionSync` waits unless told otherwise.
    pub sync_timeout: Duration,
    /// The longest that it can be told to wait.
    pub max_sync_timeout: Duration,
    /// Where transactions are sent on to (`--rollup.sequencer`); `None`: into the pool.
    pub sequencer: Option<Sequencer>,
}

impl Default for RpcConfig {
    fn default() -> Self {
        Self {
            gas_cap: 50_000_000,
            call_timeout: Duration::from_secs(5),
            max_heavy_reads: 16,
            max_logs_blocks: 100_000,
            max_proof_blocks: 302_400,
            max_logs: 20_000,
            fee_blocks: 20,
            fee_percentile: 60,
            max_suggested_priority_fee: 500_000_000_000,
            ignored_priority_fee: 2,
            min_suggested_priority_fee: 1_000_000,
            network_id: None,
            sync_timeout: Duration::from_secs(30),
            max_sync_timeout: Duration::from_secs(60),
            sequencer: None,
        }
    }
}

/// Who we are, for `admin_nodeInfo`, `web3_clientVersion` and `engine_getClientVersionV1`.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// Client name, e.g. `Banyan`.
    pub name: String,
    /// Version with a leading `v`, e.g. `v0.1.0`.
    pub version: String,
    /// Commit, hexadecimal, at least 8 digits; empty or shorter is padded with zeros.
    pub commit: String,
    /// `banyan/v0.1.0-abcdef12/linux-x86_64` and the like.
    pub client_version: String,
    /// `enode://…@ip:port`.
    pub enode: String,
    /// Node record; may be empty.
    pub enr: String,
    /// Node id, hexadecimal.
    pub id: String,
    /// Announced address.
    pub ip: String,
    /// UDP port of discovery.
    pub discovery_port: u16,
    /// TCP port of devp2p.
    pub listener_port: u16,
}

/// A public HTTP port.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Where to listen; port 0 lets the system choose.
    pub addr: SocketAddr,
    /// Method families served.
    pub api: Vec<Namespace>,
    /// Origins that browsers may call from; `*` for all; empty for none.
    pub cors_origins: Vec<String>,
    /// Host names (`Host` header) answered to besides IP addresses; `*` or empty for all.
    pub hosts: Vec<String>,
    /// Limits.
    pub limits: ServerLimits,
}

/// A public WebSocket port.
#[derive(Clone, Debug)]
pub struct WsConfig {
    /// Where to listen; port 0 lets the system choose.
    pub addr: SocketAddr,
    /// Method families served.
    pub api: Vec<Namespace>,
    /// Origins accepted at the upgrade; `*` for all; empty for all requests without an `Origin`.
    pub origins: Vec<String>,
    /// Limits.
    pub limits: ServerLimits,
}

/// The Engine API port: HTTP and WebSocket, every request with a JWT.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// Where to listen; port 0 lets the system choose.
    pub addr: SocketAddr,
    /// The shared secret.
    pub secret: JwtSecret,
    /// Limits.
    pub limits: ServerLimits,
}

/// Limits of one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Largest request, bytes.
    pub max_request_bytes: u32,
    /// Largest answer, bytes.
    pub max_response_bytes: u32,
    /// Most connections at once.
    pub max_connections: u32,
    /// Most calls in one batch.
    pub max_batch: u32,
    /// Most subscriptions of one connection.
    pub max_subscriptions: u32,
}

impl ServerLimits {
    /// Limits of the Engine API port: payloads are large, callers few and trusted.
    pub const AUTH: Self = Self { max_request_bytes: 128 << 20, ..Self::PUBLIC };

    /// Limits of public ports.
    pub const PUBLIC: Self = Self {
        max_request_bytes: 15 << 20,
        max_response_bytes: 160 << 20,
        max_connections: 500,
        max_batch: 1000,
        max_subscriptions: 1024,
    };

    /// Batches beyond this are refused before their calls are parsed, with the library's own error.
    pub(crate) const fn hard_max_batch(&self) -> u32 {
        let tenfold = self.max_batch.saturating_mul(10);
        if tenfold > 10_000 { tenfold } else { 10_000 }
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self::PUBLIC
    }
}
