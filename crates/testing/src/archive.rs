//! Packed fixtures: `tar` with `zstd` or `gzip`, unpacked by the programs of these names.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};

/// Packed fixtures and how `tar` reads them.
const PACKED: [&str; 2] = [".tar.zst", ".tar.gz"];

/// `engine-smoke` of `engine-smoke.tar.zst`.
pub fn packed_name(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    PACKED.iter().find_map(|suffix| name.strip_suffix(suffix))
}

/// Unpacks an archive into a folder of its own below `unpack_to`, unless the same one lies there
/// already; gives its name and that folder.
pub fn unpack(archive: &Path, unpack_to: &Path) -> anyhow::Result<(String, PathBuf)> {
    let name = packed_name(archive).unwrap_or_default().to_owned();
    let place = unpack_to.join(&name);
    let stamp_file = unpack_to.join(format!("{name}.stamp"));
    let stamp = stamp(archive)?;
    if place.is_dir() && fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) {
        return Ok((name, place));
    }
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
    extract(archive, &place).with_context(|| format!("cannot unpack {}", archive.display()))?;
    fs::write(&stamp_file, stamp)?;
    Ok((name, place))
}

/// What tells one version of an archive from another.
fn stamp(archive: &Path) -> anyhow::Result<String> {
    let metadata = fs::metadata(archive)?;
    let modified = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{} bytes, modified {}", metadata.len(), modified.as_nanos()))
}

fn extract(archive: &Path, place: &Path) -> anyhow::Result<()> {
    if archive.extension().is_some_and(|extension| extension == "gz") {
        return succeed(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(place));
    }
    let mut zstd = Command::new("zstd")
        .args(["-dcq", "--long=27"])
        .arg(archive)
        .stdout(Stdio::piped())
        .spawn()
        .context("the zstd command is needed (apt-get install zstd)")?;
    let Some(packed) = zstd.stdout.take() else { bail!("zstd has no output") };
    succeed(Command::new("tar").arg("-xf").arg("-").arg("-C").arg(place).stdin(packed))?;
    ensure!(zstd.wait()?.success(), "zstd failed");
    Ok(())
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().context("the tar command is needed")?;
    ensure!(status.success(), "tar failed");
    Ok(())
}
