//! One process owns a database: a lock file beside it, held as long as the process lives. The
//! operating system releases it when the process dies, so a stale file never blocks.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use crate::OpenError;

const LOCK_FILE: &str = "banyan.lock";

/// The lock; released when dropped.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
    path: PathBuf,
    /// The file was not there before.
    created: bool,
}

impl DirectoryLock {
    /// Locks `directory`, which must exist, and writes our process id into the lock file.
    pub(crate) fn acquire(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(LOCK_FILE);
        let created = !path.exists();
        let io = |source| OpenError::Io { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid =
                    file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(OpenError::Locked { path: directory.to_owned(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        file.set_len(0).map_err(io)?;
        file.rewind().map_err(io)?;
        writeln!(file, "{}", std::process::id()).map_err(io)?;
        Ok(Self { _file: file, path, created })
    }

    /// Leaves no trace in a directory that turned out not to be ours.
    pub(crate) fn discard(self) {
        if self.created
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::debug!(path = %self.path.display(), %error, "lock file not removed");
        }
    }
}
