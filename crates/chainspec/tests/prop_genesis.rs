//! Properties of genesis reading: the lexical form of a number does not matter, and no input panics.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may panic

use banyan_chainspec::ChainSpec;
use banyan_primitives::{Address, U256};
use proptest::prelude::*;

fn file(address: &str, balance: &str, slot: &str, value: &str) -> String {
    format!(
        r#"{{"config": {{"chainId": 1}}, "gasLimit": "0x1388", "difficulty": 1, "alloc": {{
            "{address}": {{"balance": {balance}, "storage": {{"{slot}": "{value}"}}}}
        }}}}"#
    )
}

proptest! {
    #[test]
    fn every_form_of_a_number_reads_the_same(
        address: [u8; 20], balance: [u64; 4], slot: u64, value in 1u64..
    ) {
        let address = Address::from(address);
        let balance = U256::from_limbs(balance);
        let plain = format!("{address:x}");
        let prefixed = format!("0x{plain}");
        let files = [
            file(&prefixed, &format!("\"{balance:#x}\""), &format!("{slot:#x}"), &format!("{value:#066x}")),
            file(&plain, &format!("\"{balance}\""), &format!("{slot:064x}"), &format!("{value:x}")),
            file(&plain, &balance.to_string(), &format!("{slot:#066x}"), &format!("{value:#x}")),
        ];
        let specs = files.map(|json| ChainSpec::from_genesis_json(&json).unwrap());
        let account = &specs[0].alloc[&address];
        prop_assert_eq!(account.balance, balance);
        prop_assert_eq!(account.storage.get(&U256::from(slot)), Some(&U256::from(value)));
        for spec in &specs[1..] {
            prop_assert_eq!(&spec.alloc, &specs[0].alloc);
            prop_assert_eq!(&spec.genesis_header, &specs[0].genesis_header);
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_or_a_chain_but_never_a_panic(at in 0usize..400, with: char) {
        let mut json = file("00", "18446744073709551616", "0x0", "1");
        let at = (0..=at.min(json.len())).rev().find(|at| json.is_char_boundary(*at)).unwrap();
        json.insert(at, with);
        let _ = ChainSpec::from_genesis_json(&json);
        let _ = ChainSpec::from_genesis_json(&json[..at]);
    }
}
