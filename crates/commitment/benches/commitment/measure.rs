//! Clocks and counters of the process.

use std::{
    fs,
    time::{Duration, Instant},
};

use banyan_primitives::keccak256;
use rustix::time::{ClockId, clock_gettime};

use crate::Result;

/// What some work cost, ms.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Processor time of all threads of the process.
    pub(crate) cpu: f64,
    pub(crate) wall: f64,
}

/// Runs `work`; its result is dropped by the caller, after the clocks have stopped.
pub(crate) fn cost<T>(work: impl FnOnce() -> T) -> (Cost, T) {
    let (cpu, wall) = (process_cpu(), Instant::now());
    let result = work();
    let wall = wall.elapsed();
    (Cost { cpu: ms(process_cpu().saturating_sub(cpu)), wall: ms(wall) }, result)
}

fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.try_into().unwrap_or_default())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The middle one, of an even number the higher.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Bytes handed to `write` and its like so far: all that MDBX writes.
pub(crate) fn handed() -> Result<u64> {
    count("wchar:")
}

/// A counter that the system keeps of what the process reads and writes.
pub(crate) fn count(name: &str) -> Result<u64> {
    let text = fs::read_to_string("/proc/self/io")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    Ok(line.ok_or("no count of written bytes")?.trim().parse()?)
}

/// How fast the machine is at the moment: ns to hash a full branch alone.
pub(crate) fn keccak_ns() -> f64 {
    let mut branch = [1; 532];
    median((0..20).map(|_| {
        let (cost, ()) = cost(|| (0..1000).for_each(|_| branch[0] = keccak256(branch)[0]));
        cost.cpu * 1e3
    }))
}
