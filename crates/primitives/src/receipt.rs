use alloy_primitives::BloomInput;
use alloy_rlp::{BufMut, Decodable, Encodable, Header as RlpHeader, RlpDecodable, RlpEncodable};

use crate::{B256, Bloom, Log, Messages, TxType};

/// The receipt of one transaction, of either chain family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Type of the transaction.
    pub tx_type: TxType,
    /// Whether execution succeeded.
    pub success: bool,
    /// Intermediate state root, which stood in the place of the status before Byzantium (EIP-658).
    pub post_state: Option<B256>,
    /// Gas used in the block up to and including this transaction.
    pub cumulative_gas_used: u64,
    /// Logs, in order of emission.
    pub logs: Vec<Log>,
    /// Deposits since Regolith: nonce of the sender before the transaction.
    pub deposit_nonce: Option<u64>,
    /// Deposits since Canyon: 1, and from then on the deposit nonce is part of the receipts root.
    pub deposit_receipt_version: Option<u64>,
}

impl Receipt {
    /// Bloom filter over the logs.
    pub fn bloom(&self) -> Bloom {
        let mut bloom = Bloom::ZERO;
        for log in &self.logs {
            bloom.accrue_log(log);
        }
        bloom
    }

    /// Consensus encoding (EIP-2718), as it goes into the receipts trie, with its bloom.
    ///
    /// Between Regolith and Canyon the deposit nonce is kept in receipts but left out of the
    /// root: here it counts only together with the receipt version.
    pub fn encode_for_root(&self, bloom: &Bloom, out: &mut dyn BufMut) {
        if self.tx_type != TxType::Legacy {
            out.put_u8(self.tx_type as u8);
        }
        RlpHeader { list: true, payload_length: self.fields_length(bloom) }.encode(out);
        match self.post_state {
            Some(root) => root.encode(out),
            None => self.success.encode(out),
        }
        self.cumulative_gas_used.encode(out);
        bloom.encode(out);
        self.logs.encode(out);
        if let (Some(nonce), Some(version)) = (self.deposit_nonce, self.deposit_receipt_version) {
            nonce.encode(out);
            version.encode(out);
        }
    }

    fn fields_length(&self, bloom: &Bloom) -> usize {
        let outcome = self.post_state.map_or_else(|| self.success.length(), |root| root.length());
        let deposit = match (self.deposit_nonce, self.deposit_receipt_version) {
            (Some(nonce), Some(version)) => nonce.length() + version.length(),
            _ => 0,
        };
        outcome + self.cumulative_gas_used.length() + bloom.length() + self.logs.length() + deposit
    }
}

/// The blooms of some receipts, in order: all that goes into them is hashed together.
pub(crate) fn blooms(receipts: &[Receipt]) -> Vec<Bloom> {
    let mut messages = Messages::default();
    let mut owners = Vec::new();
    for (index, receipt) in receipts.iter().enumerate() {
        for log in &receipt.logs {
            messages.add(|out| out.extend_from_slice(log.address.as_slice()));
            for topic in log.topics() {
                messages.add(|out| out.extend_from_slice(topic.as_slice()));
            }
            owners.extend(std::iter::repeat_n(index, 1 + log.topics().len()));
        }
    }
    let mut blooms = vec![Bloom::ZERO; receipts.len()];
    messages.hash_from(0, |at, hash| blooms[owners[at]].accrue(BloomInput::Hash(hash)));
    blooms
}

/// Stored form: no bloom (recomputed), every field explicit. Options are lists of zero or one.
#[derive(RlpEncodable, RlpDecodable)]
struct Stored {
    tx_type: u8,
    success: bool,
    cumulative_gas_used: u64,
    logs: Vec<Log>,
    post_state: Vec<B256>,
    deposit_nonce: Vec<u64>,
    deposit_receipt_version: Vec<u64>,
}

impl Encodable for Receipt {
    fn encode(&self, out: &mut dyn BufMut) {
        Stored {
            tx_type: self.tx_type as u8,
            success: self.success,
            cumulative_gas_used: self.cumulative_gas_used,
            logs: self.logs.clone(),
            post_state: self.post_state.into_iter().collect(),
            deposit_nonce: self.deposit_nonce.into_iter().collect(),
            deposit_receipt_version: self.deposit_receipt_version.into_iter().collect(),
        }
        .encode(out);
    }
}

impl Decodable for Receipt {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let stored = Stored::decode(buf)?;
        Ok(Self {
            tx_type: TxType::try_from(stored.tx_type)
                .map_err(|_| alloy_rlp::Error::Custom("unknown transaction type in receipt"))?,
            success: stored.success,
            post_state: stored.post_state.first().copied(),
            cumulative_gas_used: stored.cumulative_gas_used,
            logs: stored.logs,
            deposit_nonce: stored.deposit_nonce.first().copied(),
            deposit_receipt_version: stored.deposit_receipt_version.first().copied(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LogData, address};

    #[test]
    fn blooms_of_many_receipts_are_those_of_each() {
        let log = |n: u8| Log {
            address: crate::Address::repeat_byte(n),
            data: LogData::new_unchecked(
                vec![B256::repeat_byte(n); usize::from(n % 5)],
                [n].into(),
            ),
        };
        let receipts: Vec<_> = (0..40u8)
            .map(|n| Receipt {
                tx_type: TxType::Legacy,
                success: true,
                post_state: None,
                cumulative_gas_used: 0,
                logs: (0..n % 4).map(|m| log(n ^ m)).collect(),
                deposit_nonce: None,
                deposit_receipt_version: None,
            })
            .collect();
        assert_eq!(blooms(&receipts), receipts.iter().map(Receipt::bloom).collect::<Vec<_>>());
    }

    #[test]
    fn stored_receipt_round_trips() {
        let log = Log {
            address: address!("0x4200000000000000000000000000000000000016"),
            data: LogData::new_unchecked(vec![B256::repeat_byte(7)], vec![1, 2, 3].into()),
        };
        for (post_state, nonce) in [(None, Some(4)), (Some(B256::repeat_byte(9)), None)] {
            let receipt = Receipt {
                tx_type: TxType::Deposit,
                success: true,
                post_state,
                cumulative_gas_used: 21_000,
                logs: vec![log.clone()],
                deposit_nonce: nonce,
                deposit_receipt_version: nonce.map(|_| 1),
            };
            let bytes = alloy_rlp::encode(&receipt);
            assert_eq!(Receipt::decode(&mut bytes.as_slice()).unwrap(), receipt);
        }
    }
}
