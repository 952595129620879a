use crate::{Hash, account_id, slot_id};

/// Of a path, bytes.
const LENGTH: usize = 40;

/// Where something stands in the tree: its id, and the path of bits that leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    id: Hash,
    path: [u8; LENGTH],
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
        let mut path = [0; LENGTH];
        path[..32].copy_from_slice(&id);
        Self { id, path }
    }

    /// The slot with id `slot` of the account with id `account`.
    pub fn of_slot_id(account: &Hash, slot: Hash) -> Self {
        let mut path = [0; LENGTH];
        path[..8].copy_from_slice(&account[..8]);
        path[8..].copy_from_slice(&slot);
        Self { id: slot, path }
    }

    /// Its id.
    pub fn id(&self) -> &Hash {
        &self.id
    }

    /// Its path: of an account the id and zeros, of a slot 8 bytes of its account's id and the id.
    pub fn path(&self) -> &[u8; 40] {
        &self.path
    }

    /// Which way the path turns at `depth` (0: at the root): true is right.
    pub fn bit(&self, depth: usize) -> bool {
        let byte = self.path.get(depth / 8).copied().unwrap_or_default();
        byte >> (7 - depth % 8) & 1 == 1
    }
}
