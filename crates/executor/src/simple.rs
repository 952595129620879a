//! Transactions that may go without the EVM: plain transfers, and calls of programs that are known.
//! Here is what their envelope costs and demands.

use banyan_chainspec::{Fork, Rules};
use banyan_primitives::{
    Account, Address, Bytes, SourceError, StateSource, Transaction, TransactionTrait, TxKind, U256,
};

use crate::{BlockContext, evm::Executed, fees::FeeAmounts, state::BlockState};

/// Gas of every transaction.
pub(crate) const TRANSACTION_GAS: u64 = 21_000;
/// Gas of a byte of calldata that is zero, and of others before and since Istanbul (EIP-2028).
const ZERO_BYTE_GAS: u64 = 4;
const BYTE_GAS_BEFORE: u64 = 68;
const BYTE_GAS: u64 = 16;
/// Least gas of a token of calldata (EIP-7623): a zero byte is one, any other is four.
const FLOOR_TOKEN_GAS: u64 = 10;
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

/// Which transactions are simple, for one block.
#[derive(Clone, Debug)]
pub(crate) struct SimpleRules {
    chain_id: u64,
    base_fee: u64,
    access_lists: bool,
    dynamic_fees: bool,
    byte_gas: u64,
    floor: bool,
}

/// A simple transaction, as far as it can be told without the state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Simple<'t> {
    pub(crate) to: Address,
    pub(crate) value: U256,
    pub(crate) input: &'t Bytes,
    pub(crate) gas_limit: u64,
    pub(crate) intrinsic: u64,
    /// Least gas that is charged (EIP-7623); zero before Prague.
    pub(crate) floor: u64,
    nonce: u64,
    /// Effective gas price, wei; at least the base fee.
    price: u128,
    /// The most that gas and value can cost, wei.
    most: U256,
}

impl SimpleRules {
    /// `None` under rules that make even a plain transfer special: before EIP-161 empty accounts
    /// come into being, Amsterdam logs transfers and prices state.
    pub(crate) fn new(chain_id: u64, rules: &Rules, context: &BlockContext) -> Option<Self> {
        let plain = rules.is(Fork::SpuriousDragon) && !rules.is(Fork::Amsterdam);
        plain.then(|| Self {
            chain_id,
            base_fee: context.base_fee.unwrap_or_default(),
            access_lists: rules.is(Fork::Berlin),
            dynamic_fees: rules.is(Fork::London),
            byte_gas: if rules.is(Fork::Istanbul) { BYTE_GAS } else { BYTE_GAS_BEFORE },
            floor: rules.is(Fork::Prague),
        })
    }

    /// Reads `tx` as a simple transaction. `None` if it is none, or if it is faulty: the EVM has
    /// the words for that.
    pub(crate) fn read<'t>(&self, tx: &'t Transaction) -> Option<Simple<'t>> {
        let TxKind::Call(to) = tx.kind() else { return None };
        let legal = match tx {
            Transaction::Legacy(_) => true,
            Transaction::Eip2930(_) => self.access_lists,
            Transaction::Eip1559(_) => self.dynamic_fees,
            _ => false,
        };
        if !legal || is_low(&to) || tx.access_list().is_some_and(|list| !list.is_empty()) {
            return None;
        }
        let (gas_limit, input) = (tx.gas_limit(), tx.input());
        let (intrinsic, floor) = self.calldata_gas(input);
        if gas_limit < intrinsic.max(floor) || gas_limit > GAS_LIMIT_CAP {
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
        let nonce = tx.nonce();
        Some(Simple { to, value, input, gas_limit, intrinsic, floor, nonce, price, most })
    }

    /// Intrinsic gas and floor of a transaction with this calldata.
    fn calldata_gas(&self, input: &[u8]) -> (u64, u64) {
        let floor_of =
            |tokens| if self.floor { TRANSACTION_GAS + FLOOR_TOKEN_GAS * tokens } else { 0 };
        if input.is_empty() {
            return (TRANSACTION_GAS, floor_of(0));
        }
        let zeros = input.iter().filter(|byte| **byte == 0).count() as u64;
        let others = input.len() as u64 - zeros;
        let intrinsic = TRANSACTION_GAS + ZERO_BYTE_GAS * zeros + self.byte_gas * others;
        (intrinsic, floor_of(zeros + 4 * others))
    }

    /// What gas costs and where that goes: all of it, wei, and to whom.
    fn fees(&self, price: u128, gas_used: u64, op: Option<&OpCosts>) -> (U256, FeeAmounts) {
        let gas = U256::from(gas_used);
        let (cost, base) = (U256::from(price) * gas, U256::from(self.base_fee) * gas);
        let to = match op {
            None => [cost - base, U256::ZERO, U256::ZERO, U256::ZERO],
            Some(op) => [cost - base, op.l1, base, op.operator],
        };
        (cost, FeeAmounts(to))
    }

    /// Executes a plain transfer. `None`, with nothing changed, if it is none after all, or one
    /// that cannot be executed.
    pub(crate) fn transfer<S: StateSource>(
        &self,
        state: &mut BlockState<S>,
        tx: &Simple<'_>,
        sender: Address,
        op: Option<&OpCosts>,
    ) -> Result<Option<Executed>, SourceError> {
        let is_plain = |receiver: &Option<Account>| match receiver {
            Some(account) if account.has_code() => false,
            // EIP-161: an empty account that is touched ceases to exist.
            Some(account) if account.is_empty() && tx.value.is_zero() => false,
            _ => true,
        };
        self.move_funds(state, tx, sender, (TRANSACTION_GAS, op), is_plain)
    }

    /// Nonce, fees and value of a transaction that succeeded with `gas_used`. `None`, with nothing
    /// changed, if the sender may not send it.
    pub(crate) fn settle<S: StateSource>(
        &self,
        state: &mut BlockState<S>,
        tx: &Simple<'_>,
        sender: Address,
        gas_used: u64,
        op: Option<&OpCosts>,
    ) -> Result<Option<Executed>, SourceError> {
        self.move_funds(state, tx, sender, (gas_used, op), |_| true)
    }

    /// As [`Self::settle`], if the receiver `suits`. Each account is looked up once.
    fn move_funds<S: StateSource>(
        &self,
        state: &mut BlockState<S>,
        tx: &Simple<'_>,
        sender: Address,
        (gas_used, op): (u64, Option<&OpCosts>),
        suits: impl Fn(&Option<Account>) -> bool,
    ) -> Result<Option<Executed>, SourceError> {
        let to_self = sender == tx.to;
        let mut received = None;
        if !to_self {
            let receiver = state.entry(tx.to).map_err(|error| error.0)?;
            let before = receiver.after;
            let Some(balance) = before.unwrap_or_default().balance.checked_add(tx.value) else {
                return Ok(None);
            };
            if !suits(&before) {
                return Ok(None);
            }
            // A transfer of nothing changes nobody but the sender.
            if !tx.value.is_zero() {
                receiver.after = Some(Account { balance, ..before.unwrap_or_default() });
            }
            received = Some((before, receiver.after));
        }
        let payer = state.entry(sender).map_err(|error| error.0)?;
        let payable = payer.after.filter(|account| tx.is_payable(account, op));
        let Some(account) = payable.filter(|_| !to_self || suits(&payer.after)) else {
            if let Some((before, _)) = received {
                state.entry(tx.to).map_err(|error| error.0)?.after = before;
            }
            return Ok(None);
        };
        let (cost, fees) = self.fees(tx.price, gas_used, op);
        let op_cost = op.map_or(U256::ZERO, |op| op.l1 + op.operator.min(op.operator_most));
        let value = if to_self { U256::ZERO } else { tx.value };
        let balance = account.balance - value - cost - op_cost;
        let paid = Account { balance, nonce: account.nonce + 1, ..account };
        payer.after = Some(paid);
        if let Some((_, Some(after))) = &received {
            state.watch(after.balance);
        }
        if let Some(log) = &mut state.log {
            if let Some((before, after)) = &received {
                log.change(tx.to, &before.unwrap_or_default(), &after.unwrap_or_default());
            }
            log.change(sender, &account, &paid);
        }
        state.credit(Some(&fees)).map_err(|error| error.0)?;
        Ok(Some(Executed { success: true, gas_used, logs: Vec::new() }))
    }
}

impl Simple<'_> {
    /// True if `sender` may send this and can pay for it.
    pub(crate) fn is_payable(&self, sender: &Account, op: Option<&OpCosts>) -> bool {
        let none = OpCosts::default();
        let op = op.unwrap_or(&none);
        let most = op.l1.saturating_add(op.operator_most).checked_add(self.most);
        let affordable = most.is_some_and(|most| most <= sender.balance);
        affordable && !sender.has_code() && sender.nonce == self.nonce
    }
}

/// Precompiled contracts live below 2^16; whatever else does may as well take the long way.
fn is_low(address: &Address) -> bool {
    address[..18].iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(byte_gas: u64, floor: bool) -> SimpleRules {
        let (access_lists, dynamic_fees) = (true, true);
        SimpleRules { chain_id: 1, base_fee: 7, access_lists, dynamic_fees, byte_gas, floor }
    }

    #[test]
    fn calldata_costs_by_byte_and_not_less_than_the_floor() {
        assert_eq!(rules(BYTE_GAS, false).calldata_gas(&[]), (21_000, 0));
        assert_eq!(rules(BYTE_GAS, true).calldata_gas(&[]), (21_000, 21_000));
        assert_eq!(rules(BYTE_GAS, true).calldata_gas(&[0, 1, 2]), (21_036, 21_090));
        assert_eq!(rules(BYTE_GAS_BEFORE, false).calldata_gas(&[0, 1]), (21_072, 0));
    }

    #[test]
    fn fees_go_to_beneficiary_and_vaults() {
        let op =
            OpCosts { l1: U256::from(5), operator_most: U256::from(9), operator: U256::from(3) };
        let (cost, fees) = rules(BYTE_GAS, false).fees(10, 100, Some(&op));
        assert_eq!(cost, U256::from(1000));
        assert_eq!(fees.0, [300, 5, 700, 3].map(U256::from));
    }
}
