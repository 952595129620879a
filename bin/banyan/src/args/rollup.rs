use std::time::Duration;

use clap::Args;

use crate::parse;

/// Where transactions go.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Rollup")]
pub(crate) struct SendArgs {
    /// The sequencer's JSON-RPC (http:// or https://): transactions are sent on to it, and its
    /// refusals are handed back.
    #[arg(long = "rollup.sequencer", value_name = "URL", value_parser = parse::sequencer)]
    #[arg(aliases = ["rollup.sequencer-http", "rollup.sequencer-ws", "rollup.sequencerhttp"])]
    pub(crate) sequencer: Option<String>,
    /// Header of requests to the sequencer; may be repeated, or several separated by commas.
    #[arg(long = "rollup.sequencer-headers", value_name = "NAME=VALUE", value_delimiter = ',')]
    #[arg(value_parser = parse::header)]
    pub(crate) sequencer_headers: Vec<String>,
    /// Keep in the pool what the sequencer took.
    #[arg(long = "rollup.retain-forwarded-txs")]
    pub(crate) retain_forwarded: bool,
    /// How long eth_sendRawTransactionSync waits for the receipt unless told otherwise.
    #[arg(long = "rpc.send-raw-transaction-sync-timeout", value_name = "TIME")]
    #[arg(alias = "rpc.txsync.defaulttimeout", default_value = "30s")]
    #[arg(value_parser = parse::duration, help_heading = "RPC limits")]
    pub(crate) sync_timeout: Duration,
    /// The longest that it can be told to wait.
    #[arg(long = "rpc.txsync.maxtimeout", value_name = "TIME", default_value = "60s")]
    #[arg(value_parser = parse::duration, help_heading = "RPC limits")]
    pub(crate) max_sync_timeout: Duration,
}
