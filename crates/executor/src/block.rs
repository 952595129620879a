mod whole;

use std::sync::Arc;

use banyan_chainspec::{ChainSpec, Fork, OpFork, Rules};
use banyan_primitives::{
    Address, B256, Header, Receipt, Requests, SourceError, StateDiff, StateSource, Transaction,
    TransactionTrait, TxType, Withdrawal,
};

use crate::{
    BlockAccesses, BlockContext, Committed, ExecutionError, ExecutionStats, TxError,
    access_log::{Mark, Written},
    ahead::{Certainty, Entry, RunAhead, Scout, Work},
    evm::{Attempt, Executed, Fees, Machine},
    executor::Knowledge,
    l1_cost::{DaScalar, Envelope},
    prepare::Preparation,
    program::{Library, Scratch},
    shortcuts::{Setting, Shortcut},
    simple::SimpleRules,
    state::BlockState,
    system,
};

pub(crate) use self::whole::execute_with;
pub use self::whole::{execute_block, execute_block_with_roots};

/// Blob gas of one blob (EIP-4844).
const GAS_PER_BLOB: u64 = 1 << 17;

/// Transactions after which an observer is called.
const BATCH: usize = 64;

/// `depositReceiptVersion` since Canyon.
const CANYON_RECEIPT_VERSION: u64 = 1;

/// Is shown what was committed, while the block still runs.
pub type Observer<'a> = dyn FnMut(Committed<'_>) + 'a;

/// Computes the state root after the changes so far, for receipts before Byzantium.
pub type StateRootFn<'a> = dyn FnMut(&StateDiff) -> Result<B256, SourceError> + 'a;

/// What a block did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockOutput {
    /// Receipts in order.
    pub receipts: Vec<Receipt>,
    /// Gas used by all transactions.
    pub gas_used: u64,
    /// Blob gas used; on OP chains the DA footprint since Jovian, else zero.
    pub blob_gas_used: u64,
    /// Requests (EIP-7685); `None` before Prague and on OP chains before Isthmus (empty after).
    pub requests: Option<Requests>,
    /// State changes.
    pub diff: StateDiff,
}

/// What one transaction did (its state changes are inside the executor).
#[derive(Clone, Debug)]
pub struct TxOutcome {
    /// Gas used.
    pub gas_used: u64,
    /// Whether execution succeeded.
    pub success: bool,
    /// What the beneficiary earns, wei per gas (effective tip).
    pub effective_tip: u128,
    /// Estimated compressed size (OP, Fjord's FastLZ estimate, bytes); zero for deposits and on Ethereum.
    pub da_size: u64,
}

/// How a transaction will probably be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// By the EVM: other threads can do that ahead.
    Evm,
    /// By the committer, as a plain transfer.
    Transfer,
    /// By the committer, as a program: of the contract with this code.
    Program(Address, B256),
}

/// Executes a block step by step: `new` → `begin` → `execute`* → `finish`.
#[allow(missing_debug_implementations)]
pub struct BlockExecutor<'a, S: StateSource> {
    pub(crate) spec: &'a ChainSpec,
    rules: Rules,
    pub(crate) context: BlockContext,
    pub(crate) machine: Machine<'a, S>,
    receipts: Vec<Receipt>,
    gas_used: u64,
    blob_gas_used: u64,
    da_scalar: DaScalar,
    fees: Fees,
    /// Set if simple transactions may go without the EVM.
    pub(crate) simple: Option<SimpleRules>,
    pub(crate) setting: Setting,
    pub(crate) library: Option<&'a Library>,
    knowledge: Option<&'a Knowledge>,
    /// What uses less gas in the EVM is not worth a worker.
    light_gas: u64,
    pub(crate) scratch: Scratch,
    ahead: Option<&'a RunAhead<'a, S>>,
    /// Executes something ahead, for when the next transaction is under way elsewhere.
    scout: Option<Box<dyn FnMut() -> bool + 'a>>,
    pub(crate) preparation: Option<&'a Preparation<'a, S>>,
    pub(crate) stats: ExecutionStats,
}

impl<'a, S: StateSource + 'a> BlockExecutor<'a, S> {
    /// Starts on the parent's state: every transaction will go through the EVM.
    pub fn new(spec: &'a ChainSpec, context: BlockContext, source: S) -> Self {
        let rules = context.rules(spec);
        let machine = Machine::new(spec, &rules, &context, BlockState::new(source));
        Self {
            fees: Fees::Paid,
            simple: None,
            setting: Setting::new(spec.chain_id, &rules, &context),
            library: None,
            knowledge: None,
            light_gas: 0,
            scratch: Scratch::default(),
            ahead: None,
            scout: None,
            preparation: None,
            stats: ExecutionStats::default(),
            spec,
            rules,
            context,
            machine,
            receipts: Vec::new(),
            gas_used: 0,
            blob_gas_used: 0,
            da_scalar: DaScalar::default(),
        }
    }

    /// As [`Self::new`], with the shortcuts that need no other thread: fees as counters, plain
    /// transfers without the EVM.
    pub(crate) fn with_shortcuts(
        spec: &'a ChainSpec,
        context: BlockContext,
        source: S,
    ) -> Result<Self, SourceError> {
        let mut executor = Self::new(spec, context, source);
        executor.simple = SimpleRules::new(spec.chain_id, &executor.rules, &executor.context);
        if executor.simple.is_some() {
            let recipients = executor.machine.fee_recipients();
            let state = executor.machine.state_mut();
            state.count_fees(&recipients).map_err(|error| error.0)?;
            executor.fees = Fees::Counted;
        }
        Ok(executor)
    }

    /// Keeps what is touched from now on, if that `is_wanted`.
    pub(crate) fn recorded(mut self, is_wanted: bool) -> Result<Self, SourceError> {
        if is_wanted {
            self.machine.state_mut().record().map_err(|error| error.0)?;
            self.scratch.keeps_reads = true;
        }
        Ok(self)
    }

    /// Shares with other blocks what does not depend on the block.
    pub(crate) fn with_knowledge(mut self, knowledge: &'a Knowledge) -> Self {
        self.machine.state_mut().share_codes(knowledge.codes.clone());
        self.knowledge = Some(knowledge);
        if self.simple.is_some() {
            self.library = Some(&knowledge.library);
        }
        self
    }

    /// Leaves to the workers what uses more gas in the EVM than this.
    pub(crate) fn with_light_gas(mut self, gas: u64) -> Self {
        self.light_gas = gas;
        self
    }

    /// Takes what workers leave in `ahead`.
    pub(crate) fn with_ahead(mut self, ahead: &'a RunAhead<'a, S>) -> Self {
        // Fees that revm pays would be read by every transaction.
        self.ahead = (self.fees == Fees::Counted).then_some(ahead);
        self
    }

    /// Uses what workers prepare.
    pub(crate) fn with_preparation(mut self, preparation: &'a Preparation<'a, S>) -> Self {
        self.preparation = Some(preparation);
        self
    }

    /// How the transactions so far were executed.
    pub fn stats(&self) -> ExecutionStats {
        let run_ahead = self.ahead.map_or(0, RunAhead::attempts);
        ExecutionStats { run_ahead, ..self.stats }
    }

    /// Makes room for the receipts and accounts of so many transactions.
    pub fn reserve(&mut self, transactions: usize) {
        self.receipts.reserve(transactions);
        if let Some(log) = self.machine.log() {
            log.reserve(transactions);
        }
        // Sender and receiver.
        self.machine.state_mut().reserve(2 * transactions + 8);
    }

    /// Names transactions that will probably be executed next, in this order, so that workers can
    /// run ahead. They need not be: any may be left out, others may come between.
    pub fn offer(&mut self, candidates: Vec<(Transaction, Address)>) {
        self.receipts.reserve(candidates.len());
        if let Some(ahead) = self.ahead {
            ahead.offer(candidates.into_iter().map(|(tx, sender)| {
                let class = self.classify(&tx);
                let (work, _) = self.work(&tx, class);
                (tx, sender, work)
            }));
        }
    }

    /// System calls and irregular state changes that come before the transactions (EIP-2935, 4788,
    /// the DAO fork, Canyon's create2 deployer).
    pub fn begin(&mut self) -> Result<(), ExecutionError> {
        system::open_block(&mut self.machine, self.spec, &self.rules, &self.context)?;
        if let Some(log) = self.machine.log() {
            log.next();
        }
        Ok(())
    }

    /// Executes one transaction. On an error nothing has changed.
    pub fn execute(&mut self, tx: &Transaction, sender: Address) -> Result<TxOutcome, TxError> {
        let index = self.ahead.and_then(|ahead| ahead.find(tx, sender));
        self.execute_offered(tx, sender, index)
    }

    /// As [`Self::execute`], for the transaction offered as number `index`.
    fn execute_offered(
        &mut self,
        tx: &Transaction,
        sender: Address,
        index: Option<u32>,
    ) -> Result<TxOutcome, TxError> {
        self.check_type(tx)?;
        let blob_gas = self.check_fits(tx)?;
        let entry = self.ahead.zip(index).and_then(|(ahead, index)| ahead.entry(index));
        let charged = self.rules.op.is_some() && !tx.is_deposit();
        let own = (charged && entry.is_none()).then(|| Envelope::new(tx));
        let shared = entry.as_ref().filter(|_| charged).map(|entry| entry.envelope());
        let envelope = shared.or(own.as_ref());
        let da_size = envelope.map_or(0, Envelope::da_size);
        let da_scalar = self.da_scalar_after(tx);
        let footprint = self.check_da_footprint(da_scalar, da_size)?;
        let deposit_nonce = self.deposit_nonce(tx, sender)?;

        self.open_ahead(tx)?;
        let place = self.ahead.zip(index);
        let executed = match self.run(tx, sender, envelope, (index, entry.as_deref())) {
            Ok(executed) => executed,
            Err(error) => {
                // A refused transaction leaves nothing behind, not even what was read for it.
                if self.receipts.iter().all(|receipt| receipt.tx_type == TxType::Deposit) {
                    self.machine.forget_l1_info();
                }
                return Err(error);
            }
        };
        if let Some((ahead, index)) = place {
            ahead.close(index, entry.as_deref());
        }
        if let Some(log) = self.machine.log() {
            log.next();
        }

        let gas_used = self.counted_gas(tx, &executed);
        self.gas_used += gas_used;
        self.blob_gas_used += blob_gas + footprint;
        self.da_scalar = da_scalar;
        self.stats.transactions += 1;
        let success = executed.success;
        self.receipts.push(Receipt {
            tx_type: tx.tx_type(),
            success,
            post_state: None,
            cumulative_gas_used: self.gas_used,
            logs: executed.logs,
            deposit_nonce,
            deposit_receipt_version: (deposit_nonce.is_some() && self.rules.is_op(OpFork::Canyon))
                .then_some(CANYON_RECEIPT_VERSION),
        });
        let base_fee = self.context.base_fee.unwrap_or_default();
        let effective_tip = match tx.is_deposit() {
            true => 0,
            false => tx.effective_tip_per_gas(base_fee).unwrap_or_default(),
        };
        Ok(TxOutcome { gas_used, success, effective_tip, da_size })
    }

    /// How `tx` will probably be executed, as far as the state so far tells.
    pub(crate) fn classify(&mut self, tx: &Transaction) -> Class {
        let simple = self.simple.as_ref().and_then(|rules| rules.read(tx));
        let Some(simple) = simple.filter(|_| !tx.is_deposit()) else { return Class::Evm };
        if simple.input.is_empty() {
            // Few transfers go to contracts; it is not worth to look them all up.
            return Class::Transfer;
        }
        let (Some(library), Ok(Some(target))) = (self.library, self.machine.account(simple.to))
        else {
            return Class::Evm;
        };
        let call = self.setting.call(&simple, Address::ZERO, target.code_hash);
        match target.has_code() && library.trusts(&call) {
            true => Class::Program(simple.to, target.code_hash),
            false => Class::Evm,
        }
    }

    /// Who should execute a transaction of this class, and the gas that it will probably use in the
    /// EVM beyond what any transaction costs.
    pub(crate) fn work(&self, tx: &Transaction, class: Class) -> (Work, u64) {
        if class != Class::Evm {
            return (Work::Cheap, 0);
        }
        let gas = self.knowledge.map_or(0, |knowledge| knowledge.expected_gas(tx));
        (if gas < self.light_gas || tx.is_deposit() { Work::Light } else { Work::Job }, gas)
    }

    /// Lets the workers begin, once the transactions that set the scene are through: the deposits.
    fn open_ahead(&mut self, tx: &Transaction) -> Result<(), SourceError> {
        if tx.is_deposit() {
            // One that comes after users' may change what workers take for given.
            self.ahead = self.ahead.filter(|ahead| !ahead.is_open());
            return Ok(());
        }
        let Some(ahead) = self.ahead.filter(|ahead| !ahead.is_open()) else { return Ok(()) };
        let info = self.machine.l1_info()?;
        ahead.open(&self.machine.state_mut().diff()?, info.as_ref());
        Ok(())
    }

    /// The transaction itself, by the shortest way there is.
    fn run(
        &mut self,
        tx: &Transaction,
        sender: Address,
        envelope: Option<&Envelope>,
        (index, entry): (Option<u32>, Option<&Entry>),
    ) -> Result<Executed, TxError> {
        let open = self.ahead.filter(|ahead| ahead.is_open());
        let ahead = open.zip(index);
        if let Some((ahead, index)) = ahead {
            ahead.reach(index);
        }
        let watched = match self.shortcut(tx, sender, envelope, (ahead, index))? {
            Shortcut::Taken(executed) => return Ok(executed),
            Shortcut::None(watched) => watched,
        };
        let found = match ahead.zip(entry) {
            Some(((ahead, index), entry)) => self.find(ahead, index, entry)?,
            None => None,
        };
        let adopted = found.is_some();
        let mut attempt = match found {
            Some(found) => found,
            None => self.machine.attempt(tx, sender, envelope, self.fees)?,
        };
        self.learn(watched, tx, sender, &attempt);
        if let Some((knowledge, to)) = self.knowledge.zip(tx.to()) {
            knowledge.targets.used(&to, attempt.executed.gas_used);
        }
        if adopted {
            self.stats.valid += 1;
            self.machine.state_mut().adopt(&mut attempt.changes);
        } else {
            self.stats.by_committer += 1;
            if let Some((ahead, index)) = ahead {
                ahead.publish(index, &attempt.changes, Certainty::Final);
            }
            self.machine.state_mut().commit(&mut attempt.changes);
            self.machine.give_table(attempt.changes);
        }
        self.machine.credit(attempt.fees.as_ref())?;
        Ok(attempt.executed)
    }

    /// What a worker left for the transaction at `index`, if that still holds.
    fn find(
        &mut self,
        ahead: &'a RunAhead<'a, S>,
        index: u32,
        entry: &Entry,
    ) -> Result<Option<Attempt>, SourceError> {
        let scout = &mut self.scout;
        let help = || {
            let make = || -> Box<dyn FnMut() -> bool + 'a> {
                let mut scout = Scout::helper(ahead);
                Box::new(move || scout.step())
            };
            scout.get_or_insert_with(make)()
        };
        let Some(result) = ahead.take(index, entry, help) else { return Ok(None) };
        let state = self.machine.state_mut();
        let holds =
            state.holds(&result.attempt.changes, result.saw_versions).map_err(|error| error.0)?;
        ahead.judge(index, entry, &result, holds);
        self.stats.stale += u64::from(!holds);
        Ok(holds.then_some(result.attempt))
    }

    /// Gas used so far.
    pub fn gas_used(&self) -> u64 {
        self.gas_used
    }

    /// Receipts so far.
    pub fn receipts(&self) -> &[Receipt] {
        &self.receipts
    }

    /// State changes so far.
    pub fn diff_so_far(&mut self) -> Result<StateDiff, SourceError> {
        self.machine.state_mut().diff()
    }

    /// Withdrawals, rewards, requests; gives back the output.
    pub fn finish(
        self,
        ommers: &[Header],
        withdrawals: Option<&[Withdrawal]>,
    ) -> Result<BlockOutput, ExecutionError> {
        Ok(self.finish_with_accesses(ommers, withdrawals)?.0)
    }

    /// As [`Self::finish`], with what was touched, if that was to be kept.
    pub fn finish_with_accesses(
        mut self,
        ommers: &[Header],
        withdrawals: Option<&[Withdrawal]>,
    ) -> Result<(BlockOutput, Option<Arc<BlockAccesses>>), ExecutionError> {
        let requests = self.end(ommers, withdrawals)?;
        Ok(self.into_output(requests)?)
    }

    /// What comes after the transactions; gives the requests.
    fn end(
        &mut self,
        ommers: &[Header],
        withdrawals: Option<&[Withdrawal]>,
    ) -> Result<Option<Requests>, ExecutionError> {
        if let Some(library) = self.library {
            library.earn(self.gas_used);
        }
        let requests = system::requests(&mut self.machine, self.spec, &self.rules, &self.receipts)?;
        system::withdraw(&mut self.machine, withdrawals.unwrap_or_default())?;
        if !self.rules.is(Fork::Paris) {
            system::reward(&mut self.machine, &self.rules, &self.context, ommers)?;
        }
        Ok(requests)
    }

    fn into_output(
        mut self,
        requests: Option<Requests>,
    ) -> Result<(BlockOutput, Option<Arc<BlockAccesses>>), SourceError> {
        let state = self.machine.state_mut();
        let log = state.log.take();
        let output = BlockOutput {
            diff: state.take_diff()?,
            receipts: self.receipts,
            gas_used: self.gas_used,
            blob_gas_used: self.blob_gas_used,
            requests,
        };
        Ok((output, log.map(|log| Arc::new(BlockAccesses::new(*log)))))
    }

    /// Shows an observer what it has not seen: `shown` says how far it has.
    fn show_to(&mut self, observer: &mut Observer<'_>, shown: &mut (usize, Mark)) {
        let (receipts, since) = *shown;
        let Some(log) = self.machine.log() else { return };
        *shown = (self.receipts.len(), log.here());
        let written = Written { log, since };
        observer(Committed { receipts: &self.receipts[receipts..], written });
    }

    /// Rules that depend on type and chain family alone; revm checks the rest.
    fn check_type(&self, tx: &Transaction) -> Result<(), TxError> {
        let foreign = match tx {
            Transaction::Deposit(_) => self.rules.op.is_none(),
            Transaction::Eip4844(_) => self.rules.op.is_some(),
            _ => false,
        };
        if foreign {
            return Err(TxError::Invalid("transaction type not supported".into()));
        }
        let protected = matches!(tx, Transaction::Legacy(tx) if tx.tx().chain_id.is_some());
        if protected && !self.rules.is(Fork::SpuriousDragon) {
            return Err(TxError::Invalid("invalid transaction v, r, s values".into()));
        }
        Ok(())
    }

    /// Checks gas and blob gas against what is left in the block; returns the blob gas.
    fn check_fits(&self, tx: &Transaction) -> Result<u64, TxError> {
        // System transactions (before Regolith) do not count.
        let gas_limit = if self.is_uncounted(tx) { 0 } else { tx.gas_limit() };
        if gas_limit > self.context.gas_limit.saturating_sub(self.gas_used) {
            return Err(TxError::DoesNotFit("gas limit reached".into()));
        }
        let blobs = tx.blob_versioned_hashes().map_or(0, <[B256]>::len) as u64;
        let max = self.rules.blobs.map_or(0, |blobs| blobs.max);
        let blob_gas = blobs * GAS_PER_BLOB;
        let left = max.saturating_mul(GAS_PER_BLOB).saturating_sub(self.blob_gas_used);
        // Too many for any block is for revm to say.
        if blobs > 0 && blobs <= max && blob_gas > left {
            return Err(TxError::DoesNotFit("blob gas limit reached".into()));
        }
        Ok(blob_gas)
    }

    /// The DA footprint scalar once `tx` is in the block: the first transaction sets it.
    fn da_scalar_after(&self, tx: &Transaction) -> DaScalar {
        match self.receipts.is_empty() {
            true => DaScalar::from_first(tx),
            false => self.da_scalar,
        }
    }

    /// Checks the DA footprint of Jovian against what is left in the block; returns it.
    fn check_da_footprint(&self, scalar: DaScalar, da_size: u64) -> Result<u64, TxError> {
        if !self.rules.is_op(OpFork::Jovian) || da_size == 0 {
            return Ok(0);
        }
        let footprint =
            scalar.footprint(da_size).map_err(|reason| TxError::Invalid(reason.into()))?;
        if footprint > self.context.gas_limit.saturating_sub(self.blob_gas_used) {
            return Err(TxError::DoesNotFit("DA footprint limit reached".into()));
        }
        Ok(footprint)
    }

    /// Deposits since Regolith: nonce of the sender before the transaction.
    fn deposit_nonce(&mut self, tx: &Transaction, from: Address) -> Result<Option<u64>, TxError> {
        if !tx.is_deposit() || !self.rules.is_op(OpFork::Regolith) {
            return Ok(None);
        }
        let account = self.machine.state_mut().account(from).map_err(|error| error.0)?;
        Ok(Some(account.unwrap_or_default().nonce))
    }

    /// Gas as the receipt has it. Before Regolith a deposit counts with all its gas, a system
    /// transaction with none, whatever became of it.
    fn counted_gas(&self, tx: &Transaction, executed: &Executed) -> u64 {
        match self.is_uncounted(tx) {
            true => 0,
            false if tx.is_deposit() && !self.rules.is_op(OpFork::Regolith) => tx.gas_limit(),
            false => executed.gas_used,
        }
    }

    fn is_uncounted(&self, tx: &Transaction) -> bool {
        !self.rules.is_op(OpFork::Regolith)
            && tx.as_deposit().is_some_and(|deposit| deposit.is_system_transaction)
    }

    fn set_last_post_state(&mut self, root: B256) {
        if let Some(receipt) = self.receipts.last_mut() {
            receipt.post_state = Some(root);
        }
    }
}
