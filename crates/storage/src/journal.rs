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

use self::segment::{FreeSegment, RECORD_BYTES, Segment, sync_directory};
use crate::{
    Markers, OpenError, StorageError,
    blocks::{decode_stored_block, encode_stored_block},
    codec::{block_key, damaged, decode_block},
};

const DIRECTORY: &str = "journal";
const EXTENSION: &str = "segment";
/// Segments start small (a dev chain needs no more) and double up to this many times that size.
const LARGEST_SEGMENT: u64 = 16;
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

/// How to open a journal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JournalOptions {
    /// Hash of the chain's genesis block.
    pub(crate) chain: B256,
    /// Flush before an append returns.
    pub(crate) sync: bool,
    /// Size of the first segment, bytes.
    pub(crate) segment: u64,
    /// Sequence number that the database has seen: labels before it are older than the database.
    pub(crate) seen: u64,
}

/// Labels of an acknowledgement, with the sequence number of their record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Acknowledged {
    sequence: u64,
    markers: Markers,
}

/// An open journal. One owner; not shared between threads.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    options: JournalOptions,
    /// Oldest first; the last one is appended to, if it was begun by us.
    segments: VecDeque<Segment>,
    /// The last segment was begun since opening. One that was found is never appended to: behind a
    /// record that was lost, later ones may stand, and must not come back to life.
    begun: bool,
    free: Vec<FreeSegment>,
    next_file: u64,
    next_generation: u64,
    blocks: B256Map<Place>,
    /// Newest last.
    heads: VecDeque<Acknowledged>,
    record: Vec<u8>,
    /// A flush failed: what the kernel still holds is unknown.
    failed: bool,
}

impl Journal {
    /// Opens the journal beside the database in `database`, and reads what is in it.
    pub(crate) fn open(database: &Path, options: JournalOptions) -> Result<Self, OpenError> {
        let directory = database.join(DIRECTORY);
        let io = |source| OpenError::Io { path: directory.clone(), source };
        std::fs::create_dir_all(&directory).map_err(io)?;
        let mut journal = Self {
            directory: directory.clone(),
            options,
            segments: VecDeque::new(),
            begun: false,
            free: Vec::new(),
            next_file: 0,
            next_generation: 0,
            blocks: B256Map::default(),
            heads: VecDeque::new(),
            record: Vec::new(),
            failed: false,
        };
        journal.read().map_err(io)?;
        if options.sync {
            journal.sync_found(database).map_err(io)?;
        }
        Ok(journal)
    }

    fn read(&mut self) -> io::Result<()> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let Some(number) = file_number(&path) else { continue };
            self.next_file = self.next_file.max(number + 1);
            match Segment::open(&path, self.options.chain) {
                Ok(Ok(segment)) => found.push(segment),
                Ok(Err(free)) => self.set_free(free),
                Err(error) => log_unreadable(&path, &error),
            }
        }
        found.sort_by_key(|segment| segment.generation);
        for segment in found {
            self.take_in(segment);
        }
        self.lower_heights();
        Ok(())
    }

    /// What an earlier run left to the operating system reaches the disk, too.
    fn sync_found(&self, database: &Path) -> io::Result<()> {
        for segment in &self.segments {
            segment.sync_all()?;
        }
        sync_directory(&self.directory)?;
        sync_directory(database)
    }

    /// Reads a segment found on disk; it follows those read before.
    fn take_in(&mut self, mut segment: Segment) {
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
        self.next_generation = generation + 1;
        let (mut highest, blocks, heads) = (0, &mut self.blocks, &mut self.heads);
        let outcome = segment.scan(|record| {
            let place = |(block, parent): (BlockRef, BlockRef)| {
                highest = highest.max(block.number);
                let (offset, length) = (record.offset, record.payload.len());
                blocks.insert(block.hash, Place { parent, generation, offset, length });
            };
            let outcome = match record.kind {
                BLOCK => decode_names(record.payload).map(place),
                _ => decode_markers(record.payload).map(|markers| {
                    remember(heads, Acknowledged { sequence: record.sequence, markers });
                }),
            };
            if let Err(error) = outcome {
                tracing::error!(%error, "a record of the journal makes no sense");
            }
        });
        if let Err(error) = outcome {
            log_unreadable(&segment.path, &error);
        }
        segment.highest = highest;
        self.segments.push_back(segment);
    }

    /// The acknowledged labels it holds, newest first, as far as the database is not newer.
    pub fn heads(&self) -> impl Iterator<Item = &Markers> {
        let newer = |head: &&Acknowledged| head.sequence >= self.options.seen;
        self.heads.iter().rev().take_while(newer).map(|head| &head.markers)
    }

    /// Number of the newest labels; what is written to the database with them tells it how far the
    /// journal had come.
    pub fn sequence(&self) -> u64 {
        self.heads.back().map_or(self.options.seen, |head| head.sequence)
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
        let mut changed = self.heads.back().is_none_or(|head| head.markers != markers);
        let new_labels = changed;
        for block in blocks {
            if !self.keep(block) {
                self.append_block(block)?;
                changed = true;
            }
        }
        if new_labels {
            self.start_record();
            encode_markers(&markers, &mut self.record);
            let sequence = self.write(MARKERS)?.sequence;
            remember(&mut self.heads, Acknowledged { sequence, markers });
            self.lower_heights();
        }
        if changed { self.flush() } else { Ok(()) }
    }

    /// True if it holds the block; its segment is then needed for it (again).
    fn keep(&mut self, block: &RecoveredBlock) -> bool {
        let Some(place) = self.blocks.get(&block.hash()) else { return false };
        let generation = place.generation;
        for segment in &mut self.segments {
            if segment.generation == generation {
                segment.highest = segment.highest.max(block.number());
            }
        }
        true
    }

    /// Blocks above the head have left the chain: no segment is kept for them.
    fn lower_heights(&mut self) {
        let Some(head) = self.heads.back() else { return };
        for segment in &mut self.segments {
            segment.highest = segment.highest.min(head.markers.head.number);
        }
    }

    fn append_block(&mut self, block: &RecoveredBlock) -> Result<(), StorageError> {
        let (name, parent) = (block.block_ref(), block.parent_ref());
        self.start_record();
        self.record.extend_from_slice(&block_key(name));
        self.record.extend_from_slice(&block_key(parent));
        encode_stored_block(block, &mut self.record);
        let length = self.record.len() - RECORD_BYTES;
        let Written { generation, offset, .. } = self.write(BLOCK)?;
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

    /// Writes the prepared record.
    fn write(&mut self, kind: u8) -> Result<Written, StorageError> {
        let payload = self.record.len() - RECORD_BYTES;
        let last = self.segments.back().filter(|_| self.begun);
        if !last.is_some_and(|segment| segment.has_room(payload)) {
            self.rotate(payload)?;
        }
        let segment = self.segments.back_mut().ok_or(StorageError::Dead)?;
        let sequence = segment.next;
        let offset = segment.append(kind, &mut self.record).map_err(failure)?;
        Ok(Written { generation: segment.generation, offset, sequence })
    }

    /// Begins a new segment with room for a payload. It starts with the newest labels, so that older
    /// segments are needed for their blocks only.
    fn rotate(&mut self, payload: usize) -> Result<(), StorageError> {
        // What went before must not be flushed later than what follows.
        self.flush()?;
        let needed = (2 * RECORD_BYTES + payload + 1024) as u64;
        let free = match self.free.iter().position(|free| free.length >= needed) {
            Some(index) => self.free.swap_remove(index),
            None => self.create(needed).map_err(failure)?,
        };
        let generation = self.next_generation;
        // Never given to two files, even if this one comes to nothing.
        self.next_generation += 1;
        let after_last = self.segments.back().map_or(0, |last| last.next);
        let first = after_last.max(self.options.seen + 1);
        let mut segment = match free.begin(self.options.chain, generation, first) {
            Ok(segment) => segment,
            Err((free, error)) => {
                self.free.push(free);
                return Err(failure(error));
            }
        };
        if let Some(head) = self.heads.back_mut() {
            let mut record = vec![0; RECORD_BYTES];
            encode_markers(&head.markers, &mut record);
            if let Err(error) = segment.append(MARKERS, &mut record) {
                self.free.push(segment.into_free());
                return Err(failure(error));
            }
            head.sequence = first;
        }
        self.segments.push_back(segment);
        self.begun = true;
        Ok(())
    }

    fn create(&mut self, needed: u64) -> io::Result<FreeSegment> {
        let smallest = self.options.segment;
        // Only a segment that was filled says that larger ones are in place.
        let last = self.segments.back().filter(|_| self.begun).map_or(0, Segment::length);
        let length = (last * 2).clamp(smallest, smallest * LARGEST_SEGMENT).max(needed);
        let path = self.directory.join(format!("{:06}.{EXTENSION}", self.next_file));
        let free = FreeSegment::create(path, length, self.options.sync)?;
        self.next_file += 1;
        Ok(free)
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        let Some(segment) = self.segments.back().filter(|_| self.options.sync) else {
            return Ok(());
        };
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
            self.set_free(segment.into_free());
        }
    }

    /// Keeps a file for reuse, or removes it: of too many the shortest, which serves least.
    fn set_free(&mut self, free: FreeSegment) {
        self.free.push(free);
        self.free.sort_by_key(|free| free.length);
        let shortest = self.free.first().map_or(0, |free| free.length);
        if self.free.len() > FREE_KEPT || shortest < self.options.segment {
            let unwanted = self.free.remove(0);
            if let Err(error) = std::fs::remove_file(&unwanted.path) {
                tracing::warn!(path = %unwanted.path.display(), %error, "segment not removed");
            }
        }
    }
}

const BLOCK_REF_BYTES: usize = 40;

/// Where a record went.
struct Written {
    generation: u64,
    offset: u64,
    sequence: u64,
}

fn remember(heads: &mut VecDeque<Acknowledged>, head: Acknowledged) {
    match heads.back_mut() {
        // The first record of a segment repeats the labels.
        Some(last) if last.markers == head.markers => *last = head,
        _ => heads.push_back(head),
    }
    if heads.len() > HEADS_KEPT {
        heads.pop_front();
    }
}

fn log_unreadable(path: &Path, error: &io::Error) {
    tracing::error!(path = %path.display(), %error, "a file of the journal cannot be read");
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
