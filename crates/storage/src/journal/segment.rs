//! One file of the journal: preallocated, so that flushing it need not flush the file's size; reused
//! when nothing in it is needed any more.
//!
//! ```text
//! file:   header, records, old bytes or zeros
//! header: magic (8) ‖ genesis hash (32) ‖ generation (8) ‖ first sequence (8) ‖ key (32) ‖ checksum (16)
//! record: length of the payload (4) ‖ sequence (8) ‖ kind (1) ‖ checksum (16) ‖ payload
//! ```
//! Numbers are big-endian. A checksum is the head of keyed BLAKE3 over everything else in the header
//! or record. The key is random: bytes of a block cannot pose as a record. The first record that does
//! not fit (wrong sequence, wrong checksum) ends the segment.

use std::{
    collections::hash_map::RandomState,
    fs::{File, OpenOptions},
    hash::{BuildHasher, Hasher},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use banyan_primitives::B256;

const MAGIC: [u8; 8] = *b"BANYANJ1";
const HEADER_BYTES: usize = 8 + 32 + 8 + 8 + 32 + CHECKSUM_BYTES;
const CHECKSUM_BYTES: usize = 16;
/// Bytes of a record beside its payload.
pub(super) const RECORD_BYTES: usize = 4 + 8 + 1 + CHECKSUM_BYTES;
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// A segment in use. `end` is where the next record goes, `next` its sequence number.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    file: File,
    length: u64,
    pub(super) generation: u64,
    pub(super) first: u64,
    pub(super) next: u64,
    key: [u8; 32],
    end: u64,
    /// Height of the highest block in it.
    pub(super) highest: u64,
}

/// A segment with nothing in it that is needed.
#[derive(Debug)]
pub(super) struct FreeSegment {
    pub(super) path: PathBuf,
    file: File,
    pub(super) length: u64,
}

/// A record as read: kind, where its payload is in the file, and the payload.
pub(super) struct Record<'a> {
    pub(super) kind: u8,
    pub(super) offset: u64,
    pub(super) payload: &'a [u8],
}

impl FreeSegment {
    /// A new file of `length` bytes, all written and, if `sync`, flushed with its directory entry.
    pub(super) fn create(path: PathBuf, length: u64, sync: bool) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file?;
        let result = fill(&file, length, &path, sync);
        if let Err(error) = result {
            // A file cut short by a full disk takes room and serves nobody.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(Self { path, file, length })
    }

    /// Takes it into use: its first record will be `first`.
    pub(super) fn begin(self, chain: B256, generation: u64, first: u64) -> io::Result<Segment> {
        let key = random_key(generation);
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(chain.as_slice());
        header.extend_from_slice(&generation.to_be_bytes());
        header.extend_from_slice(&first.to_be_bytes());
        header.extend_from_slice(&key);
        let checksum = checksum(&key, &[&header]);
        header.extend_from_slice(&checksum);
        self.file.write_all_at(&header, 0)?;
        let Self { path, file, length } = self;
        let end = HEADER_BYTES as u64;
        Ok(Segment { path, file, length, generation, first, next: first, key, end, highest: 0 })
    }
}

impl Segment {
    /// Opens a file of the journal of `chain`; one with nothing of it in use is free.
    pub(super) fn open(path: &Path, chain: B256) -> io::Result<Result<Self, FreeSegment>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let length = file.metadata()?.len();
        let path = path.to_owned();
        let mut header = [0; HEADER_BYTES];
        let found = match file.read_exact_at(&mut header, 0) {
            Ok(()) => parse_header(&header, chain),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        let Some((generation, first, key)) = found else {
            return Ok(Err(FreeSegment { path, file, length }));
        };
        let end = HEADER_BYTES as u64;
        let (next, highest) = (first, 0);
        Ok(Ok(Self { path, file, length, generation, first, next, key, end, highest }))
    }

    /// Reads all records, oldest first; new ones will follow the last of them.
    pub(super) fn scan(&mut self, mut visit: impl FnMut(Record<'_>)) -> io::Result<()> {
        let mut bytes = vec![0; usize::try_from(self.length).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, 0)?;
        while let Some(record) = self.record_at(&bytes) {
            let end = record.offset + record.payload.len() as u64;
            visit(record);
            self.end = end;
            self.next += 1;
        }
        Ok(())
    }

    fn record_at<'a>(&self, bytes: &'a [u8]) -> Option<Record<'a>> {
        let record = bytes.get(usize::try_from(self.end).ok()?..)?;
        let (header, rest) = record.split_at_checked(RECORD_BYTES)?;
        let (fields, sum) = header.split_at(RECORD_BYTES - CHECKSUM_BYTES);
        let (length, fields_rest) = fields.split_first_chunk::<4>()?;
        let (sequence, kind) = fields_rest.split_first_chunk::<8>()?;
        let payload = rest.get(..u32::from_be_bytes(*length) as usize)?;
        let fits = u64::from_be_bytes(*sequence) == self.next
            && checksum(&self.key, &[fields, payload]) == sum;
        let offset = self.end + RECORD_BYTES as u64;
        fits.then(|| Record { kind: kind[0], offset, payload })
    }

    pub(super) fn has_room(&self, payload: usize) -> bool {
        self.end + (RECORD_BYTES + payload) as u64 <= self.length
    }

    /// Appends the record in `record`, whose first [`RECORD_BYTES`] are left free for its header;
    /// gives back the offset of the payload. After an error nothing was appended.
    pub(super) fn append(&mut self, kind: u8, record: &mut [u8]) -> io::Result<u64> {
        let (header, payload) = record.split_at_mut(RECORD_BYTES);
        let length = u32::try_from(payload.len())
            .map_err(|_| io::Error::other("a record of more than 4 GiB"))?;
        header[..4].copy_from_slice(&length.to_be_bytes());
        header[4..12].copy_from_slice(&self.next.to_be_bytes());
        header[12] = kind;
        let (fields, sum) = header.split_at_mut(RECORD_BYTES - CHECKSUM_BYTES);
        sum.copy_from_slice(&checksum(&self.key, &[fields, payload]));
        self.file.write_all_at(record, self.end)?;
        let offset = self.end + RECORD_BYTES as u64;
        self.end += record.len() as u64;
        self.next += 1;
        Ok(offset)
    }

    /// Reads a payload that was checked when it was found.
    pub(super) fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut payload = vec![0; length];
        self.file.read_exact_at(&mut payload, offset)?;
        Ok(payload)
    }

    /// Flushes what was appended to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn into_free(self) -> FreeSegment {
        FreeSegment { path: self.path, file: self.file, length: self.length }
    }
}

fn fill(file: &File, length: u64, path: &Path, sync: bool) -> io::Result<()> {
    let mut offset = 0;
    while offset < length {
        let step = (length - offset).min(ZEROS.len() as u64);
        file.write_all_at(&ZEROS[..step as usize], offset)?;
        offset += step;
    }
    if sync {
        file.sync_all()?;
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
    }
    Ok(())
}

fn parse_header(header: &[u8; HEADER_BYTES], chain: B256) -> Option<(u64, u64, [u8; 32])> {
    let (body, sum) = header.split_at(HEADER_BYTES - CHECKSUM_BYTES);
    let (magic, rest) = body.split_first_chunk::<8>()?;
    let (found_chain, rest) = rest.split_first_chunk::<32>()?;
    let (generation, rest) = rest.split_first_chunk::<8>()?;
    let (first, rest) = rest.split_first_chunk::<8>()?;
    let (key, _) = rest.split_first_chunk::<32>()?;
    let ours = *magic == MAGIC && *found_chain == chain.0 && checksum(key, &[body]) == sum;
    ours.then(|| (u64::from_be_bytes(*generation), u64::from_be_bytes(*first), *key))
}

fn checksum(key: &[u8; 32], parts: &[&[u8]]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in parts {
        hasher.update(part);
    }
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(&hasher.finalize().as_bytes()[..CHECKSUM_BYTES]);
    sum
}

/// Unpredictable, from the standard library's source of hash seeds.
fn random_key(generation: u64) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for _ in 0..4 {
        let mut seed = RandomState::new().build_hasher();
        seed.write_u64(generation);
        hasher.update(&seed.finish().to_be_bytes());
    }
    *hasher.finalize().as_bytes()
}
