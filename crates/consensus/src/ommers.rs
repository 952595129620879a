use std::collections::{HashMap, HashSet};

use banyan_chainspec::ChainSpec;
use banyan_primitives::{B256, Sealable, SealedBlock, SealedHeader};

use crate::{InvalidBlock, validate_header};

/// How many ancestors [`validate_ommers`] looks at.
pub const OMMER_ANCESTORS: usize = 7;
const MAX_OMMERS: usize = 2;

/// Checks the ommers of a proof-of-work block: at most two, each with a valid header, child of one
/// of the last seven ancestors, no ancestor itself and not included before.
///
/// `ancestors` are the block's ancestors, parent first; those beyond [`OMMER_ANCESTORS`] are not
/// looked at. Blocks without ommers need none.
pub fn validate_ommers(
    spec: &ChainSpec,
    block: &SealedBlock,
    ancestors: &[&SealedBlock],
) -> Result<(), InvalidBlock> {
    let ommers = &block.body.ommers;
    if ommers.len() > MAX_OMMERS {
        return Err(InvalidBlock::rule(format!("too many uncles ({})", ommers.len())));
    }
    if ommers.is_empty() {
        return Ok(());
    }
    let ancestors = &ancestors[..ancestors.len().min(OMMER_ANCESTORS)];
    let headers: HashMap<B256, &SealedHeader> =
        ancestors.iter().map(|ancestor| (ancestor.hash(), &ancestor.header)).collect();
    let mut included: HashSet<B256> = ancestors
        .iter()
        .flat_map(|ancestor| &ancestor.body.ommers)
        .map(|ommer| ommer.hash_slow())
        .collect();
    for ommer in ommers {
        let ommer = ommer.clone().seal_slow();
        let hash = ommer.hash();
        if !included.insert(hash) {
            return Err(InvalidBlock::rule(format!("duplicate uncle {hash}")));
        }
        if headers.contains_key(&hash) || hash == block.hash() {
            return Err(InvalidBlock::rule(format!("uncle is ancestor: {hash}")));
        }
        let parent = headers
            .get(&ommer.parent_hash)
            .filter(|parent| parent.hash() != block.header.parent_hash)
            .ok_or_else(|| InvalidBlock::rule(format!("uncle's parent is not ancestor: {hash}")))?;
        validate_header(spec, &ommer, parent)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use banyan_primitives::{BlockBody, EMPTY_OMMER_ROOT_HASH, Header, U256};

    use super::*;
    use crate::{next_difficulty, testing::ethereum};

    fn child(spec: &ChainSpec, parent: &Header, elapsed: u64) -> Header {
        let timestamp = parent.timestamp + elapsed;
        Header {
            number: parent.number + 1,
            timestamp,
            parent_hash: parent.hash_slow(),
            gas_limit: parent.gas_limit,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            difficulty: next_difficulty(spec, parent, timestamp),
            ..Default::default()
        }
    }

    fn block(header: Header, ommers: Vec<Header>) -> SealedBlock {
        let body = BlockBody { transactions: Vec::new(), ommers, withdrawals: None };
        SealedBlock { header: header.seal_slow(), body }
    }

    /// Blocks 1 to `count`, oldest first.
    fn chain(spec: &ChainSpec, count: usize) -> Vec<SealedBlock> {
        let mut parent = Header {
            gas_limit: 5_000_000,
            difficulty: U256::from(1_000_000),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            ..Default::default()
        };
        (0..count)
            .map(|_| {
                parent = child(spec, &parent, 10);
                block(parent.clone(), Vec::new())
            })
            .collect()
    }

    fn check(spec: &ChainSpec, blocks: &[SealedBlock], ommers: Vec<Header>) -> Result<(), String> {
        let block = block(child(spec, &blocks[blocks.len() - 1].header, 10), ommers);
        let ancestors: Vec<_> = blocks.iter().rev().collect();
        validate_ommers(spec, &block, &ancestors).map_err(|error| error.to_string())
    }

    #[test]
    fn ommers_are_recent_siblings_of_ancestors() {
        let spec = ethereum(&[("homesteadBlock", 0)]);
        let blocks = chain(&spec, 9);
        let ommer = |parent: usize| child(&spec, &blocks[parent].header, 12);
        let reason = |ommers: Vec<Header>| check(&spec, &blocks, ommers).unwrap_err();
        assert_eq!(check(&spec, &blocks, vec![]), Ok(()));
        assert_eq!(check(&spec, &blocks, vec![ommer(7), ommer(2)]), Ok(()));
        assert!(reason(vec![ommer(8)]).contains("not ancestor"));
        assert!(reason(vec![ommer(1)]).contains("not ancestor"));
        assert!(reason(vec![ommer(7), ommer(7)]).contains("duplicate"));
        assert!(reason(vec![ommer(7), ommer(6), ommer(5)]).contains("too many"));
        assert!(reason(vec![blocks[8].header.inner().clone()]).contains("is ancestor"));
        let wrong = Header { difficulty: U256::from(1), ..ommer(7) };
        assert!(reason(vec![wrong]).contains("invalid difficulty"));
    }

    #[test]
    fn an_ommer_is_included_once() {
        let spec = ethereum(&[("homesteadBlock", 0)]);
        let mut blocks = chain(&spec, 9);
        let ommer = child(&spec, &blocks[5].header, 12);
        blocks[8].body.ommers = vec![ommer.clone()];
        assert!(check(&spec, &blocks, vec![ommer]).unwrap_err().contains("duplicate"));
    }
}
