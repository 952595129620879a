use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use banyan_chain::ChainConfig;
use banyan_payload::BuilderConfig;
use banyan_rpc::{Namespace, RpcConfig, ServerLimits};
use banyan_txpool::PoolConfig;

/// Everything the node is told before it starts. Flags are parsed elsewhere.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Who we are.
    pub client: Client,
    /// Which chain.
    pub chain: ChainChoice,
    /// Where its data is.
    pub datadir: DataDir,
    /// JSON-RPC over HTTP; `None`: off.
    pub http: Option<PublicSettings>,
    /// JSON-RPC over WebSocket; `None`: off. On the address of HTTP both share one socket.
    pub ws: Option<PublicSettings>,
    /// Engine API; `None`: off.
    pub auth: Option<AuthSettings>,
    /// Settings of the JSON-RPC methods.
    pub rpc: RpcConfig,
    /// Identity on the network.
    pub network: NetworkConfig,
    /// Address of the metrics page; `None`: off.
    pub metrics: Option<SocketAddr>,
    /// Block building.
    pub builder: BuilderConfig,
    /// Transaction pool.
    pub pool: PoolConfig,
    /// When blocks are written to the database, and what an acknowledged one survives.
    pub persistence: ChainConfig,
    /// Make blocks ourselves; `None`: a consensus client does.
    pub dev: Option<DevConfig>,
}

/// Which database, of which chain.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Which chain.
    pub chain: ChainChoice,
    /// Where its data is.
    pub datadir: DataDir,
}

/// Which program this is.
#[derive(Clone, Debug)]
pub struct Client {
    /// Name, e.g. `Banyan`.
    pub name: String,
    /// Version without a leading `v`.
    pub version: String,
    /// Commit, hexadecimal; `unknown` outside a checkout.
    pub commit: String,
}

/// Which chain to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainChoice {
    /// The built-in development chain.
    Dev,
    /// The same, with the accounts of this phrase funded instead of the known ones.
    DevFunded(String),
    /// A genesis file in geth or op-geth form.
    File(PathBuf),
}

/// Where data is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataDir {
    /// `banyan/CHAIN` in the user's data directory.
    Default,
    /// In this directory.
    At(PathBuf),
}

/// A public port.
#[derive(Clone, Debug)]
pub struct PublicSettings {
    /// Where to listen; port 0 lets the system choose.
    pub addr: SocketAddr,
    /// Method families.
    pub api: Vec<Namespace>,
    /// Origins that browsers may call from; `*` for any.
    pub origins: Vec<String>,
    /// Host names answered to over HTTP besides IP addresses; `*` for any.
    pub hosts: Vec<String>,
    /// Limits.
    pub limits: ServerLimits,
}

/// The Engine API port.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// Where to listen; port 0 lets the system choose.
    pub addr: SocketAddr,
    /// File with the secret, made if missing; `None`: in the data directory.
    pub jwt_secret: Option<PathBuf>,
}

/// What the enode URL says about us.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Address we would listen on.
    pub addr: IpAddr,
    /// How others reach us.
    pub nat: Nat,
    /// TCP port; 0 lets the system choose.
    pub port: u16,
    /// UDP port; 0 lets the system choose.
    pub discovery_port: u16,
    /// The key.
    pub key: NodeKey,
}

/// How others reach us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// Whatever address can be found.
    Any,
    /// As we listen.
    None,
    /// At this address.
    External(IpAddr),
}

/// Where the node's secp256k1 key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKey {
    /// `discovery-secret` in the data directory, made if missing.
    InDataDir,
    /// This file, made if missing.
    File(PathBuf),
    /// Given in hexadecimal.
    Hex(String),
}

/// A chain without a consensus client.
#[derive(Clone, Copy, Debug)]
pub struct DevConfig {
    /// Time between blocks.
    pub block_time: Duration,
}
