//! TransactionTests: is a transaction valid under the rules of a fork, whatever the state?

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use banyan_chainspec::{ChainSpec, Fork};
use banyan_executor::{BlockContext, MemoryState, TxError};
use banyan_primitives::{
    Address, B256, Bytes, Decodable2718, Transaction, TransactionTrait, U256, signer,
};
use serde::Deserialize;

use super::{Loaded, parse};
use crate::{
    Case, Worker,
    collect::FixtureFile,
    genesis::{FixtureConfig, rules_only},
    number::Number,
};

#[derive(Debug, Deserialize)]
struct TransactionCase {
    txbytes: Bytes,
    result: BTreeMap<String, Verdict>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    exception: Option<String>,
    hash: Option<B256>,
    sender: Option<Address>,
    intrinsic_gas: Option<Number>,
}

/// One case per entry, under all forks that it names.
pub(crate) fn load(_file: &FixtureFile, text: &str) -> anyhow::Result<Loaded> {
    let entries: BTreeMap<String, TransactionCase> = parse(text)?;
    let cases = entries.into_iter().map(|(name, case)| {
        Case::new(name, "each fork", move |worker| {
            for (fork, verdict) in &case.result {
                check(fork, &case.txbytes, verdict, worker).with_context(|| fork.clone())?;
            }
            Ok(())
        })
    });
    Ok(cases.collect::<Vec<_>>().into())
}

fn check(fork: &str, bytes: &[u8], wanted: &Verdict, worker: &Worker) -> anyhow::Result<()> {
    let spec = rules_only(fork, &FixtureConfig::default())?;
    match (validate(&spec, bytes, worker)?, &wanted.exception) {
        (Err(_), Some(_)) => Ok(()),
        (Err(reason), None) => bail!("refused: {reason}"),
        (Ok(_), Some(wanted)) => bail!("accepted, expected {wanted}"),
        (Ok(accepted), None) => accepted.compare(wanted),
    }
}

struct Accepted {
    hash: B256,
    sender: Address,
    /// For a call of an account without code: all gas is intrinsic.
    gas_used: Option<u64>,
}

impl Accepted {
    fn compare(&self, wanted: &Verdict) -> anyhow::Result<()> {
        let hash = wanted.hash.unwrap_or_default();
        ensure!(self.hash == hash, "hash {}, expected {hash}", self.hash);
        let sender = wanted.sender.unwrap_or_default();
        ensure!(self.sender == sender, "sender {}, expected {sender}", self.sender);
        let gas = wanted.intrinsic_gas.unwrap_or_default().as_u64().context("intrinsicGas")?;
        let same = self.gas_used.is_none_or(|used| used == gas);
        ensure!(same, "intrinsic gas {:?}, expected {gas}", self.gas_used);
        Ok(())
    }
}

/// Executes the transaction for a sender of unlimited means. Inner error: refused.
fn validate(
    spec: &ChainSpec,
    bytes: &[u8],
    worker: &Worker,
) -> anyhow::Result<Result<Accepted, String>> {
    let merged = spec.terminal_total_difficulty == Some(U256::ZERO);
    let rules = spec.rules(0, 0, merged);
    let context = BlockContext {
        gas_limit: u64::MAX,
        base_fee: rules.is(Fork::London).then_some(0),
        excess_blob_gas: rules.is(Fork::Cancun).then_some(0),
        difficulty: if merged { U256::ZERO } else { U256::ONE },
        ..Default::default()
    };
    let tx = match Transaction::decode_2718_exact(bytes) {
        Ok(tx) => tx,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let recovered = match rules.is(Fork::Homestead) {
        true => signer::sender(&tx),
        false => signer::sender_unchecked(&tx),
    };
    let sender = match recovered {
        Ok(sender) => sender,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let mut state = MemoryState::default();
    state.insert(sender, tx.nonce(), U256::MAX, Bytes::new(), []);
    let executor = worker.executor();
    let result =
        executor.build(spec, context, &state, |mut executor| executor.execute(&tx, sender));
    match result {
        Err(TxError::Source(error)) => Err(error.into()),
        Err(error) => Ok(Err(error.to_string())),
        Ok(outcome) => {
            let gas_used = tx.to().filter(|to| !is_precompile(to)).map(|_| outcome.gas_used);
            Ok(Ok(Accepted { hash: *tx.hash(), sender, gas_used }))
        }
    }
}

/// Low addresses may hold a precompile under some fork.
fn is_precompile(address: &Address) -> bool {
    address.as_slice().starts_with(&[0; 17])
}
