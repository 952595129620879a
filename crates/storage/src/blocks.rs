//! Blocks: headers, bodies, receipts, the canonical chain, transaction look-up, markers.
//!
//! Every block ever written stays readable by its number and hash; `Canonical` and `TxLookup`
//! name only the blocks of the chain that leads to the persisted tip.

use alloy_rlp::{Decodable, Encodable};
use banyan_primitives::{
    Address, B256, BlockBody, BlockRef, Header, Receipt, RecoveredBlock, Sealed, SealedBlock,
    SealedHeader,
};

use crate::{
    Read, StorageError, Table, WriteTxn,
    codec::{block_key, damaged, decode_block, decode_hash, decode_number},
    tables::META_JOURNAL,
};

/// A block that the database remembers by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Marker {
    /// The block after which the stored state stands. Moved only together with the state.
    Tip,
    /// Newest block of the canonical chain.
    Head,
    /// The CL's safe block.
    Safe,
    /// The CL's finalized block.
    Finalized,
}

impl Marker {
    const fn key(self) -> &'static [u8] {
        match self {
            Self::Tip => b"tip",
            Self::Head => b"head",
            Self::Safe => b"safe",
            Self::Finalized => b"finalized",
        }
    }
}

/// The labels of a chain whose newest block is `head`: finalized ≤ safe ≤ head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Markers {
    /// Newest block.
    pub head: BlockRef,
    /// The CL's safe block.
    pub safe: Option<BlockRef>,
    /// The CL's finalized block.
    pub finalized: Option<BlockRef>,
}

/// Where a canonical transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionPosition {
    /// Height of its block.
    pub number: u64,
    /// Index in the block.
    pub index: u32,
}

/// What can be asked about blocks.
pub trait BlockRead: Read {
    /// A block the database remembers by name.
    fn marker(&self, marker: Marker) -> Result<Option<BlockRef>, StorageError> {
        self.get(Table::Markers, marker.key())?.map(|bytes| decode_block(&bytes)).transpose()
    }

    /// Head, safe and finalized; `None` in a database without a genesis block.
    fn markers(&self) -> Result<Option<Markers>, StorageError> {
        let Some(head) = self.marker(Marker::Head)? else { return Ok(None) };
        let (safe, finalized) = (self.marker(Marker::Safe)?, self.marker(Marker::Finalized)?);
        Ok(Some(Markers { head, safe, finalized }))
    }

    /// Number of the journal's newest labels when this was written; zero if there was no journal.
    fn journal_sequence(&self) -> Result<u64, StorageError> {
        self.get(Table::Meta, META_JOURNAL)?.map_or(Ok(0), |bytes| decode_number(&bytes))
    }

    /// Height and hash of the block with this hash, if it is stored.
    fn block_ref(&self, hash: &B256) -> Result<Option<BlockRef>, StorageError> {
        let Some(number) = self.get(Table::HeaderNumbers, hash.as_slice())? else {
            return Ok(None);
        };
        Ok(Some(BlockRef::new(decode_number(&number)?, *hash)))
    }

    /// Hash of the canonical block at a height.
    fn canonical_hash(&self, number: u64) -> Result<Option<B256>, StorageError> {
        self.get(Table::Canonical, &number.to_be_bytes())?
            .map(|bytes| decode_hash(&bytes))
            .transpose()
    }

    /// Header of a block.
    fn header(&self, block: BlockRef) -> Result<Option<SealedHeader>, StorageError> {
        let Some(bytes) = self.get(Table::Headers, &block_key(block))? else { return Ok(None) };
        let header = Header::decode(&mut bytes.as_slice())?;
        Ok(Some(Sealed::new_unchecked(header, block.hash)))
    }

    /// A block with its senders.
    fn block(&self, block: BlockRef) -> Result<Option<RecoveredBlock>, StorageError> {
        let Some(header) = self.header(block)? else { return Ok(None) };
        let bytes = self.get(Table::Bodies, &block_key(block))?.ok_or_else(|| {
            StorageError::Damaged(format!("block {block} has a header but no body"))
        })?;
        let (body, senders) = decode_body(&bytes)?;
        Ok(Some(RecoveredBlock::new(SealedBlock { header, body }, senders)))
    }

    /// Receipts of a block.
    fn receipts(&self, block: BlockRef) -> Result<Option<Vec<Receipt>>, StorageError> {
        let Some(bytes) = self.get(Table::Receipts, &block_key(block))? else { return Ok(None) };
        Ok(Some(Vec::<Receipt>::decode(&mut bytes.as_slice())?))
    }

    /// State root after a block of a `wide` chain, if it was stored with the block.
    fn state_root(&self, block: BlockRef) -> Result<Option<B256>, StorageError> {
        self.get(Table::StateRoots, &block_key(block))?.map(|bytes| decode_hash(&bytes)).transpose()
    }

    /// Where the canonical transaction with this hash stands.
    fn transaction_position(
        &self,
        hash: &B256,
    ) -> Result<Option<TransactionPosition>, StorageError> {
        let Some(bytes) = self.get(Table::TxLookup, hash.as_slice())? else { return Ok(None) };
        let (number, index) =
            bytes.split_first_chunk::<8>().ok_or_else(|| damaged("position", &bytes))?;
        let index = index.try_into().map_err(|_| damaged("position", &bytes))?;
        Ok(Some(TransactionPosition {
            number: u64::from_be_bytes(*number),
            index: u32::from_be_bytes(index),
        }))
    }
}

impl<R: Read + ?Sized> BlockRead for R {}

/// Header, then the body as in the table `Bodies`.
pub(crate) fn encode_stored_block(block: &RecoveredBlock, out: &mut Vec<u8>) {
    block.header.inner().encode(out);
    encode_body(block, out);
}

/// Inverse of [`encode_stored_block`]; the hash is computed from the header.
pub(crate) fn decode_stored_block(bytes: &[u8]) -> Result<RecoveredBlock, StorageError> {
    let mut rest = bytes;
    let header = Sealed::new(Header::decode(&mut rest)?);
    let (body, senders) = decode_body(rest)?;
    Ok(RecoveredBlock::new(SealedBlock { header, body }, senders))
}

/// RLP of the body, then the senders, 20 bytes each.
fn encode_body(block: &RecoveredBlock, out: &mut Vec<u8>) {
    block.body.encode(out);
    for sender in block.senders.iter() {
        out.extend_from_slice(sender.as_slice());
    }
}

fn decode_body(bytes: &[u8]) -> Result<(BlockBody, Vec<Address>), StorageError> {
    let mut rest = bytes;
    let body = BlockBody::decode(&mut rest)?;
    let (senders, odd) = rest.as_chunks::<20>();
    if senders.len() != body.transactions.len() || !odd.is_empty() {
        return Err(damaged("senders of a body", bytes));
    }
    Ok((body, senders.iter().map(Address::from).collect()))
}

impl WriteTxn<'_> {
    /// Stores a block with its receipts. It is found by number and hash, canonical or not.
    pub fn put_block(
        &self,
        block: &RecoveredBlock,
        receipts: &[Receipt],
    ) -> Result<(), StorageError> {
        let key = block_key(block.block_ref());
        self.put(Table::Headers, &key, &alloy_rlp::encode(block.header.inner()))?;
        let mut body = Vec::new();
        encode_body(block, &mut body);
        self.put(Table::Bodies, &key, &body)?;
        self.put(Table::Receipts, &key, &encode_receipts(receipts))?;
        self.put(Table::HeaderNumbers, block.hash().as_slice(), &block.number().to_be_bytes())
    }

    /// Stores the state root after a block of a `wide` chain. By hash, since a later header of
    /// another branch may commit to it too.
    pub fn put_state_root(&self, block: BlockRef, root: &B256) -> Result<(), StorageError> {
        self.put(Table::StateRoots, &block_key(block), root.as_slice())
    }

    /// Makes a stored block the canonical one at its height, in the place of another one, and its
    /// transactions findable.
    pub fn set_canonical(&self, block: &RecoveredBlock) -> Result<(), StorageError> {
        let number = block.number();
        if self.canonical_hash(number)?.is_some_and(|hash| hash != block.hash()) {
            self.remove_canonical(number)?;
        }
        let number = number.to_be_bytes();
        self.put(Table::Canonical, &number, block.hash().as_slice())?;
        for (index, tx) in block.body.transactions.iter().enumerate() {
            let position = [number.as_slice(), &(index as u32).to_be_bytes()].concat();
            self.put(Table::TxLookup, tx.hash().as_slice(), &position)?;
        }
        Ok(())
    }

    /// Takes the block at a height, and its transactions, off the canonical chain. The block stays
    /// readable by its hash.
    pub fn remove_canonical(&self, number: u64) -> Result<(), StorageError> {
        let Some(hash) = self.canonical_hash(number)? else { return Ok(()) };
        let block = BlockRef::new(number, hash);
        let body = self.block(block)?.ok_or_else(|| {
            StorageError::Damaged(format!("canonical block {block} is not stored"))
        })?;
        for tx in &body.body.transactions {
            // A transaction may be back in the chain at another height already.
            let position = self.transaction_position(tx.hash())?;
            if position.is_some_and(|position| position.number == number) {
                self.delete(Table::TxLookup, tx.hash().as_slice())?;
            }
        }
        self.delete(Table::Canonical, &number.to_be_bytes()).map(drop)
    }

    /// Remembers how far the journal had come: its older labels are older than this database.
    pub fn set_journal_sequence(&self, sequence: u64) -> Result<(), StorageError> {
        self.put(Table::Meta, META_JOURNAL, &sequence.to_be_bytes())
    }

    /// Sets head, safe and finalized.
    pub fn set_markers(&self, markers: &Markers) -> Result<(), StorageError> {
        self.set_marker(Marker::Head, markers.head)?;
        for (marker, block) in
            [(Marker::Safe, markers.safe), (Marker::Finalized, markers.finalized)]
        {
            match block {
                Some(block) => self.set_marker(marker, block)?,
                None => self.clear_marker(marker)?,
            }
        }
        Ok(())
    }

    /// Remembers a block by name.
    pub fn set_marker(&self, marker: Marker, block: BlockRef) -> Result<(), StorageError> {
        self.put(Table::Markers, marker.key(), &block_key(block))
    }

    /// Forgets a name.
    pub fn clear_marker(&self, marker: Marker) -> Result<(), StorageError> {
        self.delete(Table::Markers, marker.key()).map(drop)
    }
}

fn encode_receipts(receipts: &[Receipt]) -> Vec<u8> {
    let mut bytes = Vec::new();
    alloy_rlp::encode_list(receipts, &mut bytes);
    bytes
}
