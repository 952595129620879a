//! Reading the tree: tracked files, Rust sources, and a Rust source without comments, strings and
//! tests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("this crate lies two levels down").to_path_buf()
}

/// Paths of all tracked files, relative to the root. Without git (an unpacked archive) every file
/// counts that does not lie in a folder of build products.
pub(crate) fn tracked_files() -> Vec<PathBuf> {
    let git = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    match git {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => {
            let names = String::from_utf8(output.stdout).expect("file names are UTF-8");
            let names = names.split('\0').filter(|name| !name.is_empty());
            names.map(PathBuf::from).filter(|path| root().join(path).is_file()).collect()
        }
        _ => walk(&root(), &root()),
    }
}

fn walk(root: &Path, folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the tree") {
        let path = entry.expect("an entry of the tree").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !["target", "run", ".git", "node_modules"].contains(&name.as_str()) {
            files.extend(walk(root, &path));
        } else if path.is_file() {
            files.push(path.strip_prefix(root).expect("below the root").to_path_buf());
        }
    }
    files
}

/// One Rust file.
pub(crate) struct Source {
    /// Path relative to the root, with `/`.
    pub(crate) path: String,
    /// As it stands in the file.
    pub(crate) text: String,
    /// Comments, strings and character literals blanked out; same lines and columns.
    pub(crate) code: String,
    /// Lines that belong to tests: `#[cfg(test)]` items, `tests` modules and folders.
    pub(crate) is_test: Vec<bool>,
}

impl Source {
    /// The crate's folder: `crates/state`, `bin/banyan`.
    pub(crate) fn crate_folder(&self) -> String {
        self.path.split('/').take(2).collect::<Vec<_>>().join("/")
    }

    /// Lines of code outside tests, with their numbers.
    pub(crate) fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().filter(|(i, _)| !self.is_test[*i]).map(|(i, l)| (i + 1, l))
    }
}

/// All tracked Rust files.
pub(crate) fn rust_sources() -> Vec<Source> {
    let files = tracked_files().into_iter().filter(|p| p.extension().is_some_and(|e| e == "rs"));
    files.map(|path| read(&path)).collect()
}

fn read(path: &Path) -> Source {
    let text = fs::read_to_string(root().join(path)).expect("a source file");
    let path = path.to_string_lossy().replace('\\', "/");
    let code = blank(&text);
    let in_test_file = path.ends_with("/tests.rs")
        || path.ends_with("/testing.rs")
        || ["tests", "benches", "testing"].iter().any(|d| path.split('/').any(|part| part == *d));
    let mut is_test = vec![in_test_file; code.lines().count()];
    for (from, to) in test_items(&code) {
        is_test[from..=to].fill(true);
    }
    Source { path, text, code, is_test }
}

/// First and last line (from zero) of every item under `#[cfg(test)]`.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let mut items = Vec::new();
    for (at, _) in code.match_indices("#[cfg(test)]") {
        let end = match code[at..].find(['{', ';']) {
            Some(open) if code.as_bytes()[at + open] == b'{' => closing_brace(code, at + open),
            Some(semicolon) => at + semicolon,
            None => code.len(),
        };
        items.push((line_of(code, at), line_of(code, end)));
    }
    items
}

/// Number (from zero) of the line that holds the byte at `at`.
pub(crate) fn line_of(code: &str, at: usize) -> usize {
    code.as_bytes()[..at.min(code.len())].iter().filter(|byte| **byte == b'\n').count()
}

/// Position of the brace that closes the one at `open`, in blanked code.
pub(crate) fn closing_brace(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (i, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i;
        }
    }
    code.len()
}

/// Blanks comments, strings and character literals, keeping every line break.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => end_of_line(bytes, at),
            b'/' if bytes[at..].starts_with(b"/*") => end_of_comment(bytes, at),
            b'r' | b'b' | b'c' if starts_raw_string(bytes, at) => end_of_raw_string(bytes, at),
            b'"' => end_of_string(bytes, at),
            b'\'' => end_of_character(bytes, at),
            _ => {
                at += 1;
                continue;
            }
        };
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8(out).expect("whole characters were blanked")
}

fn end_of_line(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| at + n)
}

fn end_of_comment(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if bytes[at..].starts_with(b"*/") {
            (at, depth) = (at + 2, depth - 1);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// `r"`, `r#"`, `br"` and so on, not as the tail of an identifier.
fn starts_raw_string(bytes: &[u8], at: usize) -> bool {
    let in_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    let prefix = if bytes[at] == b'r' { 1 } else { 2 };
    let raw = bytes[at] == b'r' || bytes.get(at + 1) == Some(&b'r');
    let rest = bytes.get(at + prefix..).unwrap_or_default();
    let hashes = rest.iter().take_while(|b| **b == b'#').count();
    !in_word && raw && rest.get(hashes) == Some(&b'"')
}

fn end_of_raw_string(bytes: &[u8], at: usize) -> usize {
    let open = at + bytes[at..].iter().position(|b| *b == b'"').expect("checked by the caller");
    let hashes = bytes[at..open].iter().filter(|b| **b == b'#').count();
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let found = bytes[open + 1..].windows(close.len()).position(|window| window == close);
    found.map_or(bytes.len(), |n| open + 1 + n + close.len())
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of a character literal; just past the quote if it is a lifetime.
fn end_of_character(bytes: &[u8], at: usize) -> usize {
    if bytes.get(at + 1) == Some(&b'\\') {
        let close = bytes[at + 3..].iter().position(|b| *b == b'\'');
        return close.map_or(bytes.len(), |n| at + 4 + n);
    }
    // One character of up to four bytes, then the closing quote: else it is a lifetime.
    let close = bytes[at + 1..].iter().take(5).position(|b| *b == b'\'');
    match close {
        Some(n) if n > 0 && is_one_character(&bytes[at + 1..at + 1 + n]) => at + 2 + n,
        _ => at + 1,
    }
}

fn is_one_character(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.chars().count() == 1)
}

#[test]
fn comments_strings_and_characters_are_blanked_and_lines_kept() {
    let text = "a /* x /* y */ z */ b // c\nd \"e\\\"f\" g r#\"h\"i\"# j 'k' '\\'' '{' l<'m> n";
    let code = blank(text);
    assert_eq!(code.split_whitespace().collect::<String>(), "abdgjl<m>n");
    assert_eq!(code.len(), text.len());
    assert_eq!(code.lines().count(), 2);
}

#[test]
fn items_under_cfg_test_are_found() {
    let code =
        "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { }\n}\n#[cfg(test)]\nmod more;\nfn c(){}";
    assert_eq!(test_items(code), vec![(1, 4), (5, 6)]);
}
