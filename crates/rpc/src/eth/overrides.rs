//! State and block overrides of `eth_call` and `eth_estimateGas`, in geth's form.

use std::collections::BTreeMap;

use banyan_executor::{BlockContext, StateOverrides};
use banyan_primitives::{
    Account, Address, B256, Bytes, HashMap, HashSet, KECCAK_EMPTY, StateSource, U256, keccak256,
};
use serde::Deserialize;

use crate::{
    error::{RpcError, RpcResult},
    quantity::{Big, Quantity, Wide},
};

/// Overrides by address.
pub(super) type RpcStateOverrides = BTreeMap<Address, AccountOverride>;

/// What to pretend about an account.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AccountOverride {
    nonce: Option<Quantity>,
    code: Option<Bytes>,
    balance: Option<Big>,
    /// Whole storage.
    state: Option<BTreeMap<B256, B256>>,
    /// Single slots.
    state_diff: Option<BTreeMap<B256, B256>>,
    move_precompile_to_address: Option<Address>,
}

/// What to pretend about the block.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct BlockOverrides {
    number: Option<Quantity>,
    difficulty: Option<Big>,
    time: Option<Quantity>,
    gas_limit: Option<Quantity>,
    fee_recipient: Option<Address>,
    prev_randao: Option<B256>,
    base_fee_per_gas: Option<Quantity>,
    blob_base_fee: Option<Wide>,
}

/// Lays `wanted` over the accounts of `state`, where there are precompiles at `precompiles`.
pub(super) fn state_overrides<S: StateSource>(
    state: &S,
    wanted: &RpcStateOverrides,
    precompiles: &HashSet<Address>,
) -> RpcResult<StateOverrides> {
    let mut overrides = StateOverrides::default();
    for (&address, account) in wanted {
        if let Some(to) = account.move_precompile_to_address {
            if !precompiles.contains(&address) {
                return Err(RpcError::server(format!("account {address} is not a precompile")));
            }
            if wanted.contains_key(&to) || overrides.moved_precompiles.contains_key(&to) {
                return Err(RpcError::server(format!("account {to} is already overridden")));
            }
            overrides.moved_precompiles.insert(to, address);
        }
        // Whoever writes over a precompile does without it.
        if precompiles.contains(&address) {
            overrides.hidden_precompiles.insert(address);
        }
        account.apply(state, address, &mut overrides)?;
    }
    Ok(overrides)
}

impl AccountOverride {
    fn apply<S: StateSource>(
        &self,
        state: &S,
        address: Address,
        overrides: &mut StateOverrides,
    ) -> RpcResult<()> {
        if self.nonce.is_some() || self.code.is_some() || self.balance.is_some() {
            let before = state.account(&address)?.unwrap_or_default();
            overrides.accounts.insert(address, self.account(before));
        }
        if let Some(code) = self.code.as_ref().filter(|code| !code.is_empty()) {
            overrides.codes.insert(keccak256(code), code.clone());
        }
        match (&self.state, &self.state_diff) {
            (Some(_), Some(_)) => {
                Err(RpcError::server(format!("account {address} has both 'state' and 'stateDiff'")))
            }
            (Some(slots), None) => {
                overrides.storage.insert(address, to_slots(slots));
                Ok(())
            }
            (None, Some(slots)) => {
                overrides.storage_diff.insert(address, to_slots(slots));
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }

    fn account(&self, before: Account) -> Account {
        let code_hash = |code: &Bytes| if code.is_empty() { KECCAK_EMPTY } else { keccak256(code) };
        Account {
            nonce: self.nonce.map_or(before.nonce, |nonce| nonce.0),
            balance: self.balance.map_or(before.balance, |balance| balance.0),
            code_hash: self.code.as_ref().map_or(before.code_hash, code_hash),
        }
    }
}

fn to_slots(slots: &BTreeMap<B256, B256>) -> HashMap<U256, U256> {
    slots.iter().map(|(slot, value)| ((*slot).into(), (*value).into())).collect()
}

impl BlockOverrides {
    /// Blob base fee, wei, if it is not to be the block's.
    pub(super) fn blob_base_fee(&self) -> Option<u128> {
        self.blob_base_fee.map(|fee| fee.0)
    }

    /// Changes `context` as wanted.
    pub(super) fn apply(&self, context: &mut BlockContext) {
        if let Some(number) = self.number {
            context.number = number.0;
        }
        if let Some(difficulty) = self.difficulty {
            context.difficulty = difficulty.0;
        }
        if let Some(time) = self.time {
            context.timestamp = time.0;
        }
        if let Some(gas_limit) = self.gas_limit {
            context.gas_limit = gas_limit.0;
        }
        if let Some(fee_recipient) = self.fee_recipient {
            context.beneficiary = fee_recipient;
        }
        if let Some(prev_randao) = self.prev_randao {
            context.prev_randao = prev_randao;
        }
        if let Some(base_fee) = self.base_fee_per_gas {
            context.base_fee = Some(base_fee.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use banyan_primitives::SourceError;
    use serde_json::json;

    use super::*;

    /// Every account has nonce 5 and balance 7.
    struct Fixed;

    impl StateSource for Fixed {
        fn account(&self, _: &Address) -> Result<Option<Account>, SourceError> {
            Ok(Some(Account { nonce: 5, balance: U256::from(7), code_hash: KECCAK_EMPTY }))
        }
        fn storage(&self, _: &Address, _: U256) -> Result<U256, SourceError> {
            Ok(U256::ZERO)
        }
        fn code(&self, _: &B256) -> Result<Bytes, SourceError> {
            Ok(Bytes::new())
        }
        fn block_hash(&self, _: u64) -> Result<B256, SourceError> {
            Ok(B256::ZERO)
        }
    }

    const PRECOMPILE: Address = Address::with_last_byte(4);

    fn overrides(json: serde_json::Value) -> RpcResult<StateOverrides> {
        let wanted = BTreeMap::from([(Address::ZERO, serde_json::from_value(json).unwrap())]);
        state_overrides(&Fixed, &wanted, &HashSet::from_iter([PRECOMPILE]))
    }

    #[test]
    fn what_is_not_overridden_stays() {
        let found = overrides(json!({"balance": "0x9", "code": "0x6001"})).unwrap();
        let account = found.accounts[&Address::ZERO];
        assert_eq!((account.nonce, account.balance), (5, U256::from(9)));
        assert_eq!(found.codes[&account.code_hash], Bytes::from_static(&[0x60, 0x01]));
    }

    #[test]
    fn storage_is_replaced_or_patched_but_not_both() {
        let slots = json!({ B256::with_last_byte(1).to_string(): B256::with_last_byte(2) });
        let expected = HashMap::from_iter([(U256::from(1), U256::from(2))]);
        let found = overrides(json!({"state": slots})).unwrap();
        assert_eq!(found.storage[&Address::ZERO], expected);
        assert!(found.accounts.is_empty());
        let found = overrides(json!({"stateDiff": slots})).unwrap();
        assert_eq!(found.storage_diff[&Address::ZERO], expected);
        assert!(overrides(json!({"state": slots, "stateDiff": slots})).is_err());
    }

    #[test]
    fn precompiles_are_moved_and_written_over() {
        let elsewhere = Address::repeat_byte(9);
        let read = |json: serde_json::Value| {
            let wanted = serde_json::from_value(json).unwrap();
            state_overrides(&Fixed, &wanted, &HashSet::from_iter([PRECOMPILE]))
        };
        let precompile = PRECOMPILE.to_string();
        let to = json!({"movePrecompileToAddress": elsewhere});
        let found = read(json!({ precompile.as_str(): to })).unwrap();
        assert_eq!(found.moved_precompiles[&elsewhere], PRECOMPILE);
        assert!(found.hidden_precompiles.contains(&PRECOMPILE));
        let found = read(json!({ precompile.as_str(): {"balance": "0x1"} })).unwrap();
        assert!(found.hidden_precompiles.contains(&PRECOMPILE));
        let taken = json!({ precompile.as_str(): to, elsewhere.to_string(): {"balance": "0x1"} });
        assert_eq!(
            read(taken).unwrap_err().message,
            format!("account {elsewhere} is already overridden")
        );
        let none = Address::ZERO;
        let error = read(json!({ none.to_string(): to })).unwrap_err();
        assert_eq!(error.message, format!("account {none} is not a precompile"));
    }
}
