//! What an OP chain charges for data on L1: published and computed figures.

use alloy_rlp::{Encodable, Header as RlpHeader};
use anyhow::ensure;
use banyan_executor::{MemoryState, estimated_da_size, l1_cost};
use banyan_primitives::{Address, Bytes, Decodable2718, Transaction, U256, address};
use serde::Deserialize;

use super::{Loaded, parse, stem};
use crate::{Case, Worker, collect::FixtureFile, number::Number, op_chain::op_spec_at};

/// Predeploy that holds the L1 attributes.
const L1_BLOCK: Address = address!("0x4200000000000000000000000000000000000015");
/// Its slots.
const BASE_FEE: u64 = 1;
const SCALARS_SINCE_ECOTONE: u64 = 3;
const OVERHEAD: u64 = 5;
const SCALAR: u64 = 6;
const BLOB_BASE_FEE: u64 = 7;
const OPERATOR_FEE: u64 = 8;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    rule: Option<String>,
    raw_tx: Option<Bytes>,
    input: Option<Bytes>,
    params: Params,
    fastlz_len: Option<u64>,
    /// Under `rule`.
    l1_fee: Option<Number>,
    regolith_fee: Option<Number>,
    ecotone_fee: Option<Number>,
    fjord_fee: Option<Number>,
    /// Operator fee: inputs and result.
    gas: u64,
    scalar: u64,
    constant: u64,
    fee: Option<Number>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Params {
    base_fee: Number,
    blob_base_fee: Number,
    base_fee_scalar: u64,
    blob_base_fee_scalar: u64,
    overhead: Number,
    scalar: Number,
}

/// Several cases per entry: one for each figure.
pub(crate) fn load(file: &FixtureFile, text: &str) -> anyhow::Result<Loaded> {
    let entries: Vec<Entry> = parse(text)?;
    let mut loaded = Loaded::default();
    for (index, entry) in entries.into_iter().enumerate() {
        let id = |what: &str| format!("{}/{index}/{what}", stem(file));
        let data = entry.raw_tx.clone().or_else(|| entry.input.clone());
        if let (Some(data), Some(length)) = (data, entry.fastlz_len) {
            let check = move |_: &Worker| check_size(&data, length);
            loaded.cases.push(Case::new(id("fastlz"), "fastlz", check));
        }
        let Some(tx) = entry.transaction() else {
            loaded
                .not_run
                .extend(entry.fees().iter().map(|_| "a fee without a signed transaction"));
            continue;
        };
        for (fork, wanted) in entry.fees() {
            let (state, tx, rules) = (entry.state(), tx.clone(), fork.clone());
            let check = move |_: &Worker| check_fee(state, &tx, &fork, wanted);
            loaded.cases.push(Case::new(id(&rules), rules, check));
        }
    }
    Ok(loaded)
}

impl Entry {
    /// Fork and the fee under it, of those that can be computed.
    fn fees(&self) -> Vec<(String, U256)> {
        let rule = self.rule.clone().unwrap_or_default();
        if let (Some(fork), Some(fee)) = (rule.strip_prefix("operator-"), self.fee) {
            return vec![(fork.to_owned(), fee.0)];
        }
        let own = self.l1_fee.map(|fee| (rule, fee.0));
        let by_fork = [
            ("regolith", self.regolith_fee),
            ("ecotone", self.ecotone_fee),
            ("fjord", self.fjord_fee),
        ];
        let by_fork = by_fork.into_iter().filter_map(|(fork, fee)| Some((fork.to_owned(), fee?.0)));
        own.into_iter().chain(by_fork).collect()
    }

    /// The transaction that pays. Some published figures are for one without signature.
    fn transaction(&self) -> Option<Transaction> {
        let operator = self.fee.map(|_| signed_with_gas(self.gas));
        let bytes = self.raw_tx.clone().or(operator)?;
        Transaction::decode_2718_exact(&bytes).ok()
    }

    /// The L1 attributes as they lie in the predeploy.
    fn state(&self) -> MemoryState {
        let Params { base_fee, blob_base_fee, overhead, scalar, .. } = self.params;
        let scalars = packed(self.params.base_fee_scalar, 12, 4)
            | packed(self.params.blob_base_fee_scalar, 8, 4);
        let operator = packed(self.scalar, 8, 4) | packed(self.constant, 0, 8);
        let slots = [
            (BASE_FEE, base_fee.0),
            (SCALARS_SINCE_ECOTONE, scalars),
            (OVERHEAD, overhead.0),
            (SCALAR, scalar.0),
            (BLOB_BASE_FEE, blob_base_fee.0),
            (OPERATOR_FEE, operator),
        ];
        let mut state = MemoryState::default();
        let slots = slots.map(|(slot, value)| (U256::from(slot), value));
        state.insert(L1_BLOCK, 1, U256::ZERO, Bytes::from_static(&[0]), slots);
        state
    }
}

/// A value of `width` bytes, `from_end` bytes before the end of a slot.
fn packed(value: u64, from_end: usize, width: usize) -> U256 {
    debug_assert!(width == 8 || value < 1 << (8 * width));
    U256::from(value) << (8 * from_end)
}

/// Fjord's estimate from the FastLZ length: a line with a floor.
fn check_size(data: &[u8], fastlz_length: u64) -> anyhow::Result<()> {
    let scaled = (836_500 * fastlz_length).saturating_sub(42_585_600).max(100_000_000);
    let (found, wanted) = (estimated_da_size(data), scaled / 1_000_000);
    ensure!(found == wanted, "estimated size {found}, expected {wanted}");
    Ok(())
}

fn check_fee(state: MemoryState, tx: &Transaction, fork: &str, wanted: U256) -> anyhow::Result<()> {
    let found = l1_cost(&op_spec_at(fork)?, 0, state, tx)?;
    ensure!(found == wanted, "fee {found}, expected {wanted}");
    Ok(())
}

/// A legacy transaction of which only the gas limit matters.
fn signed_with_gas(gas: u64) -> Bytes {
    let mut fields = Vec::new();
    let (nonce, price, value) = (0u64, 0u64, 0u64);
    nonce.encode(&mut fields);
    price.encode(&mut fields);
    gas.encode(&mut fields);
    Address::ZERO.encode(&mut fields);
    value.encode(&mut fields);
    Bytes::new().encode(&mut fields);
    for signature_field in [27u64, 1, 1] {
        signature_field.encode(&mut fields);
    }
    let mut out = Vec::new();
    RlpHeader { list: true, payload_length: fields.len() }.encode(&mut out);
    out.extend(fields);
    out.into()
}
