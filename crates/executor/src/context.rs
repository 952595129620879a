use banyan_chainspec::ChainSpec;
use banyan_primitives::{Address, B256, Header, U256};

/// The environment of a block under execution: header fields known before its transactions run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockContext {
    /// Height.
    pub number: u64,
    /// Seconds.
    pub timestamp: u64,
    /// Hash of the parent.
    pub parent_hash: B256,
    /// COINBASE.
    pub beneficiary: Address,
    /// Gas limit.
    pub gas_limit: u64,
    /// Base fee, wei; `None` before London.
    pub base_fee: Option<u64>,
    /// Difficulty; zero since the merge.
    pub difficulty: U256,
    /// PREVRANDAO since the merge.
    pub prev_randao: B256,
    /// Excess blob gas; `None` before Cancun.
    pub excess_blob_gas: Option<u64>,
    /// Parent beacon block root; `None` before Cancun.
    pub parent_beacon_root: Option<B256>,
    /// Slot number (Amsterdam).
    pub slot_number: Option<u64>,
}

impl BlockContext {
    /// The environment of the block of `header`.
    pub fn from_header(header: &Header) -> Self {
        Self {
            number: header.number,
            timestamp: header.timestamp,
            parent_hash: header.parent_hash,
            beneficiary: header.beneficiary,
            gas_limit: header.gas_limit,
            base_fee: header.base_fee_per_gas,
            difficulty: header.difficulty,
            prev_randao: header.mix_hash,
            excess_blob_gas: header.excess_blob_gas,
            parent_beacon_root: header.parent_beacon_block_root,
            slot_number: header.slot_number,
        }
    }

    /// Rules in force.
    pub fn rules(&self, spec: &ChainSpec) -> banyan_chainspec::Rules {
        spec.rules(self.number, self.timestamp, self.difficulty.is_zero())
    }
}
