use std::{collections::BTreeMap, fs, io, path::Path};

use anyhow::{Context, bail};

/// Between the id of a case and the reason why it fails.
const SEPARATOR: &str = "  # ";

/// Failures that are expected: id → reason.
pub(crate) type Expected = BTreeMap<String, String>;

/// Reads the list. Every entry must have a reason.
pub(crate) fn read(path: &Path) -> anyhow::Result<Expected> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&text).with_context(|| path.display().to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Expected::new()),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

fn parse(text: &str) -> anyhow::Result<Expected> {
    let mut expected = Expected::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((id, reason)) = line.split_once(SEPARATOR) else {
            bail!("line {}: an entry is `id{SEPARATOR}reason`", number + 1);
        };
        expected.insert(id.trim().to_owned(), reason.trim().to_owned());
    }
    Ok(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_need_a_reason() {
        let list = parse("# head\n\na::b[c # d]  # not yet\n").unwrap();
        assert_eq!(list["a::b[c # d]"], "not yet");
        assert!(parse("a::b\n").is_err());
    }
}
