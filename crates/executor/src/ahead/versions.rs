//! Multi-version memory: what each transaction of the block wrote, or is thought to write, to each
//! account and slot (Block-STM, Gelashvili et al., 2022). Full keys, short unordered lists, sharded
//! locks.
//!
//! Only a hint: whoever reads here has its reads compared with the committed state at its turn.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use banyan_primitives::{Account, Address, AddressMap, HashMap, U256};
use smallvec::SmallVec;

const SHARDS: usize = 64;
/// Words of 64 bits that tell what was written: 4 KiB.
const FILTER_WORDS: usize = 512;

/// Stands for the account itself in the filter.
const ACCOUNT: U256 = U256::MAX;

/// An account or a storage slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Account(Address),
    Slot(Address, U256),
}

/// An account after a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccountVersion {
    pub(crate) account: Option<Account>,
    /// Its storage began anew in that transaction.
    pub(crate) wiped: bool,
}

/// How sure a version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Certainty {
    /// Written by an execution that proved stale: the next one will probably write here, too.
    Estimate,
    /// Written by a worker ahead of its turn.
    Guess,
    /// From the block's access list.
    Listed,
    /// Committed.
    Final,
}

/// What a transaction finds under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<T> {
    /// Nothing was written before it: the parent state counts.
    Parent,
    /// The value written last before it.
    Value(T),
    /// The transaction of this index is about to write.
    Blocked(u32),
}

#[derive(Clone, Copy, Debug)]
struct Version<T> {
    writer: u32,
    certainty: Certainty,
    value: T,
}

/// Most keys are written once.
type List<T> = SmallVec<[Version<T>; 1]>;

#[derive(Debug, Default)]
struct Shard {
    accounts: AddressMap<List<AccountVersion>>,
    slots: HashMap<(Address, U256), List<U256>>,
}

#[derive(Debug)]
pub(crate) struct Versions {
    shards: Vec<Mutex<Shard>>,
    /// A bit for some of the keys each, set once one of them is written: most never are.
    written: Vec<AtomicU64>,
    /// Some account's storage was wiped: slots must be compared with that.
    wipes: AtomicBool,
}

impl Versions {
    pub(crate) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let written = (0..FILTER_WORDS).map(|_| AtomicU64::new(0)).collect();
        Self { shards, written, wipes: AtomicBool::new(false) }
    }

    /// Where the filter has the key's bit.
    fn bit(&self, address: &Address, slot: U256) -> (&AtomicU64, u64) {
        // Addresses are hashes and so are most slots; the others differ in their lowest bits. What
        // clashes is looked up in vain.
        let tail = u64::from_le_bytes(address[12..].try_into().unwrap_or_default());
        let [low, _, _, high] = slot.into_limbs();
        let mixed = (tail ^ low.rotate_left(17) ^ high).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (&self.written[(mixed >> 55) as usize % FILTER_WORDS], 1 << (mixed >> 49 & 63))
    }

    fn mark(&self, address: &Address, slot: U256) {
        let (word, bit) = self.bit(address, slot);
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Release);
        }
    }

    fn was_written(&self, address: &Address, slot: U256) -> bool {
        let (word, bit) = self.bit(address, slot);
        word.load(Ordering::Acquire) & bit != 0
    }

    fn shard(&self, address: &Address, slot: u8) -> MutexGuard<'_, Shard> {
        let index = usize::from(address[19] ^ slot) % SHARDS;
        // A panic between two writes leaves hints behind, nothing worse.
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account as transaction `reader` finds it.
    pub(crate) fn account(&self, address: &Address, reader: u32) -> Found<AccountVersion> {
        if !self.was_written(address, ACCOUNT) {
            return Found::Parent;
        }
        let shard = self.shard(address, 0);
        shard.accounts.get(address).map_or(Found::Parent, |list| last_before(list, reader).1)
    }

    /// The slot as transaction `reader` finds it.
    pub(crate) fn slot(&self, address: &Address, slot: U256, reader: u32) -> Found<U256> {
        let (writer, found) = match self.was_written(address, slot) {
            true => {
                let shard = self.shard(address, slot.byte(0));
                let list = shard.slots.get(&(*address, slot));
                list.map_or((None, Found::Parent), |list| last_before(list, reader))
            }
            false => (None, Found::Parent),
        };
        if self.wipes.load(Ordering::Acquire) && self.wiped_since(address, writer, reader) {
            return Found::Value(U256::ZERO);
        }
        found
    }

    /// True if the storage of the account was wiped after transaction `writer`, before `reader`.
    fn wiped_since(&self, address: &Address, writer: Option<u32>, reader: u32) -> bool {
        let shard = self.shard(address, 0);
        shard.accounts.get(address).is_some_and(|list| {
            list.iter().any(|version| {
                version.value.wiped && version.writer < reader && Some(version.writer) > writer
            })
        })
    }

    /// Notes an account after transaction `writer`.
    pub(crate) fn write_account(
        &self,
        address: Address,
        writer: u32,
        value: AccountVersion,
        certainty: Certainty,
    ) {
        if value.wiped {
            self.wipes.store(true, Ordering::Release);
        }
        self.mark(&address, ACCOUNT);
        let mut shard = self.shard(&address, 0);
        write(shard.accounts.entry(address).or_default(), writer, value, certainty);
    }

    /// Notes a slot after transaction `writer`.
    pub(crate) fn write_slot(
        &self,
        address: Address,
        slot: U256,
        writer: u32,
        value: U256,
        certainty: Certainty,
    ) {
        self.mark(&address, slot);
        let mut shard = self.shard(&address, slot.byte(0));
        write(shard.slots.entry((address, slot)).or_default(), writer, value, certainty);
    }

    /// Marks what `writer` guessed under `key` as an estimate, so that readers wait for the better
    /// value.
    pub(crate) fn doubt(&self, key: &Key, writer: u32) {
        self.with_certainty(key, writer, |certainty| {
            *certainty = Certainty::Estimate;
            true
        });
    }

    /// Takes back what `writer` guessed under `key`.
    pub(crate) fn retract(&self, key: &Key, writer: u32) {
        self.with_certainty(key, writer, |_| false);
    }

    /// Shows the certainty of a worker's version; it is removed on false.
    fn with_certainty(&self, key: &Key, writer: u32, change: impl Fn(&mut Certainty) -> bool) {
        match key {
            Key::Account(address) => {
                let mut shard = self.shard(address, 0);
                if let Some(list) = shard.accounts.get_mut(address) {
                    revise(list, writer, change);
                }
            }
            Key::Slot(address, slot) => {
                let mut shard = self.shard(address, slot.byte(0));
                if let Some(list) = shard.slots.get_mut(&(*address, *slot)) {
                    revise(list, writer, change);
                }
            }
        }
    }
}

/// Lists are in the order of writers.
fn last_before<T: Copy>(list: &[Version<T>], reader: u32) -> (Option<u32>, Found<T>) {
    let earlier = list.partition_point(|version| version.writer < reader);
    let Some(last) = list[..earlier].last() else { return (None, Found::Parent) };
    let found = match last.certainty {
        Certainty::Estimate => Found::Blocked(last.writer),
        _ => Found::Value(last.value),
    };
    (Some(last.writer), found)
}

fn write<T>(list: &mut List<T>, writer: u32, value: T, certainty: Certainty) {
    if certainty == Certainty::Final {
        // Nobody reads behind a committed value any more.
        list.retain(|version| version.writer > writer);
    }
    let version = Version { writer, certainty, value };
    let at = list.partition_point(|version| version.writer < writer);
    match list.get_mut(at).filter(|old| old.writer == writer) {
        Some(old) if old.certainty > Certainty::Guess && old.certainty >= certainty => {}
        Some(old) => *old = version,
        None => list.insert(at, version),
    }
}

fn revise<T>(list: &mut List<T>, writer: u32, change: impl Fn(&mut Certainty) -> bool) {
    list.retain_mut(|version| {
        let concerned = version.writer == writer && version.certainty < Certainty::Listed;
        !concerned || change(&mut version.certainty)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Address = Address::repeat_byte(7);
    const SLOT: U256 = U256::ONE;

    fn number(value: u64) -> U256 {
        U256::from(value)
    }

    fn guess(versions: &Versions, writer: u32, value: u64) {
        versions.write_slot(ADDRESS, SLOT, writer, number(value), Certainty::Guess);
    }

    #[test]
    fn a_reader_finds_the_last_write_before_it() {
        let versions = Versions::new();
        assert_eq!(versions.slot(&ADDRESS, SLOT, 9), Found::Parent);
        for writer in [5, 2, 7] {
            guess(&versions, writer, u64::from(writer));
        }
        let found = |reader| versions.slot(&ADDRESS, SLOT, reader);
        assert_eq!(found(2), Found::Parent);
        assert_eq!(found(5), Found::Value(number(2)));
        assert_eq!(found(7), Found::Value(number(5)));
        assert_eq!(found(8), Found::Value(number(7)));
        assert_eq!(versions.slot(&ADDRESS, number(2), 8), Found::Parent);
    }

    #[test]
    fn an_estimate_blocks_until_it_is_written_or_retracted() {
        let versions = Versions::new();
        guess(&versions, 3, 30);
        let key = Key::Slot(ADDRESS, SLOT);
        versions.doubt(&key, 3);
        assert_eq!(versions.slot(&ADDRESS, SLOT, 4), Found::Blocked(3));
        assert_eq!(versions.slot(&ADDRESS, SLOT, 3), Found::Parent);
        guess(&versions, 3, 31);
        assert_eq!(versions.slot(&ADDRESS, SLOT, 4), Found::Value(number(31)));
        versions.retract(&key, 3);
        assert_eq!(versions.slot(&ADDRESS, SLOT, 4), Found::Parent);
    }

    #[test]
    fn a_final_value_is_not_overwritten_by_a_late_guess() {
        let versions = Versions::new();
        versions.write_slot(ADDRESS, SLOT, 3, number(1), Certainty::Final);
        guess(&versions, 3, 2);
        versions.retract(&Key::Slot(ADDRESS, SLOT), 3);
        assert_eq!(versions.slot(&ADDRESS, SLOT, 4), Found::Value(number(1)));
    }

    #[test]
    fn what_is_listed_stays_until_it_is_committed() {
        let versions = Versions::new();
        versions.write_slot(ADDRESS, SLOT, 3, number(1), Certainty::Listed);
        guess(&versions, 3, 2);
        let key = Key::Slot(ADDRESS, SLOT);
        versions.doubt(&key, 3);
        versions.retract(&key, 3);
        assert_eq!(versions.slot(&ADDRESS, SLOT, 4), Found::Value(number(1)));
        versions.write_slot(ADDRESS, SLOT, 3, number(4), Certainty::Final);
        assert_eq!(versions.slot(&ADDRESS, SLOT, 4), Found::Value(number(4)));
    }

    #[test]
    fn a_wipe_hides_slots_written_before_it() {
        let versions = Versions::new();
        guess(&versions, 3, 30);
        let gone = AccountVersion { account: None, wiped: true };
        versions.write_account(ADDRESS, 5, gone, Certainty::Guess);
        assert_eq!(versions.slot(&ADDRESS, SLOT, 5), Found::Value(number(30)));
        assert_eq!(versions.slot(&ADDRESS, SLOT, 6), Found::Value(U256::ZERO));
        assert_eq!(versions.slot(&ADDRESS, number(8), 6), Found::Value(U256::ZERO));
        guess(&versions, 6, 60);
        assert_eq!(versions.slot(&ADDRESS, SLOT, 7), Found::Value(number(60)));
        assert_eq!(versions.account(&ADDRESS, 6), Found::Value(gone));
    }
}
