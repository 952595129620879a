//! What an operator wants to see first.

use std::time::Duration;

use banyan_chainspec::{ChainSpec, Fork, OpFork};
use banyan_primitives::{B256, SealedHeader};

use crate::{Client, progress::clock, status::unix_seconds};

/// Ethereum forks with an activation time, oldest first.
const FORKS: [Fork; 5] = [Fork::Shanghai, Fork::Cancun, Fork::Prague, Fork::Osaka, Fork::Amsterdam];
/// OP forks with an activation time, oldest first.
const OP_FORKS: [OpFork; 10] = [
    OpFork::Regolith,
    OpFork::Canyon,
    OpFork::Delta,
    OpFork::Ecotone,
    OpFork::Fjord,
    OpFork::Granite,
    OpFork::Holocene,
    OpFork::Isthmus,
    OpFork::Jovian,
    OpFork::Karst,
];

/// Facts of the start, one log line each, so that every log format can carry them.
pub(crate) struct Banner<'a> {
    /// Who we are.
    pub(crate) client: &'a Client,
    /// The chain.
    pub(crate) spec: &'a ChainSpec,
    /// Where its data is.
    pub(crate) datadir: &'a std::path::Path,
    /// Where it stands.
    pub(crate) head: &'a SealedHeader,
    /// Our enode URL.
    pub(crate) enode: &'a str,
}

impl Banner<'_> {
    /// Logs it.
    pub(crate) fn log(&self) {
        let (client, spec, head) = (self.client, self.spec, self.head);
        let commit: String = client.commit.chars().take(8).collect();
        tracing::info!(%commit, datadir = %self.datadir.display(), "{} v{}", client.name, client.version);
        tracing::info!(
            chain_id = spec.chain_id,
            kind = if spec.is_op() { "OP Stack" } else { "Ethereum" },
            genesis = %spec.genesis_header.hash(),
            commitment = %spec.commitment,
            forks = fork_schedule(spec),
            "chain"
        );
        let age = Duration::from_secs(unix_seconds().saturating_sub(head.timestamp));
        tracing::info!(number = head.number, hash = %head.hash(), age = %clock(age), "head");
        tracing::debug!(enode = self.enode, "identity");
    }
}

/// The newest fork of genesis, and those to come with their times.
fn fork_schedule(spec: &ChainSpec) -> String {
    let genesis = spec.genesis_header.timestamp;
    let entry = |name: String, time: Option<u64>| Some((name, time?));
    let eth = FORKS.iter().map(|fork| entry(format!("{fork:?}"), spec.activation_time(*fork)));
    let op = OP_FORKS.iter().map(|fork| entry(format!("{fork:?}"), spec.op_activation_time(*fork)));
    // On an OP chain the Ethereum forks follow from the others.
    let all: Vec<_> = if spec.is_op() { op.flatten().collect() } else { eth.flatten().collect() };
    let (past, coming): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, time)| *time <= genesis);
    let past = past.last().map(|(name, _)| format!("{name}@genesis"));
    let coming = coming.iter().map(|(name, time)| format!("{name}@{time}"));
    past.into_iter().chain(coming).collect::<Vec<_>>().join(" ")
}

/// Accounts and keys of the development chain.
pub(crate) fn log_dev_accounts(spec: &ChainSpec, keys: &[B256]) {
    if keys.is_empty() {
        return;
    }
    tracing::info!("dev accounts (keys known to everybody: never send them real money):");
    for key in keys {
        let Some(address) = crate::dev::address_of(key) else { continue };
        if let Some(account) = spec.alloc.get(&address) {
            let ether = account.balance / banyan_primitives::U256::from(10u64.pow(18));
            tracing::info!(%address, %key, %ether, "account");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_names_the_newest_fork_and_those_to_come() {
        assert_eq!(fork_schedule(&ChainSpec::dev()), "Karst@genesis");
        let later =
            crate::genesis::DEV_GENESIS.replace(r#""karstTime": 0"#, r#""karstTime": 4000000000"#);
        let spec = ChainSpec::from_genesis_json(
            &later.replace(r#""osakaTime": 0"#, r#""osakaTime": 4000000000"#),
        );
        assert_eq!(fork_schedule(&spec.unwrap()), "Jovian@genesis Karst@4000000000");
    }
}
