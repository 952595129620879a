//! Comparing what a program says with what the EVM did.

use banyan_primitives::{Address, HashMap, U256};

use super::{CallEnv, Effect, Outcome};

/// In what a claim differs from the outcome.
pub(super) fn difference(
    effect: &Effect,
    call: &CallEnv<'_>,
    outcome: &Outcome<'_>,
) -> Option<String> {
    if !outcome.success {
        return Some("status".into());
    }
    let gas_used = effect.gas_used(call);
    if gas_used != outcome.gas_used {
        return Some(format!("gas: {gas_used} for {}", outcome.gas_used));
    }
    if effect.logs != outcome.logs {
        return Some("logs".into());
    }
    let mut left: HashMap<(Address, U256), U256> =
        effect.writes.iter().map(|(account, slot, value)| ((*account, *slot), *value)).collect();
    for (address, account) in outcome.state {
        let changed = account.storage.iter().filter(|(_, slot)| slot.is_changed());
        for (slot, value) in changed {
            if left.remove(&(*address, *slot)) != Some(value.present_value) {
                return Some(format!("slot {slot} of {address}"));
            }
        }
        if let Some(what) = changed_besides(address, account, call) {
            return Some(format!("{what} of {address}"));
        }
    }
    left.keys().next().map(|(address, slot)| format!("slot {slot} of {address}"))
}

/// What changed of an account that no program changes.
fn changed_besides(
    address: &Address,
    account: &revm::state::Account,
    call: &CallEnv<'_>,
) -> Option<&'static str> {
    let (now, before) = (&account.info, &account.original_info);
    if account.is_selfdestructed() || account.is_created() || now.code_hash != before.code_hash {
        return Some("code");
    }
    if *address == call.caller || !account.is_touched() {
        return None;
    }
    if now.nonce != before.nonce {
        return Some("nonce");
    }
    // Those that fees go to are no matter of the call.
    if *address == call.block.beneficiary || address.as_slice()[..18] == OP_PREDEPLOYS {
        return None;
    }
    let received = if *address == call.target { call.value } else { U256::ZERO };
    (now.balance != before.balance.saturating_add(received)).then_some("balance")
}

/// First bytes of the addresses where OP chains collect fees.
const OP_PREDEPLOYS: [u8; 18] = {
    let mut prefix = [0; 18];
    prefix[0] = 0x42;
    prefix
};
