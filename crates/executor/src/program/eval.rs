//! Runs paths: all reads and checks first, effects last.

use banyan_primitives::{Address, Bytes, KECCAK_EMPTY, Log, LogData, SourceError, U256, keccak256};
use revm::{
    Database,
    context_interface::{cfg::GasParams, context::SStoreResult},
};

use super::{
    CallEnv, Effect,
    expr::{Graph, Id, Input, Node, apply, hash_of},
    path::{GasStep, Guard, Path, Step, Write},
};
use crate::state::DbError;

/// Values of the expressions of one key, and room for what a run needs; reused from call to call.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    values: Vec<U256>,
    done: Vec<bool>,
    bytes: Vec<u8>,
    calls: Vec<Level>,
    slots: SlotMemo,
    /// Whether effects are to say what was only read.
    pub(crate) keeps_reads: bool,
}

/// Remembers hashes of two words: holders come back. A place in it is taken by whoever came last.
#[derive(Debug, Default)]
struct SlotMemo(Vec<[U256; 3]>);

impl SlotMemo {
    /// A power of two; some 200 KB.
    const LEN: usize = 1 << 11;

    fn hash(&mut self, words: [U256; 2]) -> U256 {
        if self.0.is_empty() {
            let zeros = keccak256([0; 64]).into();
            self.0.resize(Self::LEN, [U256::ZERO, U256::ZERO, zeros]);
        }
        let mix = |sum: u64, limb: &u64| (sum.rotate_left(23) ^ limb).wrapping_mul(MIXER);
        let sum = words.iter().flat_map(U256::as_limbs).fold(0, mix);
        let place = &mut self.0[(sum >> (u64::BITS - Self::LEN.trailing_zeros())) as usize];
        let [first, second, hash] = *place;
        if [first, second] == words {
            return hash;
        }
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&words[0].to_be_bytes::<32>());
        bytes[32..].copy_from_slice(&words[1].to_be_bytes::<32>());
        let hash = keccak256(bytes).into();
        *place = [words[0], words[1], hash];
        hash
    }
}

/// Spreads bits when it multiplies.
const MIXER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Gas from a point of a call to its end.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    /// What must be left here.
    need: u64,
    /// What is spent until the end.
    spent: u64,
}

impl Scratch {
    /// Forgets everything; then there are `len` expressions, these constants among them.
    pub(super) fn begin(&mut self, len: usize, constants: &[(Id, U256)]) {
        self.done.clear();
        self.done.resize(len, false);
        self.values.resize(len.max(self.values.len()), U256::ZERO);
        for (id, value) in constants {
            self.values[usize::from(*id)] = *value;
        }
    }

    /// Takes a value that was computed elsewhere.
    pub(super) fn set(&mut self, id: Id, value: U256) {
        if let Some(done) = self.done.get_mut(usize::from(id)) {
            *done = true;
            self.values[usize::from(id)] = value;
        }
    }

    pub(super) fn get(&self, id: Id) -> U256 {
        self.values[usize::from(id)]
    }

    fn address(&self, id: Id) -> Address {
        Address::from_word(hash_of(self.get(id)))
    }

    /// Computes an expression, unless another path of the same call has.
    pub(super) fn compute<D: Database<Error = DbError>>(
        &mut self,
        graph: &Graph,
        id: Id,
        call: &CallEnv<'_>,
        db: &mut D,
    ) -> Result<(), SourceError> {
        if self.done[usize::from(id)] {
            return Ok(());
        }
        let value = match &graph.nodes()[usize::from(id)] {
            Node::Load(account, key) => {
                db.storage(self.address(*account), self.get(*key)).map_err(|error| error.0)?
            }
            Node::Code(account) => {
                let account = db.basic(self.address(*account)).map_err(|error| error.0)?;
                account.map_or(KECCAK_EMPTY, |account| account.code_hash).into()
            }
            node => self.pure(node, call),
        };
        self.done[usize::from(id)] = true;
        self.values[usize::from(id)] = value;
        Ok(())
    }

    /// The value of an expression that does not read state.
    fn pure(&mut self, node: &Node, call: &CallEnv<'_>) -> U256 {
        match node {
            Node::Const(value) => *value,
            Node::Input(input) => input_value(*input, call),
            Node::Op(op, [a, b, c]) => apply(*op, self.get(*a), self.get(*b), self.get(*c)),
            Node::Keccak(words, 64) => {
                let words = [self.get(words[0]), self.get(words[1])];
                self.slots.hash(words)
            }
            Node::Keccak(words, len) => {
                self.bytes.clear();
                for word in words.iter() {
                    let word = self.values[usize::from(*word)];
                    self.bytes.extend_from_slice(&word.to_be_bytes::<32>());
                }
                keccak256(&self.bytes[..usize::from(*len)]).into()
            }
            Node::Load(..) | Node::Code(_) => U256::ZERO,
        }
    }

    /// Computes expressions that do not read state, in this order.
    pub(super) fn compute_pure(&mut self, graph: &Graph, ids: &[Id], call: &CallEnv<'_>) {
        for id in ids {
            let value = self.pure(&graph.nodes()[usize::from(*id)], call);
            self.set(*id, value);
        }
    }

    fn holds(&self, guard: &Guard) -> bool {
        match *guard {
            Guard::Zero(a) => self.get(a).is_zero(),
            Guard::NonZero(a) => !self.get(a).is_zero(),
            Guard::Equal(a, b) => self.get(a) == self.get(b),
            Guard::Distinct(a, b) => self.get(a) != self.get(b),
            Guard::Less(a, b) => self.get(a) < self.get(b),
            Guard::NotLess(a, b) => self.get(a) >= self.get(b),
        }
    }

    /// Whether `path` is the one that this call takes. Needs [`Self::begin`] before the first.
    pub(super) fn fits<D: Database<Error = DbError>>(
        &mut self,
        graph: &Graph,
        path: &Path,
        call: &CallEnv<'_>,
        db: &mut D,
    ) -> Result<bool, SourceError> {
        for step in &path.steps {
            match step {
                Step::Compute(id) => self.compute(graph, *id, call, db)?,
                Step::Check(guard) if !self.holds(guard) => return Ok(false),
                Step::Check(_) => {}
            }
        }
        Ok(true)
    }

    /// What a path that fits does; `None` if the gas might not be enough for it.
    pub(super) fn effect(&mut self, path: &Path, params: &GasParams, gas: u64) -> Option<Effect> {
        let (spent, refund) = self.gas(&path.outputs.gas, params, gas)?;
        let changed = |write: &&Write| self.get(write.original) != self.get(write.value);
        let writes =
            path.outputs.writes.iter().filter(changed).map(|write| {
                (self.address(write.account), self.get(write.key), self.get(write.value))
            });
        let writes = writes.collect();
        let mut logs = Vec::with_capacity(path.outputs.logs.len());
        for log in &path.outputs.logs {
            let topics = log.topics.iter().map(|topic| hash_of(self.get(*topic))).collect();
            let mut data = Vec::with_capacity(32 * log.words.len());
            for word in &log.words {
                data.extend_from_slice(&self.values[usize::from(*word)].to_be_bytes::<32>());
            }
            data.truncate(log.len);
            let data = LogData::new_unchecked(topics, Bytes::from(data));
            logs.push(Log { address: self.address(log.account), data });
        }
        let mut effect = Effect { gas: spent, refund, writes, logs, ..Effect::default() };
        if self.keeps_reads {
            self.add_reads(path, &mut effect);
        }
        Some(effect)
    }

    fn add_reads(&self, path: &Path, effect: &mut Effect) {
        let writes = &path.outputs.writes;
        let unchanged = |original: Id| {
            let mut writes = writes.iter().filter(|write| write.original == original);
            writes.all(|write| self.get(write.original) == self.get(write.value))
        };
        let reads = path.slots.iter().filter(|[_, _, original]| unchanged(*original));
        effect.reads =
            reads.map(|[account, key, _]| (self.address(*account), self.get(*key))).collect();
        effect.accounts = path.accounts.iter().map(|account| self.address(*account)).collect();
    }

    /// Gas spent and refunded, if `limit` is enough at every point. Walks backwards: what must be
    /// left at a point follows from what must be left behind it.
    fn gas(&mut self, steps: &[GasStep], params: &GasParams, limit: u64) -> Option<(u64, u64)> {
        self.calls.clear();
        let (mut at, mut refund) = (Level::default(), 0i64);
        for step in steps.iter().rev() {
            match *step {
                GasStep::Spend(gas) => {
                    at = Level { need: at.need + gas, spent: at.spent + gas };
                }
                GasStep::Store { original, present, new, cold } => {
                    let values = SStoreResult {
                        original_value: self.get(original),
                        present_value: self.get(present),
                        new_value: self.get(new),
                    };
                    let gas =
                        params.sstore_static_gas() + params.sstore_dynamic_gas(true, &values, cold);
                    refund += params.sstore_refund(true, &values);
                    // EIP-2200: more than the stipend must be left before.
                    let need = (at.need + gas).max(params.call_stipend() + 1);
                    at = Level { need, spent: at.spent + gas };
                }
                GasStep::Leave => {
                    self.calls.push(at);
                    at = Level::default();
                }
                GasStep::Enter { cap } => {
                    let after = self.calls.pop()?;
                    if at.need > cap {
                        return None;
                    }
                    // All but one 64th is passed on (EIP-150); a little more than it takes.
                    let before = at.need + at.need / 63 + 1;
                    let need = before.max(after.need + at.spent);
                    at = Level { need, spent: after.spent + at.spent };
                }
            }
        }
        (at.need <= limit).then_some((at.spent, u64::try_from(refund).ok()?))
    }
}

fn input_value(input: Input, call: &CallEnv<'_>) -> U256 {
    let address = |address: Address| U256::from_be_bytes(address.into_word().0);
    let block = call.block;
    match input {
        Input::Calldata(offset) => {
            let mut word = [0; 32];
            let data = call.input.get(usize::from(offset)..).unwrap_or_default();
            let len = data.len().min(32);
            word[..len].copy_from_slice(&data[..len]);
            U256::from_be_bytes(word)
        }
        Input::Caller => address(call.caller),
        Input::Target => address(call.target),
        Input::Value => call.value,
        Input::Coinbase => address(block.beneficiary),
        Input::Timestamp => block.timestamp,
        Input::Number => block.number,
        Input::PrevRandao => block.prevrandao.unwrap_or_default().into(),
        Input::GasLimit => U256::from(block.gas_limit),
        Input::BaseFee => U256::from(block.basefee),
        Input::ChainId => U256::from(call.chain_id),
    }
}
