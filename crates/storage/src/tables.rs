/// Version of the byte layout in `docs/storage-format.md`. Any change of it raises this number.
pub const SCHEMA_VERSION: u32 = 1;

/// The tables. Keys are ordered as bytes, numbers are big-endian, `‖` joins parts of fixed length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// Schema version, chain id, genesis hash.
    Meta,
    /// number ‖ block hash → header, RLP.
    Headers,
    /// number ‖ block hash → body, RLP, then the senders.
    Bodies,
    /// number ‖ block hash → receipts, RLP.
    Receipts,
    /// block hash → number.
    HeaderNumbers,
    /// number → hash of the canonical block.
    Canonical,
    /// transaction hash → number ‖ index, canonical blocks only.
    TxLookup,
    /// name → number ‖ block hash.
    Markers,
    /// hashed address → account.
    HashedAccounts,
    /// hashed address ‖ hashed slot → value.
    HashedStorages,
    /// code hash → code.
    Codes,
    /// hashed address ‖ number → the account before that block.
    AccountHistory,
    /// hashed address ‖ hashed slot ‖ number → the value before that block.
    StorageHistory,
    /// number [‖ hashed address] → what the block changed.
    BlockChanges,
    /// path → stored node of the account trie.
    AccountTrie,
    /// hashed address ‖ path → stored node of a storage trie.
    StorageTrie,
    /// As `HashedStorages`: the message passer's slots under keccak keys, where flat keys are
    /// hashed otherwise (`wide`).
    WithdrawalSlots,
    /// number ‖ block hash → state root after the block (`wide`).
    StateRoots,
}

impl Table {
    /// All tables, in the order of their discriminants.
    pub const ALL: [Self; 18] = [
        Self::Meta,
        Self::Headers,
        Self::Bodies,
        Self::Receipts,
        Self::HeaderNumbers,
        Self::Canonical,
        Self::TxLookup,
        Self::Markers,
        Self::HashedAccounts,
        Self::HashedStorages,
        Self::Codes,
        Self::AccountHistory,
        Self::StorageHistory,
        Self::BlockChanges,
        Self::AccountTrie,
        Self::StorageTrie,
        Self::WithdrawalSlots,
        Self::StateRoots,
    ];

    /// Its name in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "Meta",
            Self::Headers => "Headers",
            Self::Bodies => "Bodies",
            Self::Receipts => "Receipts",
            Self::HeaderNumbers => "HeaderNumbers",
            Self::Canonical => "Canonical",
            Self::TxLookup => "TxLookup",
            Self::Markers => "Markers",
            Self::HashedAccounts => "HashedAccounts",
            Self::HashedStorages => "HashedStorages",
            Self::Codes => "Codes",
            Self::AccountHistory => "AccountHistory",
            Self::StorageHistory => "StorageHistory",
            Self::BlockChanges => "BlockChanges",
            Self::AccountTrie => "AccountTrie",
            Self::StorageTrie => "StorageTrie",
            Self::WithdrawalSlots => "WithdrawalSlots",
            Self::StateRoots => "StateRoots",
        }
    }
}

/// Key of the schema version in [`Table::Meta`]: 4 bytes, big-endian.
pub(crate) const META_SCHEMA: &[u8] = b"schema";
/// Key of the chain in [`Table::Meta`]: chain id (8 bytes) ‖ genesis hash.
pub(crate) const META_CHAIN: &[u8] = b"chain";
/// Key in [`Table::Meta`] of the number of the journal's newest labels at the last write (8 bytes).
pub(crate) const META_JOURNAL: &[u8] = b"journal";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discriminants_index_the_list() {
        for (index, table) in Table::ALL.into_iter().enumerate() {
            assert_eq!(table as usize, index, "{}", table.name());
        }
    }
}
