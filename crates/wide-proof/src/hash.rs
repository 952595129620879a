use blake3::{Hasher, hazmat::HasherExt};

/// 32 bytes: an id, a value, the hash of a leaf or of a node.
pub type Hash = [u8; 32];

/// The hash of an empty subtree, and the root of an empty state.
pub const EMPTY: Hash = [0; 32];

/// One use of Blake3 in the tree: its `derive_key` context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The context string.
    pub name: &'static str,
    /// The context key that Blake3 makes of `name`, worked out beforehand: it saves a compression
    /// per hash.
    pub key: Hash,
}

impl Context {
    /// Ids of accounts.
    pub const ACCOUNT: Self = Self {
        name: "banyan/wide/acct/v1",
        key: [
            0x22, 0x2f, 0xb1, 0xc8, 0xd5, 0x40, 0x74, 0xe7, 0x38, 0x07, 0x1a, 0xea, 0x69, 0x46,
            0x1b, 0x86, 0x3d, 0xab, 0x23, 0xe9, 0xb4, 0x77, 0xb0, 0x02, 0x25, 0x9c, 0x31, 0xa2,
            0x2e, 0xc5, 0xab, 0xbe,
        ],
    };
    /// Ids of slots.
    pub const SLOT: Self = Self {
        name: "banyan/wide/slot/v1",
        key: [
            0x9f, 0x58, 0xca, 0xea, 0x66, 0x35, 0x1d, 0x7a, 0x25, 0x31, 0xcd, 0xeb, 0x3e, 0x5b,
            0xc0, 0x4a, 0x54, 0xd7, 0xfe, 0x27, 0x48, 0xba, 0x84, 0x92, 0x26, 0x85, 0xc6, 0x18,
            0x2d, 0x63, 0x5f, 0xb0,
        ],
    };
    /// Values of accounts.
    pub const RECORD: Self = Self {
        name: "banyan/wide/record/v1",
        key: [
            0xf1, 0x12, 0xf9, 0x00, 0x2b, 0x9f, 0xa7, 0xe6, 0x45, 0xa2, 0xdc, 0x92, 0xa0, 0x59,
            0x48, 0x0a, 0xb3, 0x85, 0xe0, 0x16, 0xf6, 0xa3, 0xb2, 0x0b, 0xb6, 0x5d, 0x0c, 0x59,
            0x60, 0xf3, 0x9e, 0xb7,
        ],
    };
    /// Leaves.
    pub const LEAF: Self = Self {
        name: "banyan/wide/leaf/v1",
        key: [
            0x07, 0x97, 0xaf, 0x22, 0x51, 0x96, 0x25, 0x71, 0xe5, 0x12, 0xe2, 0xdb, 0xfc, 0xa0,
            0xf1, 0xca, 0x5a, 0x5e, 0x20, 0xec, 0x45, 0x0f, 0xb8, 0x7e, 0xfb, 0x51, 0x91, 0x7a,
            0xd2, 0x75, 0x6e, 0x99,
        ],
    };
    /// Keys of inner nodes.
    pub const INNER: Self = Self {
        name: "banyan/wide/inner/v1",
        key: [
            0x30, 0x3c, 0x70, 0xdd, 0xa4, 0x0d, 0x19, 0x71, 0xd9, 0xc0, 0x34, 0xb6, 0x05, 0xc1,
            0x3e, 0x30, 0x14, 0xc4, 0x2c, 0x94, 0xce, 0xf0, 0x10, 0x9e, 0xcb, 0x1e, 0x40, 0x5a,
            0x46, 0xc5, 0x4e, 0xcc,
        ],
    };

    /// Blake3 `derive_key` of `input` in this context.
    pub fn hash(&self, input: &[u8]) -> Hash {
        *Hasher::new_from_context_key(&self.key).update(input).finalize().as_bytes()
    }
}

/// Id of an account: of the address as a word (32 bytes, big-endian) and a zero word.
pub fn account_id(address: &[u8; 20]) -> Hash {
    Context::ACCOUNT.hash(&words(&word(address), &EMPTY))
}

/// Id of a storage slot: of the address as a word and the slot.
pub fn slot_id(address: &[u8; 20], slot: &[u8; 32]) -> Hash {
    Context::SLOT.hash(&words(&word(address), slot))
}

/// What an account's leaf commits to: the hash of its [`account_record`].
pub fn account_value(nonce: u64, balance: &[u8; 32], code_hash: &[u8; 32]) -> Hash {
    Context::RECORD.hash(&account_record(nonce, balance, code_hash))
}

/// What [`account_value`] hashes: nonce, balance, code hash and a zero word, big-endian.
pub fn account_record(nonce: u64, balance: &[u8; 32], code_hash: &[u8; 32]) -> [u8; 128] {
    let mut record = [0; 128];
    record[24..32].copy_from_slice(&nonce.to_be_bytes());
    record[32..64].copy_from_slice(balance);
    record[64..96].copy_from_slice(code_hash);
    record
}

/// Hash of a leaf. The value of a slot is its word, never zero; that of an account is
/// [`account_value`].
pub fn leaf(id: &Hash, value: &Hash) -> Hash {
    Context::LEAF.hash(&words(id, value))
}

/// Hash of a subtree with at least two leaves, whose paths agree on the first `depth` bits and part at
/// the next one: Blake3 `keyed_hash` of its halves under [`inner_key`].
pub fn inner(depth: usize, left: &Hash, right: &Hash) -> Hash {
    *blake3::keyed_hash(&inner_key(depth), &words(left, right)).as_bytes()
}

/// Key of the inner nodes at `depth`: of the depth as a word and a zero word.
pub fn inner_key(depth: usize) -> Hash {
    let mut word = EMPTY;
    word[24..].copy_from_slice(&(depth as u64).to_be_bytes());
    Context::INNER.hash(&words(&word, &EMPTY))
}

fn words(first: &Hash, second: &Hash) -> [u8; 64] {
    let mut block = [0; 64];
    block[..32].copy_from_slice(first);
    block[32..].copy_from_slice(second);
    block
}

fn word(address: &[u8; 20]) -> [u8; 32] {
    let mut word = [0; 32];
    word[12..].copy_from_slice(address);
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_keys_are_those_of_their_names() {
        for context in
            [Context::ACCOUNT, Context::SLOT, Context::RECORD, Context::LEAF, Context::INNER]
        {
            let key = blake3::hazmat::hash_derive_key_context(context.name);
            assert_eq!(context.key, key, "{}", context.name);
            assert_eq!(context.hash(&[7; 64]), blake3::derive_key(context.name, &[7; 64]));
        }
    }
}
