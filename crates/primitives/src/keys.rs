use banyan_wide_proof::{account_id, slot_id};

use crate::{Address, B256, Messages, U256, address, b256, keccak256};

/// L2ToL1MessagePasser. Its storage root stands in an OP header since Isthmus, as `withdrawalsRoot`.
pub const MESSAGE_PASSER: Address = address!("0x4200000000000000000000000000000000000016");

/// The message passer's address under keccak: names its storage trie. Where flat keys are hashed
/// otherwise, its slots are kept once more, under keccak keys, for that trie.
pub const MESSAGE_PASSER_TRIE: B256 =
    b256!("0x542220b0147f4cc0e0156d993334777d699c312c2fe454f8b3fa338ed309f4a0");

/// How the keys of the flat state are hashed: fixed by the chain's commitment, the same in the
/// database and in every layer above it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyRule {
    /// keccak256 of the address, keccak256 of the slot: the keys of the Merkle-Patricia tries.
    #[default]
    Keccak,
    /// Blake3 of the address, Blake3 of address and slot: the ids of a `wide` tree's leaves.
    Wide,
}

impl KeyRule {
    /// Key of an account.
    pub fn account(self, address: &Address) -> B256 {
        match self {
            Self::Keccak => keccak256(address),
            Self::Wide => account_id(&address.0).into(),
        }
    }

    /// Keys of many accounts, in their order: hashed together where that is faster.
    pub fn accounts<'a>(self, addresses: impl Iterator<Item = &'a Address>) -> Vec<B256> {
        match self {
            Self::Keccak => all(addresses.map(|address| address.0.0)),
            Self::Wide => addresses.map(|address| self.account(address)).collect(),
        }
    }

    /// Keys of many slots of an account, in their order.
    pub fn slots(self, address: &Address, slots: impl Iterator<Item = U256>) -> Vec<B256> {
        match self {
            Self::Keccak => all(slots.map(|slot| slot.to_be_bytes::<32>())),
            Self::Wide => slots.map(|slot| self.slot(address, slot)).collect(),
        }
    }

    /// Key of a slot, below that of its account.
    pub fn slot(self, address: &Address, slot: U256) -> B256 {
        let slot = slot.to_be_bytes::<32>();
        match self {
            Self::Keccak => keccak256(slot),
            Self::Wide => slot_id(&address.0, &slot).into(),
        }
    }
}

/// keccak256 of each.
fn all<const N: usize>(inputs: impl Iterator<Item = [u8; N]>) -> Vec<B256> {
    let mut messages = Messages::default();
    inputs.for_each(|input| messages.add(|out| out.extend_from_slice(&input)));
    messages.hash()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_keys_are_those_of_each() {
        let addresses: Vec<_> = (0..50).map(Address::repeat_byte).collect();
        let slots: Vec<_> = (0..50u64).map(U256::from).collect();
        for rule in [KeyRule::Keccak, KeyRule::Wide] {
            let each: Vec<_> = addresses.iter().map(|address| rule.account(address)).collect();
            assert_eq!(rule.accounts(addresses.iter()), each);
            let each: Vec<_> = slots.iter().map(|slot| rule.slot(&MESSAGE_PASSER, *slot)).collect();
            assert_eq!(rule.slots(&MESSAGE_PASSER, slots.iter().copied()), each);
        }
    }

    #[test]
    fn the_message_passers_trie_is_named_by_its_keccak() {
        assert_eq!(MESSAGE_PASSER_TRIE, KeyRule::Keccak.account(&MESSAGE_PASSER));
        assert_ne!(MESSAGE_PASSER_TRIE, KeyRule::Wide.account(&MESSAGE_PASSER));
    }

    #[test]
    fn slots_of_two_accounts_have_different_keys_in_wide_only() {
        let (one, other) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let key = |rule: KeyRule, address| rule.slot(&address, U256::from(7));
        assert_eq!(key(KeyRule::Keccak, one), key(KeyRule::Keccak, other));
        assert_ne!(key(KeyRule::Wide, one), key(KeyRule::Wide, other));
    }
}
