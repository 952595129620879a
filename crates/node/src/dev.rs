//! The dev chain's driver: does what op-node's sequencer does, through the same Engine API.

use std::time::Duration;

use banyan_chain::ChainHandle;
use banyan_primitives::{Address, B256, alloy_primitives::b256, keccak256};
use secp256k1::{PublicKey, SECP256K1, SecretKey};
use tokio::{sync::watch, time::Instant};

use crate::{
    DevConfig, EngineError,
    attributes::{BlockSettings, next_attributes, parent_beacon_root},
    engine::EngineClient,
    status::unix_seconds,
};

/// The phrase of the accounts that the dev chain's genesis funds. Known to everybody.
pub const DEV_MNEMONIC: &str = "test test test test test test test test test test test junk";

/// The first ten keys of [`DEV_MNEMONIC`].
pub(crate) const DEV_KEYS: [B256; 10] = [
    b256!("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    b256!("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    b256!("0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
    b256!("0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
    b256!("0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a"),
    b256!("0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba"),
    b256!("0x92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e"),
    b256!("0x4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356"),
    b256!("0xdbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97"),
    b256!("0x2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6"),
];

/// The account of a private key; `None` if it is no key.
pub(crate) fn address_of(key: &B256) -> Option<Address> {
    let key = SecretKey::from_byte_array(key.0).ok()?;
    let public = PublicKey::from_secret_key(SECP256K1, &key).serialize_uncompressed();
    Some(Address::from_slice(&keccak256(&public[1..])[12..]))
}

/// After a failure the next attempt waits at least this long.
const PAUSE: Duration = Duration::from_secs(1);

/// Makes blocks until told to stop. A fault of the node (a full disk) is waited out. `Err`: the
/// chain cannot go on.
pub(crate) async fn drive(
    engine: EngineClient,
    chain: ChainHandle,
    config: DevConfig,
    mut stop: watch::Receiver<bool>,
) -> Result<(), EngineError> {
    let mut next = Instant::now() + config.block_time;
    loop {
        let job = start(&engine, &chain, config.block_time).await;
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        }
        let outcome = match job {
            Ok(job) => job.finish(&engine).await,
            Err(error) => Err(error),
        };
        // After a pause (a sleeping laptop) go on from now, not block after block.
        next = (next + config.block_time).max(Instant::now());
        match outcome {
            Ok(()) => {}
            Err(error @ EngineError::Rpc { .. }) => {
                tracing::warn!(%error, "no block was made; trying again");
                next = next.max(Instant::now() + PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
}

/// A block that is being built.
struct Job {
    payload_id: String,
    number: u64,
    timestamp: u64,
}

/// Starts the block after the head. Its timestamp is the time at which it will be finished.
async fn start(
    engine: &EngineClient,
    chain: &ChainHandle,
    block_time: Duration,
) -> Result<Job, EngineError> {
    let view = chain.view();
    let head = view.head();
    let number = head.number + 1;
    let timestamp = next_timestamp(head.timestamp, unix_seconds(), block_time);
    // Zero: the default of Jovian.
    let settings = BlockSettings { gas_limit: head.gas_limit, da_footprint_gas_scalar: 0 };
    let attributes = next_attributes(chain.spec(), head, timestamp, settings);
    let payload_id = engine.start_block(head.hash(), number, timestamp, attributes).await?;
    Ok(Job { payload_id, number, timestamp })
}

/// Blocks faster than one a second run ahead of the clock, since timestamps must grow.
fn next_timestamp(parent: u64, now: u64, block_time: Duration) -> u64 {
    now.saturating_add(block_time.as_secs()).max(parent.saturating_add(1))
}

impl Job {
    /// Takes the block, sends it back as op-node does, and makes it the head.
    async fn finish(self, engine: &EngineClient) -> Result<(), EngineError> {
        let root = parent_beacon_root();
        let block =
            engine.finish_block(&self.payload_id, self.number, self.timestamp, root).await?;
        engine.new_payload(&block).await?;
        engine.set_head(block.hash).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_follow_the_clock_and_always_grow() {
        let second = Duration::from_secs(1);
        assert_eq!(next_timestamp(100, 200, second), 201);
        assert_eq!(next_timestamp(200, 200, Duration::from_millis(250)), 201);
        assert_eq!(next_timestamp(500, 200, second), 501, "a clock set back");
        assert_eq!(next_timestamp(u64::MAX, 0, second), u64::MAX);
    }

    #[test]
    fn the_keys_are_those_of_the_funded_accounts() {
        let spec = banyan_chainspec::ChainSpec::dev();
        for key in DEV_KEYS {
            let address = address_of(&key).unwrap();
            let account = spec.alloc.get(&address);
            assert!(account.is_some_and(|account| !account.balance.is_zero()), "{address}");
        }
    }
}
