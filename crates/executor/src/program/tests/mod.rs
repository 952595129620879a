//! Programs against the EVM.

mod behaviour;
mod fuzz;
mod gas;
mod library;
mod mainnet;
mod measure;
mod mutation;
mod soup;
mod tokens;

use banyan_primitives::{Address, B256, Bytes, HashSet, U256, address};
use revm::{
    Context, Database, ExecuteEvm, Journal, MainBuilder,
    context::{BlockEnv, CfgEnv, TxEnv},
    context_interface::cfg::GasParams,
    primitives::{TxKind, hardfork::SpecId},
    state::{AccountInfo, Bytecode, EvmState},
};

use self::tokens::Kind;
use super::{Answer, CallEnv, Effect, Library, Outcome, Scratch, compare::difference};
use crate::{
    MemoryState, ProgramMode,
    evm::Executed,
    state::{BlockState, DbError},
};

const TOKEN: Address = address!("0x00000000000000000000000000000000000e2c20");

const A: Address = Address::repeat_byte(0xaa);
const B: Address = Address::repeat_byte(0xbb);
const C: Address = Address::repeat_byte(0xcc);

fn n(value: u64) -> U256 {
    U256::from(value)
}

/// A small generator of pseudo-random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// A token of which A and B hold some, A being its owner; C may spend theirs.
fn token_world(kind: Kind) -> World {
    let mut world = World::new(tokens::token(kind));
    let stored = |amount: u64| if kind == Kind::Inverted { !n(amount) } else { n(amount) };
    world.set(tokens::balance_slot(A), stored(1_000_000));
    world.set(tokens::balance_slot(B), stored(1_000_000));
    if kind == Kind::Inverted {
        world.set(tokens::balance_slot(Address::repeat_byte(0xdd)), stored(0));
    }
    world.set(tokens::allowance_slot(A, C), n(500_000));
    world.set(tokens::allowance_slot(B, C), U256::MAX);
    world.set(n(3), tokens::word(A));
    world.set(n(7), n(1000));
    world
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum By {
    /// A program that counts.
    Program,
    /// The EVM; a program was right about it, or one has been learnt.
    Shadow,
    /// The EVM alone.
    Evm,
}

/// A transaction.
#[derive(Clone, Debug)]
struct Tx {
    caller: Address,
    target: Address,
    value: U256,
    input: Bytes,
    gas_limit: u64,
}

impl Tx {
    fn new(caller: Address, input: Bytes) -> Self {
        Self { caller, target: TOKEN, value: U256::ZERO, input, gas_limit: 200_000 }
    }
}

/// Notes which slots are read.
struct Noting<D> {
    db: D,
    slots: HashSet<(Address, U256)>,
}

impl<D: Database<Error = DbError>> Database for Noting<D> {
    type Error = DbError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, DbError> {
        self.db.basic(address)
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, DbError> {
        self.db.code_by_hash(hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, DbError> {
        self.slots.insert((address, slot));
        self.db.storage(address, slot)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, DbError> {
        self.db.block_hash(number)
    }
}

/// A state, a block and a library.
struct World {
    spec: SpecId,
    block: BlockEnv,
    state: MemoryState,
    library: Library,
    scratch: Scratch,
}

impl World {
    fn new(code: Bytes) -> Self {
        let block = BlockEnv {
            number: U256::from(9),
            timestamp: U256::from(1_000_000),
            beneficiary: address!("0x00000000000000000000000000000000c01bba5e"),
            gas_limit: 30_000_000,
            prevrandao: Some(Default::default()),
            ..Default::default()
        };
        let mut state = MemoryState::default();
        state.insert(TOKEN, 1, U256::ZERO, code, []);
        let library = Library::new(ProgramMode::On);
        Self { spec: SpecId::PRAGUE, block, state, library, scratch: Scratch::default() }
    }

    fn set(&mut self, slot: U256, value: U256) {
        self.state.storage.entry(TOKEN).or_default().insert(slot, value);
    }

    fn get(&self, slot: U256) -> U256 {
        let storage = self.state.storage.get(&TOKEN);
        storage.and_then(|slots| slots.get(&slot)).copied().unwrap_or_default()
    }

    fn env<'a>(&'a self, tx: &'a Tx) -> CallEnv<'a> {
        let gas = GasParams::new_spec(self.spec).initial_tx_gas(&tx.input, false, 0, 0, 0);
        CallEnv {
            spec: self.spec,
            chain_id: 1,
            block: &self.block,
            caller: tx.caller,
            target: tx.target,
            code_hash: self.state.accounts[&tx.target].code_hash,
            value: tx.value,
            input: &tx.input,
            gas: tx.gas_limit - gas.initial_total_gas,
            intrinsic: gas.initial_total_gas,
            floor: gas.floor_gas,
        }
    }

    /// Executes in the EVM; nothing is kept.
    fn evm(&self, tx: &Tx) -> (Executed, EvmState) {
        let mut db = BlockState::new(&self.state);
        let cfg = CfgEnv::new_with_spec(self.spec);
        let mut evm =
            Context::<BlockEnv, TxEnv, CfgEnv, _, Journal<_>, ()>::new(&mut db, self.spec)
                .with_block(self.block.clone())
                .with_cfg(cfg)
                .build_mainnet();
        let nonce = self.state.accounts.get(&tx.caller).map_or(0, |account| account.nonce);
        let tx = TxEnv {
            caller: tx.caller,
            gas_limit: tx.gas_limit,
            kind: TxKind::Call(tx.target),
            value: tx.value,
            data: tx.input.clone(),
            nonce,
            gas_price: 0,
            chain_id: Some(1),
            ..Default::default()
        };
        let result = evm.transact(tx).unwrap();
        (result.result.into(), result.state)
    }

    /// What the library says, without learning or executing.
    fn claim(&mut self, tx: &Tx) -> Option<Effect> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut db = BlockState::new(&self.state);
        let env = self.env(tx);
        let prepared = self.library.prepare(&env, &mut Scratch::default());
        let answer = self.library.run(&env, prepared.as_ref(), &mut db, &mut scratch).unwrap();
        self.scratch = scratch;
        match answer {
            Answer::Effect(effect) => Some(effect),
            Answer::Evm(_) => None,
        }
    }

    /// Executes as the committer would, and in the EVM; both must agree.
    fn check(&mut self, tx: &Tx) -> (By, bool, EvmState) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let (executed, state) = self.evm(tx);
        let outcome = Outcome {
            success: executed.success,
            gas_used: executed.gas_used,
            logs: &executed.logs,
            state: &state,
        };
        let env = self.env(tx);
        let mut db = Noting { db: BlockState::new(&self.state), slots: HashSet::default() };
        let answer = self.library.run(&env, None, &mut db, &mut scratch).unwrap();
        let touched = |(address, account): (&Address, &revm::state::Account)| {
            account.storage.keys().map(|slot| (*address, *slot)).collect::<Vec<_>>()
        };
        let touched: HashSet<_> = state.iter().flat_map(touched).collect();
        let by = match answer {
            Answer::Effect(effect) => {
                assert_eq!(difference(&effect, &env, &outcome), None, "{tx:?} {effect:?}");
                assert_eq!(db.slots, touched, "{tx:?}");
                By::Program
            }
            Answer::Evm(watch) => {
                // Nothing was read that the EVM does not read.
                assert!(!executed.success || db.slots.is_subset(&touched), "{tx:?}");
                let by = if watch.claims() { By::Shadow } else { By::Evm };
                assert_eq!(self.library.learn(watch, &env, &outcome), None, "{tx:?}");
                by
            }
        };
        self.scratch = scratch;
        (by, executed.success, state)
    }

    /// As [`Self::check`], and keeps the changes.
    fn call(&mut self, tx: &Tx) -> (By, bool) {
        let (by, success, mut state) = self.check(tx);
        let mut db = BlockState::new(&self.state);
        // What is changed has to be read first.
        for (address, account) in &state {
            db.account(*address).unwrap();
            for slot in account.storage.keys() {
                db.storage(*address, *slot).unwrap();
            }
        }
        db.commit(&mut state);
        let diff = db.diff().unwrap();
        self.state.apply(&diff);
        (by, success)
    }

    /// Repeats the transaction until a program does it; fails if none ever does.
    fn teach(&mut self, tx: &Tx) {
        for _ in 0..64 {
            self.library.grant();
            let (by, _, _) = self.check(tx);
            if by == By::Program {
                return;
            }
        }
        panic!("not learnt: {tx:?}: {:?}", self.why(tx));
    }

    /// Why a call cannot be learnt.
    fn why(&mut self, tx: &Tx) -> String {
        let mut db = BlockState::new(&self.state);
        let env = self.env(tx);
        let Some(events) = super::record::record(&env, &mut db).unwrap().0 else {
            return format!("not recorded: {:?}", self.evm(tx).0.success);
        };
        format!("{:?}", super::lift::lift(&mut Default::default(), &env, &events))
    }
}
