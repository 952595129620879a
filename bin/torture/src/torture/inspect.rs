//! What a client knows after a restart, held against what it acknowledged.

use banyan_primitives::{B256, U256};
use blackbox::http::{Fault, Http};
use rand::Rng;
use serde_json::{Value, json};

use crate::{
    book::Labels,
    driver::Driver,
    genesis::{FUNDS, STORE},
    wallet::{RECEIVERS, SLOTS},
};

/// Blocks right below the head that are read after every restart.
const NEWEST: u64 = 32;
/// Older blocks that are read after every restart, chosen at random.
const SAMPLE: u64 = 16;
/// Accounts and slots that are read after every restart, of each kind.
const VALUES: usize = 4;

/// What a restart showed.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The head is neither the acknowledged one nor one that was asked for when the client died.
    pub(crate) head_lost: bool,
    /// Acknowledged blocks that are not on the client's chain any more.
    pub(crate) blocks_lost: u64,
    /// Safe or finalized is not what was acknowledged with the head.
    pub(crate) labels_wrong: Option<String>,
    /// Blocks, balances, nonces or slots that do not read as they should.
    pub(crate) unreadable: Vec<String>,
}

impl Driver<'_> {
    /// Compares the client with the world. If the head is right, the world learns whether a
    /// request that was not answered had been carried out.
    pub(crate) fn inspect(&mut self) -> Result<Findings, Fault> {
        let found = present_labels(&self.http)?;
        let head = found.head.unwrap_or_default();
        let (acked, pending) = (self.world.acked, self.world.pending.take());
        let candidates: Vec<Labels> = [Some(acked), pending].into_iter().flatten().collect();
        let mut findings = Findings::default();
        if let Some(labels) = candidates.iter().find(|labels| found.are(labels)) {
            self.world.acked = *labels;
        } else if let Some(labels) = candidates.iter().rev().find(|labels| labels.head == head) {
            findings.labels_wrong = Some(format!("{found:?} instead of {labels:?}"));
            self.world.acked = *labels;
        } else {
            findings.head_lost = true;
            let acked = self.world.book.block(acked.head).number;
            findings.blocks_lost = acked - self.fork_point()?;
            return Ok(findings);
        }
        let head = self.world.book.block(head).number;
        for number in head.saturating_sub(NEWEST)..=head {
            findings.unreadable.extend(self.read_block(number)?);
        }
        for _ in 0..SAMPLE {
            let number = self.dice.random_range(0..=head);
            findings.unreadable.extend(self.read_block(number)?);
        }
        findings.unreadable.extend(self.read_values()?);
        Ok(findings)
    }

    /// Reads the whole chain.
    pub(crate) fn read_everything(&mut self) -> Result<Vec<String>, Fault> {
        let mut unreadable = Vec::new();
        for number in 0..=self.world.book.block(self.world.acked.head).number {
            unreadable.extend(self.read_block(number)?);
        }
        Ok(unreadable)
    }

    /// Number of the newest acknowledged block on the client's chain.
    pub(crate) fn fork_point(&self) -> Result<u64, Fault> {
        let book = &self.world.book;
        let mut known = present_labels(&self.http)?.head.unwrap_or_default();
        while book.get(known).is_none() {
            let block = self.http.call("eth_getBlockByHash", &json!([known, false]))?;
            known = hash(&block["parentHash"])
                .ok_or_else(|| Fault::Refused(format!("block {known} has no parent")))?;
        }
        Ok(book.common(known, self.world.acked.head).number)
    }

    /// A canonical block by number and by hash.
    fn read_block(&self, number: u64) -> Result<Option<String>, Fault> {
        let expected = self.world.book.at(self.world.acked.head, number);
        let by_number = json!([format!("{number:#x}"), false]);
        let by_number = readable(self.http.call("eth_getBlockByNumber", &by_number))?;
        let by_hash = json!([expected.hash, false]);
        let by_hash = readable(self.http.call("eth_getBlockByHash", &by_hash))?;
        let payload = &expected.new_payload[0];
        let good = hash(&by_number["hash"]) == Some(expected.hash)
            && by_hash["hash"] == by_number["hash"]
            && (payload.is_null() || by_hash["stateRoot"] == payload["stateRoot"]);
        let wrong = || format!("block {number}: {} by number, {} by hash", by_number, by_hash);
        Ok((!good).then(wrong))
    }

    /// Some balances, nonces and slots at the head.
    fn read_values(&mut self) -> Result<Vec<String>, Fault> {
        let state = self.world.book.block(self.world.acked.head).state.clone();
        let senders = self.world.wallet.senders();
        let mut wrong = Vec::new();
        let mut check = |method: &str, params: Value, expected: U256| -> Result<(), Fault> {
            let answer = readable(self.http.call(method, &params))?;
            let found: Option<U256> = answer.as_str().and_then(|text| text.parse().ok());
            if found != Some(expected) {
                wrong.push(format!("{method} {params}: {answer}, not {expected:#x}"));
            }
            Ok(())
        };
        for _ in 0..VALUES {
            let receiver = self.dice.random_range(0..RECEIVERS);
            let expected = U256::from(FUNDS + state.received[receiver]);
            let address = self.world.wallet.receiver(receiver);
            check("eth_getBalance", json!([address, "latest"]), expected)?;
            let sender = self.dice.random_range(0..senders.len());
            let expected = U256::from(state.nonces[sender]);
            check("eth_getTransactionCount", json!([senders[sender], "latest"]), expected)?;
            let slot = self.dice.random_range(0..SLOTS);
            let expected = U256::from(state.slots[slot]);
            check("eth_getStorageAt", json!([STORE, format!("{slot:#x}"), "latest"]), expected)?;
        }
        Ok(wrong)
    }
}

/// A refusal as the text that stands in the report.
fn readable(answer: Result<Value, Fault>) -> Result<Value, Fault> {
    match answer {
        Err(Fault::Refused(text)) => Ok(Value::String(text)),
        answer => answer,
    }
}

/// The labels as a client tells them; `None` where it knows none.
#[derive(Debug)]
struct Present {
    head: Option<B256>,
    safe: Option<B256>,
    finalized: Option<B256>,
}

impl Present {
    fn are(&self, labels: &Labels) -> bool {
        self.head == Some(labels.head)
            && self.safe == labels.safe
            && self.finalized == labels.finalized
    }
}

fn present_labels(http: &Http) -> Result<Present, Fault> {
    let label = |name: &str| match http.call("eth_getBlockByNumber", &json!([name, false])) {
        Ok(block) => Ok(hash(&block["hash"])),
        // geth's answer as long as there is no such block.
        Err(Fault::Refused(text)) if text.contains("not found") => Ok(None),
        Err(fault) => Err(fault),
    };
    Ok(Present { head: label("latest")?, safe: label("safe")?, finalized: label("finalized")? })
}

fn hash(value: &Value) -> Option<B256> {
    value.as_str()?.parse().ok()
}
