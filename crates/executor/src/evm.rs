//! The adapter: the only module (with `call` and `simulate`) that drives revm and op-revm.

use banyan_chainspec::{ChainSpec, Fork, OpFork, Rules};
use banyan_primitives::{
    Account, Address, Bytes, Log, SourceError, StateSource, Transaction, U256,
};
use op_revm::{
    L1BlockInfo, OpBuilder, OpEvm, OpSpecId, OpTransaction, OpTransactionError,
    constants::{BASE_FEE_RECIPIENT, L1_FEE_RECIPIENT, OPERATOR_FEE_RECIPIENT},
    handler::OpHandler,
    transaction::deposit::DEPOSIT_TRANSACTION_TYPE,
};
use revm::{
    Context, Journal, MainBuilder, MainnetEvm,
    context::{BlockEnv, CfgEnv, TxEnv},
    context_interface::{
        JournalTr, Transaction as _,
        block::BlobExcessGasAndPrice,
        result::{EVMError, ExecutionResult, InvalidTransaction},
    },
    handler::{
        EthFrame, EvmTr, Handler, MainnetHandler, SystemCallTx, instructions::EthInstructions,
    },
    interpreter::{Gas, interpreter::EthInterpreter},
    primitives::{eip4844::BLOB_BASE_FEE_UPDATE_FRACTION_CANCUN, hardfork::SpecId},
    state::EvmState,
};

use crate::{
    BlockContext, TxError,
    access_log::AccessLog,
    ahead::Snapshot,
    collision::Eip7610,
    fees::FeeAmounts,
    hooks,
    l1_cost::Envelope,
    op_precompiles::OpPrecompileSet,
    pay_later::{PayLater, effective_used, tip},
    simple::OpCosts,
    state::{BlockState, DbError},
    tx::{op_tx_env, tx_env},
    words,
};

/// revm's context over our state; `C` is what a handler keeps beside the transaction.
pub(crate) type EvmContext<S, T, SPEC, C> =
    Context<BlockEnv, T, CfgEnv<SPEC>, BlockState<S>, Journal<BlockState<S>>, C>;
type EthContext<S> = EvmContext<S, TxEnv, SpecId, ()>;
type OpContext<S> = EvmContext<S, OpTransaction<TxEnv>, OpSpecId, L1BlockInfo>;

/// A journal's table beyond this many accounts costs more to empty than to make anew.
const LARGE_TABLE: usize = 256;

/// Most blobs in one transaction since Osaka (EIP-7594).
const MAX_BLOBS_PER_TX: u64 = 6;

/// The EVM of either chain family, set up for one block.
pub(crate) enum Machine<'a, S: StateSource> {
    Eth(Box<EthEvm<'a, S>>),
    Op(Box<OptimismEvm<'a, S>>),
}

type EthEvm<'a, S> = Eip7610<'a, MainnetEvm<EthContext<S>>>;
type OptimismEvm<'a, S> = Eip7610<
    'a,
    OpEvm<OpContext<S>, (), EthInstructions<EthInterpreter, OpContext<S>>, OpPrecompileSet>,
>;
type Frame = EthFrame<EthInterpreter>;
type EthHandler<'a, S> = MainnetHandler<EthEvm<'a, S>, EVMError<DbError>, Frame>;
type OptimismHandler<'a, S> =
    OpHandler<OptimismEvm<'a, S>, EVMError<DbError, OpTransactionError>, Frame>;

/// How a transaction ended. Small, since it is handed from hand to hand.
#[derive(Clone, Debug)]
pub(crate) struct Executed {
    pub(crate) success: bool,
    pub(crate) gas_used: u64,
    pub(crate) logs: Vec<Log>,
}

/// A transaction executed whose changes are not in the state yet.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) executed: Executed,
    /// What the recipients of fees are still to get.
    pub(crate) fees: Option<FeeAmounts>,
    /// All that was read and written.
    pub(crate) changes: EvmState,
}

/// How a system call ended.
pub(crate) struct SystemOutcome {
    pub(crate) success: bool,
    pub(crate) output: Bytes,
}

/// Who pays the recipients of a transaction's fees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fees {
    /// revm, transaction by transaction: the oracle.
    Paid,
    /// The caller, later.
    Counted,
}

impl<'a, S: StateSource> Machine<'a, S> {
    pub(crate) fn new(
        spec: &'a ChainSpec,
        rules: &Rules,
        context: &BlockContext,
        state: BlockState<S>,
    ) -> Self {
        let block = block_env(rules, context);
        let alloc = &spec.alloc;
        match rules.op {
            None => {
                let cfg = cfg_env(spec_id(rules.fork), rules, spec.chain_id);
                let context: EthContext<S> = new_context(state, block, cfg);
                let mut evm = context.build_mainnet();
                hooks::remember_hashes(&mut evm.instruction);
                Self::Eth(Box::new(Eip7610 { evm, alloc }))
            }
            Some(fork) => {
                let fork = op_spec_id(fork);
                let cfg = cfg_env(fork, rules, spec.chain_id);
                let context: OpContext<S> = new_context(state, block, cfg);
                let mut evm = context.build_op().with_precompiles(OpPrecompileSet::new(fork));
                hooks::remember_hashes(&mut evm.0.instruction);
                Self::Op(Box::new(Eip7610 { evm, alloc }))
            }
        }
    }

    /// The state after the transactions so far.
    pub(crate) fn state_mut(&mut self) -> &mut BlockState<S> {
        match self {
            Self::Eth(evm) => &mut evm.ctx().journaled_state.database,
            Self::Op(evm) => &mut evm.ctx().journaled_state.database,
        }
    }

    /// What is touched, if that is kept.
    pub(crate) fn log(&mut self) -> Option<&mut AccessLog> {
        self.state_mut().log.as_deref_mut()
    }

    /// The accounts that every transaction pays, in the order of [`FeeAmounts`].
    pub(crate) fn fee_recipients(&self) -> Vec<Address> {
        match self {
            Self::Eth(evm) => vec![evm.ctx_ref().block.beneficiary],
            Self::Op(evm) => vec![
                evm.ctx_ref().block.beneficiary,
                L1_FEE_RECIPIENT,
                BASE_FEE_RECIPIENT,
                OPERATOR_FEE_RECIPIENT,
            ],
        }
    }

    /// An account as it is now.
    pub(crate) fn account(&mut self, address: Address) -> Result<Option<Account>, SourceError> {
        self.state_mut().account(address).map_err(|error| error.0)
    }

    /// Credits a transaction's fees; `None` if it pays none, or has paid.
    pub(crate) fn credit(&mut self, fees: Option<&FeeAmounts>) -> Result<(), SourceError> {
        self.state_mut().credit(fees).map_err(|error| error.0)
    }

    /// What a user's transaction pays on an OP chain besides gas and value, if it uses all of its
    /// gas; `None` on Ethereum.
    pub(crate) fn op_costs(
        &mut self,
        envelope: Option<&Envelope>,
        gas_limit: u64,
    ) -> Result<Option<OpCosts>, SourceError> {
        let (Self::Op(evm), Some(envelope)) = (self, envelope) else { return Ok(None) };
        let fork = evm.ctx().cfg.spec;
        let info = fetch_l1_info(evm)?;
        let l1 = envelope.l1_cost(info, fork);
        let operator = operator_fee(info, &envelope.encoded, fork, gas_limit);
        Ok(Some(OpCosts { l1, operator_most: operator, operator }))
    }

    /// The same costs of a transaction that has used so much gas.
    pub(crate) fn op_costs_for(
        &mut self,
        most: Option<OpCosts>,
        envelope: Option<&Envelope>,
        gas_used: u64,
    ) -> Result<Option<OpCosts>, SourceError> {
        let (Self::Op(evm), Some(envelope), Some(most)) = (self, envelope, most) else {
            return Ok(None);
        };
        let fork = evm.ctx().cfg.spec;
        let operator = operator_fee(fetch_l1_info(evm)?, &envelope.encoded, fork, gas_used);
        Ok(Some(OpCosts { operator, ..most }))
    }

    /// Executes a transaction; gives all that it read and wrote. The state is as before.
    ///
    /// revm could leave the changes of all transactions in its journal. That is faster, and wrong:
    /// its accounts remember more than a transaction may know (an authority that an earlier one
    /// touched counts as existing: 12,500 gas of refund, EIP-7702).
    pub(crate) fn attempt(
        &mut self,
        tx: &Transaction,
        sender: Address,
        envelope: Option<&Envelope>,
        fees: Fees,
    ) -> Result<Attempt, TxError> {
        let result = self.run(tx, sender, envelope, fees);
        let changes = self.take_changes();
        let (executed, fees) = result?;
        Ok(Attempt { executed, fees, changes })
    }

    /// The L1 attributes that hold for the rest of the block; `None` on Ethereum.
    pub(crate) fn l1_info(&mut self) -> Result<Option<L1BlockInfo>, SourceError> {
        match self {
            Self::Eth(_) => Ok(None),
            Self::Op(evm) => fetch_l1_info(evm).map(|info| Some(info.clone())),
        }
    }

    /// Reads the L1 attributes again for the next transaction: no user's has been executed yet.
    pub(crate) fn forget_l1_info(&mut self) {
        if let Self::Op(evm) = self {
            evm.ctx().chain.l2_block = None;
        }
    }

    /// Sets what [`Self::l1_info`] gave elsewhere.
    pub(crate) fn set_l1_info(&mut self, info: &L1BlockInfo) {
        if let Self::Op(evm) = self {
            evm.ctx().chain = info.clone();
        }
    }

    /// Executes a transaction on the state, whose changes stay in the journal.
    fn run(
        &mut self,
        tx: &Transaction,
        sender: Address,
        envelope: Option<&Envelope>,
        fees: Fees,
    ) -> Result<(Executed, Option<FeeAmounts>), TxError> {
        match self {
            Self::Eth(evm) => {
                evm.ctx().tx = tx_env(tx, sender);
                let result = match fees {
                    Fees::Paid => EthHandler::default().run(evm).map(|it| (it.into(), None)),
                    Fees::Counted => {
                        let mut handler = PayLater::new(EthHandler::default(), eth_fees);
                        let result = handler.run(evm);
                        result.map(|result| (result.into(), handler.fees()))
                    }
                };
                let (ctx, fee) = (evm.ctx_ref(), evm.ctx_ref().block.basefee);
                result.map_err(|error| tx_error(error, &ctx.tx, fee, Ok))
            }
            Self::Op(evm) => {
                // The oracle leaves that to op-revm.
                if let (Some(envelope), Fees::Counted) = (envelope, fees) {
                    let fork = evm.ctx().cfg.spec;
                    let info = fetch_l1_info(evm)?;
                    info.tx_l1_cost = Some(envelope.l1_cost(info, fork));
                }
                evm.ctx().tx = op_tx_env(tx, sender, envelope);
                // Deposits are not subject to EIP-7825, and revm would hold gas above the cap back.
                evm.ctx().cfg.tx_gas_limit_cap = tx.is_deposit().then_some(u64::MAX);
                let result = match fees {
                    Fees::Paid => OptimismHandler::new().run(evm).map(|it| (it.into(), None)),
                    Fees::Counted => {
                        let mut handler = PayLater::new(OptimismHandler::new(), op_fees);
                        let result = handler.run(evm);
                        result.map(|result| (result.into(), handler.fees()))
                    }
                };
                let (ctx, fee) = (evm.ctx_ref(), evm.ctx_ref().block.basefee);
                result.map_err(|error| tx_error(error, &ctx.tx, fee, op_invalid))
            }
        }
    }

    /// Calls a system contract as the protocol does: 30 Mgas, no fees, outside of the block's gas.
    pub(crate) fn system_call(
        &mut self,
        contract: Address,
        input: Bytes,
    ) -> Result<SystemOutcome, SourceError> {
        let result = match self {
            Self::Eth(evm) => {
                evm.ctx().tx = TxEnv::new_system_tx(contract, input);
                let result = EthHandler::default().run_system_call(evm);
                result.map(SystemOutcome::from).map_err(fault)
            }
            Self::Op(evm) => {
                evm.ctx().tx = OpTransaction::new_system_tx(contract, input);
                let result = OptimismHandler::new().run_system_call(evm);
                result.map(SystemOutcome::from).map_err(fault)
            }
        };
        let mut changes = self.take_changes();
        let outcome = result?;
        self.state_mut().commit(&mut changes);
        self.give_table(changes);
        Ok(outcome)
    }

    /// All that the last transaction read and wrote. The journal is empty afterwards.
    pub(crate) fn take_changes(&mut self) -> EvmState {
        match self {
            Self::Eth(evm) => evm.ctx().journaled_state.finalize(),
            Self::Op(evm) => evm.ctx().journaled_state.finalize(),
        }
    }

    /// Gives the journal an empty table to use again, unless it is too large to be worth it.
    pub(crate) fn give_table(&mut self, table: EvmState) {
        if table.capacity() > LARGE_TABLE {
            return;
        }
        match self {
            Self::Eth(evm) => evm.ctx().journaled_state.inner.state = table,
            Self::Op(evm) => evm.ctx().journaled_state.inner.state = table,
        }
    }
}

impl<S: StateSource> Machine<'_, Snapshot<'_, S>> {
    /// Makes executions end early whose result is of no use any more.
    pub(crate) fn stop_when_overtaken(&mut self) {
        match self {
            Self::Eth(evm) => hooks::stop_when_overtaken(&mut evm.evm.instruction),
            Self::Op(evm) => hooks::stop_when_overtaken(&mut evm.evm.0.instruction),
        }
    }
}

/// The L1 attributes that hold for the block: those stored when its first user's transaction runs.
fn fetch_l1_info<'e, S: StateSource>(
    evm: &'e mut OptimismEvm<'_, S>,
) -> Result<&'e mut L1BlockInfo, SourceError> {
    let context = evm.ctx();
    let number = context.block.number;
    if context.chain.l2_block != Some(number) {
        let state = &mut context.journaled_state.database;
        let info = L1BlockInfo::try_fetch(state, number, context.cfg.spec);
        context.chain = info.map_err(|error| error.0)?;
    }
    Ok(&mut context.chain)
}

/// The operator fee for so much gas; zero before Isthmus.
fn operator_fee(info: &L1BlockInfo, encoded: &[u8], fork: OpSpecId, gas: u64) -> U256 {
    match fork.is_enabled_in(OpSpecId::ISTHMUS) {
        true => info.operator_fee_charge(encoded, U256::from(gas), fork),
        false => U256::ZERO,
    }
}

/// What the recipients get from the transaction in the context of an Ethereum chain.
fn eth_fees<S: StateSource>(evm: &mut EthEvm<'_, S>, gas: &Gas) -> Option<FeeAmounts> {
    let mut fees = FeeAmounts::default();
    fees.0[0] = tip(evm.ctx_ref(), gas);
    Some(fees)
}

/// As [`eth_fees`], on an OP chain. Deposits pay nothing.
fn op_fees<S: StateSource>(evm: &mut OptimismEvm<'_, S>, gas: &Gas) -> Option<FeeAmounts> {
    if evm.ctx().tx.tx_type() == DEPOSIT_TRANSACTION_TYPE {
        return None;
    }
    let tip = tip(evm.ctx_ref(), gas);
    let context = evm.ctx();
    let (fork, used) = (context.cfg.spec, effective_used(gas));
    let base = U256::from(context.block.basefee) * U256::from(used);
    // Without it the transaction was refused before it was run.
    let encoded = context.tx.enveloped_tx.as_ref().map_or(&[][..], |bytes| bytes);
    let l1 = context.chain.calculate_tx_l1_cost(encoded, fork);
    let operator = operator_fee(&context.chain, encoded, fork, used);
    Some(FeeAmounts([tip, l1, base, operator]))
}

impl<H> From<ExecutionResult<H>> for Executed {
    fn from(result: ExecutionResult<H>) -> Self {
        let (success, gas_used) = (result.is_success(), result.tx_gas_used());
        let logs = match result {
            ExecutionResult::Success { logs, .. } => logs,
            // Logs of a failed transaction are not part of its receipt.
            ExecutionResult::Revert { .. } | ExecutionResult::Halt { .. } => Vec::new(),
        };
        Self { success, gas_used, logs }
    }
}

impl<H> From<ExecutionResult<H>> for SystemOutcome {
    fn from(result: ExecutionResult<H>) -> Self {
        let success = result.is_success();
        Self { success, output: result.into_output().unwrap_or_default() }
    }
}

pub(crate) fn new_context<S, T, SPEC, C>(
    state: BlockState<S>,
    block: BlockEnv,
    cfg: CfgEnv<SPEC>,
) -> EvmContext<S, T, SPEC, C>
where
    S: StateSource,
    T: revm::context_interface::Transaction + Default,
    SPEC: Into<SpecId> + Copy + Default,
    C: Default,
{
    EvmContext::<S, T, SPEC, C>::new(state, cfg.spec).with_block(block).with_cfg(cfg)
}

pub(crate) fn cfg_env<SPEC: Into<SpecId> + Copy>(
    spec: SPEC,
    rules: &Rules,
    chain_id: u64,
) -> CfgEnv<SPEC> {
    let mut cfg = CfgEnv::new_with_spec(spec).with_chain_id(chain_id).enable_tx_chain_id_check();
    cfg.enable_amsterdam_eip8037 = rules.is(Fork::Amsterdam);
    cfg.max_blobs_per_tx = rules.blobs.map(|blobs| match rules.is(Fork::Osaka) {
        true => blobs.max.min(MAX_BLOBS_PER_TX),
        false => blobs.max,
    });
    cfg
}

pub(crate) fn block_env(rules: &Rules, context: &BlockContext) -> BlockEnv {
    let fraction = rules
        .blobs
        .map_or(BLOB_BASE_FEE_UPDATE_FRACTION_CANCUN, |blobs| blobs.update_fraction.max(1));
    let excess = context.excess_blob_gas.unwrap_or_default();
    BlockEnv {
        number: U256::from(context.number),
        beneficiary: context.beneficiary,
        timestamp: U256::from(context.timestamp),
        gas_limit: context.gas_limit,
        basefee: context.base_fee.unwrap_or_default(),
        difficulty: context.difficulty,
        prevrandao: rules.is(Fork::Paris).then_some(context.prev_randao),
        blob_excess_gas_and_price: rules
            .is(Fork::Cancun)
            .then(|| BlobExcessGasAndPrice::new(excess, fraction)),
        slot_num: context.slot_number.unwrap_or_default(),
    }
}

/// Sorts revm's errors into the three families; `only_invalid` unwraps the chain family's type.
fn tx_error<E>(
    error: EVMError<DbError, E>,
    tx: &impl revm::context_interface::Transaction,
    base_fee: u64,
    only_invalid: impl FnOnce(E) -> Result<InvalidTransaction, String>,
) -> TxError
where
    E: std::fmt::Display,
{
    let EVMError::Transaction(invalid) = error else {
        return TxError::Source(fault(error));
    };
    match only_invalid(invalid) {
        Ok(InvalidTransaction::NonceTooLow { .. }) => TxError::NonceTooLow,
        Ok(invalid) => TxError::Invalid(words::invalid(&invalid, tx, base_fee)),
        Err(reason) => TxError::Invalid(reason),
    }
}

fn op_invalid(error: OpTransactionError) -> Result<InvalidTransaction, String> {
    match error {
        OpTransactionError::Base(invalid) => Ok(invalid),
        OpTransactionError::DepositSystemTxPostRegolith => Err("system tx not supported".into()),
        other => Err(other.to_string()),
    }
}

/// Everything that is neither a rule of the block nor of the transaction is ours.
pub(crate) fn fault<E: std::fmt::Display>(error: EVMError<DbError, E>) -> SourceError {
    match error {
        EVMError::Database(DbError(error)) => error,
        EVMError::Transaction(error) => SourceError::Fault(format!("EVM: {error}")),
        EVMError::Header(error) => SourceError::Fault(format!("EVM environment: {error}")),
        EVMError::Custom(error) => SourceError::Fault(format!("EVM: {error}")),
        EVMError::CustomAny(error) => SourceError::Fault(format!("EVM: {error}")),
    }
}

pub(crate) fn spec_id(fork: Fork) -> SpecId {
    match fork {
        Fork::Frontier => SpecId::FRONTIER,
        Fork::Homestead | Fork::DaoFork => SpecId::HOMESTEAD,
        Fork::Tangerine => SpecId::TANGERINE,
        Fork::SpuriousDragon => SpecId::SPURIOUS_DRAGON,
        Fork::Byzantium => SpecId::BYZANTIUM,
        Fork::Constantinople => SpecId::CONSTANTINOPLE,
        Fork::Petersburg => SpecId::PETERSBURG,
        Fork::Istanbul | Fork::MuirGlacier => SpecId::ISTANBUL,
        Fork::Berlin => SpecId::BERLIN,
        Fork::London | Fork::ArrowGlacier | Fork::GrayGlacier => SpecId::LONDON,
        Fork::Paris => SpecId::MERGE,
        Fork::Shanghai => SpecId::SHANGHAI,
        Fork::Cancun => SpecId::CANCUN,
        Fork::Prague => SpecId::PRAGUE,
        Fork::Osaka => SpecId::OSAKA,
        Fork::Amsterdam => SpecId::AMSTERDAM,
    }
}

pub(crate) fn op_spec_id(fork: OpFork) -> OpSpecId {
    match fork {
        OpFork::Bedrock => OpSpecId::BEDROCK,
        OpFork::Regolith => OpSpecId::REGOLITH,
        OpFork::Canyon | OpFork::Delta => OpSpecId::CANYON,
        OpFork::Ecotone => OpSpecId::ECOTONE,
        OpFork::Fjord => OpSpecId::FJORD,
        OpFork::Granite => OpSpecId::GRANITE,
        OpFork::Holocene => OpSpecId::HOLOCENE,
        OpFork::Isthmus => OpSpecId::ISTHMUS,
        OpFork::Jovian => OpSpecId::JOVIAN,
        OpFork::Karst => OpSpecId::KARST,
    }
}
