use std::num::NonZeroUsize;

use banyan_primitives::B256;
use lru::LruCache;

/// Answers from the cache before the block gets another chance. A verdict that was wrong (a fault
/// on our side that is mended, a version that is corrected) must not stand for ever: Base was
/// deadlocked by that in June 2026.
const HITS_BEFORE_RETRY: u32 = 128;
const CAPACITY: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

/// Why a block is invalid.
#[derive(Clone, Debug)]
pub(crate) struct InvalidVerdict {
    /// Nearest valid ancestor; zero if that is a proof-of-work block.
    pub(crate) latest_valid: B256,
    /// What is wrong.
    pub(crate) error: String,
    hits: u32,
}

/// Blocks found invalid, and their descendants. Bounded, and forgets after a number of hits.
#[derive(Debug)]
pub(crate) struct InvalidCache {
    verdicts: LruCache<B256, InvalidVerdict>,
}

impl InvalidCache {
    pub(crate) fn new() -> Self {
        Self { verdicts: LruCache::new(CAPACITY) }
    }

    /// Remembers `hash` as invalid.
    pub(crate) fn insert(&mut self, hash: B256, latest_valid: B256, error: String) {
        self.verdicts.put(hash, InvalidVerdict { latest_valid, error, hits: 0 });
    }

    /// The verdict on `hash`, if there is one that still counts.
    pub(crate) fn get(&mut self, hash: &B256) -> Option<InvalidVerdict> {
        let verdict = self.verdicts.get_mut(hash)?;
        verdict.hits += 1;
        let found = verdict.clone();
        if found.hits > HITS_BEFORE_RETRY {
            self.verdicts.pop(hash);
            return None;
        }
        Some(found)
    }

    /// Passes the verdict of an invalid `parent` on to its child.
    pub(crate) fn inherit(&mut self, parent: &B256, child: B256) -> Option<InvalidVerdict> {
        let verdict = self.get(parent)?;
        if child != *parent {
            let error = format!("links to previously rejected block: {}", verdict.error);
            self.insert(child, verdict.latest_valid, error);
        }
        Some(verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_passes_to_descendants_and_is_forgotten_after_enough_hits() {
        let mut cache = InvalidCache::new();
        let (bad, child) = (B256::repeat_byte(1), B256::repeat_byte(2));
        cache.insert(bad, B256::repeat_byte(9), "bad gas".into());
        assert!(cache.inherit(&bad, child).is_some());
        assert_eq!(cache.get(&child).unwrap().latest_valid, B256::repeat_byte(9));
        for _ in 1..HITS_BEFORE_RETRY {
            assert!(cache.get(&bad).is_some());
        }
        assert!(cache.get(&bad).is_none(), "the block gets another chance");
        assert!(cache.get(&bad).is_none());
    }
}
