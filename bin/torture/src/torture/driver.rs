//! The consensus client: builds, reorgs, rewinds, moves labels, and remembers what was answered.

use std::{collections::VecDeque, rc::Rc, thread, time::Duration};

use banyan_primitives::{B64, B256, alloy_primitives::hex};
use blackbox::{
    genesis::Rules,
    http::{Fault, Http},
};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::{
    book::{Block, Book, Labels},
    wallet::{State, Wallet, l1_attributes},
};

/// Deepest reorg and rewind.
const DEEPEST: u64 = 8;
/// How far the finalized block stays behind the head, so that there is something to reorg.
const UNFINALIZED: u64 = 12;
/// Tips of abandoned branches that may be taken up again.
const TIPS: usize = 8;
const MOST_TRANSACTIONS: usize = 30;

/// Everything that the torture knows, whatever becomes of the client.
pub(crate) struct World {
    /// The rules of the chain.
    pub(crate) rules: Rules,
    /// Every block.
    pub(crate) book: Book,
    /// Every transaction.
    pub(crate) wallet: Wallet,
    /// Last forkchoice that was answered VALID.
    pub(crate) acked: Labels,
    /// A forkchoice that was sent and not answered.
    pub(crate) pending: Option<Labels>,
    /// Heads of branches that were left.
    tips: VecDeque<B256>,
}

/// One client and the dice of one round.
pub(crate) struct Driver<'a> {
    /// What is known.
    pub(crate) world: &'a mut World,
    /// The public port.
    pub(crate) http: Http,
    /// The Engine port.
    pub(crate) auth: Http,
    /// The dice.
    pub(crate) dice: ChaCha8Rng,
}

impl World {
    /// A chain of genesis alone.
    pub(crate) fn new(rules: Rules, wallet: Wallet, genesis: Block) -> Self {
        let acked = Labels { head: genesis.hash, safe: None, finalized: None };
        let book = Book::new(genesis);
        Self { rules, book, wallet, acked, pending: None, tips: VecDeque::new() }
    }

    /// Labels with another head: what is not below it any more comes down.
    fn labels_at(&self, head: B256) -> Labels {
        let ancestor = self.book.common(head, self.acked.head);
        let lower = |label: Option<B256>| {
            label.map(|hash| match self.book.block(hash).number > ancestor.number {
                true => ancestor.hash,
                false => hash,
            })
        };
        Labels { head, safe: lower(self.acked.safe), finalized: self.acked.finalized }
    }

    /// How many blocks below the head may be replaced.
    fn room(&self) -> u64 {
        let number = |hash: B256| self.book.block(hash).number;
        let finalized = self.acked.finalized.map_or(0, number);
        DEEPEST.min(number(self.acked.head).saturating_sub(finalized))
    }

    fn left(&mut self, tip: B256) {
        self.tips.push_back(tip);
        if self.tips.len() > TIPS {
            self.tips.pop_front();
        }
    }
}

impl Driver<'_> {
    /// Does one thing that consensus clients do.
    pub(crate) fn act(&mut self) -> Result<(), Fault> {
        // geth takes no forkchoiceUpdated back to an ancestor on an Ethereum chain.
        let sideways = self.world.rules == Rules::Jovian;
        match self.dice.random_range(0..100) {
            0..12 if sideways => self.reorg(),
            12..18 if sideways => self.rewind(),
            18..26 => self.switch(),
            26..32 => self.revisit(),
            32..40 => self.move_labels(),
            _ => self.extend(),
        }
    }

    /// Something that moves the head back or sideways.
    pub(crate) fn act_backwards(&mut self) -> Result<(), Fault> {
        match (self.world.rules, self.dice.random_bool(0.5)) {
            (Rules::Prague, _) => self.extend(),
            (_, true) => self.reorg(),
            (_, false) => self.rewind(),
        }
    }

    /// A block on the head.
    fn extend(&mut self) -> Result<(), Fault> {
        let block = self.build(self.world.acked)?;
        let labels = self.world.labels_at(block);
        let labels = self.raised(labels);
        self.forkchoice(labels, None).map(drop)
    }

    /// A branch beside the present one, built from a block below the head as op-node does.
    fn reorg(&mut self) -> Result<(), Fault> {
        let depth = self.dice.random_range(0..=self.world.room());
        let left = self.world.acked.head;
        let mut parent = self.world.labels_at(self.world.book.below(left, depth).hash);
        for _ in 0..self.dice.random_range(1..=depth + 2) {
            let block = self.build(parent)?;
            parent = self.world.labels_at(block);
            self.forkchoice(parent, None)?;
        }
        self.world.left(left);
        Ok(())
    }

    /// Back to an ancestor of the head.
    fn rewind(&mut self) -> Result<(), Fault> {
        let depth = self.dice.random_range(0..=self.world.room());
        let left = self.world.acked.head;
        let labels = self.world.labels_at(self.world.book.below(left, depth).hash);
        self.forkchoice(labels, None)?;
        self.world.left(left);
        Ok(())
    }

    /// In one step to the tip of a branch that was left. Its blocks are sent again: nobody promised
    /// to keep them.
    fn switch(&mut self) -> Result<(), Fault> {
        let Some(tip) = self.abandoned() else { return self.extend() };
        let left = self.world.acked.head;
        self.send_branch(tip)?;
        self.forkchoice(self.world.labels_at(tip), None)?;
        self.world.left(left);
        Ok(())
    }

    /// Sends a branch beside the canonical chain and leaves it there.
    fn revisit(&mut self) -> Result<(), Fault> {
        match self.abandoned() {
            Some(tip) => self.send_branch(tip),
            None => self.extend(),
        }
    }

    /// The same head with newer labels.
    fn move_labels(&mut self) -> Result<(), Fault> {
        let labels = self.raised(self.world.acked);
        self.forkchoice(labels, None).map(drop)
    }

    /// A tip whose branch starts above the finalized block and is no part of the chain.
    fn abandoned(&mut self) -> Option<B256> {
        let head = self.world.acked.head;
        let lowest = self.world.book.block(head).number - self.world.room();
        let tip = self.dice.random_range(0..TIPS);
        let tip = *self.world.tips.get(tip)?;
        let ancestor = self.world.book.common(tip, head);
        (ancestor.number >= lowest && ancestor.hash != tip).then_some(tip)
    }

    fn send_branch(&mut self, tip: B256) -> Result<(), Fault> {
        let ancestor = self.world.book.common(tip, self.world.acked.head).number;
        for hash in self.world.book.chain_above(ancestor, tip) {
            self.new_payload(hash)?;
        }
        Ok(())
    }

    /// Labels moved up at random, in order and below the head.
    fn raised(&mut self, labels: Labels) -> Labels {
        if self.dice.random_bool(0.6) {
            return labels;
        }
        let book = &self.world.book;
        let number = |label: Option<B256>| label.map_or(0, |hash| book.block(hash).number);
        let head = book.block(labels.head).number;
        let (low, high) = (number(labels.safe), head.saturating_sub(1));
        let safe = self.dice.random_range(low..=high.max(low));
        let (low, high) = (number(labels.finalized), head.saturating_sub(UNFINALIZED).min(safe));
        let finalized = self.dice.random_range(low..=high.max(low));
        // A label at genesis stays what it is: never set, or lowered so far.
        let at = |number: u64, old: Option<B256>| match number {
            0 => old,
            _ => Some(book.at(labels.head, number).hash),
        };
        Labels {
            head: labels.head,
            safe: at(safe, labels.safe),
            finalized: at(finalized, labels.finalized),
        }
    }

    /// forkchoiceUpdated; gives the id of the payload that is being built.
    pub(crate) fn forkchoice(
        &mut self,
        labels: Labels,
        attributes: Option<Value>,
    ) -> Result<Option<String>, Fault> {
        let hash = |label: Option<B256>| label.unwrap_or_default();
        let state = json!({
            "headBlockHash": labels.head,
            "safeBlockHash": hash(labels.safe),
            "finalizedBlockHash": hash(labels.finalized),
        });
        self.world.pending = Some(labels);
        let answer = self.auth.call("engine_forkchoiceUpdatedV3", &json!([state, attributes]))?;
        expect_valid("forkchoiceUpdated", &answer["payloadStatus"])?;
        self.world.acked = labels;
        self.world.pending = None;
        Ok(answer["payloadId"].as_str().map(str::to_owned))
    }

    /// newPayload of a block that was built before.
    pub(crate) fn new_payload(&mut self, hash: B256) -> Result<(), Fault> {
        let params = &self.world.book.block(hash).new_payload;
        expect_valid("newPayload", &self.auth.call("engine_newPayloadV4", params)?)
    }

    /// Builds a block on the head of `labels` and sends it back; it is not yet the head.
    fn build(&mut self, labels: Labels) -> Result<B256, Fault> {
        let parent = self.world.book.block(labels.head).clone();
        let count = self.dice.random_range(0..=MOST_TRANSACTIONS);
        let signed = self.world.wallet.sign(&parent.state, count, &mut self.dice);
        let forced = self.world.rules == Rules::Jovian && self.dice.random_bool(0.5);
        let mut attributes = self.attributes(&parent);
        if forced {
            let list = attributes["transactions"].as_array_mut();
            list.into_iter().for_each(|list| list.extend(signed.iter().map(|tx| json!(tx.raw))));
            attributes["noTxPool"] = json!(true);
        } else {
            for tx in &signed {
                match self.http.call("eth_sendRawTransaction", &json!([tx.raw])) {
                    // A pool may hold another one of that nonce, from a branch that was left.
                    Ok(_) | Err(Fault::Refused(_)) => {}
                    Err(fault) => return Err(fault),
                }
            }
        }
        let id = self.forkchoice(labels, Some(attributes))?;
        let id = id.ok_or_else(|| Fault::Refused("no payload id".to_owned()))?;
        if self.dice.random_bool(0.5) {
            thread::sleep(Duration::from_millis(self.dice.random_range(0..30)));
        }
        let envelope = self.auth.call("engine_getPayloadV4", &json!([id]))?;
        let block = self.understand(&parent, envelope)?;
        let hash = block.hash;
        self.world.book.add(block);
        self.new_payload(hash)?;
        Ok(hash)
    }

    fn attributes(&mut self, parent: &Block) -> Value {
        let timestamp = parent.timestamp + 1;
        let mut attributes = json!({
            "timestamp": format!("{timestamp:#x}"),
            "prevRandao": B256::from(self.dice.random::<[u8; 32]>()),
            "suggestedFeeRecipient": "0x4200000000000000000000000000000000000011",
            "withdrawals": [],
            "parentBeaconBlockRoot": B256::ZERO,
        });
        if self.world.rules == Rules::Jovian {
            attributes["transactions"] = json!([l1_attributes(parent.number + 1, timestamp)]);
            attributes["gasLimit"] = json!("0x3938700");
            attributes["eip1559Params"] = json!(B64::ZERO);
            attributes["minBaseFee"] = json!(0);
        }
        attributes
    }

    /// Reads what getPayload gave, and follows its transactions.
    fn understand(&self, parent: &Block, mut envelope: Value) -> Result<Block, Fault> {
        let payload = envelope["executionPayload"].take();
        let strange = |what: &str| Fault::Refused(format!("getPayload: {what}: {payload}"));
        let hash = |field: &str| payload[field].as_str().and_then(|text| text.parse().ok());
        if hash("parentHash") != Some(parent.hash) {
            return Err(strange("another parent"));
        }
        let hash = hash("blockHash").ok_or_else(|| strange("no hash"))?;
        let mut state = State::clone(&parent.state);
        for tx in payload["transactions"].as_array().into_iter().flatten() {
            let raw = tx.as_str().and_then(|text| hex::decode(text).ok());
            let raw = raw.ok_or_else(|| strange("a transaction that is no text"))?;
            let deposit = raw.first() == Some(&0x7e);
            if !deposit && !self.world.wallet.apply(&mut state, &raw) {
                return Err(strange("a transaction that nobody sent"));
            }
        }
        let requests = envelope["executionRequests"].take();
        Ok(Block {
            hash,
            parent: parent.hash,
            number: parent.number + 1,
            timestamp: parent.timestamp + 1,
            new_payload: json!([payload, [], B256::ZERO, requests]),
            state: Rc::new(state),
        })
    }
}

fn expect_valid(method: &str, status: &Value) -> Result<(), Fault> {
    match status["status"] == "VALID" {
        true => Ok(()),
        false => Err(Fault::Refused(format!("{method}: {status}"))),
    }
}
