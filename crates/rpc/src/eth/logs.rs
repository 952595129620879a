//! `eth_getLogs`, and which logs a filter wants.

use std::{ops::RangeInclusive, time::Instant};

use banyan_chain::ChainView;
use banyan_primitives::{Address, B256, Bloom, RecoveredBlock, alloy_primitives::BloomInput};
use serde::{Deserialize, Deserializer};

use super::block::receipts_of;
use crate::{
    RpcConfig,
    args::{Abandoned, Args},
    block_id::BlockNumber,
    error::{RpcError, RpcResult},
    json::{RpcLog, block_logs},
    shared::Shared,
};

/// Positions of topics in a log.
const MAX_TOPICS: usize = 4;
/// Alternatives in one filter, over all positions.
const MAX_ALTERNATIVES: usize = 1000;

/// Which logs are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LogFilter {
    /// From which blocks.
    pub(super) blocks: Blocks,
    /// Of which contracts; empty for all.
    addresses: Vec<Address>,
    /// For each position the topics wanted there; empty for all.
    topics: Vec<Vec<B256>>,
}

/// Blocks of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocks {
    /// One, by hash.
    Hash(B256),
    /// From and to, both included.
    Range(BlockNumber, BlockNumber),
}

impl Default for Blocks {
    fn default() -> Self {
        Self::Range(BlockNumber::Latest, BlockNumber::Latest)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFilter {
    block_hash: Option<B256>,
    from_block: Option<BlockNumber>,
    to_block: Option<BlockNumber>,
    address: Option<OneOrMany<Address>>,
    topics: Option<Vec<Option<OneOrMany<Option<B256>>>>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn into_list(self) -> Vec<T> {
        match self {
            Self::One(item) => vec![item],
            Self::Many(items) => items,
        }
    }
}

impl<'de> Deserialize<'de> for LogFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RawFilter::deserialize(deserializer)?.check().map_err(serde::de::Error::custom)
    }
}

impl RawFilter {
    fn check(self) -> Result<LogFilter, &'static str> {
        let blocks = match (self.block_hash, self.from_block, self.to_block) {
            (Some(hash), None, None) => Blocks::Hash(hash),
            (Some(_), _, _) => {
                return Err(
                    "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other",
                );
            }
            (None, from, to) => Blocks::Range(from.unwrap_or_default(), to.unwrap_or_default()),
        };
        let topics = self.topics.unwrap_or_default();
        if topics.len() > MAX_TOPICS {
            return Err("exceed max topics");
        }
        let topics: Vec<_> = topics.into_iter().map(wanted_topics).collect();
        let addresses = self.address.map(OneOrMany::into_list).unwrap_or_default();
        if addresses.len() + topics.iter().map(Vec::len).sum::<usize>() > MAX_ALTERNATIVES {
            return Err("exceed max addresses or topics");
        }
        Ok(LogFilter { blocks, addresses, topics })
    }
}

/// A null among the alternatives allows anything.
fn wanted_topics(position: Option<OneOrMany<Option<B256>>>) -> Vec<B256> {
    let alternatives = position.map(OneOrMany::into_list).unwrap_or_default();
    alternatives.into_iter().collect::<Option<Vec<_>>>().unwrap_or_default()
}

impl LogFilter {
    /// True if the log is wanted (its block aside).
    pub(super) fn matches(&self, log: &RpcLog) -> bool {
        self.matches_parts(&log.address, log.topics())
    }

    fn matches_parts(&self, address: &Address, topics: &[B256]) -> bool {
        if !self.addresses.is_empty() && !self.addresses.contains(address) {
            return false;
        }
        self.topics.len() <= topics.len()
            && self
                .topics
                .iter()
                .zip(topics)
                .all(|(wanted, topic)| wanted.is_empty() || wanted.contains(topic))
    }

    /// False if no log under this bloom can be wanted.
    pub(super) fn may_match(&self, bloom: &Bloom) -> bool {
        let contains = |bytes: &[u8]| bloom.contains_input(BloomInput::Raw(bytes));
        let any_address = self.addresses.iter().any(|address| contains(address.as_slice()));
        if !self.addresses.is_empty() && !any_address {
            return false;
        }
        self.topics.iter().all(|wanted| {
            wanted.is_empty() || wanted.iter().any(|topic| contains(topic.as_slice()))
        })
    }

    /// Wanted logs of a block.
    pub(super) fn logs_of(
        &self,
        view: &ChainView,
        block: &RecoveredBlock,
    ) -> RpcResult<Vec<RpcLog>> {
        if !self.may_match(&block.header.logs_bloom) {
            return Ok(Vec::new());
        }
        let receipts = receipts_of(view, block)?;
        let mut logs = block_logs(block, &receipts);
        logs.retain(|log| self.matches(log));
        Ok(logs)
    }
}

/// `(filter)`
pub(super) fn get_logs(shared: &Shared, mut args: Args<'_>) -> RpcResult<Vec<RpcLog>> {
    let filter: LogFilter = args.required()?;
    let effort = Effort::new(&shared.context.config, &args);
    args.end()?;
    query(shared, &filter, &effort)
}

/// All logs that `filter` wants.
pub(super) fn query(
    shared: &Shared,
    filter: &LogFilter,
    effort: &Effort,
) -> RpcResult<Vec<RpcLog>> {
    let view = shared.view();
    match filter.blocks {
        Blocks::Hash(hash) => {
            let block =
                view.block_by_hash(&hash)?.ok_or_else(|| RpcError::server("unknown block"))?;
            filter.logs_of(&view, &block)
        }
        Blocks::Range(from, to) => {
            let (from, to) = (height(&view, from)?, height(&view, to)?);
            let limit = shared.context.config.max_logs_blocks;
            check_range(from, to, view.head().number, limit)?;
            scan(&view, filter, from..=to, effort)
        }
    }
}

fn height(view: &ChainView, number: BlockNumber) -> RpcResult<u64> {
    match number {
        BlockNumber::Number(number) => Ok(number),
        label => Ok(label.header(view)?.map_or(0, |header| header.number)),
    }
}

fn check_range(from: u64, to: u64, head: u64, limit: u64) -> RpcResult<()> {
    if from > to {
        return Err(RpcError::params("invalid block range params"));
    }
    if to > head {
        return Err(RpcError::params("block range extends beyond current head block"));
    }
    if to - from >= limit {
        return Err(RpcError::params(format!("exceed maximum block range: {limit}")));
    }
    Ok(())
}

fn scan(
    view: &ChainView,
    filter: &LogFilter,
    heights: RangeInclusive<u64>,
    effort: &Effort,
) -> RpcResult<Vec<RpcLog>> {
    let mut logs = Vec::new();
    for number in heights {
        effort.check(logs.len())?;
        let Some(header) = view.header_by_number(number)? else { continue };
        if !filter.may_match(&header.logs_bloom) {
            continue;
        }
        let Some(block) = view.block_by_hash(&header.hash())? else { continue };
        logs.extend(filter.logs_of(view, &block)?);
    }
    effort.check(logs.len())?;
    Ok(logs)
}

/// How far a query may go.
#[derive(Clone, Debug)]
pub(super) struct Effort {
    deadline: Option<Instant>,
    most: usize,
    abandoned: Abandoned,
}

impl Effort {
    /// What the settings allow from now on, as long as the caller of `args` waits.
    pub(super) fn new(config: &RpcConfig, args: &Args<'_>) -> Self {
        let deadline = Instant::now().checked_add(config.call_timeout);
        Self { deadline, most: config.max_logs, abandoned: args.abandoned() }
    }

    /// Refuses to go on with a query that takes too long, or has found too much, or that nobody
    /// waits for.
    pub(super) fn check(&self, found: usize) -> RpcResult<()> {
        self.abandoned.check()?;
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(RpcError::server("query timeout exceeded"));
        }
        let most = self.most;
        if found > most {
            return Err(RpcError::params(format!("query returned more than {most} results")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use banyan_primitives::{Log, LogData};
    use serde_json::json;

    use super::*;

    fn read(json: serde_json::Value) -> LogFilter {
        serde_json::from_value(json).unwrap()
    }

    const A: B256 = B256::repeat_byte(0xa);
    const B: B256 = B256::repeat_byte(0xb);
    const CONTRACT: Address = Address::repeat_byte(1);

    #[test]
    fn topics_match_by_position_with_wildcards() {
        let cases = [
            (json!({}), true),
            (json!({"topics": []}), true),
            (json!({"topics": [A]}), true),
            (json!({"topics": [A, B]}), true),
            (json!({"topics": [null, B]}), true),
            (json!({"topics": [[B, A]]}), true),
            (json!({"topics": [[B, null]]}), true),
            (json!({"topics": [B]}), false),
            (json!({"topics": [A, B, null]}), false),
            (json!({"address": CONTRACT, "topics": [A]}), true),
            (json!({"address": [Address::ZERO, CONTRACT]}), true),
            (json!({"address": Address::ZERO}), false),
        ];
        let data = LogData::new_unchecked(vec![A, B], Default::default());
        let mut bloom = Bloom::ZERO;
        bloom.accrue_log(&Log { address: CONTRACT, data });
        for (json, expected) in cases {
            let filter = read(json.clone());
            assert_eq!(filter.matches_parts(&CONTRACT, &[A, B]), expected, "{json}");
            assert!(filter.may_match(&bloom) || !expected, "{json}");
        }
        assert!(!read(json!({"topics": [B256::repeat_byte(9)]})).may_match(&bloom));
    }

    #[test]
    fn a_query_ends_at_its_limits() {
        let params = jsonrpsee::types::Params::new(None);
        let args = Args::new(&params).unwrap();
        let config = RpcConfig { max_logs: 3, ..RpcConfig::default() };
        let effort = Effort { deadline: None, ..Effort::new(&config, &args) };
        assert!(effort.check(3).is_ok());
        let error = effort.check(4).unwrap_err();
        assert_eq!(error, RpcError::params("query returned more than 3 results"));
        let late = Effort { deadline: Some(Instant::now()), ..effort.clone() };
        assert_eq!(late.check(0).unwrap_err(), RpcError::server("query timeout exceeded"));
        effort.abandoned.0.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(effort.check(0).is_err());
    }

    #[test]
    fn hash_and_range_exclude_each_other() {
        let error =
            serde_json::from_value::<LogFilter>(json!({"blockHash": A, "fromBlock": "0x3"}));
        assert_eq!(
            error.unwrap_err().to_string(),
            "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other"
        );
        assert_eq!(read(json!({"blockHash": A})).blocks, Blocks::Hash(A));
    }

    #[test]
    fn ranges_are_checked_in_the_words_of_the_fixtures() {
        let error = |from, to| check_range(from, to, 54, 10).unwrap_err();
        assert_eq!(error(50, 47), RpcError::params("invalid block range params"));
        let beyond = RpcError::params("block range extends beyond current head block");
        assert_eq!(error(50, 56), beyond);
        assert_eq!(error(10, 20), RpcError::params("exceed maximum block range: 10"));
        assert!(check_range(11, 20, 54, 10).is_ok());
    }
}
