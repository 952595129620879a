use std::{fmt, str::FromStr};

/// A family of JSON-RPC methods, as named in `--http.api`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Namespace {
    Admin,
    /// What no other client has.
    Banyan,
    Debug,
    Eth,
    Miner,
    Net,
    Rpc,
    /// Lets anybody make the node work hard: served only if asked for by this name.
    Testing,
    TxPool,
    Web3,
}

impl Namespace {
    /// What `all` means: all of them but `testing`.
    pub const ALL: [Self; 9] = [
        Self::Admin,
        Self::Banyan,
        Self::Debug,
        Self::Eth,
        Self::Miner,
        Self::Net,
        Self::Rpc,
        Self::TxPool,
        Self::Web3,
    ];

    /// Really all of them.
    pub(crate) fn every() -> Vec<Self> {
        Self::ALL.into_iter().chain([Self::Testing]).collect()
    }

    /// What a public port serves unless told otherwise.
    pub const DEFAULT: [Self; 4] = [Self::Eth, Self::Net, Self::Web3, Self::Rpc];

    /// The prefix of the family's method names, without the underscore.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Banyan => "banyan",
            Self::Debug => "debug",
            Self::Eth => "eth",
            Self::Miner => "miner",
            Self::Net => "net",
            Self::Rpc => "rpc",
            Self::Testing => "testing",
            Self::TxPool => "txpool",
            Self::Web3 => "web3",
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.prefix())
    }
}

/// Not a family that this client serves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown API namespace {0:?}")]
pub struct UnknownNamespace(pub String);

impl FromStr for Namespace {
    type Err = UnknownNamespace;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::every()
            .into_iter()
            .find(|namespace| namespace.prefix() == name)
            .ok_or_else(|| UnknownNamespace(name.to_owned()))
    }
}
