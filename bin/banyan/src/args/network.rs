use std::{net::IpAddr, path::PathBuf};

use banyan_node::Nat;
use clap::Args;

use crate::parse;

/// Who we are on the network. Banyan has no peer-to-peer protocol: blocks come from the consensus
/// client. These flags decide what `admin_nodeInfo` tells.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkArgs {
    /// Address named in the enode URL unless `--nat` says otherwise.
    #[arg(long, value_name = "IP", default_value = "0.0.0.0")]
    pub(crate) addr: IpAddr,
    /// TCP port named in the enode URL.
    #[arg(long, value_name = "PORT", default_value_t = 30303)]
    pub(crate) port: u16,
    /// UDP port named in the enode URL.
    #[arg(long = "discovery.port", value_name = "PORT", default_value_t = 30303)]
    pub(crate) discovery_port: u16,
    /// No discovery (there is none: always in effect).
    #[arg(short = 'd', long)]
    pub(crate) disable_discovery: bool,
    /// External address: any, none, extip:IP.
    #[arg(long, value_name = "NAT", default_value = "any", value_parser = parse::nat)]
    pub(crate) nat: Nat,
    /// File with the node's secp256k1 key, hex; made if missing. [default: DATADIR/discovery-secret]
    #[arg(long, value_name = "FILE", conflicts_with = "p2p_secret_key_hex")]
    pub(crate) p2p_secret_key: Option<PathBuf>,
    /// The key itself, hex.
    #[arg(long, value_name = "HEX")]
    pub(crate) p2p_secret_key_hex: Option<String>,
    /// Network id. [default: the chain id]
    #[arg(long, value_name = "ID")]
    pub(crate) network_id: Option<u64>,
    /// Let the system choose every port.
    #[arg(long)]
    pub(crate) with_unused_ports: bool,
    /// Number of this node on the machine, from 1: moves each default port so that several nodes
    /// can run side by side.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=200))]
    pub(crate) instance: Option<u16>,
}
