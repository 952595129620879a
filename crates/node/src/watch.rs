//! Tells the operator when nobody drives the node.

use std::time::{Duration, Instant};

use banyan_rpc::Rpc;

use crate::progress::clock;

/// A consensus client speaks every few seconds; longer silence is told, and told again.
const SILENCE: Duration = Duration::from_secs(120);
/// How often it is looked at.
const CHECK: Duration = Duration::from_secs(30);

/// Warns of silence on the Engine API port until the runtime ends.
pub(crate) async fn watch_consensus_client(rpc: Rpc) {
    let started = Instant::now();
    let mut warned = started;
    loop {
        tokio::time::sleep(CHECK).await;
        let (last, now) = (rpc.last_forkchoice(), Instant::now());
        if now.duration_since(warned) >= SILENCE
            && let Some(silence) = silence(last.unwrap_or(started), now)
        {
            warned = now;
            let hint = match last {
                Some(_) => "is it running, and in sync?",
                None => "start one with the address and the JWT secret of the Engine API",
            };
            tracing::warn!("no forkchoice from a consensus client for {}: {hint}", clock(silence));
        }
    }
}

/// How long nobody has spoken, if that is too long.
fn silence(last: Instant, now: Instant) -> Option<Duration> {
    Some(now.saturating_duration_since(last)).filter(|silence| *silence >= SILENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_minutes_without_a_forkchoice_are_too_long() {
        let start = Instant::now();
        assert_eq!(silence(start, start + Duration::from_secs(119)), None);
        assert_eq!(silence(start, start + SILENCE), Some(SILENCE));
        assert_eq!(silence(start + SILENCE, start), None, "a clock of another core");
    }
}
