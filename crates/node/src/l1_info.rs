//! The L1 attributes deposit: the first transaction of every OP block, here for an imaginary L1.

use banyan_chainspec::OpFork;
use banyan_primitives::{
    Address, B256, Bytes, TxDeposit, TxKind, U256, address, alloy_primitives::hex, keccak256,
};

/// The account that sends L1 attributes.
const DEPOSITOR: Address = address!("0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001");
/// The L1Block predeploy.
const L1_BLOCK: Address = address!("0x4200000000000000000000000000000000000015");
/// Gas of the deposit since Regolith, and before.
const GAS: u64 = 1_000_000;
const GAS_BEDROCK: u64 = 150_000_000;

/// `setL1BlockValues(uint64,uint64,uint256,bytes32,uint64,bytes32,uint256,uint256)`.
const SET_BEDROCK: [u8; 4] = hex!("015d8eb9");
/// `setL1BlockValuesEcotone()`.
const SET_ECOTONE: [u8; 4] = hex!("440a5e20");
/// `setL1BlockValuesIsthmus()`.
const SET_ISTHMUS: [u8; 4] = hex!("098999be");
/// `setL1BlockValuesJovian()`.
const SET_JOVIAN: [u8; 4] = hex!("3db6be2b");

/// Fee scalars as on many chains.
const BASE_FEE_SCALAR: u32 = 1_368;
const BLOB_BASE_FEE_SCALAR: u32 = 810_949;
/// The scalar before Ecotone, in millionths.
const BEDROCK_SCALAR: u64 = 684_000;
/// The imaginary L1's base fee, wei.
const L1_BASE_FEE: u64 = 1_000_000_000;
/// Its blob base fee, wei.
const L1_BLOB_BASE_FEE: u64 = 1;

/// The deposit of L2 block `number`. The imaginary L1 has one block per L2 block, of the same
/// number and timestamp. `form` is the newest OP fork whose calldata form is used.
pub(crate) fn l1_info_deposit(
    form: Option<OpFork>,
    number: u64,
    timestamp: u64,
    da_footprint_gas_scalar: u16,
) -> TxDeposit {
    let fork = form.unwrap_or(OpFork::Bedrock);
    let l1 = L1Block { number, timestamp, hash: l1_hash(number), da_footprint_gas_scalar };
    let regolith = fork >= OpFork::Regolith;
    TxDeposit {
        source_hash: source_hash(l1.hash, 0),
        from: DEPOSITOR,
        to: TxKind::Call(L1_BLOCK),
        mint: 0,
        value: U256::ZERO,
        gas_limit: if regolith { GAS } else { GAS_BEDROCK },
        is_system_transaction: !regolith,
        input: match fork {
            fork if fork >= OpFork::Ecotone => l1.packed(fork),
            _ => l1.bedrock(),
        },
    }
}

/// What the deposit tells about L1. The sequence number is always zero: each L2 block has a new
/// L1 origin.
struct L1Block {
    number: u64,
    timestamp: u64,
    hash: B256,
    da_footprint_gas_scalar: u16,
}

impl L1Block {
    /// Packed calldata since Ecotone; Isthmus and Jovian each append to it.
    fn packed(&self, fork: OpFork) -> Bytes {
        let mut data = Vec::with_capacity(178);
        data.extend(match fork {
            fork if fork >= OpFork::Jovian => SET_JOVIAN,
            fork if fork >= OpFork::Isthmus => SET_ISTHMUS,
            _ => SET_ECOTONE,
        });
        data.extend(BASE_FEE_SCALAR.to_be_bytes());
        data.extend(BLOB_BASE_FEE_SCALAR.to_be_bytes());
        data.extend(0u64.to_be_bytes());
        data.extend(self.timestamp.to_be_bytes());
        data.extend(self.number.to_be_bytes());
        data.extend(word(L1_BASE_FEE));
        data.extend(word(L1_BLOB_BASE_FEE));
        data.extend(self.hash);
        data.extend(word(0)); // batcher: there is none
        if fork >= OpFork::Isthmus {
            data.extend(0u32.to_be_bytes()); // operator fee scalar
            data.extend(0u64.to_be_bytes()); // operator fee constant
        }
        if fork >= OpFork::Jovian {
            data.extend(self.da_footprint_gas_scalar.to_be_bytes());
        }
        data.into()
    }

    /// ABI-encoded calldata before Ecotone.
    fn bedrock(&self) -> Bytes {
        let mut data = SET_BEDROCK.to_vec();
        for number in [self.number, self.timestamp, L1_BASE_FEE] {
            data.extend(word(number));
        }
        data.extend(self.hash);
        for number in [0, 0, 0, BEDROCK_SCALAR] {
            data.extend(word(number)); // sequence number, batcher, overhead, scalar
        }
        data.into()
    }
}

fn word(number: u64) -> [u8; 32] {
    U256::from(number).to_be_bytes()
}

fn l1_hash(number: u64) -> B256 {
    keccak256([b"banyan dev L1".as_slice(), &number.to_be_bytes()].concat())
}

/// Source hash of an L1 attributes deposit: domain 1, then the origin and the sequence number.
fn source_hash(l1_hash: B256, sequence_number: u64) -> B256 {
    let inner = keccak256([l1_hash.0, word(sequence_number)].concat());
    keccak256([word(1), inner.0].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_those_of_the_l1_block_contract() {
        let check = |selector: [u8; 4], signature: &str| {
            assert_eq!(selector, keccak256(signature)[..4], "{signature}");
        };
        check(
            SET_BEDROCK,
            "setL1BlockValues(uint64,uint64,uint256,bytes32,uint64,bytes32,uint256,uint256)",
        );
        check(SET_ECOTONE, "setL1BlockValuesEcotone()");
        check(SET_ISTHMUS, "setL1BlockValuesIsthmus()");
        check(SET_JOVIAN, "setL1BlockValuesJovian()");
    }

    #[test]
    fn each_fork_has_its_length() {
        let check = |fork, length| {
            let deposit = l1_info_deposit(Some(fork), 7, 1_700_000_000, 400);
            assert_eq!(deposit.input.len(), length, "{fork:?}");
            assert_eq!(deposit.is_system_transaction, fork == OpFork::Bedrock);
        };
        check(OpFork::Bedrock, 4 + 8 * 32);
        check(OpFork::Canyon, 4 + 8 * 32);
        check(OpFork::Ecotone, 164);
        check(OpFork::Holocene, 164);
        check(OpFork::Isthmus, 176);
        check(OpFork::Jovian, 178);
        check(OpFork::Karst, 178);
    }

    #[test]
    fn fields_stand_where_the_contract_reads_them() {
        let input = l1_info_deposit(Some(OpFork::Jovian), 7, 0x1234, 400).input;
        assert_eq!(input[4..8], BASE_FEE_SCALAR.to_be_bytes());
        assert_eq!(input[20..28], 0x1234u64.to_be_bytes(), "timestamp");
        assert_eq!(input[28..36], 7u64.to_be_bytes(), "number");
        assert_eq!(input[100..132], l1_hash(7)[..]);
        assert_eq!(input[176..], 400u16.to_be_bytes());
    }

    #[test]
    fn each_block_has_a_source_hash_of_its_own() {
        let of = |number| l1_info_deposit(Some(OpFork::Jovian), number, 1, 400).source_hash;
        assert_ne!(of(1), of(2));
        // From the deposit specification's formula, for hash 0 and sequence 0.
        let expected =
            keccak256([[0; 31].as_slice(), &[1], keccak256([0; 64]).as_slice()].concat());
        assert_eq!(source_hash(B256::ZERO, 0), expected);
    }
}
