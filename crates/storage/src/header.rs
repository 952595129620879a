//! A look at the header of an MDBX file before MDBX itself opens it.
//!
//! MDBX keeps three header pages and falls back to an older one if the newest does not fit the
//! file. After a power loss that is right: what was not flushed is gone. But a file that somebody
//! cut short would lose flushed blocks silently, and be changed by it. So the newest *flushed*
//! header must fit.

use std::{fs::File, io::Read, path::Path};

/// Page size of the files we create, so that a file does not depend on the machine.
pub(crate) const PAGE_SIZE: usize = 4096;
const HEADERS: usize = 3;
/// Upper 56 bits of the magic number; the rest is the version of the format.
const MAGIC: u64 = 0x59_659D_BDEF_4C11;
/// Signatures above this one are of flushed headers.
const UNFLUSHED: u64 = 1;

/// How many bytes the newest flushed header wants the file to have, if there is such a header.
/// A file of another page size is left to MDBX.
pub(crate) fn wanted_length(file: &Path) -> std::io::Result<Option<u64>> {
    let mut bytes = Vec::new();
    File::open(file)?.take((HEADERS * PAGE_SIZE) as u64).read_to_end(&mut bytes)?;
    let newest = bytes.chunks(PAGE_SIZE).filter_map(flushed_header).max();
    Ok(newest.map(|(_, pages)| pages * PAGE_SIZE as u64))
}

/// Transaction number and number of pages of a flushed header. Integers are native-endian; the
/// offsets are those of `meta_t` behind the page header of 20 bytes (format version 3).
fn flushed_header(page: &[u8]) -> Option<(u64, u64)> {
    let word = |at: usize| {
        let bytes = page.get(at..)?.first_chunk::<8>()?;
        Some(u64::from_ne_bytes(*bytes))
    };
    let half = |at: usize| {
        let bytes = page.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_ne_bytes(*bytes))
    };
    let (magic, number, number_again) = (word(20)?, word(28)?, word(196)?);
    let (pages, page_size, signature) = (half(56)?, half(64)?, word(188)?);
    let ours = magic >> 8 == MAGIC && page_size as usize == PAGE_SIZE;
    let flushed = signature > UNFLUSHED && number == number_again;
    (ours && flushed).then_some((number, u64::from(pages)))
}
