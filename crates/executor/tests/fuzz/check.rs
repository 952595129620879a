//! The executor against the oracle, and what is left of a block when it is cut down to the part
//! that fails.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
};

use banyan_chainspec::{ChainSpec, OpFork};
use banyan_executor::{
    BlockContext, BlockExecutor, BlockOutput, ExecutionError, ExecutionStats, Executor,
    ExecutorConfig, ProgramMode,
};
use banyan_primitives::{
    Address, RecoveredBlock, SealedBlock, StateDiff, Transaction, TransactionTrait,
};
use rand::{
    Rng, SeedableRng,
    seq::{IndexedRandom, SliceRandom},
};
use rand_chacha::ChaCha8Rng;

use crate::{
    chain::{Chain, Sent, Step, digest, oracle, told},
    faulty::{Fault, Faulty},
    lists, loud,
    world::{World, is_op},
};

/// Tries of a schedule before it counts as harmless.
const ATTEMPTS: usize = 6;

/// What the oracle said, in a form that compares.
type Verdict = Result<BlockOutput, String>;

/// Where an executor and the oracle parted.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) block: usize,
    pub(crate) config: ExecutorConfig,
    pub(crate) reason: String,
}

/// The executors that a chain is run by: one without other threads, and one or two with.
fn configs(seed: u64) -> Vec<ExecutorConfig> {
    use ProgramMode::*;
    let mut rng = ChaCha8Rng::seed_from_u64(!seed);
    let mut config = |workers: &[usize]| ExecutorConfig {
        workers: *workers.choose(&mut rng).unwrap(),
        programs: *[On, On, On, Shadow, Off].choose(&mut rng).unwrap(),
        perturb: rng.random_ratio(7, 8).then(|| rng.random()),
        record: rng.random_ratio(1, 2),
    };
    let mut configs = vec![config(&[1]), config(&[2, 2, 4, 4, 8, 16])];
    if seed.is_multiple_of(4) {
        configs.push(config(&[0, 2, 3, 4]));
    }
    configs
}

/// Runs `length` blocks of the chain of `seed`; one executor lives through all of them.
pub(crate) fn run_chain(seed: u64, length: usize) -> Result<ExecutionStats, Failure> {
    let mut chain = Chain::new(seed);
    let executors: Vec<_> = configs(seed).into_iter().map(Executor::new).collect();
    let mut stats = ExecutionStats::default();
    for index in 0..length {
        let step = chain.step();
        let spec = &chain.world.spec;
        let by_itself =
            |reason| Failure { seed, block: index, config: ExecutorConfig::SEQUENTIAL, reason };
        check_oracle(&chain.world, &step).map_err(by_itself)?;
        let verdicts: Vec<Verdict> =
            step.blocks.iter().map(|block| verdict(spec, block, &step)).collect();
        for executor in &executors {
            let failure =
                |reason| Failure { seed, block: index, config: executor.config().clone(), reason };
            check_step(executor, spec, &step, &verdicts, &mut stats).map_err(failure)?;
        }
    }
    Ok(stats)
}

/// All that is executed for a step: its blocks, then what is built from it; or both at once, as in a
/// node.
fn check_step(
    executor: &Executor,
    spec: &ChainSpec,
    step: &Step,
    verdicts: &[Verdict],
    stats: &mut ExecutionStats,
) -> Result<(), String> {
    let mut blocks = || {
        let mut all = step.blocks.iter().zip(verdicts);
        all.try_for_each(|(block, verdict)| {
            check_block(executor, spec, block, step, verdict, stats)
        })
    };
    let build = || check_build(executor, spec, step);
    if step.build.is_some_and(|seed| seed % 16 == 1) {
        guarded(|| check_faults(executor, spec, step, verdicts))?;
    }
    if step.build.is_none_or(|seed| seed % 4 != 0) {
        return guarded(|| blocks().and_then(|()| build()));
    }
    std::thread::scope(|scope| {
        let built = scope.spawn(|| guarded(build));
        let executed = guarded(&mut blocks);
        executed.and(built.join().expect("panics are caught"))
    })
}

/// The oracle against itself: each transaction alone, on the state that those before it left, with
/// nothing between them but that state.
fn check_oracle(world: &World, step: &Step) -> Result<(), String> {
    let good = step.blocks.last().expect("the block of what was accepted");
    let header = good.header.inner();
    // There the first transaction of a block says how those behind it are charged.
    if world.open_l1 || is_op(&world.spec, header.timestamp, OpFork::Jovian) {
        return Ok(());
    }
    let mut state = step.parent.clone();
    state.apply(&step.opening);
    let context = BlockContext::from_header(header);
    for (index, ((tx, sender), said)) in step.tried.iter().enumerate() {
        if said.starts_with("Err") {
            continue;
        }
        let mut executor = BlockExecutor::new(&world.spec, context.clone(), &state);
        let alone = told(&executor.execute(tx, *sender));
        if alone != *said {
            return Err(format!("oracle: try {index} alone: {alone}, in its block: {said}"));
        }
        let diff = executor.diff_so_far().map_err(|error| error.to_string())?;
        drop(executor);
        state.apply(&diff);
    }
    let mut block = step.parent.clone();
    block.apply(step.diffs.last().unwrap_or(&step.opening));
    match (&block.accounts, &block.storage) == (&state.accounts, &state.storage) {
        true => Ok(()),
        false => Err("oracle: transactions one by one leave another state".into()),
    }
}

/// A panic is a failure like others, and so is what was said loudly.
fn guarded(check: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let result = catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panic: {}", text.unwrap_or("without a message")))
    });
    match loud::heard() {
        heard if heard.is_empty() => result,
        heard => Err(result.err().unwrap_or_default() + &heard.join("; ")),
    }
}

/// On a state that cannot be read at one place the executor says so, or needed nothing from there;
/// and if only its threads cannot read it, that is no matter.
fn check_faults(
    executor: &Executor,
    spec: &ChainSpec,
    step: &Step,
    verdicts: &[Verdict],
) -> Result<(), String> {
    let good = step.blocks.last().expect("the block of what was accepted");
    let verdict = verdicts.last().expect("one of each block");
    let mut addresses: Vec<_> = good.senders.iter().copied().collect();
    addresses.extend(good.body.transactions.iter().filter_map(|tx| tx.to()));
    let seed = step.build.unwrap_or_default() as usize;
    let Some(address) = addresses.get(seed / 16 % addresses.len().max(1)).copied() else {
        return Ok(());
    };
    for fault in [Fault::Error, Fault::WorkersPanic] {
        let parent = Faulty { state: &step.parent, address, fault };
        let mut root = |diff: &StateDiff| Ok(digest(diff));
        let found = executor.execute_block_with_roots(spec, good, &parent, &mut root);
        match (found, fault) {
            (Err(ExecutionError::Source(_)), Fault::Error) => {}
            (found, _) => {
                let found = found.map(|found| found.output).map_err(|error| format!("{error:?}"));
                compare(found, verdict.clone(), step)
                    .map_err(|difference| format!("{fault:?} at {address}: {difference}"))?;
            }
        }
    }
    Ok(())
}

fn verdict(spec: &ChainSpec, block: &RecoveredBlock, step: &Step) -> Verdict {
    oracle(spec, block, &step.parent).map_err(|error| format!("{error:?}"))
}

fn check_block(
    executor: &Executor,
    spec: &ChainSpec,
    block: &RecoveredBlock,
    step: &Step,
    verdict: &Verdict,
    stats: &mut ExecutionStats,
) -> Result<(), String> {
    let mut root = |diff: &StateDiff| Ok(digest(diff));
    let found = executor.execute_block_with_roots(spec, block, &step.parent, &mut root);
    let found = found.map_err(|error| format!("{error:?}"));
    let mut accesses = None;
    if let Ok(found) = &found {
        add(stats, &found.stats);
        lists::check(spec, block, step, found.accesses.as_deref())?;
        accesses = found.accesses.clone();
    }
    compare(found.map(|found| found.output), verdict.clone(), step)
        .map_err(|difference| format!("block: {difference}"))?;
    let Some(accesses) = accesses else { return Ok(()) };
    let list = accesses.list();
    for list in [list, &lists::corrupted(list, list.len() as u64)] {
        let again = executor.execute_block_again(spec, block, &step.parent, list);
        let again = again.map(|again| again.output).map_err(|error| format!("{error:?}"));
        let (mut again, mut verdict) = (again, verdict.clone());
        // Nobody computes these here.
        for output in [&mut again, &mut verdict].into_iter().flatten() {
            output.receipts.iter_mut().for_each(|receipt| receipt.post_state = None);
        }
        compare(again, verdict, step).map_err(|difference| format!("again: {difference}"))?;
    }
    Ok(())
}

fn compare(mut found: Verdict, mut wanted: Verdict, step: &Step) -> Result<(), String> {
    for output in [&mut found, &mut wanted].into_iter().flatten() {
        normalise(&mut output.diff, step);
    }
    if found == wanted { Ok(()) } else { Err(difference(&found, &wanted)) }
}

/// Whether storage was wiped says nothing where there was none: an empty account that is touched by
/// a fee of zero and then earns one may be made anew or not.
fn normalise(diff: &mut StateDiff, step: &Step) {
    for (address, change) in &mut diff.accounts {
        change.wiped &= step.parent.storage.contains_key(address);
    }
    diff.accounts.retain(|_, change| {
        change.before != change.after || change.wiped || !change.storage.is_empty()
    });
}

pub(crate) fn add(sum: &mut ExecutionStats, more: &ExecutionStats) {
    sum.transactions += more.transactions;
    sum.run_ahead += more.run_ahead;
    sum.valid += more.valid;
    sum.stale += more.stale;
    sum.by_committer += more.by_committer;
    sum.transfers += more.transfers;
    sum.programs += more.programs;
    sum.program_misses += more.program_misses;
    sum.program_checks += more.program_checks;
}

/// What differs first between what was found and what the oracle says.
fn difference(found: &Verdict, wanted: &Verdict) -> String {
    let (found, wanted) = match (found, wanted) {
        (Ok(found), Ok(wanted)) => (found, wanted),
        (found, wanted) => {
            let text = |verdict: &Verdict| {
                verdict.as_ref().map_or_else(Clone::clone, |output| {
                    format!("Ok, {} receipts", output.receipts.len())
                })
            };
            return format!("{}, oracle: {}", text(found), text(wanted));
        }
    };
    for (index, (a, b)) in found.receipts.iter().zip(&wanted.receipts).enumerate() {
        if a != b {
            return format!("receipt {index}: {a:?}\n  oracle: {b:?}");
        }
    }
    if found.requests != wanted.requests {
        return format!("requests {:?}, oracle: {:?}", found.requests, wanted.requests);
    }
    if (found.gas_used, found.blob_gas_used) != (wanted.gas_used, wanted.blob_gas_used) {
        return format!("gas {} {}", found.gas_used, found.blob_gas_used);
    }
    diff_difference(&found.diff, &wanted.diff)
}

fn diff_difference(found: &StateDiff, wanted: &StateDiff) -> String {
    let addresses: BTreeSet<_> = found.accounts.keys().chain(wanted.accounts.keys()).collect();
    let mut text = String::new();
    for address in addresses {
        let (a, b) = (found.accounts.get(address), wanted.accounts.get(address));
        if a != b {
            text += &format!("account {address}: {a:?}\n  oracle: {b:?}\n");
        }
    }
    if found.codes != wanted.codes {
        text += &format!("codes {:?}, oracle: {:?}", found.codes.keys(), wanted.codes.keys());
    }
    text
}

/// Builds a block of everything that was tried: offers some of it in any order, executes all of it
/// in order, and wants the same answers and the same state as the plain executor gave.
fn check_build(executor: &Executor, spec: &ChainSpec, step: &Step) -> Result<(), String> {
    let Some(seed) = step.build.filter(|_| !step.tried.is_empty()) else { return Ok(()) };
    let header = step.blocks[0].header.inner();
    executor.build(spec, BlockContext::from_header(header), &step.parent, |builder| {
        build(builder, spec, step, seed)
    })
}

fn build(
    mut builder: BlockExecutor<'_, &banyan_executor::MemoryState>,
    spec: &ChainSpec,
    step: &Step,
    seed: u64,
) -> Result<(), String> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let begun = rng.random_ratio(1, 2);
    if begun {
        builder.begin().map_err(|error| format!("begin: {error}"))?;
    }
    builder.offer(offers(&mut rng, step, 0));
    if !begun {
        builder.begin().map_err(|error| format!("begin: {error}"))?;
    }
    // Now and then a builder stops half-way.
    let stop =
        if rng.random_ratio(1, 6) { rng.random_range(0..step.tried.len()) } else { usize::MAX };
    for (index, ((tx, sender), said)) in step.tried.iter().enumerate().take(stop) {
        let result = told(&builder.execute(tx, *sender));
        if result != *said {
            return Err(format!("build: try {index}: {result}, oracle: {said}"));
        }
        if rng.random_ratio(1, 6) {
            builder.offer(offers(&mut rng, step, index));
        }
        if rng.random_ratio(1, 8) {
            let mut diffs = [
                builder.diff_so_far().map_err(|error| error.to_string())?,
                step.diffs[index].clone(),
            ];
            diffs.iter_mut().for_each(|diff| normalise(diff, step));
            if diffs[0] != diffs[1] {
                let what = diff_difference(&diffs[0], &diffs[1]);
                return Err(format!("build: after try {index}: {what}"));
            }
        }
    }
    if stop != usize::MAX {
        return Ok(());
    }
    let good = step.blocks.last().expect("the block of what was accepted");
    let withdrawals = good.body.withdrawals.as_ref().map(|withdrawals| withdrawals.as_slice());
    let found = builder.finish_with_accesses(&good.body.ommers, withdrawals);
    let found = found.map_err(|error| format!("{error:?}"));
    if let Ok((_, accesses)) = &found {
        lists::check(spec, good, step, accesses.as_deref())
            .map_err(|difference| format!("build: {difference}"))?;
    }
    let mut found = found.map(|(output, _)| output);
    let mut verdict = step.verdict.clone();
    // Those who build have no state roots in their receipts.
    for output in [&mut found, &mut verdict].into_iter().flatten() {
        output.receipts.iter_mut().for_each(|receipt| receipt.post_state = None);
    }
    compare(found, verdict, step).map_err(|difference| format!("build: {difference}"))
}

/// Some of the candidates from `from` on, mostly in order, perhaps twice, with strangers.
fn offers(rng: &mut ChaCha8Rng, step: &Step, from: usize) -> Vec<Sent> {
    let keep = *[1, 5, 8].choose(rng).unwrap();
    let mut offers: Vec<_> = step.tried[from..].iter().map(|(sent, _)| sent.clone()).collect();
    offers.retain(|_| rng.random_ratio(keep, 8));
    if rng.random_ratio(1, 4) {
        offers.shuffle(rng);
    }
    if rng.random_ratio(1, 8) {
        offers.extend(step.tried.iter().map(|(sent, _)| sent.clone()));
    }
    offers
}

/// A failure with as little around it as still fails.
pub(crate) fn minimised(failure: &Failure) -> String {
    let Failure { seed, block, config, reason } = failure;
    let mut chain = Chain::new(*seed);
    let mut history: Vec<Step> = (0..*block).map(|_| chain.step()).collect();
    let mut step = chain.step();
    let spec = &chain.world.spec;
    let mut last = reason.clone();
    let world = &chain.world;
    let mut fails = |history: &[Step], step: &Step| -> bool {
        let failed = attempt(config, world, history, step);
        failed.inspect(|new| last.clone_from(new)).is_some()
    };
    let reproduced = fails(&history, &step);
    if reproduced {
        cut(&mut history, |history| fails(history, &step));
        cut_transactions(spec, &mut step, |step| fails(&history, step));
    }
    let mut text =
        format!("seed {seed}, block {block}, {config:?}, chain {}\n{reason}\n", chain.world.name);
    text.push_str(&format!("after cutting: {last}\n"));
    if !reproduced {
        text.push_str("NOT REPRODUCED: a matter of the schedule; the whole block:\n");
    }
    for (number, earlier) in history.iter().enumerate() {
        text.push_str(&format!("needs earlier block {number}:\n{}", print(earlier)));
    }
    text.push_str(&format!(
        "{:?}\n{}",
        BlockContext::from_header(step.blocks[0].header.inner()),
        print(&step)
    ));
    text
}

/// Drops what is not needed, in smaller and smaller parts, until every single one is.
fn cut<T: Clone>(all: &mut Vec<T>, mut still_fails: impl FnMut(&[T]) -> bool) {
    let mut part = all.len();
    while part > 0 {
        let (before, mut from) = (all.len(), 0);
        while from < all.len() {
            let mut fewer = all.clone();
            fewer.drain(from..(from + part).min(all.len()));
            match still_fails(&fewer) {
                true => *all = fewer,
                false => from += part,
            }
        }
        if part > 1 || all.len() == before {
            part /= 2;
        }
    }
}

fn cut_transactions(spec: &ChainSpec, step: &mut Step, mut still_fails: impl FnMut(&Step) -> bool) {
    // First the blocks alone, then what the builder tries.
    let without_tries = Step { tried: Vec::new(), diffs: Vec::new(), build: None, ..step.clone() };
    if still_fails(&without_tries) {
        *step = without_tries;
        for index in (0..step.blocks.len()).rev() {
            let only = Step { blocks: vec![step.blocks[index].clone()], ..step.clone() };
            if still_fails(&only) {
                *step = only;
                break;
            }
        }
        for index in 0..step.blocks.len() {
            let block = step.blocks[index].clone();
            let mut sent: Vec<Sent> =
                block.transactions().map(|(tx, sender)| (tx.clone(), sender)).collect();
            let with = |sent: &[Sent]| {
                let mut step = step.clone();
                step.blocks[index] = with_transactions(&block, sent);
                step
            };
            cut(&mut sent, |sent| still_fails(&with(sent)));
            *step = with(&sent);
        }
        return;
    }
    let mut tried: Vec<Sent> = step.tried.iter().map(|(sent, _)| sent.clone()).collect();
    let base = step.clone();
    cut(&mut tried, |tried| still_fails(&retried(spec, &base, tried)));
    *step = retried(spec, &base, &tried);
}

/// The step with other tries, and what the plain executor says about them.
fn retried(spec: &ChainSpec, step: &Step, sent: &[Sent]) -> Step {
    let good = step.blocks.last().expect("the block of what was accepted");
    let context = BlockContext::from_header(good.header.inner());
    let mut executor = BlockExecutor::new(spec, context, &step.parent);
    executor.begin().expect("began before");
    let mut new = Step { tried: Vec::new(), diffs: Vec::new(), ..step.clone() };
    let mut accepted = Vec::new();
    for (tx, sender) in sent {
        let result = executor.execute(tx, *sender);
        if result.is_ok() {
            accepted.push((tx.clone(), *sender));
        }
        new.tried.push(((tx.clone(), *sender), told(&result)));
        new.diffs.push(executor.diff_so_far().expect("a state in memory"));
    }
    new.blocks = vec![with_transactions(good, &accepted)];
    new.verdict = verdict(spec, &new.blocks[0], &new);
    new
}

fn with_transactions(block: &RecoveredBlock, sent: &[Sent]) -> RecoveredBlock {
    let (transactions, senders) = sent.iter().cloned().unzip();
    let SealedBlock { header, mut body } = SealedBlock::clone(&block.block);
    body.transactions = transactions;
    RecoveredBlock::new(SealedBlock { header, body }, senders)
}

/// Runs the history and then the block with new executors until one fails.
fn attempt(
    config: &ExecutorConfig,
    world: &World,
    history: &[Step],
    step: &Step,
) -> Option<String> {
    let spec = &world.spec;
    let run = |executor: &Executor, step: &Step| {
        check_oracle(world, step)?;
        let verdicts: Vec<_> = step.blocks.iter().map(|block| verdict(spec, block, step)).collect();
        check_step(executor, spec, step, &verdicts, &mut ExecutionStats::default())
    };
    (0..ATTEMPTS).find_map(|_| {
        let executor = Executor::new(config.clone());
        for earlier in history {
            // Only what is learnt from it matters.
            let _ = guarded(|| run(&executor, earlier));
        }
        guarded(|| run(&executor, step)).err()
    })
}

fn print(step: &Step) -> String {
    let mut text = String::new();
    for block in &step.blocks {
        text.push_str("  block of\n");
        block.transactions().for_each(|(tx, sender)| text.push_str(&print_sent(tx, sender)));
    }
    if !step.tried.is_empty() {
        text.push_str("  built from\n");
    }
    for ((tx, sender), said) in &step.tried {
        text.push_str(&format!("{}      {said}\n", print_sent(tx, *sender)));
    }
    text
}

fn print_sent(tx: &Transaction, sender: Address) -> String {
    let mut text = format!("    {sender} {:?} nonce {}", tx.tx_type(), tx.nonce());
    text += &format!(" to {:?} value {} gas {}", tx.to(), tx.value(), tx.gas_limit());
    text += &format!(" fee {} tip {:?}", tx.max_fee_per_gas(), tx.max_priority_fee_per_gas());
    text += &format!(" input {}", tx.input());
    if let Some(list) = tx.access_list().filter(|list| !list.0.is_empty()) {
        text += &format!(" access {:?}", list.0);
    }
    for signed in tx.authorization_list().unwrap_or_default() {
        let who = signed.recover_authority().ok();
        text += &format!(" {who:?} to {} nonce {}", signed.address(), signed.nonce());
    }
    if let Some(deposit) = tx.as_deposit() {
        text += &format!(" mint {}", deposit.mint);
    }
    text + "\n"
}
