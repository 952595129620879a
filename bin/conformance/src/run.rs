use std::{
    io::{IsTerminal, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, Once,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use anyhow::{Context, ensure};

use crate::{
    Case, Options, Outcome, Report, ResultLine, Worker,
    collect::{self, FixtureFile},
    expected::{self, Expected},
    formats,
};

/// Stack of a worker: the EVM's call depth of 1024 runs on it.
const STACK_BYTES: usize = 64 << 20;

/// How the workers are named.
const CASE_THREAD: &str = "case-";

/// Runs every case of the folders on all cores. An error means that nothing could be run; failed
/// cases are in the report.
pub fn run(options: &Options) -> anyhow::Result<Report> {
    let started = Instant::now();
    let files = collect::files(&options.fixtures, &options.unpack_to)?;
    let expected = expected::read(&options.expected_failures)?;
    let run = Run {
        options,
        files: &files,
        expected: &expected,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        done: AtomicUsize::new(0),
        results: Mutex::default(),
    };
    silence_cases();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = options.jobs.unwrap_or(cores).clamp(1, files.len());
    std::thread::scope(|scope| {
        let spawn = |number| {
            let thread = std::thread::Builder::new().name(format!("{CASE_THREAD}{number}"));
            thread.stack_size(STACK_BYTES).spawn_scoped(scope, || run.work())
        };
        let workers: Vec<_> = (0..jobs).map(spawn).collect::<Result<_, _>>()?;
        workers.into_iter().try_for_each(|worker| worker.join().expect("cases are caught"))
    })?;
    let mut report = run.results.into_inner().expect("no worker panics");
    report.finish(started.elapsed());
    ensure!(!report.lines.is_empty(), "no case was run: {}", report.skipped_text());
    Ok(report)
}

struct Run<'a> {
    options: &'a Options,
    files: &'a [FixtureFile],
    expected: &'a Expected,
    next: AtomicUsize,
    stop: AtomicBool,
    done: AtomicUsize,
    results: Mutex<Report>,
}

impl Run<'_> {
    /// One worker: takes files until there are none.
    fn work(&self) -> anyhow::Result<()> {
        let worker = Worker::new(self.options.executor.clone()).context("cannot start a worker")?;
        while let Some(file) = self.files.get(self.next.fetch_add(1, Relaxed)) {
            if self.stop.load(Relaxed) {
                break;
            }
            self.one_file(&worker, file);
        }
        Ok(())
    }

    fn one_file(&self, worker: &Worker, file: &FixtureFile) {
        let loaded = formats::load(file).unwrap_or_else(|error| {
            let fails = move |_: &Worker| Err(error.context("cannot be read"));
            vec![Case::new(&file.name, "?", fails)].into()
        });
        for reason in loaded.not_run {
            self.results.lock().expect("no worker panics").skip(&file.name, reason);
        }
        for case in loaded.cases {
            if self.stop.load(Relaxed) {
                return;
            }
            if self.is_wanted(file, &case) {
                self.one_case(worker, file, case);
            }
        }
    }

    fn is_wanted(&self, file: &FixtureFile, case: &Case) -> bool {
        let filter = &self.options.filter;
        let matches = |text: &String| file.name.contains(text) || case.id.contains(text);
        filter.is_empty() || filter.iter().any(matches)
    }

    fn one_case(&self, worker: &Worker, file: &FixtureFile, case: Case) {
        let (started, Case { id, fork, check }) = (Instant::now(), case);
        let result = catch_unwind(AssertUnwindSafe(|| check(worker)));
        let result = result.unwrap_or_else(|panic| Err(anyhow::anyhow!("{}", panic_text(&*panic))));
        let outcome = match (result, self.expected.get(&id)) {
            (Ok(()), None) => Outcome::Passed,
            (Ok(()), Some(reason)) => Outcome::UnexpectedPass(reason.clone()),
            (Err(_), Some(reason)) => Outcome::ExpectedFailure(reason.clone()),
            (Err(error), None) => Outcome::Failed(format!("{error:#}")),
        };
        if self.options.fail_fast && !outcome.is_good() {
            self.stop.store(true, Relaxed);
        }
        let line =
            ResultLine { file: file.name.clone(), id, fork, outcome, elapsed: started.elapsed() };
        self.results.lock().expect("no worker panics").lines.push(line);
        self.show_progress();
    }

    /// One line that overwrites itself, where somebody watches.
    fn show_progress(&self) {
        let done = self.done.fetch_add(1, Relaxed) + 1;
        if done.is_multiple_of(100) && std::io::stderr().is_terminal() {
            eprint!("\r{done} cases ");
            // Only decoration: a closed terminal is no reason to stop.
            let _ = std::io::stderr().flush();
        }
    }
}

/// A panic of a case is in the report; no need to print it as well. Panics of the node's own
/// threads are printed as ever.
fn silence_cases() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            if !thread.name().is_some_and(|name| name.starts_with(CASE_THREAD)) {
                print(panic);
            }
        }));
    });
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("without a message"))
}
