//! Plain transfers without the EVM: two balances, a nonce, and a receipt that is always the same.

use banyan_chainspec::{Fork, Rules};
use banyan_primitives::{
    AccountDiff, Address, SourceError, StateSource, Transaction, TransactionTrait, TxKind, U256,
};

use crate::{BlockContext, evm::Executed, fees::FeeAmounts, state::BlockState};

/// Gas of a transfer without calldata.
pub(crate) const TRANSFER_GAS: u64 = 21_000;
/// No valid transaction of a user has more gas since Osaka (EIP-7825). Those before may, rarely.
const GAS_LIMIT_CAP: u64 = 1 << 24;

/// What a user's transaction pays on an OP chain besides gas and value, wei.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OpCosts {
    /// L1 data fee.
    pub(crate) l1: U256,
    /// Operator fee for all of the gas limit: what must be there.
    pub(crate) operator_most: U256,
    /// Operator fee for the gas used.
    pub(crate) operator: U256,
}

/// When a transaction is a plain transfer, for one block.
#[derive(Debug)]
pub(crate) struct Transfers {
    chain_id: u64,
    base_fee: u64,
    access_lists: bool,
    dynamic_fees: bool,
}

/// A plain transfer as far as the transaction alone can tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    to: Address,
    value: U256,
    nonce: u64,
    /// Effective gas price, wei; at least the base fee.
    price: u128,
    /// The most that gas and value can cost, wei.
    most: U256,
}

impl Transfers {
    /// `None` under rules that make even a plain transfer special: before EIP-161 empty accounts
    /// come into being, Amsterdam logs transfers and prices state.
    pub(crate) fn new(chain_id: u64, rules: &Rules, context: &BlockContext) -> Option<Self> {
        let plain = rules.is(Fork::SpuriousDragon) && !rules.is(Fork::Amsterdam);
        plain.then(|| Self {
            chain_id,
            base_fee: context.base_fee.unwrap_or_default(),
            access_lists: rules.is(Fork::Berlin),
            dynamic_fees: rules.is(Fork::London),
        })
    }

    /// Reads `tx` as a plain transfer. `None` if it is none, or if it is faulty: the EVM has the
    /// words for that.
    pub(crate) fn read(&self, tx: &Transaction) -> Option<Transfer> {
        let TxKind::Call(to) = tx.kind() else { return None };
        let legal = match tx {
            Transaction::Legacy(_) => true,
            Transaction::Eip2930(_) => self.access_lists,
            Transaction::Eip1559(_) => self.dynamic_fees,
            _ => false,
        };
        let bare = tx.input().is_empty() && tx.access_list().is_none_or(|list| list.is_empty());
        let gas_limit = tx.gas_limit();
        if !legal || !bare || is_low(&to) || !(TRANSFER_GAS..=GAS_LIMIT_CAP).contains(&gas_limit) {
            return None;
        }
        let (max_fee, base_fee) = (tx.max_fee_per_gas(), u128::from(self.base_fee));
        let price = match tx.max_priority_fee_per_gas() {
            Some(tip) if tip > max_fee => return None,
            Some(tip) => max_fee.min(base_fee.saturating_add(tip)),
            None => max_fee,
        };
        let foreign = tx.chain_id().is_some_and(|id| id != self.chain_id);
        if foreign || price < base_fee || tx.nonce() == u64::MAX {
            return None;
        }
        let gas_cost = u128::from(gas_limit).checked_mul(max_fee)?;
        let value = tx.value();
        let most = U256::from(gas_cost).checked_add(value)?;
        Some(Transfer { to, value, nonce: tx.nonce(), price, most })
    }

    /// Executes the transfer. `None`, with nothing changed, if it is no plain one after all or
    /// cannot be executed.
    pub(crate) fn execute<S: StateSource>(
        &self,
        state: &mut BlockState<S>,
        transfer: &Transfer,
        sender: Address,
        op: Option<&OpCosts>,
    ) -> Result<Option<Executed>, SourceError> {
        let none = OpCosts::default();
        let costs = op.unwrap_or(&none);
        let gas_cost = U256::from(transfer.price) * U256::from(TRANSFER_GAS);
        let credited = match state.entry(transfer.to).map_err(|error| error.0)?.after {
            Some(account) if account.has_code() => return Ok(None),
            // EIP-161: an empty account that is touched ceases to exist.
            Some(account) if account.is_empty() && transfer.value.is_zero() => return Ok(None),
            account => account.unwrap_or_default().balance.checked_add(transfer.value),
        };
        let payer = state.entry(sender).map_err(|error| error.0)?;
        if credited.is_none() || !transfer.debit(payer, costs, gas_cost) {
            return Ok(None);
        }
        // A transfer of nothing touches nobody but the sender.
        if !transfer.value.is_zero() {
            let receiver = state.entry(transfer.to).map_err(|error| error.0)?;
            let mut account = receiver.after.unwrap_or_default();
            // Not what was computed above: sender and receiver may be one.
            account.balance += transfer.value;
            receiver.after = Some(account);
            state.watch(account.balance);
        }
        let base = U256::from(self.base_fee) * U256::from(TRANSFER_GAS);
        let fees = match op {
            None => [gas_cost - base, U256::ZERO, U256::ZERO, U256::ZERO],
            Some(costs) => [gas_cost - base, costs.l1, base, costs.operator],
        };
        Ok(Some(Executed {
            success: true,
            gas_used: TRANSFER_GAS,
            logs: Vec::new(),
            output: Default::default(),
            fees: Some(FeeAmounts(fees)),
        }))
    }
}

impl Transfer {
    /// Takes value and fees from the sender and raises its nonce; false, with nothing changed, if
    /// the sender may not send this.
    fn debit(&self, sender: &mut AccountDiff, costs: &OpCosts, gas_cost: U256) -> bool {
        let Some(account) = &mut sender.after else { return false };
        let upfront = costs.l1.saturating_add(costs.operator_most).checked_add(self.most);
        let affordable = upfront.is_some_and(|upfront| upfront <= account.balance);
        if account.has_code() || account.nonce != self.nonce || !affordable {
            return false;
        }
        let operator = costs.operator.min(costs.operator_most);
        account.balance -= self.value + gas_cost + costs.l1 + operator;
        account.nonce += 1;
        true
    }
}

/// Precompiled contracts live below 2^16; whatever else does may as well take the long way.
fn is_low(address: &Address) -> bool {
    address[..18].iter().all(|byte| *byte == 0)
}
