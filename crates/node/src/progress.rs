//! Progress of long work: a bar on a terminal, a log line every few seconds elsewhere.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Between two states of the bar.
const REDRAW: Duration = Duration::from_millis(200);
/// Between two log lines.
const LOG_PERIOD: Duration = Duration::from_secs(5);
/// Characters of the bar.
const BAR: usize = 24;
/// Takes back what stands on the terminal's line.
pub(crate) const CLEAR_LINE: &str = "\r\x1b[2K";

/// Whether bars are drawn; decided once, with the form of the log.
static BARS: OnceLock<bool> = OnceLock::new();

/// Draws bars from now on if `wanted` and standard error is a terminal. The first call counts.
pub(crate) fn allow_bars(wanted: bool) -> bool {
    *BARS.get_or_init(|| wanted && io::stderr().is_terminal())
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Items,
    Bytes,
}

/// Long work under way. Shows nothing if the work is done soon; ends when dropped. Cheap to set,
/// from any thread.
#[derive(Debug)]
pub struct Progress {
    done: Arc<AtomicU64>,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Work of `total` items; zero: nobody knows how many.
    pub fn new(label: impl Into<String>, total: u64) -> Self {
        Self::start(label.into(), total, Unit::Items)
    }

    /// Work on `total` bytes.
    pub fn bytes(label: impl Into<String>, total: u64) -> Self {
        Self::start(label.into(), total, Unit::Bytes)
    }

    /// So much is done.
    pub fn set(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
    }

    /// So much more is done.
    pub fn add(&self, more: u64) {
        self.done.fetch_add(more, Ordering::Relaxed);
    }

    /// The work has ended, well or not: the bar goes away.
    pub fn finish(self) {}

    fn start(label: String, total: u64, unit: Unit) -> Self {
        let done = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = mpsc::channel();
        let work = Work { label, total, unit, done: Arc::clone(&done), started: Instant::now() };
        // Work goes on without its bar if there is no thread for it.
        let thread = std::thread::Builder::new()
            .name("progress".into())
            .spawn(move || work.show(&stopped, BARS.get().copied().unwrap_or(false)))
            .ok();
        Self { done, stop: Some(stop), thread }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It only draws.
            let _ = thread.join();
        }
    }
}

/// What the drawing thread knows.
struct Work {
    label: String,
    total: u64,
    unit: Unit,
    done: Arc<AtomicU64>,
    started: Instant,
}

impl Work {
    fn show(&self, stopped: &mpsc::Receiver<()>, bar: bool) {
        let period = if bar { REDRAW } else { LOG_PERIOD };
        let mut drawn = false;
        while stopped.recv_timeout(period) == Err(mpsc::RecvTimeoutError::Timeout) {
            let state = self.state(self.started.elapsed());
            if bar {
                draw(&format!("{CLEAR_LINE}{}", self.bar(&state)));
                drawn = true;
            } else {
                self.log(&state);
            }
        }
        if drawn {
            draw(CLEAR_LINE);
        }
    }

    fn state(&self, elapsed: Duration) -> State {
        State::of(self.done.load(Ordering::Relaxed), self.total, elapsed)
    }

    fn log(&self, state: &State) {
        let rate = format!("{}/s", self.amount(state.rate));
        let done = self.amount(state.done as f64);
        let elapsed = clock(state.elapsed);
        match (state.percent, state.eta) {
            (Some(percent), Some(eta)) => tracing::info!(
                %done, total = %self.amount(self.total as f64), percent, %rate, eta = %clock(eta),
                "{}", self.label
            ),
            _ if state.done > 0 => tracing::info!(%done, %rate, %elapsed, "{}", self.label),
            _ => tracing::info!(%elapsed, "{}", self.label),
        }
    }

    fn bar(&self, state: &State) -> String {
        let rate = self.amount(state.rate);
        let (Some(percent), Some(eta)) = (state.percent, state.eta) else {
            return format!("{}  {}", self.label, clock(state.elapsed));
        };
        let full = BAR * percent as usize / 100;
        let line = format!("{}{}", "█".repeat(full), "░".repeat(BAR - full));
        format!("{}  {line} {percent:3}%  {rate}/s  ETA {}", self.label, clock(eta))
    }

    fn amount(&self, amount: f64) -> String {
        match self.unit {
            Unit::Bytes => format!("{:.1} MB", amount / 1e6),
            Unit::Items if amount >= 10.0 || amount.fract() == 0.0 => format!("{amount:.0}"),
            Unit::Items => format!("{amount:.1}"),
        }
    }
}

/// How far the work is.
#[derive(Debug, PartialEq)]
struct State {
    done: u64,
    elapsed: Duration,
    /// Per second, on average.
    rate: f64,
    /// `None`: the total is not known.
    percent: Option<u64>,
    /// `None`: cannot be told yet.
    eta: Option<Duration>,
}

impl State {
    fn of(done: u64, total: u64, elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs_f64();
        let rate = if seconds > 0.0 { done as f64 / seconds } else { 0.0 };
        let percent =
            (total > 0).then(|| (u128::from(done.min(total)) * 100 / u128::from(total)) as u64);
        let left = total.saturating_sub(done) as f64;
        let eta = (total > 0 && rate > 0.0)
            .then(|| Duration::try_from_secs_f64(left / rate).ok())
            .flatten();
        Self { done, elapsed, rate, percent, eta }
    }
}

/// `12s`, `3m05s`, `2h07m`.
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A terminal that is gone needs no bar.
fn draw(text: &str) {
    let mut terminal = io::stderr().lock();
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}

/// Standard output on a terminal that may show a bar: each line of the log takes its place, and
/// the bar comes back below.
pub(crate) struct AboveBar {
    inner: io::Stdout,
    cleared: bool,
}

impl AboveBar {
    /// For one log line.
    pub(crate) fn new() -> Self {
        Self { inner: io::stdout(), cleared: false }
    }
}

impl Write for AboveBar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !std::mem::replace(&mut self.cleared, true) {
            self.inner.write_all(CLEAR_LINE.as_bytes())?;
        }
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(total: u64, unit: Unit) -> Work {
        let done = Arc::new(AtomicU64::new(0));
        Work { label: "importing".into(), total, unit, done, started: Instant::now() }
    }

    #[test]
    fn rate_and_time_left_follow_from_what_is_done() {
        let state = State::of(250, 1000, Duration::from_secs(5));
        assert_eq!((state.percent, state.rate), (Some(25), 50.0));
        assert_eq!(state.eta, Some(Duration::from_secs(15)));
        let more = State::of(2000, 1000, Duration::from_secs(1));
        assert_eq!((more.percent, more.eta), (Some(100), Some(Duration::ZERO)));
    }

    #[test]
    fn what_cannot_be_told_is_left_out() {
        let nothing_yet = State::of(0, 1000, Duration::from_secs(5));
        assert_eq!((nothing_yet.percent, nothing_yet.eta), (Some(0), None));
        let no_total = State::of(10, 0, Duration::from_secs(5));
        assert_eq!((no_total.percent, no_total.eta), (None, None));
        assert_eq!(State::of(5, 10, Duration::ZERO).eta, None);
        assert_eq!(work(0, Unit::Items).bar(&no_total), "importing  5s");
    }

    #[test]
    fn the_bar_shows_part_rate_and_time_left() {
        let state = State::of(500, 1000, Duration::from_secs(60));
        let bar = work(1000, Unit::Items).bar(&state);
        assert_eq!(bar, "importing  ████████████░░░░░░░░░░░░  50%  8.3/s  ETA 1m00s");
        let state = State::of(3_000_000, 4_000_000, Duration::from_secs(2));
        let bar = work(4_000_000, Unit::Bytes).bar(&state);
        assert!(bar.ends_with(" 75%  1.5 MB/s  ETA 0s"), "{bar}");
    }

    #[test]
    fn times_are_short() {
        let check = |seconds, text: &str| assert_eq!(clock(Duration::from_secs(seconds)), text);
        check(0, "0s");
        check(59, "59s");
        check(185, "3m05s");
        check(7_620, "2h07m");
        check(90_000, "1d01h");
    }

    #[test]
    fn any_thread_may_report_and_the_end_waits_for_nothing() {
        let progress = Progress::new("work", 10);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| progress.add(2));
            }
        });
        assert_eq!(progress.done.load(Ordering::Relaxed), 8);
        progress.set(10);
        progress.finish();
    }
}
