use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tracing_subscriber::fmt::MakeWriter;

use super::FileLogConfig;

/// A log file that moves aside (`.1`, `.2`, …) when it is full. Clones share the file.
#[derive(Clone)]
pub(super) struct RollingFile(Arc<Mutex<Roll>>);

struct Roll {
    path: PathBuf,
    file: File,
    size: u64,
    max_bytes: u64,
    max_files: usize,
}

impl RollingFile {
    /// Opens the file for appending, creating its directory.
    pub(super) fn open(config: &FileLogConfig) -> io::Result<Self> {
        fs::create_dir_all(&config.directory)?;
        let path = config.directory.join(&config.name);
        let file = append_to(&path)?;
        let size = file.metadata()?.len();
        let (max_bytes, max_files) = (config.max_bytes, config.max_files);
        Ok(Self(Arc::new(Mutex::new(Roll { path, file, size, max_bytes, max_files }))))
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}

impl Roll {
    fn numbered(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    /// `log.1` becomes `log.2`, `log` becomes `log.1`; the oldest is overwritten.
    fn roll(&mut self) -> io::Result<()> {
        for number in (1..self.max_files.saturating_sub(1)).rev() {
            let (from, to) = (self.numbered(number), self.numbered(number + 1));
            if from.exists() {
                fs::rename(from, to)?;
            }
        }
        if self.max_files > 1 {
            fs::rename(&self.path, self.numbered(1))?;
        } else {
            fs::remove_file(&self.path)?;
        }
        self.file = append_to(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

impl Write for RollingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut roll = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if roll.size > 0 && roll.size.saturating_add(bytes.len() as u64) > roll.max_bytes {
            roll.roll()?;
        }
        let written = roll.file.write(bytes)?;
        roll.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).file.flush()
    }
}

impl<'a> MakeWriter<'a> for RollingFile {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogFormat;

    #[test]
    fn a_full_file_moves_aside_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = RollingFile::open(&FileLogConfig {
            directory: dir.path().join("logs"),
            name: "banyan.log".to_owned(),
            format: LogFormat::Terminal,
            filter: String::new(),
            max_bytes: 8,
            max_files: 3,
        })
        .unwrap();
        for line in ["first\n", "second\n", "third\n", "fourth\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(dir.path().join("logs").join(name));
        assert_eq!(read("banyan.log").unwrap(), "fourth\n");
        assert_eq!(read("banyan.log.1").unwrap(), "third\n");
        assert_eq!(read("banyan.log.2").unwrap(), "second\n");
        assert!(read("banyan.log.3").is_err());
    }
}
