//! Clocks.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Times of one contender.
#[derive(Debug, Default)]
pub struct Times(Vec<(Duration, Duration)>);

impl Times {
    /// Adds what [`time`] gave; the first round warms up only.
    pub fn add<T>(&mut self, round: usize, (cpu, wall, result): (Duration, Duration, T)) -> T {
        if round > 0 {
            self.0.push((cpu, wall));
        }
        result
    }

    /// Median processor time of all threads, in ms.
    pub fn cpu(&self) -> f64 {
        median(self.0.iter().map(|times| times.0).collect())
    }

    /// Median time, in ms.
    pub fn wall(&self) -> f64 {
        median(self.0.iter().map(|times| times.1).collect())
    }

    /// For people.
    pub fn report(&self, keys: usize) -> String {
        let (cpu, wall) = (self.cpu(), self.wall());
        format!("{cpu:7.2} ({wall:7.2}) {:5.2}", cpu * 1e3 / keys as f64)
    }
}

/// Runs `work`; processor time of the process and time.
pub fn time<T>(work: impl FnOnce() -> T) -> (Duration, Duration, T) {
    let (cpu, wall) = (process_cpu(), Instant::now());
    let result = work();
    let wall = wall.elapsed();
    (process_cpu().saturating_sub(cpu), wall, result)
}

fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.try_into().unwrap_or_default())
}

/// In ms.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}
