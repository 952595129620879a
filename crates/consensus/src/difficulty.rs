//! Proof-of-work difficulty: what a block before the merge must carry. Seals are not checked.

use banyan_chainspec::{ChainSpec, Fork};
use banyan_primitives::{EMPTY_OMMER_ROOT_HASH, Header, U256};

const MINIMUM: U256 = U256::from_limbs([131_072, 0, 0, 0]);
/// The difficulty moves by steps of 1/2048.
const BOUND_DIVISOR_BITS: usize = 11;
/// Lowest factor of a step (the parent is long ago).
const LOWEST_FACTOR: i64 = -99;
/// The bomb doubles once per so many blocks.
const BOMB_PERIOD: u64 = 100_000;

/// Forks that set back the bomb, newest first, with the number of blocks it is set back by
/// (EIP-649, 1234, 2384, 3554, 4345, 5133).
const BOMB_DELAYS: [(Fork, u64); 6] = [
    (Fork::GrayGlacier, 11_400_000),
    (Fork::ArrowGlacier, 10_700_000),
    (Fork::London, 9_700_000),
    (Fork::MuirGlacier, 9_000_000),
    (Fork::Constantinople, 5_000_000),
    (Fork::Byzantium, 3_000_000),
];

/// Difficulty of the proof-of-work child of `parent` at `timestamp`, which must be after the
/// parent's.
pub fn next_difficulty(spec: &ChainSpec, parent: &Header, timestamp: u64) -> U256 {
    let number = parent.number.saturating_add(1);
    let elapsed = timestamp.saturating_sub(parent.timestamp);
    // Asked per fork, not by order: a chain may leave out a glacier fork.
    let active = |fork| spec.activation_block(fork).is_some_and(|block| block <= number);
    let delay = BOMB_DELAYS.iter().find(|(fork, _)| active(*fork)).map(|(_, delay)| *delay);
    let factor = match delay {
        Some(_) => {
            let base = if parent.ommers_hash == EMPTY_OMMER_ROOT_HASH { 1 } else { 2 };
            factor(base, elapsed / 9)
        }
        None if active(Fork::Homestead) => factor(1, elapsed / 10),
        None if elapsed < 13 => 1,
        None => -1,
    };
    let step = (parent.difficulty >> BOUND_DIVISOR_BITS) * U256::from(factor.unsigned_abs());
    let moved = if factor < 0 {
        parent.difficulty.saturating_sub(step)
    } else {
        parent.difficulty.saturating_add(step)
    };
    // The rule counts the delay from the parent, without one the bomb counts from the block.
    let fuse = delay.map_or(number, |delay| parent.number.saturating_sub(delay - 1));
    moved.max(MINIMUM).saturating_add(bomb(fuse))
}

fn factor(base: i64, steps: u64) -> i64 {
    base.saturating_sub(i64::try_from(steps).unwrap_or(i64::MAX)).max(LOWEST_FACTOR)
}

fn bomb(fuse: u64) -> U256 {
    let periods = fuse / BOMB_PERIOD;
    match periods.checked_sub(2) {
        None => U256::ZERO,
        Some(exponent) if exponent < 256 => U256::from(1) << exponent,
        Some(_) => U256::MAX,
    }
}

#[cfg(test)]
mod tests {
    use banyan_primitives::B256;

    use super::*;
    use crate::testing::{ethereum, mainnet_blocks};

    fn parent(number: u64, timestamp: u64, difficulty: u64, ommers: bool) -> Header {
        let ommers_hash = if ommers { B256::ZERO } else { EMPTY_OMMER_ROOT_HASH };
        let difficulty = U256::from(difficulty);
        Header { number, timestamp, difficulty, ommers_hash, ..Default::default() }
    }

    /// Pairs of mainnet blocks: parent number, time, difficulty and ommers, then time and
    /// difficulty of the child.
    #[test]
    fn mainnet_blocks_have_the_computed_difficulty() {
        let spec = mainnet_blocks();
        let cases = [
            (0, 0, 17_179_869_184, false, 1_438_269_988, 17_171_480_576u64),
            (1, 1_438_269_988, 17_171_480_576, false, 1_438_270_017, 17_163_096_064),
        ];
        for (number, time, difficulty, ommers, child_time, expected) in cases {
            let parent = parent(number, time, difficulty, ommers);
            assert_eq!(
                next_difficulty(&spec, &parent, child_time),
                U256::from(expected),
                "{number}"
            );
        }
    }

    #[test]
    fn each_fork_has_its_formula() {
        let (large, base) = (2_048_000_000_u64, 1_000_000u64);
        // (chain, parent number, seconds, whether the parent has ommers, factor of the step)
        let frontier = ethereum(&[]);
        let homestead = ethereum(&[("homesteadBlock", 0)]);
        let byzantium = ethereum(&[("byzantiumBlock", 0)]);
        let cases = [
            (&frontier, 1, 12, false, 1),
            (&frontier, 1, 13, false, -1),
            (&frontier, 1, 1_000, false, -1),
            (&homestead, 1, 9, false, 1),
            (&homestead, 1, 10, false, 0),
            (&homestead, 1, 20, false, -1),
            (&homestead, 1, 99_999, false, -99),
            (&byzantium, 1, 8, false, 1),
            (&byzantium, 1, 8, true, 2),
            (&byzantium, 1, 9, false, 0),
            (&byzantium, 1, 18, true, 0),
            (&byzantium, 1, 99_999, true, -99),
        ];
        for (spec, number, elapsed, ommers, factor) in cases {
            let parent = parent(number, 1_000, large, ommers);
            let expected = i128::from(large) + i128::from(base) * factor;
            let found = next_difficulty(spec, &parent, 1_000 + elapsed);
            assert_eq!(found, U256::from(expected as u64), "{elapsed} {factor}");
        }
    }

    #[test]
    fn the_bomb_is_set_back_by_each_delay() {
        let flat = 2_048_000_000_u64;
        type Forks = &'static [(&'static str, u64)];
        let cases: [(Forks, u64, u64); 8] = [
            (&[("homesteadBlock", 0)], 199_999, 1),
            (&[("homesteadBlock", 0)], 199_998, 0),
            (&[("byzantiumBlock", 0)], 3_199_999, 1),
            (&[("byzantiumBlock", 0)], 3_199_998, 0),
            (&[("istanbulBlock", 0)], 5_299_999, 2),
            (&[("muirGlacierBlock", 0)], 9_199_999, 1),
            // Without Muir Glacier, Berlin keeps the delay of Constantinople.
            (&[("berlinBlock", 0)], 5_299_999, 2),
            (&[("grayGlacierBlock", 0)], 11_599_999, 1),
        ];
        for (forks, number, bomb) in cases {
            let spec = ethereum(forks);
            let neutral = if forks[0].0 == "homesteadBlock" { 10 } else { 9 };
            let parent = parent(number, 1_000, flat, false);
            let found = next_difficulty(&spec, &parent, 1_000 + neutral);
            assert_eq!(found, U256::from(flat + bomb), "{forks:?} {number}");
        }
    }

    #[test]
    fn difficulty_never_falls_below_the_minimum_nor_overflows() {
        let spec = ethereum(&[("homesteadBlock", 0)]);
        let low = parent(1, 0, 131_072, false);
        assert_eq!(next_difficulty(&spec, &low, u64::MAX), MINIMUM);
        let high = Header { difficulty: U256::MAX, number: u64::MAX, ..Default::default() };
        assert_eq!(next_difficulty(&spec, &high, 1), U256::MAX);
    }
}
