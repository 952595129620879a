//! Which programs there are, how they come in and how they go.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
};

use banyan_primitives::{Address, B256, Bytes, HashMap, HashSet, KECCAK_EMPTY, SourceError, U256};
use revm::{Database, context_interface::cfg::GasParams, primitives::hardfork::SpecId};

use super::{
    CallEnv, Effect, Mismatch, Outcome,
    compare::difference,
    eval::Scratch,
    expr::{Graph, Id, Input, Node, operands},
    lift::lift,
    path::Path,
    record::{MAX_GAS, is_known_fork, record},
};
use crate::{ProgramMode, state::DbError};

/// How often a path must give the EVM's result, beside its own transaction, before it counts.
pub(crate) const SHADOWS: u32 = 8;
/// One in so many calls of a path that counts is executed by the EVM all the same, and compared.
const SAMPLE: u32 = 256;
/// Most paths of one key.
const MAX_PATHS: usize = 8;
/// Most keys with programs.
const MAX_PROGRAMS: usize = 1024;
/// Most keys that are watched.
const MAX_STUDIES: usize = 8192;
/// So many calls in a row may miss all paths before a program is tried more rarely.
const PATIENCE: u32 = 32;
/// Most expressions and steps that all programs hold together: bounds memory to some 40 MB.
const MAX_WEIGHT: usize = 100_000;
/// Recording and lifting a call takes the time of some twenty executions. So for each so much gas
/// that the EVM executes, one gas may be recorded: at most about a twenty-fifth of the time.
const GAS_PER_RECORDED_GAS: u64 = 512;
/// The most gas that may be saved up for recordings, and what there is at the start.
const MAX_CREDIT: u64 = 2_000_000;
/// What a recording takes whatever the call is, in gas; and what must be there for one to begin.
const RECORDING_BASE: u64 = 30_000;
const LEAST_CREDIT: u64 = RECORDING_BASE + MAX_GAS / 4;
/// With so many keys quarantined, nothing is believed any more.
const MAX_QUARANTINED: usize = 64;

/// Calls with the same key run the same code on calldata of the same shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    code_hash: B256,
    selector: [u8; 4],
    len: u32,
    has_value: bool,
    spec: SpecId,
}

impl Key {
    fn of(call: &CallEnv<'_>) -> Self {
        let mut selector = [0; 4];
        let len = call.input.len().min(4);
        selector[..len].copy_from_slice(&call.input[..len]);
        Self {
            code_hash: call.code_hash,
            selector,
            len: u32::try_from(call.input.len()).unwrap_or(u32::MAX),
            has_value: !call.value.is_zero(),
            spec: call.spec,
        }
    }
}

/// What is known of one key. Never changes but for its counters: learning makes another.
#[derive(Debug)]
struct Program {
    graph: Graph,
    paths: Vec<Arc<Learnt>>,
    constants: Vec<(Id, U256)>,
    /// Hashes that depend on transaction and target alone, with what they need, in order.
    ahead: Vec<Id>,
    params: GasParams,
    /// When it was last used, in runs of the library.
    used: AtomicU64,
    /// Calls in a row that no path fitted.
    idle: AtomicU32,
}

/// A path and how it has fared.
#[derive(Debug)]
struct Learnt {
    path: Path,
    /// Equal to the EVM so many times; [`SHADOWS`] or more: it counts.
    confirmed: AtomicU32,
    hits: AtomicU32,
}

impl Program {
    fn new(graph: Graph, paths: Vec<Arc<Learnt>>, spec: SpecId) -> Self {
        let constants = graph.nodes().iter().enumerate();
        let constants = constants.filter_map(|(id, node)| match node {
            Node::Const(value) => Some((id as Id, *value)),
            _ => None,
        });
        let constants = constants.collect();
        let ahead = ahead(&graph);
        let params = GasParams::new_spec(spec);
        let (used, idle) = (AtomicU64::default(), AtomicU32::default());
        Self { graph, paths, constants, ahead, params, used, idle }
    }

    /// What it takes of the library's room.
    fn weight(&self) -> usize {
        let steps: usize = self.paths.iter().map(|learnt| learnt.path.steps.len()).sum();
        self.graph.nodes().len() + steps / 4
    }

    /// Whether to try it: one that never fits is only tried now and then. Counts as idle until
    /// it has fitted.
    fn is_worth_it(&self) -> bool {
        let idle = self.idle.fetch_add(1, Relaxed);
        idle < PATIENCE || idle.is_multiple_of(PATIENCE)
    }

    fn begin(&self, scratch: &mut Scratch) {
        scratch.begin(self.graph.nodes().len(), &self.constants);
    }

    /// The path that the call takes, if it is known.
    fn find<D: Database<Error = DbError>>(
        &self,
        call: &CallEnv<'_>,
        db: &mut D,
        scratch: &mut Scratch,
    ) -> Result<Option<&Arc<Learnt>>, SourceError> {
        for learnt in &self.paths {
            if scratch.fits(&self.graph, &learnt.path, call, db)? {
                return Ok(Some(learnt));
            }
        }
        Ok(None)
    }
}

/// The hashes that need no state and no block, behind their operands.
fn ahead(graph: &Graph) -> Vec<Id> {
    let nodes = graph.nodes();
    let mut early = vec![false; nodes.len()];
    let mut wanted = vec![false; nodes.len()];
    for (id, node) in nodes.iter().enumerate() {
        let mut all = true;
        operands(node, |operand| all &= early[usize::from(operand)]);
        early[id] = all
            && match node {
                Node::Input(input) => matches!(
                    input,
                    Input::Calldata(_) | Input::Caller | Input::Target | Input::Value
                ),
                Node::Load(..) | Node::Code(_) => false,
                _ => true,
            };
        wanted[id] = early[id] && matches!(node, Node::Keccak(..));
    }
    for id in (0..nodes.len()).rev() {
        if wanted[id] {
            operands(&nodes[id], |operand| wanted[usize::from(operand)] = true);
        }
    }
    (0..nodes.len()).filter(|id| wanted[*id]).map(|id| id as Id).collect()
}

/// Hashes computed ahead of a call.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    program: Arc<Program>,
    values: Vec<(Id, U256)>,
    caller: Address,
    target: Address,
    value: U256,
    input: Bytes,
}

impl Prepared {
    /// The hashes.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = U256> {
        self.values.iter().map(|(_, value)| *value)
    }

    /// Whether it is for this call of this program.
    fn is_for(&self, call: &CallEnv<'_>, program: &Arc<Program>) -> bool {
        Arc::ptr_eq(&self.program, program)
            && self.caller == call.caller
            && self.target == call.target
            && self.value == call.value
            && self.input == *call.input
    }
}

/// What the library has for a call.
#[derive(Debug)]
pub(crate) struct Plan {
    program: Option<Arc<Program>>,
    record: bool,
}

/// What to do with a call.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Apply this instead of executing the call.
    Effect(Effect),
    /// Execute the call, then hand this to [`Library::learn`].
    Evm(Watch),
}

/// What is to be learnt from a call that the EVM executes.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    claim: Option<Box<Claim>>,
    /// A program was there, but none of its paths fitted.
    pub(crate) missed: bool,
}

impl Watch {
    /// Whether a program has said what the EVM will do.
    pub(crate) fn claims(&self) -> bool {
        self.claim.is_some()
    }
}

/// What a program says that the EVM will do.
#[derive(Debug)]
struct Claim {
    effect: Effect,
    learnt: Arc<Learnt>,
    /// For a path that is new: the expressions with it, and the program it adds to.
    new: Option<(Graph, Option<Arc<Program>>)>,
}

/// Programs by key, shared by all blocks of a node.
#[derive(Debug)]
pub(crate) struct Library {
    mode: ProgramMode,
    programs: RwLock<HashMap<Key, Arc<Program>>>,
    school: Mutex<School>,
    runs: AtomicU64,
    off: AtomicBool,
}

/// What is not known yet.
#[derive(Debug)]
struct School {
    studies: HashMap<Key, Study>,
    quarantined: HashSet<Key>,
    /// Gas that may still be recorded.
    credit: u64,
}

impl Default for School {
    fn default() -> Self {
        let (studies, quarantined) = (HashMap::default(), HashSet::default());
        Self { studies, quarantined, credit: MAX_CREDIT }
    }
}

/// A key whose calls were executed by the EVM for want of a path.
#[derive(Clone, Copy, Debug, Default)]
struct Study {
    misses: u32,
    attempts: u32,
    /// The next recording is at so many misses: at the second, then ever more rarely.
    next: u32,
}

impl Library {
    pub(crate) fn new(mode: ProgramMode) -> Self {
        Self {
            mode,
            programs: RwLock::default(),
            school: Mutex::default(),
            runs: AtomicU64::default(),
            off: AtomicBool::new(mode == ProgramMode::Off),
        }
    }

    /// Lets recordings cost what they want.
    #[cfg(test)]
    pub(super) fn grant(&self) {
        self.school().credit = MAX_CREDIT;
    }

    /// True if the call will probably be answered by a program.
    pub(crate) fn trusts(&self, call: &CallEnv<'_>) -> bool {
        let counts = |learnt: &Arc<Learnt>| learnt.confirmed.load(Relaxed) >= SHADOWS;
        self.mode == ProgramMode::On
            && self.is_for(call)
            && self.program(&Key::of(call)).is_some_and(|program| program.paths.iter().any(counts))
    }

    /// No program is believed any more.
    pub(crate) fn turn_off(&self) {
        self.off.store(true, Relaxed);
    }

    /// True after [`Self::turn_off`], or if too many programs were wrong.
    pub(crate) fn is_off(&self) -> bool {
        self.off.load(Relaxed)
    }

    /// Whether there is anything to do about a call: a program to run, or a recording to make.
    pub(crate) fn plan(&self, call: &CallEnv<'_>) -> Option<Plan> {
        if !self.is_for(call) {
            return None;
        }
        let key = Key::of(call);
        let program = self.program(&key);
        let record = program.is_none() && self.may_record(&key);
        (record || program.is_some()).then_some(Plan { program, record })
    }

    /// Computes what can be computed of a call without state. For any thread.
    pub(crate) fn prepare(&self, call: &CallEnv<'_>, scratch: &mut Scratch) -> Option<Prepared> {
        if !self.is_for(call) {
            return None;
        }
        let program = self.program(&Key::of(call))?;
        program.begin(scratch);
        scratch.compute_pure(&program.graph, &program.ahead, call);
        let hash = |id: &&Id| matches!(program.graph.nodes()[usize::from(**id)], Node::Keccak(..));
        let values = program.ahead.iter().filter(hash).map(|id| (*id, scratch.get(*id))).collect();
        let (caller, target, value) = (call.caller, call.target, call.value);
        Some(Prepared { program, values, caller, target, value, input: call.input.clone() })
    }

    /// [`Self::plan`] and [`Self::follow`].
    #[cfg(test)]
    pub(crate) fn run<D: Database<Error = DbError>>(
        &self,
        call: &CallEnv<'_>,
        prepared: Option<&Prepared>,
        db: &mut D,
        scratch: &mut Scratch,
    ) -> Result<Answer, SourceError> {
        match self.plan(call) {
            Some(plan) => self.follow(plan, call, prepared, db, scratch),
            None => Ok(Answer::Evm(Watch::default())),
        }
    }

    /// Runs the program of a call on the state before it, or records the call. Whether the
    /// transaction is valid (nonce, funds, gas) has been checked. Reads no slot that the EVM would
    /// not read (if it does not run out of gas), and all that it would if a program answers.
    pub(crate) fn follow<D: Database<Error = DbError>>(
        &self,
        plan: Plan,
        call: &CallEnv<'_>,
        prepared: Option<&Prepared>,
        db: &mut D,
        scratch: &mut Scratch,
    ) -> Result<Answer, SourceError> {
        let Plan { program, record } = plan;
        if let Some(program) = &program {
            if !program.is_worth_it() {
                return Ok(Answer::Evm(Watch { claim: None, missed: true }));
            }
            program.used.store(self.runs.fetch_add(1, Relaxed), Relaxed);
            program.begin(scratch);
            if let Some(prepared) = prepared.filter(|prepared| prepared.is_for(call, program)) {
                prepared.values.iter().for_each(|(id, value)| scratch.set(*id, *value));
            }
            if let Some(learnt) = program.find(call, db, scratch)? {
                return Ok(self.answer(program, learnt, call, scratch));
            }
        }
        let mut watch = Watch { claim: None, missed: program.is_some() };
        if record || watch.missed && self.may_record(&Key::of(call)) {
            let (claim, gas) = study(program, call, db, scratch)?;
            watch.claim = claim.map(Box::new);
            let mut school = self.school();
            school.credit = school.credit.saturating_sub(RECORDING_BASE + gas);
        }
        Ok(Answer::Evm(watch))
    }

    fn answer(
        &self,
        program: &Program,
        learnt: &Arc<Learnt>,
        call: &CallEnv<'_>,
        scratch: &mut Scratch,
    ) -> Answer {
        program.idle.store(0, Relaxed);
        let hits = learnt.hits.fetch_add(1, Relaxed);
        let effect = scratch.effect(&learnt.path, &program.params, call.gas);
        // Where gas is short the EVM decides.
        let Some(effect) = effect else { return Answer::Evm(Watch::default()) };
        let counts = learnt.confirmed.load(Relaxed) >= SHADOWS;
        if self.mode == ProgramMode::On && counts && hits % SAMPLE != SAMPLE - 1 {
            return Answer::Effect(effect);
        }
        let claim = Claim { effect, learnt: learnt.clone(), new: None };
        Answer::Evm(Watch { claim: Some(Box::new(claim)), missed: false })
    }

    /// The EVM executed so much gas: that allows for recordings.
    pub(crate) fn earn(&self, gas: u64) {
        let mut school = self.school();
        let credit = school.credit.saturating_add(gas / GAS_PER_RECORDED_GAS);
        school.credit = credit.min(MAX_CREDIT);
    }

    /// Compares what was claimed with what the EVM did.
    pub(crate) fn learn(
        &self,
        watch: Watch,
        call: &CallEnv<'_>,
        outcome: &Outcome<'_>,
    ) -> Option<Mismatch> {
        let claim = *watch.claim?;
        let key = Key::of(call);
        if let Some(difference) = difference(&claim.effect, call, outcome) {
            self.quarantine(key);
            return Some(Mismatch {
                target: call.target,
                code_hash: call.code_hash,
                caller: call.caller,
                value: call.value,
                input: call.input.clone(),
                gas: call.gas,
                difference,
            });
        }
        match claim.new {
            Some((graph, base)) => self.add(key, graph, base, claim.learnt),
            None => drop(claim.learnt.confirmed.fetch_add(1, Relaxed)),
        }
        None
    }

    /// Whether programs may run such a call at all.
    fn is_for(&self, call: &CallEnv<'_>) -> bool {
        // Precompiles do not run their account's code.
        let reserved = call.target.as_slice()[..18].iter().all(|byte| *byte == 0);
        let has_code = call.code_hash != KECCAK_EMPTY;
        !self.off.load(Relaxed) && is_known_fork(call.spec) && has_code && !reserved
    }

    fn program(&self, key: &Key) -> Option<Arc<Program>> {
        self.programs.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn school(&self) -> MutexGuard<'_, School> {
        self.school.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a miss; true if it is to be recorded.
    fn may_record(&self, key: &Key) -> bool {
        let mut school = self.school();
        if school.quarantined.contains(key) {
            return false;
        }
        if school.studies.len() >= MAX_STUDIES && !school.studies.contains_key(key) {
            school.studies.clear();
        }
        let credit = school.credit;
        let study = school.studies.entry(*key).or_insert(Study { next: 2, ..Study::default() });
        study.misses = study.misses.saturating_add(1);
        if study.misses < study.next || credit < LEAST_CREDIT {
            return false;
        }
        study.attempts = (study.attempts + 1).min(20);
        study.next = study.misses.saturating_add(1 << study.attempts);
        true
    }

    /// Adds a path that gave the EVM's result on its own transaction.
    fn add(&self, key: Key, graph: Graph, base: Option<Arc<Program>>, learnt: Arc<Learnt>) {
        let mut programs = self.programs.write().unwrap_or_else(PoisonError::into_inner);
        let same = match (programs.get(&key), &base) {
            (None, None) => true,
            (Some(now), Some(base)) => Arc::ptr_eq(now, base),
            _ => false,
        };
        // Another block learnt in the meantime, or the key was quarantined.
        if !same || self.school().quarantined.contains(&key) {
            return;
        }
        let mut paths = base.map_or(Vec::new(), |base| base.paths.clone());
        paths.push(learnt);
        // Frequent ones first.
        paths.sort_by_key(|path| std::cmp::Reverse(path.hits.load(Relaxed)));
        if paths.len() > MAX_PATHS {
            paths.remove(MAX_PATHS - 1);
        }
        let program = Program::new(graph, paths, key.spec);
        program.used.store(self.runs.load(Relaxed), Relaxed);
        programs.remove(&key);
        make_room(&mut programs, program.weight());
        programs.insert(key, Arc::new(program));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.programs.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How often a key was recorded.
    #[cfg(test)]
    pub(super) fn attempts(&self, call: &CallEnv<'_>) -> u32 {
        self.school().studies.get(&Key::of(call)).map_or(0, |study| study.attempts)
    }

    /// Of each path: instructions, guards, loads, hashes.
    #[cfg(test)]
    pub(super) fn shape(&self, call: &CallEnv<'_>) -> Vec<[usize; 4]> {
        use super::path::Step;
        let Some(program) = self.program(&Key::of(call)) else { return Vec::new() };
        let count = |path: &Path, wanted: fn(&Node) -> bool| {
            let node = |id: &Id| &program.graph.nodes()[usize::from(*id)];
            let is = |step: &&Step| matches!(step, Step::Compute(id) if wanted(node(id)));
            path.steps.iter().filter(is).count()
        };
        let shape = |learnt: &Arc<Learnt>| {
            let path = &learnt.path;
            let guards = path.steps.iter().filter(|step| matches!(step, Step::Check(_))).count();
            let loads = count(path, |node| matches!(node, Node::Load(..)));
            let hashes = count(path, |node| matches!(node, Node::Keccak(..)));
            [path.steps.len() - guards, guards, loads, hashes]
        };
        program.paths.iter().map(shape).collect()
    }

    /// Ends all programs of a key for good.
    fn quarantine(&self, key: Key) {
        let mut school = self.school();
        school.quarantined.insert(key);
        self.off.fetch_or(school.quarantined.len() >= MAX_QUARANTINED, Relaxed);
        drop(school);
        self.programs.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

/// Drops those not used for longest until another of this weight fits.
fn make_room(programs: &mut HashMap<Key, Arc<Program>>, weight: usize) {
    let mut total = weight + programs.values().map(|program| program.weight()).sum::<usize>();
    while programs.len() >= MAX_PROGRAMS || total > MAX_WEIGHT {
        let oldest = programs.iter().min_by_key(|(_, program)| program.used.load(Relaxed));
        let Some(oldest) = oldest.map(|(key, _)| *key) else { return };
        total -= programs.remove(&oldest).map_or(0, |program| program.weight());
    }
}

/// Records a call and lifts it; gives what the new path says about this very call, and the gas
/// that was recorded.
fn study<D: Database<Error = DbError>>(
    base: Option<Arc<Program>>,
    call: &CallEnv<'_>,
    db: &mut D,
    scratch: &mut Scratch,
) -> Result<(Option<Claim>, u64), SourceError> {
    let (events, gas) = record(call, db)?;
    let mut graph = base.as_ref().map(|base| base.graph.clone()).unwrap_or_default();
    let path = events.and_then(|events| lift(&mut graph, call, &events).ok());
    let Some(path) = path else { return Ok((None, gas)) };
    let (confirmed, hits) = (AtomicU32::new(0), AtomicU32::new(1));
    let learnt = Arc::new(Learnt { path, confirmed, hits });
    let program = Program::new(graph, vec![learnt.clone()], call.spec);
    program.begin(scratch);
    let fits = program.find(call, db, scratch)?.is_some();
    let effect = scratch.effect(&learnt.path, &program.params, call.gas).filter(|_| fits);
    let new = |effect| Claim { effect, learnt, new: Some((program.graph, base)) };
    Ok((effect.map(new), gas))
}
