use banyan_chainspec::{ChainSpec, OpFork, Rules};
use banyan_primitives::{
    Bytes, Encodable2718, SealedBlock, SourceError, StateSource, Transaction, TransactionTrait,
    U256,
};
use op_revm::{L1BlockInfo, OpSpecId, estimate_tx_compressed_size};

use crate::{evm::op_spec_id, state::BlockState};

/// First bytes of the L1 attributes calldata up to Delta (`setL1BlockValues`).
const BEDROCK_SELECTOR: [u8; 4] = [0x01, 0x5d, 0x8e, 0xb9];

/// Gas of a byte of calldata on L1.
const CALLDATA_GAS: u64 = 16;

/// Lengths of the L1 attributes calldata, in bytes.
const BEDROCK_LENGTH: usize = 4 + 8 * 32;
const ECOTONE_LENGTH: usize = 164;
const ISTHMUS_LENGTH: usize = 176;
const JOVIAN_LENGTH: usize = 178;

/// The L1 fee fields of an OP receipt, as JSON-RPC shows them. Fields that a fork lacks are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct L1FeeReceipt {
    /// `l1GasPrice`: L1 base fee.
    pub l1_gas_price: Option<u128>,
    /// `l1GasUsed`.
    pub l1_gas_used: Option<u128>,
    /// `l1Fee` in wei.
    pub l1_fee: Option<u128>,
    /// `l1FeeScalar` (up to Delta), already divided: text with decimals.
    pub l1_fee_scalar: Option<String>,
    /// `l1BaseFeeScalar` (Ecotone).
    pub l1_base_fee_scalar: Option<u128>,
    /// `l1BlobBaseFee` (Ecotone).
    pub l1_blob_base_fee: Option<u128>,
    /// `l1BlobBaseFeeScalar` (Ecotone).
    pub l1_blob_base_fee_scalar: Option<u128>,
    /// `operatorFeeScalar` (Isthmus).
    pub operator_fee_scalar: Option<u128>,
    /// `operatorFeeConstant` (Isthmus).
    pub operator_fee_constant: Option<u128>,
    /// `daFootprintGasScalar` (Jovian).
    pub da_footprint_gas_scalar: Option<u16>,
}

/// What an OP chain's L1 attributes make a transaction pay besides gas and value: read once per
/// state, asked for many transactions. For balance checks in the pool. Two that are equal charge
/// the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L1Fees {
    info: L1BlockInfo,
    fork: OpSpecId,
}

impl L1Fees {
    /// Reads the L1 attributes stored in `source`; `None` on Ethereum chains.
    pub fn read<S: StateSource>(
        spec: &ChainSpec,
        timestamp: u64,
        source: S,
    ) -> Result<Option<Self>, SourceError> {
        // OP forks activate by time; every fork by number is long active.
        let Some(fork) = spec.rules_at(u64::MAX, timestamp).op else { return Ok(None) };
        let fork = op_spec_id(fork);
        let mut state = BlockState::new(source);
        let info = L1BlockInfo::try_fetch(&mut state, U256::ZERO, fork);
        Ok(Some(Self { info: info.map_err(|error| error.0)?, fork }))
    }

    /// L1 data fee plus the most that the operator fee can be, wei; zero for a deposit. `encoded`
    /// is the whole transaction (EIP-2718).
    pub fn cost(&self, encoded: &[u8], gas_limit: u64) -> U256 {
        self.info.clone().tx_cost(encoded, U256::from(gas_limit), self.fork)
    }
}

/// What a transaction pays besides gas and value under the L1 attributes stored in `source`
/// ([`L1Fees`]), wei; zero on Ethereum chains.
pub fn l1_cost<S: StateSource>(
    spec: &ChainSpec,
    timestamp: u64,
    source: S,
    tx: &Transaction,
) -> Result<U256, SourceError> {
    let fees = L1Fees::read(spec, timestamp, source)?;
    Ok(fees.map_or(U256::ZERO, |fees| fees.cost(&tx.encoded_2718(), tx.gas_limit())))
}

/// Fjord's estimate of the compressed size of an encoded transaction, bytes (at least 100).
pub fn estimated_da_size(encoded: &[u8]) -> u64 {
    estimate_tx_compressed_size(encoded) / 1_000_000
}

/// A user's transaction as an OP chain charges for it: its bytes, and what was computed from them
/// once.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    /// EIP-2718 form.
    pub(crate) encoded: Bytes,
    /// Fjord's estimate of the compressed size, millionths of a byte.
    estimate: u64,
}

impl Envelope {
    pub(crate) fn new(tx: &Transaction) -> Self {
        let encoded: Bytes = tx.encoded_2718().into();
        let estimate = estimate_tx_compressed_size(&encoded);
        Self { encoded, estimate }
    }

    /// Estimated compressed size, bytes.
    pub(crate) fn da_size(&self) -> u64 {
        self.estimate / 1_000_000
    }

    /// The L1 data fee, wei. Since Fjord it follows from the estimate.
    pub(crate) fn l1_cost(&self, info: &L1BlockInfo, fork: OpSpecId) -> U256 {
        if !fork.is_enabled_in(OpSpecId::FJORD) {
            let mut info = L1BlockInfo { tx_l1_cost: None, ..info.clone() };
            return info.calculate_tx_l1_cost(&self.encoded, fork);
        }
        let price =
            |fee: U256, scalar: Option<U256>| fee.saturating_mul(scalar.unwrap_or_default());
        let calldata_fee = info.l1_base_fee.saturating_mul(U256::from(CALLDATA_GAS));
        let blob_fee = info.l1_blob_base_fee.unwrap_or_default();
        let scaled = price(calldata_fee, Some(info.l1_base_fee_scalar))
            .saturating_add(price(blob_fee, info.l1_blob_base_fee_scalar));
        U256::from(self.estimate).saturating_mul(scaled) / U256::from(1_000_000_000_000_u64)
    }
}

/// L1 fee fields for every transaction of a block, from the L1 attributes deposit that opens it.
/// Default values for deposits and on Ethereum chains.
pub fn l1_fee_receipts(spec: &ChainSpec, block: &SealedBlock) -> Vec<L1FeeReceipt> {
    let rules = spec.rules_of(&block.header);
    let transactions = &block.body.transactions;
    let attributes = transactions
        .first()
        .filter(|tx| tx.is_deposit())
        .and_then(|tx| attributes(&rules, tx.input()));
    transactions
        .iter()
        .map(|tx| match (&attributes, rules.op) {
            (Some(info), Some(fork)) if !tx.is_deposit() => fee_receipt(info, fork, tx),
            _ => L1FeeReceipt::default(),
        })
        .collect()
}

/// Reads the calldata of the L1 attributes deposit. The first block of a fork still has the format
/// of the fork before. `None` if it has none of the known formats.
fn attributes(rules: &Rules, data: &[u8]) -> Option<L1BlockInfo> {
    let number = |from: usize, to: usize| data.get(from..to).map(U256::from_be_slice);
    if !rules.is_op(OpFork::Ecotone) || data.starts_with(&BEDROCK_SELECTOR) {
        let word = |index: usize| number(4 + 32 * index, 36 + 32 * index);
        return (data.len() >= BEDROCK_LENGTH).then_some(L1BlockInfo {
            l1_base_fee: word(2)?,
            l1_fee_overhead: word(6),
            l1_base_fee_scalar: word(7)?,
            empty_ecotone_scalars: true,
            ..Default::default()
        });
    }
    if data.len() < ECOTONE_LENGTH {
        return None;
    }
    Some(L1BlockInfo {
        l1_base_fee_scalar: number(4, 8)?,
        l1_blob_base_fee_scalar: number(8, 12),
        l1_base_fee: number(36, 68)?,
        l1_blob_base_fee: number(68, 100),
        operator_fee_scalar: number(164, 168),
        operator_fee_constant: number(168, ISTHMUS_LENGTH),
        da_footprint_gas_scalar: da_footprint_scalar(data),
        ..Default::default()
    })
}

fn da_footprint_scalar(data: &[u8]) -> Option<u16> {
    let bytes = data.get(ISTHMUS_LENGTH..JOVIAN_LENGTH)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

fn fee_receipt(info: &L1BlockInfo, fork: OpFork, tx: &Transaction) -> L1FeeReceipt {
    let mut info = info.clone();
    let encoded = tx.encoded_2718();
    let fork = match info.empty_ecotone_scalars {
        // The first block of Ecotone (or of a later fork with it) charges as Bedrock does.
        true => op_spec_id(fork.min(OpFork::Delta)),
        false => op_spec_id(fork),
    };
    let fee = info.calculate_tx_l1_cost(&encoded, fork);
    let gas = info.data_gas(&encoded, fork) + info.l1_fee_overhead.unwrap_or_default();
    let scalar = info.l1_base_fee_scalar;
    let bedrock = info.l1_blob_base_fee.is_none();
    // op-geth leaves the operator fee out while it is not set.
    let operator = |value: Option<U256>| {
        let set = |value: Option<U256>| value.is_some_and(|value| !value.is_zero());
        let any = set(info.operator_fee_scalar) || set(info.operator_fee_constant);
        value.filter(|_| any).map(|value| value.saturating_to())
    };
    L1FeeReceipt {
        l1_gas_price: Some(info.l1_base_fee.saturating_to()),
        l1_gas_used: Some(gas.saturating_to()),
        l1_fee: Some(fee.saturating_to()),
        l1_fee_scalar: bedrock.then(|| decimal(scalar)),
        l1_base_fee_scalar: (!bedrock).then(|| scalar.saturating_to()),
        l1_blob_base_fee: info.l1_blob_base_fee.map(|fee| fee.saturating_to()),
        l1_blob_base_fee_scalar: info.l1_blob_base_fee_scalar.map(|value| value.saturating_to()),
        operator_fee_scalar: operator(info.operator_fee_scalar),
        operator_fee_constant: operator(info.operator_fee_constant),
        da_footprint_gas_scalar: info.da_footprint_gas_scalar,
    }
}

/// A number of millionths as a decimal, without trailing zeros.
fn decimal(millionths: U256) -> String {
    let million = U256::from(1_000_000);
    let text = format!("{}.{:06}", millionths / million, millionths % million);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// How Jovian turns bytes into DA footprint gas in one block; the L1 attributes deposit says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum DaScalar {
    /// No L1 attributes yet, or of an unknown format.
    #[default]
    Missing,
    /// The first block of Jovian: attributes of the fork before, no transactions of users.
    Activation,
    /// Gas per estimated byte.
    Gas(u16),
}

impl DaScalar {
    /// From the first transaction of the block.
    pub(crate) fn from_first(tx: &Transaction) -> Self {
        let data = tx.input();
        match da_footprint_scalar(data).filter(|_| tx.is_deposit()) {
            Some(scalar) => Self::Gas(scalar),
            None if tx.is_deposit() && data.len() == ISTHMUS_LENGTH => Self::Activation,
            None => Self::Missing,
        }
    }

    /// DA footprint of a user's transaction, gas; or why there may be none.
    pub(crate) fn footprint(self, da_size: u64) -> Result<u64, &'static str> {
        match self {
            Self::Gas(scalar) => Ok(da_size.saturating_mul(scalar.into())),
            Self::Activation => {
                Err("unexpected non-deposit transactions in Jovian activation block")
            }
            Self::Missing => Err("missing L1 attributes deposit with DA footprint gas scalar"),
        }
    }
}

#[cfg(test)]
mod tests;
