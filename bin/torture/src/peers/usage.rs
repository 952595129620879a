//! What a process has used, and how busy the machine was: read from `/proc`.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::Context;

/// Ticks per second of all times in `/proc`: part of the kernel's interface on the machines we
/// know, whatever its own clock does.
const TICKS: f64 = 100.0;

/// A process counts as idle when it used no more than this in such a time.
const QUIET: (u64, Duration) = (4, Duration::from_secs(1));
/// Longest wait for that.
const LONGEST_DRAIN: Duration = Duration::from_secs(15);

/// A process's counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Processor time in user and system mode, all threads and children that have ended, ticks.
    pub(crate) cpu: u64,
    /// Bytes that it caused to be written to the disk.
    pub(crate) written: u64,
    /// Time of all processors, ticks.
    pub(crate) machine: Machine,
}

/// The machine's counters at one moment, ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    busy: u64,
    total: u64,
}

impl Usage {
    /// The counters of a process.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let read = |file: &str| fs::read_to_string(file).with_context(|| format!("reading {file}"));
        let cpu = cpu(&read(&format!("/proc/{pid}/stat"))?).context("/proc/PID/stat")?;
        let written = written(&read(&format!("/proc/{pid}/io"))?).context("/proc/PID/io")?;
        let machine = machine(&read("/proc/stat")?).context("/proc/stat")?;
        Ok(Self { cpu, written, machine })
    }

    /// What was used since then.
    pub(crate) fn since(self, before: Self) -> Self {
        let (now, then) = (self.machine, before.machine);
        let machine = Machine {
            busy: now.busy.saturating_sub(then.busy),
            total: now.total.saturating_sub(then.total),
        };
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            written: self.written.saturating_sub(before.written),
            machine,
        }
    }

    /// Processor time, seconds.
    pub(crate) fn seconds(self) -> f64 {
        self.cpu as f64 / TICKS
    }

    /// Share of the machine's processor time that other programs used, this one among them.
    pub(crate) fn others(self) -> f64 {
        let others = self.machine.busy.saturating_sub(self.cpu);
        others as f64 / self.machine.total.max(1) as f64
    }
}

/// Waits until the process has nothing more to do, or for a while at most.
pub(crate) fn drain(pid: u32) -> anyhow::Result<Usage> {
    let deadline = Instant::now() + LONGEST_DRAIN;
    let mut last = Usage::of(pid)?;
    loop {
        thread::sleep(QUIET.1);
        let now = Usage::of(pid)?;
        if now.since(last).cpu <= QUIET.0 || Instant::now() >= deadline {
            return Ok(now);
        }
        last = now;
    }
}

/// Fields 14 to 17; the name, which is field 2, may have spaces and brackets in it.
fn cpu(stat: &str) -> Option<u64> {
    let fields = stat.get(stat.rfind(')')? + 1..)?.split_whitespace();
    let times: Vec<u64> = fields.skip(11).take(4).map_while(|field| field.parse().ok()).collect();
    (times.len() == 4).then(|| times.iter().sum())
}

fn written(io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix("write_bytes:")?.trim().parse().ok())
}

/// The line of all processors: user, nice, system, idle, iowait, irq, softirq, steal.
fn machine(stat: &str) -> Option<Machine> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let times: Vec<u64> = line.split_whitespace().take(8).map_while(|it| it.parse().ok()).collect();
    let total = times.iter().sum::<u64>();
    (times.len() == 8).then(|| Machine { busy: total - times[3] - times[4], total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let fields = "S 1 2 3 0 -1 4194560 100 0 0 0 70 20 7 3 20 0 9 0 1234 5 6";
        assert_eq!(cpu(&format!("42 (a name) {fields}")), Some(100));
        assert_eq!(cpu(&format!("42 (a ) 1 2 (b)) {fields}")), Some(100));
        assert_eq!(cpu("42 (short) S 1 2 3 0 -1 4194560 100 0 0 0 70 20"), None);
        assert_eq!(cpu(""), None);
    }

    #[test]
    fn written_bytes_are_those_that_reach_the_disk() {
        assert_eq!(written("rchar: 1\nwchar: 2\nread_bytes: 3\nwrite_bytes: 4096\n"), Some(4096));
        assert_eq!(written("wchar: 2\n"), None);
    }

    #[test]
    fn what_others_used_is_what_this_one_did_not() {
        let stat = |busy: u64, idle: u64| {
            machine(&format!("cpu  {busy} 0 0 {idle} 5 0 0 0 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"))
        };
        let usage = |cpu, busy, idle| Usage { cpu, written: 0, machine: stat(busy, idle).unwrap() };
        let used = usage(60, 190, 210).since(usage(10, 100, 100));
        assert_eq!((used.cpu, used.seconds()), (50, 0.5));
        assert!((used.others() - 40.0 / 200.0).abs() < 1e-9, "{}", used.others());
        assert_eq!(machine("cpu 1 2\n"), None);
    }

    #[test]
    fn this_process_has_counters() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.machine.total >= usage.machine.busy);
    }
}
