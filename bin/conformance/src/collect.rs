use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use banyan_testing::archive::{packed_name, unpack};

/// A fixture file and its name for people: the path below the folder that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FixtureFile {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// Path below the folder, with `/`.
    pub(crate) name: String,
    /// Size in bytes.
    pub(crate) size: u64,
}

/// All files under `folders`, largest first (so that the workers end together). Packed fixtures
/// are unpacked first.
pub(crate) fn files(folders: &[PathBuf], unpack_to: &Path) -> anyhow::Result<Vec<FixtureFile>> {
    let mut files = Vec::new();
    for folder in folders {
        ensure!(
            folder.is_dir(),
            "no fixtures: {} is not a folder; give one with --fixtures DIR (make conformance \
             FIXTURES=DIR)",
            folder.display()
        );
        let before = files.len();
        for archive in archives(folder)? {
            let (name, place) = unpack(&archive, unpack_to)?;
            walk(&place, &name, &mut files)?;
        }
        walk(folder, "", &mut files)?;
        ensure!(files.len() > before, "no fixtures: {} is empty", folder.display());
    }
    files.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.name.cmp(&b.name)));
    Ok(files)
}

fn archives(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut found: Vec<_> =
        entries.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    found.retain(|path| packed_name(path).is_some());
    found.sort();
    Ok(found)
}

fn walk(folder: &Path, name: &str, files: &mut Vec<FixtureFile>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let (path, own) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let name = if name.is_empty() { own } else { format!("{name}/{own}") };
        if path.is_dir() {
            walk(&path, &name, files)?;
        } else if is_fixture(&path) {
            files.push(FixtureFile { size: entry.metadata()?.len(), path, name });
        }
    }
    Ok(())
}

fn is_fixture(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("json" | "hex" | "io"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn an_absent_folder_and_an_empty_one_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        fs::create_dir(&empty).unwrap();
        for path in [folder.path().join("absent"), empty] {
            let error = files(&[path], folder.path()).unwrap_err();
            assert!(error.to_string().starts_with("no fixtures"), "{error}");
        }
    }

    #[test]
    fn archives_are_unpacked_once_and_again_when_they_change() {
        let folder = tempfile::tempdir().unwrap();
        let (source, work) = (folder.path().join("source"), folder.path().join("work"));
        fs::create_dir(&source).unwrap();
        fs::write(folder.path().join("a.json"), "{}").unwrap();
        let pack = || {
            let mut tar = Command::new("tar");
            tar.arg("-czf").arg(source.join("pack.tar.gz")).arg("-C").arg(folder.path());
            assert!(tar.arg("a.json").status().unwrap().success());
        };
        pack();
        let found = files(std::slice::from_ref(&source), &work).unwrap();
        assert_eq!(found[0].name, "pack/a.json");
        assert_eq!(found[0].size, 2);

        fs::write(folder.path().join("a.json"), "{ \"b\": 1 }").unwrap();
        pack();
        assert_eq!(files(&[source], &work).unwrap()[0].size, 10);
    }
}
