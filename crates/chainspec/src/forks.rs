/// Ethereum forks, in order. `Rules::fork` is the newest active one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Fork {
    Frontier,
    Homestead,
    DaoFork,
    Tangerine,
    SpuriousDragon,
    Byzantium,
    Constantinople,
    Petersburg,
    Istanbul,
    MuirGlacier,
    Berlin,
    London,
    ArrowGlacier,
    GrayGlacier,
    Paris,
    Shanghai,
    Cancun,
    Prague,
    Osaka,
    Amsterdam,
}

/// OP Stack forks, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum OpFork {
    Bedrock,
    Regolith,
    Canyon,
    Delta,
    Ecotone,
    Fjord,
    Granite,
    Holocene,
    Isthmus,
    Jovian,
    Karst,
}

impl OpFork {
    /// The newest Ethereum fork in force together with this OP fork.
    pub const fn ethereum(self) -> Fork {
        match self {
            Self::Bedrock | Self::Regolith => Fork::Paris,
            Self::Canyon | Self::Delta => Fork::Shanghai,
            Self::Ecotone | Self::Fjord | Self::Granite | Self::Holocene => Fork::Cancun,
            Self::Isthmus | Self::Jovian => Fork::Prague,
            Self::Karst => Fork::Osaka,
        }
    }
}

/// Blob limits of a fork or a BPO step (EIP-7840, EIP-7892).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobParams {
    /// Target number of blobs per block.
    pub target: u64,
    /// Maximum number of blobs per block.
    pub max: u64,
    /// Denominator of the blob base fee's exponent; never zero.
    pub update_fraction: u64,
}

/// When a fork becomes active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// From this block number on.
    Block(u64),
    /// From this timestamp (seconds) on.
    Time(u64),
}

/// An entry of the fork schedule, as the genesis file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledFork {
    /// Key in the genesis file without its suffix: `london`, `eip150`, `bpo1`, `jovian`.
    pub name: String,
    /// When it becomes active.
    pub at: Activation,
}

/// The rules in force for one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Newest active Ethereum fork (on an OP chain the one its newest fork implies).
    pub fork: Fork,
    /// Newest active OP fork; `None` on Ethereum chains.
    pub op: Option<OpFork>,
    /// Blob limits; `None` before Cancun. On OP chains present since Ecotone, with no blobs allowed.
    pub blobs: Option<BlobParams>,
}

impl Rules {
    /// True if `fork` or a later one is active.
    pub fn is(&self, fork: Fork) -> bool {
        self.fork >= fork
    }

    /// True on an OP chain where `fork` or a later one is active.
    pub fn is_op(&self, fork: OpFork) -> bool {
        self.op.is_some_and(|active| active >= fork)
    }
}
