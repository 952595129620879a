//! What a transaction costs before its first instruction.

use banyan_chainspec::{Fork, Rules};
use banyan_primitives::{Transaction, TransactionTrait};

const TX_GAS: u64 = 21_000;
const CREATE_GAS: u64 = 32_000;
const ZERO_BYTE_GAS: u64 = 4;
const BYTE_GAS: u64 = 16;
const BYTE_GAS_FRONTIER: u64 = 68;
const INITCODE_WORD_GAS: u64 = 2;
const ACCESS_ADDRESS_GAS: u64 = 2_400;
const ACCESS_SLOT_GAS: u64 = 1_900;
const AUTHORIZATION_GAS: u64 = 25_000;
const FLOOR_TOKEN_GAS: u64 = 10;

/// Intrinsic gas and the floor of EIP-7623 (zero before Prague).
///
/// Sums cannot overflow: the pool bounds a transaction's size beforehand. Since Amsterdam the
/// prices depend on the recipient too (EIP-2780); both are zero then, and execution decides.
pub(crate) fn intrinsic_and_floor(tx: &Transaction, rules: &Rules) -> (u64, u64) {
    if rules.is(Fork::Amsterdam) {
        return (0, 0);
    }
    let input = tx.input();
    let zeros = input.iter().filter(|byte| **byte == 0).count() as u64;
    let others = input.len() as u64 - zeros;

    let byte_gas = if rules.is(Fork::Istanbul) { BYTE_GAS } else { BYTE_GAS_FRONTIER };
    let mut gas = TX_GAS + zeros * ZERO_BYTE_GAS + others * byte_gas;
    if tx.is_create() && rules.is(Fork::Homestead) {
        gas += CREATE_GAS;
    }
    if tx.is_create() && rules.is(Fork::Shanghai) {
        gas += INITCODE_WORD_GAS * (input.len() as u64).div_ceil(32);
    }
    if let Some(list) = tx.access_list() {
        let slots: usize = list.iter().map(|item| item.storage_keys.len()).sum();
        gas += list.len() as u64 * ACCESS_ADDRESS_GAS + slots as u64 * ACCESS_SLOT_GAS;
    }
    gas += tx.authorization_list().map_or(0, <[_]>::len) as u64 * AUTHORIZATION_GAS;

    let floor = match rules.is(Fork::Prague) {
        true => TX_GAS + FLOOR_TOKEN_GAS * (zeros + 4 * others),
        false => 0,
    };
    (gas, floor)
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930};
    use alloy_eips::eip2930::{AccessList, AccessListItem};
    use banyan_primitives::{Address, B256, Signature, TxKind, U256};

    use super::*;

    fn check(tx: impl Into<Transaction>, fork: Fork, expected: (u64, u64)) {
        let rules = Rules { fork, op: None, blobs: None };
        assert_eq!(intrinsic_and_floor(&tx.into(), &rules), expected, "{fork:?}");
    }

    fn signature() -> Signature {
        Signature::new(U256::from(1), U256::from(1), false)
    }

    fn call(input: Vec<u8>, to: TxKind) -> Transaction {
        let tx = TxEip1559 { input: input.into(), to, ..Default::default() };
        Transaction::Eip1559(tx.into_signed(signature()))
    }

    #[test]
    fn prices_follow_the_forks() {
        let to = TxKind::Call(Address::ZERO);
        check(call(vec![], to), Fork::London, (21_000, 0));
        check(call(vec![0, 0, 1], to), Fork::Petersburg, (21_000 + 8 + 68, 0));
        check(call(vec![0, 0, 1], to), Fork::London, (21_000 + 8 + 16, 0));
        check(call(vec![0, 0, 1], to), Fork::Prague, (21_024, 21_060));
        check(call(vec![1; 33], TxKind::Create), Fork::Frontier, (21_000 + 33 * 68, 0));
        check(call(vec![1; 33], TxKind::Create), Fork::London, (53_000 + 33 * 16, 0));
        check(call(vec![1; 33], TxKind::Create), Fork::Shanghai, (53_000 + 33 * 16 + 4, 0));
    }

    #[test]
    fn access_lists_cost_by_address_and_slot() {
        let item =
            AccessListItem { address: Address::ZERO, storage_keys: vec![B256::ZERO, B256::ZERO] };
        let access_list = AccessList(vec![item.clone(), item]);
        let to = TxKind::Call(Address::ZERO);
        let tx = TxEip2930 { access_list, to, ..Default::default() };
        let tx = Transaction::Eip2930(tx.into_signed(signature()));
        check(tx, Fork::London, (21_000 + 2 * 2_400 + 4 * 1_900, 0));
    }
}
