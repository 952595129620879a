use crate::{Hash, account_id, slot_id};

/// Longest path, bytes.
const LONGEST: usize = 40;

/// Where something stands in the tree: its id, and the path of bits that leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    id: Hash,
    path: [u8; LONGEST],
    bits: usize,
}

impl Key {
    /// An account.
    pub fn account(address: &[u8; 20]) -> Self {
        Self::of_account_id(account_id(address))
    }

    /// A slot of an account.
    pub fn slot(address: &[u8; 20], slot: &[u8; 32]) -> Self {
        Self::of_slot_id(&account_id(address), slot_id(address, slot))
    }

    /// The account with this id.
    pub fn of_account_id(id: Hash) -> Self {
        let mut path = [0; LONGEST];
        path[..32].copy_from_slice(&id);
        Self { id, path, bits: 256 }
    }

    /// The slot with id `slot` of the account with id `account`.
    pub fn of_slot_id(account: &Hash, slot: Hash) -> Self {
        let mut path = [0; LONGEST];
        path[..8].copy_from_slice(&account[..8]);
        path[8..].copy_from_slice(&slot);
        Self { id: slot, path, bits: 320 }
    }

    /// Its id.
    pub fn id(&self) -> &Hash {
        &self.id
    }

    /// Its path; that of an account is filled up with zeros.
    pub fn path(&self) -> &[u8; 40] {
        &self.path
    }

    /// Length of its path.
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// Which way the path turns at `depth` (0: at the root): true is right.
    pub fn bit(&self, depth: usize) -> bool {
        let byte = self.path.get(depth / 8).copied().unwrap_or_default();
        byte >> (7 - depth % 8) & 1 == 1
    }
}
