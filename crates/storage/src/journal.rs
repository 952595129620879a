//! The journal: blocks that were acknowledged as head but may not be in the database yet, and the
//! labels (head, safe, finalized) of each acknowledgement. A small set of preallocated files beside
//! the database, appended to before the answer goes out (docs/durability.md).
//!
//! It holds blocks, not results: whoever opens it executes them again.

mod segment;

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
};

use banyan_primitives::{B256, B256Map, BlockRef, RecoveredBlock};

use self::segment::{FreeSegment, RECORD_BYTES, Segment};
use crate::{
    Markers, OpenError, StorageError,
    blocks::{decode_stored_block, encode_stored_block},
    codec::{block_key, damaged, decode_block},
};

const DIRECTORY: &str = "journal";
const EXTENSION: &str = "segment";
/// Segments start small (a dev chain needs no more) and double up to this size.
const FIRST_SEGMENT: u64 = 1 << 20;
const LARGEST_SEGMENT: u64 = 16 << 20;
/// Free segments kept for reuse; more are removed.
const FREE_KEPT: usize = 2;
/// Acknowledged heads remembered when reading: the newest counts, older ones only if it is damaged.
const HEADS_KEPT: usize = 64;

const BLOCK: u8 = 1;
const MARKERS: u8 = 2;

/// Where a block of the journal is.
#[derive(Clone, Copy, Debug)]
struct Place {
    parent: BlockRef,
    generation: u64,
    offset: u64,
    length: usize,
}

/// An open journal. One owner; not shared between threads.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    chain: B256,
    /// Flush before an append returns.
    sync: bool,
    /// Oldest first; the last one is appended to, if it was begun by us.
    segments: VecDeque<Segment>,
    /// The last segment was begun since opening. One that was found is never appended to: behind a
    /// record that was lost, later ones may stand, and must not come back to life.
    begun: bool,
    free: Vec<FreeSegment>,
    next_file: u64,
    blocks: B256Map<Place>,
    /// Newest last.
    heads: VecDeque<Markers>,
    record: Vec<u8>,
    /// A flush failed: what the kernel still holds is unknown.
    failed: bool,
}

impl Journal {
    /// Opens the journal beside the database in `database`, of the chain with genesis `chain`, and
    /// reads what is in it. With `sync` appends reach the disk before they return, else only the
    /// operating system.
    pub(crate) fn open(database: &Path, chain: B256, sync: bool) -> Result<Self, OpenError> {
        let directory = database.join(DIRECTORY);
        let io = |source| OpenError::Io { path: directory.clone(), source };
        std::fs::create_dir_all(&directory).map_err(io)?;
        let mut journal = Self {
            directory: directory.clone(),
            chain,
            sync,
            segments: VecDeque::new(),
            begun: false,
            free: Vec::new(),
            next_file: 0,
            blocks: B256Map::default(),
            heads: VecDeque::new(),
            record: Vec::new(),
            failed: false,
        };
        journal.read().map_err(io)?;
        Ok(journal)
    }

    fn read(&mut self) -> io::Result<()> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let Some(number) = file_number(&path) else { continue };
            self.next_file = self.next_file.max(number + 1);
            match Segment::open(&path, self.chain)? {
                Ok(segment) => found.push(segment),
                Err(free) => self.free.push(free),
            }
        }
        found.sort_by_key(|segment| segment.generation);
        for segment in found {
            self.take_in(segment)?;
        }
        Ok(())
    }

    /// Reads a segment found on disk; it follows those read before.
    fn take_in(&mut self, mut segment: Segment) -> io::Result<()> {
        // Where a generation is missing, it was released and written over.
        if let Some(before) = self.segments.back()
            && before.generation + 1 == segment.generation
            && before.next != segment.first
        {
            tracing::error!(
                path = %before.path.display(),
                records = before.next - before.first,
                "the journal is damaged: blocks after this file's last whole record are lost"
            );
        }
        let generation = segment.generation;
        let (mut highest, blocks, heads) = (0, &mut self.blocks, &mut self.heads);
        segment.scan(|record| {
            let place = |(block, parent): (BlockRef, BlockRef)| {
                highest = highest.max(block.number);
                let (offset, length) = (record.offset, record.payload.len());
                blocks.insert(block.hash, Place { parent, generation, offset, length });
            };
            let outcome = match record.kind {
                BLOCK => decode_names(record.payload).map(place),
                _ => decode_markers(record.payload).map(|markers| remember(heads, markers)),
            };
            if let Err(error) = outcome {
                tracing::error!(%error, "a record of the journal makes no sense");
            }
        })?;
        segment.highest = highest;
        self.segments.push_back(segment);
        Ok(())
    }

    /// The acknowledged labels it holds, newest first.
    pub fn heads(&self) -> impl Iterator<Item = &Markers> {
        self.heads.iter().rev()
    }

    /// Parent of a block that is in the journal.
    pub fn parent_of(&self, hash: &B256) -> Option<BlockRef> {
        self.blocks.get(hash).map(|place| place.parent)
    }

    /// A block of the journal with its senders.
    pub fn block(&self, hash: &B256) -> Result<Option<RecoveredBlock>, StorageError> {
        let Some(place) = self.blocks.get(hash) else { return Ok(None) };
        let mut segments = self.segments.iter();
        let Some(segment) = segments.find(|segment| segment.generation == place.generation) else {
            return Ok(None);
        };
        let payload = segment.read(place.offset, place.length).map_err(failure)?;
        let rest = payload.get(2 * BLOCK_REF_BYTES..).unwrap_or_default();
        let block = decode_stored_block(rest)?;
        if block.hash() != *hash {
            return Err(damaged("block of the journal", hash.as_slice()));
        }
        Ok(Some(block))
    }

    /// Makes an acknowledgement durable: `blocks` (those that it does not hold yet), oldest first,
    /// then the labels. Labels that it holds as the newest, and no block, cost nothing.
    pub fn append<'a>(
        &mut self,
        blocks: impl IntoIterator<Item = &'a RecoveredBlock>,
        markers: Markers,
    ) -> Result<(), StorageError> {
        if self.failed {
            return Err(StorageError::Dead);
        }
        for block in blocks {
            if !self.blocks.contains_key(&block.hash()) {
                self.append_block(block)?;
            }
        }
        if self.heads.back() == Some(&markers) {
            return Ok(());
        }
        self.start_record();
        encode_markers(&markers, &mut self.record);
        self.write(MARKERS)?;
        remember(&mut self.heads, markers);
        self.flush()
    }

    fn append_block(&mut self, block: &RecoveredBlock) -> Result<(), StorageError> {
        let (name, parent) = (block.block_ref(), block.parent_ref());
        self.start_record();
        self.record.extend_from_slice(&block_key(name));
        self.record.extend_from_slice(&block_key(parent));
        encode_stored_block(block, &mut self.record);
        let length = self.record.len() - RECORD_BYTES;
        let (generation, offset) = self.write(BLOCK)?;
        if let Some(segment) = self.segments.back_mut() {
            segment.highest = segment.highest.max(name.number);
        }
        self.blocks.insert(name.hash, Place { parent, generation, offset, length });
        Ok(())
    }

    fn start_record(&mut self) {
        self.record.clear();
        self.record.resize(RECORD_BYTES, 0);
    }

    /// Writes the prepared record; gives back where its payload is: generation and offset.
    fn write(&mut self, kind: u8) -> Result<(u64, u64), StorageError> {
        let payload = self.record.len() - RECORD_BYTES;
        let last = self.segments.back().filter(|_| self.begun);
        if !last.is_some_and(|segment| segment.has_room(payload)) {
            self.rotate(payload)?;
        }
        let segment = self.segments.back_mut().ok_or(StorageError::Dead)?;
        let offset = segment.append(kind, &mut self.record).map_err(failure)?;
        Ok((segment.generation, offset))
    }

    /// Begins a new segment with room for a payload. It starts with the newest labels, so that older
    /// segments are needed for their blocks only.
    fn rotate(&mut self, payload: usize) -> Result<(), StorageError> {
        // What went before must not be flushed later than what follows.
        self.flush()?;
        let labels = self.heads.back().copied();
        let needed = (2 * RECORD_BYTES + payload + 1024) as u64;
        let free = match self.free.iter().position(|free| free.length >= needed) {
            Some(index) => self.free.swap_remove(index),
            None => self.create(needed).map_err(failure)?,
        };
        let (generation, first) = match self.segments.back() {
            Some(last) => (last.generation + 1, last.next),
            None => (0, 0),
        };
        let mut segment = free.begin(self.chain, generation, first).map_err(failure)?;
        if let Some(labels) = labels {
            let mut record = vec![0; RECORD_BYTES];
            encode_markers(&labels, &mut record);
            segment.append(MARKERS, &mut record).map_err(failure)?;
        }
        self.segments.push_back(segment);
        self.begun = true;
        Ok(())
    }

    fn create(&mut self, needed: u64) -> io::Result<FreeSegment> {
        let last = self.segments.back().map_or(0, Segment::length);
        let length = (last * 2).clamp(FIRST_SEGMENT, LARGEST_SEGMENT).max(needed);
        let path = self.directory.join(format!("{:06}.{EXTENSION}", self.next_file));
        let free = FreeSegment::create(path, length, self.sync)?;
        self.next_file += 1;
        Ok(free)
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        let Some(segment) = self.segments.back().filter(|_| self.sync) else { return Ok(()) };
        segment.sync().map_err(|error| {
            // After a failed flush the kernel may have dropped the pages and say so only once.
            self.failed = true;
            failure(error)
        })
    }

    /// True if there are segments that could be given free once the database is flushed.
    pub fn wants_release(&self) -> bool {
        self.segments.len() > 1
    }

    /// The database, flushed to disk, holds the canonical chain up to height `durable`: gives free
    /// what is not needed any more.
    pub fn release(&mut self, durable: u64) {
        while self.segments.len() > 1
            && self.segments.front().is_some_and(|segment| segment.highest <= durable)
        {
            let Some(segment) = self.segments.pop_front() else { return };
            let generation = segment.generation;
            self.blocks.retain(|_, place| place.generation != generation);
            if self.free.len() < FREE_KEPT {
                self.free.push(segment.into_free());
            } else if let Err(error) = std::fs::remove_file(&segment.path) {
                tracing::warn!(path = %segment.path.display(), %error, "segment not removed");
            }
        }
    }
}

const BLOCK_REF_BYTES: usize = 40;

fn remember(heads: &mut VecDeque<Markers>, markers: Markers) {
    if heads.len() == HEADS_KEPT {
        heads.pop_front();
    }
    heads.push_back(markers);
}

fn file_number(path: &Path) -> Option<u64> {
    let ours = path.extension().is_some_and(|extension| extension == EXTENSION);
    path.file_stem().filter(|_| ours)?.to_str()?.parse().ok()
}

fn decode_names(payload: &[u8]) -> Result<(BlockRef, BlockRef), StorageError> {
    let (block, rest) = payload
        .split_at_checked(BLOCK_REF_BYTES)
        .ok_or_else(|| damaged("block of the journal", payload))?;
    let parent = rest.get(..BLOCK_REF_BYTES).unwrap_or_default();
    Ok((decode_block(block)?, decode_block(parent)?))
}

/// Head, safe, finalized; all zeros for one that is not set (height 0 has a hash).
fn encode_markers(markers: &Markers, out: &mut Vec<u8>) {
    for label in [Some(markers.head), markers.safe, markers.finalized] {
        out.extend_from_slice(&block_key(label.unwrap_or_default()));
    }
}

fn decode_markers(payload: &[u8]) -> Result<Markers, StorageError> {
    let (labels, odd) = payload.as_chunks::<BLOCK_REF_BYTES>();
    let ([head, safe, finalized], []) = (labels, odd) else {
        return Err(damaged("labels of the journal", payload));
    };
    let label = |bytes: &[u8]| {
        decode_block(bytes).map(|label| (label != BlockRef::default()).then_some(label))
    };
    Ok(Markers { head: decode_block(head)?, safe: label(safe)?, finalized: label(finalized)? })
}

fn failure(error: io::Error) -> StorageError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::NoSpace,
        _ => StorageError::Other(format!("journal: {error}")),
    }
}
