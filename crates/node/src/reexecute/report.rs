//! What came of it, as text and as JSON.

use std::{cmp::Reverse, fmt, time::Duration};

use banyan_primitives::{Address, B256, HashMap, alloy_primitives::hex};
use serde_json::{Value, json};

use super::class::Class;

/// Calls without a program that are listed.
const LISTED: usize = 20;
/// Differences that are kept; the log names all.
const MOST_DIFFERENCES: usize = 100;
/// Kinds of calls that are counted; of more, the heavier half is kept.
const MOST_CALLS: usize = 200_000;

/// What re-execution found.
#[derive(Clone, Debug)]
pub struct ReExecuteReport {
    /// First and last block.
    range: Option<(u64, u64)>,
    blocks: u64,
    /// As the headers say.
    gas: u64,
    /// Threads of the fast path.
    workers: usize,
    /// Of plain execution, all of it.
    plain: Duration,
    fast: Duration,
    /// By class, in the order of [`Class::ALL`].
    classes: [Tally; Class::ALL.len()],
    /// What the EVM had to do for want of a program.
    calls: HashMap<(B256, Selector), Missing>,
    differing: u64,
    differences: Vec<Difference>,
}

/// First bytes of calldata; shorter calldata has zeros, as contracts see it.
type Selector = [u8; 4];

/// Transactions, their gas, and the time that plain execution took for them.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    transactions: u64,
    gas: u64,
    time: Duration,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.transactions += other.transactions;
        self.gas += other.gas;
        self.time += other.time;
    }
}

/// Calls without a program of one code and selector.
#[derive(Clone, Copy, Debug)]
struct Missing {
    /// One of the contracts with this code.
    example: Address,
    tally: Tally,
}

/// What a call runs.
pub(super) struct Call {
    target: Address,
    key: (B256, Selector),
}

impl Call {
    pub(super) fn new(target: Address, code_hash: B256, input: &[u8]) -> Self {
        let mut selector = Selector::default();
        let len = input.len().min(selector.len());
        selector[..len].copy_from_slice(&input[..len]);
        Self { target, key: (code_hash, selector) }
    }
}

/// A block that came out otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) number: u64,
    pub(super) hash: B256,
    pub(super) what: String,
}

impl ReExecuteReport {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            range: None,
            blocks: 0,
            gas: 0,
            workers,
            plain: Duration::ZERO,
            fast: Duration::ZERO,
            classes: Default::default(),
            calls: HashMap::default(),
            differing: 0,
            differences: Vec::new(),
        }
    }

    pub(super) fn add_block(&mut self, number: u64, gas: u64, fast: Duration) {
        self.range = Some((self.range.map_or(number, |(first, _)| first), number));
        self.blocks += 1;
        self.gas += gas;
        self.fast += fast;
    }

    pub(super) fn add_plain_time(&mut self, plain: Duration) {
        self.plain += plain;
    }

    pub(super) fn add(&mut self, class: Class, gas: u64, time: Duration) {
        self.classes[class as usize].add(Tally { transactions: 1, gas, time });
    }

    /// Remembers a call that had no program.
    pub(super) fn add_call(&mut self, call: Call, class: Class, gas: u64, time: Duration) {
        if class != Class::Call {
            return;
        }
        let missing = Missing { example: call.target, tally: Tally::default() };
        let missing = self.calls.entry(call.key).or_insert(missing);
        missing.tally.add(Tally { transactions: 1, gas, time });
        if self.calls.len() > MOST_CALLS {
            self.forget_light_calls();
        }
    }

    fn forget_light_calls(&mut self) {
        let mut calls: Vec<_> = self.calls.drain().collect();
        calls.sort_unstable_by_key(|(_, missing)| Reverse(missing.tally.gas));
        self.calls.extend(calls.into_iter().take(MOST_CALLS / 2));
    }

    pub(super) fn add_difference(&mut self, difference: Difference) {
        self.differing += 1;
        if self.differences.len() < MOST_DIFFERENCES {
            self.differences.push(difference);
        }
    }

    /// Blocks that came out otherwise than by plain execution, or than their header says.
    pub fn differing_blocks(&self) -> u64 {
        self.differing
    }

    /// The first block that differs and in what.
    pub fn first_difference(&self) -> Option<String> {
        let first = self.differences.first()?;
        Some(format!("block {} ({}): {}", first.number, first.hash, first.what))
    }

    fn tally(&self, wanted: impl Fn(Class) -> bool) -> Tally {
        let mut sum = Tally::default();
        for class in Class::ALL.into_iter().filter(|class| wanted(*class)) {
            sum.add(self.classes[class as usize]);
        }
        sum
    }

    /// Calls without a program, those with the most gas first.
    fn missing(&self) -> Vec<((B256, Selector), Missing)> {
        let mut calls: Vec<_> = self.calls.iter().map(|(key, missing)| (*key, *missing)).collect();
        calls.sort_unstable_by_key(|(key, missing)| (Reverse(missing.tally.gas), *key));
        calls.truncate(LISTED);
        calls
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        let (all, calls) = (self.tally(|_| true), self.tally(Class::is_call));
        let classes: serde_json::Map<String, Value> = Class::ALL
            .into_iter()
            .map(|class| (class.key().to_owned(), tally_json(self.classes[class as usize], all)))
            .collect();
        let missing = self.missing().into_iter().map(|((code_hash, selector), missing)| {
            let mut entry = tally_json(missing.tally, calls);
            entry["codeHash"] = json!(code_hash);
            entry["selector"] = json!(hex::encode_prefixed(selector));
            entry["example"] = json!(missing.example);
            entry
        });
        let differences = self
            .differences
            .iter()
            .map(|it| json!({ "number": it.number, "hash": it.hash, "what": it.what }));
        json!({
            "from": self.range.map(|(first, _)| first),
            "to": self.range.map(|(_, last)| last),
            "blocks": self.blocks,
            "transactions": all.transactions,
            "gas": self.gas,
            "plain": speed_json(1, self.gas, self.plain),
            "fast": speed_json(self.workers, self.gas, self.fast),
            "classes": classes,
            "coverage": tally_json(self.tally(|class| class == Class::Program), calls),
            "missingPrograms": missing.collect::<Vec<_>>(),
            "differingBlocks": self.differing,
            "differences": differences.collect::<Vec<_>>(),
        })
    }
}

fn speed_json(threads: usize, gas: u64, time: Duration) -> Value {
    let seconds = time.as_secs_f64();
    json!({ "threads": threads, "seconds": seconds, "mgasPerSecond": mgas_per_second(gas, time) })
}

/// Absolute figures, and shares of `whole`.
fn tally_json(tally: Tally, whole: Tally) -> Value {
    json!({
        "transactions": tally.transactions,
        "gas": tally.gas,
        "seconds": tally.time.as_secs_f64(),
        "transactionShare": share(tally.transactions as f64, whole.transactions as f64),
        "gasShare": share(tally.gas as f64, whole.gas as f64),
        "timeShare": share(tally.time.as_secs_f64(), whole.time.as_secs_f64()),
    })
}

/// From 0 to 1; nothing of nothing is nothing.
fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn mgas_per_second(gas: u64, time: Duration) -> f64 {
    share(gas as f64 / 1e6, time.as_secs_f64())
}

/// A part as percentages of a whole: of transactions, gas and time.
fn percentages(tally: Tally, whole: Tally) -> String {
    let shares = [
        share(tally.transactions as f64, whole.transactions as f64),
        share(tally.gas as f64, whole.gas as f64),
        share(tally.time.as_secs_f64(), whole.time.as_secs_f64()),
    ];
    shares.map(|share| format!("{:>8.1} %", share * 100.0)).concat()
}

impl fmt::Display for ReExecuteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, calls) = (self.tally(|_| true), self.tally(Class::is_call));
        let (first, last) = self.range.unwrap_or_default();
        let mgas = self.gas as f64 / 1e6;
        writeln!(
            f,
            "blocks {first} to {last}: {} blocks, {} transactions, {mgas:.1} Mgas\n",
            self.blocks, all.transactions
        )?;
        let threads = if self.workers == 1 { "thread" } else { "threads" };
        let fast = format!("fast path, {} {threads}", self.workers);
        for (name, time) in [("plain sequential", self.plain), (&fast, self.fast)] {
            let (seconds, speed) = (time.as_secs_f64(), mgas_per_second(self.gas, time));
            writeln!(f, "{name:<30}{seconds:>12.3} s{speed:>12.1} Mgas/s")?;
        }
        writeln!(
            f,
            "\n{:<30}{:>12}{:>10}{:>10}{:>10}",
            "class", "count", "of count", "of gas", "of time"
        )?;
        for class in Class::ALL {
            let tally = self.classes[class as usize];
            let shares = percentages(tally, all);
            writeln!(f, "{:<30}{:>12}{shares}", class.name(), tally.transactions)?;
        }
        let answered = self.tally(|class| class == Class::Program);
        let shares = percentages(answered, calls);
        writeln!(f, "{:<30}{:>12}{shares}", "programs, of all calls", answered.transactions)?;
        self.write_missing(f, calls)?;
        self.write_differences(f)
    }
}

impl ReExecuteReport {
    fn write_missing(&self, f: &mut fmt::Formatter<'_>, calls: Tally) -> fmt::Result {
        let missing = self.missing();
        if missing.is_empty() {
            return Ok(());
        }
        writeln!(f, "\ncalls without a program that use most gas (shares of all calls)")?;
        writeln!(
            f,
            "{:<68}{:<12}{:<44}{:>10}{:>10}{:>10}{:>10}",
            "code hash", "selector", "for example at", "count", "of count", "of gas", "of time"
        )?;
        for ((code_hash, selector), Missing { example, tally }) in missing {
            let selector = hex::encode_prefixed(selector);
            let (count, shares) = (tally.transactions, percentages(tally, calls));
            let (code_hash, example) = (code_hash.to_string(), example.to_string());
            writeln!(f, "{code_hash:<68}{selector:<12}{example:<44}{count:>10}{shares}")?;
        }
        Ok(())
    }

    fn write_differences(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.differing == 0 {
            return writeln!(f, "\nno block differs");
        }
        writeln!(f, "\n{} of {} blocks differ", self.differing, self.blocks)?;
        for Difference { number, hash, what } in &self.differences {
            writeln!(f, "block {number} ({hash}): {what}")?;
        }
        let left = self.differing - self.differences.len() as u64;
        if left > 0 { writeln!(f, "and {left} more: see the log") } else { Ok(()) }
    }
}
