use std::fmt;

use banyan_primitives::KeyRule;

use crate::{GenesisError, OpFork, Rules};

/// Largest lag of a header behind the state it commits to, blocks.
const MAX_LAG: u64 = 64;

/// Largest distance between the states that are committed to, blocks: as many stay in memory.
const MAX_INTERVAL: u64 = 256;

/// How headers commit to state; fixed at genesis by `config.commitment`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Commitment {
    /// Keccak Merkle-Patricia root of block N in header N.
    #[default]
    Mpt,
    /// Blake3 root of an earlier block in header N. Only the message passer's storage root
    /// (`withdrawalsRoot`) is that of block N, and keccak's.
    Wide(WideParams),
}

impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mpt => f.write_str("mpt"),
            Self::Wide(WideParams { lag, root_interval: 1 }) => write!(f, "wide, lag {lag}"),
            Self::Wide(WideParams { lag, root_interval }) => {
                write!(f, "wide, lag {lag}, root interval {root_interval}")
            }
        }
    }
}

impl Commitment {
    /// How the keys of the flat state are hashed.
    pub const fn keys(&self) -> KeyRule {
        match self {
            Self::Mpt => KeyRule::Keccak,
            Self::Wide(_) => KeyRule::Wide,
        }
    }

    /// The parameters of `wide`; `None` on an `mpt` chain.
    pub const fn wide(&self) -> Option<WideParams> {
        match self {
            Self::Mpt => None,
            Self::Wide(params) => Some(*params),
        }
    }

    /// Checks the parameters against the rules of the genesis block. Before Isthmus op-node asks
    /// for a Merkle-Patricia proof against `stateRoot`, which such a chain cannot give.
    pub(crate) fn check(&self, genesis: &Rules) -> Result<(), GenesisError> {
        let Self::Wide(WideParams { lag, root_interval }) = *self else { return Ok(()) };
        let refused = if !(1..=MAX_LAG).contains(&lag) {
            format!("config.commitment.lag = {lag}: must be 1 to {MAX_LAG}")
        } else if !(1..=MAX_INTERVAL).contains(&root_interval) {
            format!("config.commitment.rootInterval = {root_interval}: must be 1 to {MAX_INTERVAL}")
        } else if !genesis.is_op(OpFork::Isthmus) {
            "config.commitment \"wide\" needs an OP chain (config.optimism) with Isthmus active at \
             genesis"
                .into()
        } else {
            return Ok(());
        };
        Err(GenesisError::Inconsistent(refused))
    }
}

/// Which state a header of a `wide` chain commits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WideParams {
    /// Blocks by which it lags behind (K), 1 to 64.
    pub lag: u64,
    /// Only the state of blocks whose height is a multiple of this is committed to (T), 1 to 256.
    pub root_interval: u64,
}

impl Default for WideParams {
    fn default() -> Self {
        Self { lag: 4, root_interval: 1 }
    }
}

impl WideParams {
    /// Height of the block whose state root stands in header `number`: ⌊(number − K) / T⌋ · T, and
    /// at least that of `genesis`.
    pub const fn committed_by(&self, genesis: u64, number: u64) -> u64 {
        let behind = number.saturating_sub(self.lag);
        let committed = behind - behind % self.root_interval;
        if committed > genesis { committed } else { genesis }
    }

    /// Height of the first header that commits to the state of block `number`, if any ever does.
    pub const fn committed_in(&self, genesis: u64, number: u64) -> Option<u64> {
        if number <= genesis {
            Some(genesis)
        } else if number.is_multiple_of(self.root_interval) {
            number.checked_add(self.lag)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_lag_and_the_first_ones_carry_the_genesis_root() {
        let every = WideParams { lag: 4, root_interval: 1 };
        let found: Vec<_> = (0..=7).map(|number| every.committed_by(0, number)).collect();
        assert_eq!(found, [0, 0, 0, 0, 0, 1, 2, 3]);
        let third = WideParams { lag: 2, root_interval: 3 };
        let found: Vec<_> = (0..=11).map(|number| third.committed_by(0, number)).collect();
        assert_eq!(found, [0, 0, 0, 0, 0, 3, 3, 3, 6, 6, 6, 9]);
        assert_eq!(every.committed_by(10, 12), 10);
        assert_eq!(every.committed_by(10, 15), 11);
    }

    #[test]
    fn the_first_header_that_commits_is_the_first_one_that_does() {
        for lag in 1..6 {
            for root_interval in 1..5 {
                let params = WideParams { lag, root_interval };
                for number in 0..30 {
                    let first = (0..60).find(|header| params.committed_by(0, *header) == number);
                    assert_eq!(params.committed_in(0, number), first, "{params:?}, {number}");
                }
            }
        }
    }
}
