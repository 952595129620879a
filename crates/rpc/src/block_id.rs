use std::fmt;

use banyan_chain::ChainView;
use banyan_primitives::{B256, SealedHeader};
use serde::{Deserialize, Deserializer, de};

use crate::{
    error::{RpcError, RpcResult},
    quantity,
};

/// A block by height or label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum BlockNumber {
    /// Newest block. We build no pending block for readers, so `pending` reads the same.
    #[default]
    Latest,
    /// `pending`.
    Pending,
    /// `safe`.
    Safe,
    /// `finalized`.
    Finalized,
    /// Genesis.
    Earliest,
    /// By height.
    Number(u64),
}

/// A block by height, label or hash (EIP-1898).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockId {
    /// By height or label.
    Number(BlockNumber),
    /// By hash.
    Hash {
        /// The hash.
        hash: B256,
        /// Whether a block off the canonical chain is an error.
        require_canonical: bool,
    },
}

impl Default for BlockId {
    fn default() -> Self {
        Self::Number(BlockNumber::Latest)
    }
}

impl BlockNumber {
    fn parse(text: &str) -> Result<Self, &'static str> {
        Ok(match text {
            "latest" => Self::Latest,
            "pending" => Self::Pending,
            "safe" => Self::Safe,
            "finalized" => Self::Finalized,
            "earliest" => Self::Earliest,
            number => {
                let value = quantity::parse(number)?;
                let value = i64::try_from(value).map_err(|_| "block number larger than int64")?;
                Self::Number(value.unsigned_abs())
            }
        })
    }

    /// The canonical block it names; `None` if the height is not reached yet.
    pub(crate) fn header(self, view: &ChainView) -> RpcResult<Option<SealedHeader>> {
        let known = |header: Option<&SealedHeader>, error: &'static str| {
            header.cloned().map(Some).ok_or_else(|| RpcError::server(error))
        };
        match self {
            Self::Latest | Self::Pending => Ok(Some(view.head().clone())),
            Self::Safe => known(view.safe(), "safe block not found"),
            Self::Finalized => known(view.finalized(), "finalized block not found"),
            Self::Earliest => Ok(view.header_by_number(0)?),
            Self::Number(number) => Ok(view.header_by_number(number)?),
        }
    }
}

impl BlockId {
    /// By hash, canonical or not.
    pub(crate) const fn hash(hash: B256) -> Self {
        Self::Hash { hash, require_canonical: false }
    }

    /// True for `pending`.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self, Self::Number(BlockNumber::Pending))
    }

    /// The block it names; `None` if there is no such block.
    pub(crate) fn header(self, view: &ChainView) -> RpcResult<Option<SealedHeader>> {
        match self {
            Self::Number(number) => number.header(view),
            Self::Hash { hash, require_canonical } => {
                let header = view.header_by_hash(&hash)?;
                if header.is_some() && require_canonical && !view.is_canonical(&hash)? {
                    return Err(RpcError::server("hash is not currently canonical"));
                }
                Ok(header)
            }
        }
    }

    /// As [`BlockId::header`], with geth's error if there is no such block.
    pub(crate) fn known_header(self, view: &ChainView) -> RpcResult<SealedHeader> {
        self.header(view)?.ok_or_else(|| {
            RpcError::server(match self {
                Self::Number(_) => "header not found",
                Self::Hash { .. } => "header for hash not found",
            })
        })
    }
}

impl<'de> Deserialize<'de> for BlockNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match BlockId::deserialize(deserializer)? {
            BlockId::Number(number) => Ok(number),
            BlockId::Hash { .. } => Err(de::Error::custom("block number larger than int64")),
        }
    }
}

impl<'de> Deserialize<'de> for BlockId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BlockIdVisitor)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Eip1898 {
    block_number: Option<BlockNumber>,
    block_hash: Option<B256>,
    #[serde(default)]
    require_canonical: bool,
}

struct BlockIdVisitor;

impl<'de> de::Visitor<'de> for BlockIdVisitor {
    type Value = BlockId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a block number, label or hash")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<BlockId, E> {
        if text.len() == 66 {
            let hash = text.parse().map_err(|_| E::custom("invalid hex string"))?;
            return Ok(BlockId::hash(hash));
        }
        BlockNumber::parse(text).map(BlockId::Number).map_err(E::custom)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<BlockId, A::Error> {
        let id = Eip1898::deserialize(de::value::MapAccessDeserializer::new(map))?;
        match (id.block_number, id.block_hash) {
            (Some(_), Some(_)) => Err(de::Error::custom(
                "cannot specify both BlockHash and BlockNumber, choose one or the other",
            )),
            (Some(number), None) => Ok(BlockId::Number(number)),
            (None, Some(hash)) => {
                Ok(BlockId::Hash { hash, require_canonical: id.require_canonical })
            }
            (None, None) => Err(de::Error::custom("neither blockHash nor blockNumber given")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocks_are_named_by_number_label_hash_and_object() {
        let hash = B256::repeat_byte(7);
        let number = |number| BlockId::Number(BlockNumber::Number(number));
        let cases = [
            (json!("latest"), BlockId::default()),
            (json!("pending"), BlockId::Number(BlockNumber::Pending)),
            (json!("safe"), BlockId::Number(BlockNumber::Safe)),
            (json!("finalized"), BlockId::Number(BlockNumber::Finalized)),
            (json!("earliest"), BlockId::Number(BlockNumber::Earliest)),
            (json!("0x2d"), number(45)),
            (json!({"blockNumber": "0x2d"}), number(45)),
            (json!(hash), BlockId::hash(hash)),
            (json!({"blockHash": hash}), BlockId::hash(hash)),
            (
                json!({"blockHash": hash, "requireCanonical": true}),
                BlockId::Hash { hash, require_canonical: true },
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(serde_json::from_value::<BlockId>(text).unwrap(), expected);
        }
    }

    #[test]
    fn malformed_block_names_are_refused_in_geths_words() {
        let cases = [
            (json!("2"), "hex string without 0x prefix"),
            (json!("0x8000000000000000"), "block number larger than int64"),
            (json!({}), "neither blockHash nor blockNumber given"),
            (
                json!({"blockNumber": "0x1", "blockHash": B256::ZERO}),
                "cannot specify both BlockHash and BlockNumber, choose one or the other",
            ),
        ];
        for (text, complaint) in cases {
            let error = serde_json::from_value::<BlockId>(text).unwrap_err();
            assert_eq!(error.to_string(), complaint);
        }
        assert!(serde_json::from_value::<BlockNumber>(json!(B256::ZERO)).is_err());
    }
}
