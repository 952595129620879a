//! The committer's ways around the EVM.

use banyan_chainspec::Rules;
use banyan_primitives::{Address, B256, SourceError, StateSource, Transaction, U256};
use revm::{context::BlockEnv, primitives::hardfork::SpecId};

use crate::{
    BlockContext, BlockExecutor,
    ahead::RunAhead,
    evm::{Attempt, Executed, block_env, op_spec_id, spec_id},
    l1_cost::Envelope,
    program::{Answer, CallEnv, Effect, Outcome, Watch},
    simple::{OpCosts, Simple},
};

/// What came of looking for a way around the EVM.
pub(crate) enum Shortcut {
    /// The transaction is executed.
    Taken(Executed),
    /// It is for the EVM; what is to be learnt from that.
    None(Option<Box<Watched>>),
}

/// A call for the EVM that the library wants to hear of.
pub(crate) struct Watched {
    watch: Watch,
    code_hash: B256,
}

/// What all calls of a block have in common.
pub(crate) struct Setting {
    spec: SpecId,
    chain_id: u64,
    block: BlockEnv,
}

impl Setting {
    pub(crate) fn new(chain_id: u64, rules: &Rules, context: &BlockContext) -> Self {
        let spec = match rules.op {
            None => spec_id(rules.fork),
            Some(fork) => op_spec_id(fork).into_eth_spec(),
        };
        Self { spec, chain_id, block: block_env(rules, context) }
    }

    /// The call of a simple transaction to code with this hash.
    pub(crate) fn call<'c>(
        &'c self,
        tx: &Simple<'c>,
        caller: Address,
        code_hash: B256,
    ) -> CallEnv<'c> {
        CallEnv {
            spec: self.spec,
            chain_id: self.chain_id,
            block: &self.block,
            caller,
            target: tx.to,
            code_hash,
            value: tx.value,
            input: tx.input,
            gas: tx.gas_limit - tx.intrinsic,
            intrinsic: tx.intrinsic,
            floor: tx.floor,
        }
    }
}

impl<'a, S: StateSource + 'a> BlockExecutor<'a, S> {
    /// Executes `tx` without the EVM, if that can be.
    pub(crate) fn shortcut(
        &mut self,
        tx: &Transaction,
        sender: Address,
        envelope: Option<&Envelope>,
        (ahead, index): (Option<(&RunAhead<'_, S>, u32)>, Option<u32>),
    ) -> Result<Shortcut, SourceError> {
        let Some(simple) = self.simple.as_ref().and_then(|rules| rules.read(tx)) else {
            return Ok(Shortcut::None(None));
        };
        if let Some((preparation, index)) = self.preparation.zip(index) {
            preparation.reached(index);
        }
        if simple.input.is_empty()
            && let Some(executed) = self.transfer(&simple, sender, envelope)?
        {
            self.stats.transfers += 1;
            self.show(ahead, &simple, sender, &[])?;
            return Ok(Shortcut::Taken(executed));
        }
        self.program(&simple, sender, envelope, (ahead, index))
    }

    fn transfer(
        &mut self,
        tx: &Simple<'_>,
        sender: Address,
        envelope: Option<&Envelope>,
    ) -> Result<Option<Executed>, SourceError> {
        let Some(rules) = &self.simple else { return Ok(None) };
        let most = self.machine.op_costs(envelope, tx.gas_limit)?;
        let costs = self.machine.op_costs_for(most, envelope, tx.intrinsic)?;
        let state = self.machine.state_mut();
        rules.transfer(state, tx, sender, costs.as_ref())
    }

    /// Executes the call of a contract whose program is known.
    fn program(
        &mut self,
        tx: &Simple<'_>,
        sender: Address,
        envelope: Option<&Envelope>,
        (ahead, index): (Option<(&RunAhead<'_, S>, u32)>, Option<u32>),
    ) -> Result<Shortcut, SourceError> {
        let evm = Ok(Shortcut::None(None));
        let Some(library) = self.library else { return evm };
        let target = self.machine.account(tx.to)?;
        let Some(code_hash) = target.filter(|it| it.has_code()).map(|it| it.code_hash) else {
            return evm;
        };
        let call = self.setting.call(tx, sender, code_hash);
        let Some(plan) = library.plan(&call) else { return evm };
        let most = self.machine.op_costs(envelope, tx.gas_limit)?;
        let state = self.machine.state_mut();
        let payer = state.account(sender).map_err(|error| error.0)?;
        if !payer.is_some_and(|payer| tx.is_payable(&payer, most.as_ref())) {
            return evm;
        }
        let prepared = self.preparation.zip(index);
        let prepared = prepared.and_then(|(preparation, index)| preparation.get(index));
        match library.follow(plan, &call, prepared, state, &mut self.scratch)? {
            Answer::Evm(watch) => {
                self.stats.program_misses += u64::from(watch.missed);
                self.stats.program_checks += u64::from(watch.claims() && !watch.missed);
                Ok(Shortcut::None(Some(Box::new(Watched { watch, code_hash }))))
            }
            Answer::Effect(effect) => {
                let gas_used = effect.gas_used(&call);
                let costs = self.machine.op_costs_for(most, envelope, gas_used)?;
                self.apply(tx, sender, (gas_used, costs), effect, ahead)
            }
        }
    }

    /// Does to the state what a program says.
    fn apply(
        &mut self,
        tx: &Simple<'_>,
        sender: Address,
        (gas_used, costs): (u64, Option<OpCosts>),
        effect: Effect,
        ahead: Option<(&RunAhead<'_, S>, u32)>,
    ) -> Result<Shortcut, SourceError> {
        let evm = Ok(Shortcut::None(None));
        let Some(rules) = &self.simple else { return evm };
        let state = self.machine.state_mut();
        let settled = rules.settle(state, tx, sender, gas_used, costs.as_ref())?;
        let Some(mut executed) = settled else { return evm };
        for (address, slot, value) in &effect.writes {
            state.set_slot(*address, *slot, *value).map_err(|error| error.0)?;
        }
        if let Some(log) = &mut state.log {
            log.program(&effect.accounts, &effect.reads);
        }
        executed.logs = effect.logs;
        self.stats.programs += 1;
        self.show(ahead, tx, sender, &effect.writes)?;
        Ok(Shortcut::Taken(executed))
    }

    /// Shows workers what was changed without the EVM.
    fn show(
        &mut self,
        ahead: Option<(&RunAhead<'_, S>, u32)>,
        tx: &Simple<'_>,
        sender: Address,
        writes: &[(Address, U256, U256)],
    ) -> Result<(), SourceError> {
        let Some((ahead, index)) = ahead else { return Ok(()) };
        let receiver = (!tx.value.is_zero()).then_some(tx.to);
        for address in [Some(sender), receiver].into_iter().flatten() {
            let account = self.machine.state_mut().account(address).map_err(|error| error.0)?;
            ahead.publish_account(index, address, account);
        }
        for (address, slot, value) in writes {
            ahead.publish_slot(index, *address, *slot, *value);
        }
        Ok(())
    }

    /// Tells the library what the EVM made of a call that it watches.
    pub(crate) fn learn(
        &self,
        watched: Option<Box<Watched>>,
        tx: &Transaction,
        sender: Address,
        Attempt { executed, changes, .. }: &Attempt,
    ) {
        let Some(watched) = watched.filter(|it| it.watch.claims()) else { return };
        let Watched { watch, code_hash } = *watched;
        let simple = self.simple.as_ref().and_then(|rules| rules.read(tx));
        let (Some(library), Some(tx)) = (self.library, simple) else { return };
        let outcome = Outcome {
            success: executed.success,
            gas_used: executed.gas_used,
            logs: &executed.logs,
            state: changes,
        };
        let call = self.setting.call(&tx, sender, code_hash);
        if let Some(mismatch) = library.learn(watch, &call, &outcome) {
            tracing::error!(block = self.context.number, "{mismatch}; it is off from now on");
        }
    }
}
