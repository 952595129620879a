//! The metrics recorder and what is measured about the process itself.

use std::{fs, time::Duration};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::{Client, NodeError};

/// How often measurements are folded into the summaries.
const UPKEEP: Duration = Duration::from_secs(5);

/// The recorder of this process.
#[derive(Clone)]
pub(crate) struct Metrics(PrometheusHandle);

impl Metrics {
    /// Starts recording, once per process.
    pub(crate) fn install() -> Result<Self, NodeError> {
        let handle = PrometheusBuilder::new()
            .install_recorder()
            .map_err(|error| NodeError::Setup(format!("metrics: {error}")))?;
        Ok(Self(handle))
    }

    /// All series in Prometheus' text form.
    pub(crate) fn render(&self) -> String {
        record_process();
        self.0.render()
    }

    /// Keeps the memory of unread measurements bounded. Ends with the runtime.
    pub(crate) async fn upkeep(self) {
        let mut interval = tokio::time::interval(UPKEEP);
        loop {
            interval.tick().await;
            self.0.run_upkeep();
        }
    }

    /// Sum of all measurements of a histogram, seconds.
    pub(crate) fn sum_seconds(&self, name: &str) -> f64 {
        sum_of(&self.0.render(), name)
    }
}

/// Names version and chain in a series of their own, as dashboards expect.
pub(crate) fn record_info(client: &Client, chain_id: u64) {
    let labels = [
        ("version", client.version.clone()),
        ("commit", client.commit.clone()),
        ("chain_id", chain_id.to_string()),
    ];
    metrics::gauge!("banyan_info", &labels).set(1.0);
}

/// The value after `NAME_sum`; zero if nothing was measured.
fn sum_of(page: &str, name: &str) -> f64 {
    let value =
        |line: &str| line.strip_prefix(name)?.strip_prefix("_sum")?.trim().parse::<f64>().ok();
    page.lines().find_map(value).unwrap_or_default()
}

/// Memory, processor time and open files, where the system tells (Linux).
fn record_process() {
    if let Some(bytes) = resident_bytes() {
        metrics::gauge!("process_resident_memory_bytes").set(bytes as f64);
    }
    if let Some(seconds) = cpu_seconds() {
        metrics::gauge!("process_cpu_seconds_total").set(seconds);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        metrics::gauge!("process_open_fds").set(files.count() as f64);
    }
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// User and system time of the process so far; the kernel counts in hundredths of a second.
pub(crate) fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses that may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / 100.0)
}

/// Bytes that the process has handed to the system to be written so far: what reaches the disk, and
/// when, is the system's business (`write_bytes` counts copied files when they are flushed).
pub(crate) fn bytes_written() -> Option<u64> {
    let io = fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("wchar: "))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_found_by_its_whole_name() {
        let page = "# TYPE a summary\na{quantile=\"0.5\"} 3\na_sum 4.5\na_count 2\nab_sum 9\n";
        assert_eq!(sum_of(page, "a"), 4.5);
        assert_eq!(sum_of(page, "ab"), 9.0);
        assert_eq!(sum_of(page, "b"), 0.0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_is_measured() {
        assert!(resident_bytes().unwrap() > 100_000);
        assert!(cpu_seconds().unwrap() >= 0.0);
    }
}
