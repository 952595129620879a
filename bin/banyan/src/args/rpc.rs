use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::Args;

use crate::parse;

/// JSON-RPC over HTTP.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "HTTP/WS RPC")]
pub(crate) struct HttpArgs {
    /// Serve JSON-RPC over HTTP.
    #[arg(long)]
    pub(crate) http: bool,
    /// Address to listen on.
    #[arg(long = "http.addr", value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) http_addr: IpAddr,
    /// Port to listen on; 0 lets the system choose.
    #[arg(long = "http.port", value_name = "PORT", default_value_t = 8545)]
    pub(crate) http_port: u16,
    /// Namespaces, comma separated; `all`, `none`. [default: eth,net,web3; all with --dev]
    #[arg(long = "http.api", value_name = "NAMES")]
    pub(crate) http_api: Option<String>,
    /// Origins that browsers may call from, comma separated; `*` for any.
    #[arg(long = "http.corsdomain", value_name = "ORIGINS")]
    pub(crate) http_cors: Option<String>,
    /// Host names answered to besides IP addresses, comma separated; `*` for any.
    ///
    /// As with reth every name is answered to unless names are listed here. List them on a machine
    /// where a browser runs: it keeps pages of foreign names (DNS rebinding) out.
    #[arg(long = "http.vhosts", value_name = "NAMES", default_value = "*")]
    pub(crate) http_vhosts: String,
}

/// JSON-RPC over WebSocket.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "HTTP/WS RPC")]
pub(crate) struct WsArgs {
    /// Serve JSON-RPC over WebSocket.
    #[arg(long)]
    pub(crate) ws: bool,
    /// Address to listen on.
    #[arg(long = "ws.addr", value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) ws_addr: IpAddr,
    /// Port to listen on; with the port of HTTP both share one socket.
    #[arg(long = "ws.port", value_name = "PORT", default_value_t = 8546)]
    pub(crate) ws_port: u16,
    /// Namespaces, as for HTTP.
    #[arg(long = "ws.api", value_name = "NAMES")]
    pub(crate) ws_api: Option<String>,
    /// Origins, as for HTTP.
    #[arg(long = "ws.origins", alias = "ws.corsdomain", value_name = "ORIGINS")]
    pub(crate) ws_origins: Option<String>,
}

/// The Engine API, for the consensus client.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Engine API")]
pub(crate) struct AuthArgs {
    /// Address to listen on.
    #[arg(long = "authrpc.addr", value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) auth_addr: IpAddr,
    /// Port to listen on (HTTP and WebSocket); 0 lets the system choose.
    #[arg(long = "authrpc.port", value_name = "PORT", default_value_t = 8551)]
    pub(crate) auth_port: u16,
    /// File with the JWT secret, 32 bytes hex; made if missing. [default: DATADIR/jwt.hex]
    #[arg(long = "authrpc.jwtsecret", value_name = "FILE")]
    pub(crate) auth_jwtsecret: Option<PathBuf>,
    /// No Engine API.
    #[arg(long, alias = "disable-engine-api")]
    pub(crate) disable_auth_server: bool,
    /// No IPC socket (there is none: always in effect).
    #[arg(long, hide = true)]
    pub(crate) ipcdisable: bool,
}

/// Limits of JSON-RPC.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "RPC limits")]
pub(crate) struct RpcLimitArgs {
    /// Largest request, MB.
    #[arg(long = "rpc.max-request-size", alias = "rpc-max-request-size", value_name = "MB")]
    #[arg(default_value_t = 15)]
    pub(crate) max_request_size: u32,
    /// Largest answer, MB.
    #[arg(long = "rpc.max-response-size", value_name = "MB", default_value_t = 160)]
    #[arg(aliases = ["rpc-max-response-size", "rpc.returndata.limit"])]
    pub(crate) max_response_size: u32,
    /// Most connections per server.
    #[arg(long = "rpc.max-connections", alias = "rpc-max-connections", value_name = "N")]
    #[arg(default_value_t = 500)]
    pub(crate) max_connections: u32,
    /// Most subscriptions per connection.
    #[arg(long = "rpc.max-subscriptions-per-connection", value_name = "N")]
    #[arg(alias = "rpc-max-subscriptions-per-connection", default_value_t = 1024)]
    pub(crate) max_subscriptions: u32,
    /// Most calls in one batch.
    #[arg(long = "rpc.batch-request-limit", alias = "rpc.max-batch-size", value_name = "N")]
    #[arg(default_value_t = 1000)]
    pub(crate) batch_request_limit: u32,
    /// Most calls, estimates and proofs worked on at a time; more wait.
    #[arg(long = "rpc.max-blocking-io-requests", alias = "rpc-max-blocking-io-requests")]
    #[arg(value_name = "N", default_value_t = 16)]
    pub(crate) max_blocking_io_requests: usize,
    /// Longest time of eth_call and eth_estimateGas (`5s`, or seconds); 0: no limit.
    #[arg(long = "rpc.evmtimeout", value_name = "TIME", default_value = "5s")]
    #[arg(value_parser = parse::duration)]
    pub(crate) evm_timeout: Duration,
    /// Most blocks that one eth_getLogs may span; 0: no limit.
    #[arg(long = "rpc.max-blocks-per-filter", alias = "rpc-max-blocks-per-filter")]
    #[arg(value_name = "N", default_value_t = 100_000)]
    pub(crate) max_blocks_per_filter: u64,
    /// Most logs in one answer; 0: no limit.
    #[arg(long = "rpc.max-logs-per-response", alias = "rpc-max-logs-per-response")]
    #[arg(value_name = "N", default_value_t = 20_000)]
    pub(crate) max_logs_per_response: usize,
    /// Most gas of eth_call and eth_estimateGas; 0: no limit.
    #[arg(long = "rpc.gascap", alias = "rpc-gascap", value_name = "GAS")]
    #[arg(default_value_t = 50_000_000)]
    pub(crate) gas_cap: u64,
    /// Highest fee of a transaction that eth_sendRawTransaction takes, ether; 0: no limit.
    #[arg(long = "rpc.txfeecap", alias = "rpc-txfeecap", value_name = "ETHER")]
    #[arg(default_value = "1.0", value_parser = parse::ether)]
    pub(crate) tx_fee_cap: u128,
    /// Blocks back from the head for which eth_getProof must answer; more may be served.
    #[arg(long = "rpc.eth-proof-window", value_name = "N", default_value_t = 0)]
    pub(crate) eth_proof_window: u64,
}

/// What eth_gasPrice and eth_maxPriorityFeePerGas suggest.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Gas price oracle")]
pub(crate) struct GasPriceArgs {
    /// Blocks looked at.
    #[arg(long = "gpo.blocks", value_name = "N", default_value_t = 20)]
    pub(crate) gpo_blocks: u64,
    /// Part of the tips seen that a suggestion beats, percent.
    #[arg(long = "gpo.percentile", value_name = "PERCENT", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) gpo_percentile: u8,
    /// Highest tip suggested, wei.
    #[arg(long = "gpo.maxprice", value_name = "WEI", default_value_t = 500_000_000_000)]
    pub(crate) gpo_maxprice: u128,
    /// Tips below this are not looked at, wei.
    #[arg(long = "gpo.ignoreprice", value_name = "WEI", default_value_t = 2)]
    pub(crate) gpo_ignoreprice: u128,
    /// Lowest tip suggested, wei.
    #[arg(long = "min-suggested-priority-fee", value_name = "WEI", default_value_t = 1_000_000)]
    pub(crate) min_suggested_priority_fee: u128,
}
