//! Files and functions stay short. The longest of today stand in a list that may only shrink.

use std::{collections::BTreeMap, fs};

use crate::{
    report,
    source::{self, Source, closing_brace, line_of},
};

/// No file may be longer, tests included.
const FILE_HARD: usize = 1000;
/// Longer files must stand in the list.
const FILE_SOFT: usize = 600;
/// No function outside tests may be longer.
const FUNCTION_HARD: usize = 100;
/// Longer functions must stand in the list.
const FUNCTION_SOFT: usize = 60;
/// The list: `length path` for files, `length path::function` for functions.
const RATCHET: &str = "testdata/tidy/ratchet.txt";
/// Set to write the list anew after something was shortened.
const UPDATE: &str = "UPDATE_RATCHET";

#[test]
fn files_and_functions_stay_short() {
    let (found, mut findings) = measure(&source::rust_sources());
    let path = source::root().join(RATCHET);
    let listed = parse(&fs::read_to_string(&path).unwrap_or_default());
    if std::env::var_os(UPDATE).is_some() {
        let list = tightened(&found, &listed);
        fs::write(&path, print(&list)).unwrap();
        findings.extend(compare(&found, &list));
    } else {
        findings.extend(compare(&found, &listed));
    }
    report("lengths", &findings);
}

type Lengths = BTreeMap<String, usize>;

/// What is longer than the soft limits, and findings about the hard ones.
fn measure(sources: &[Source]) -> (Lengths, Vec<String>) {
    let (mut long, mut findings) = (Lengths::new(), Vec::new());
    for source in sources {
        let mut note = |name: String, length: usize, soft, hard| {
            if length > hard {
                findings.push(format!("{name} has {length} lines; the limit is {hard}"));
            } else if length > soft {
                let longest: &mut usize = long.entry(name).or_default();
                *longest = length.max(*longest);
            }
        };
        note(source.path.clone(), source.text.lines().count(), FILE_SOFT, FILE_HARD);
        for (name, line, length) in functions(&source.code) {
            if !source.is_test[line] {
                note(format!("{}::{name}", source.path), length, FUNCTION_SOFT, FUNCTION_HARD);
            }
        }
    }
    (long, findings)
}

/// Name, first line (from zero) and number of lines of every function with a body.
fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let in_word = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let name = code[at + 3..].split(|c: char| !c.is_alphanumeric() && c != '_').next();
        let Some(name) = name.filter(|name| !name.is_empty() && !in_word) else { continue };
        if let Some(open) = body(code, at) {
            let (first, last) = (line_of(code, at), line_of(code, closing_brace(code, open)));
            found.push((name.to_owned(), first, last - first + 1));
        }
    }
    found
}

/// Position of the brace that opens the body of the function at `at`; `None` in a trait without
/// one. A `;` inside an array type of the signature does not end it.
fn body(code: &str, at: usize) -> Option<usize> {
    let mut nesting = 0i32;
    for (i, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => nesting += 1,
            b')' | b']' => nesting -= 1,
            b'{' if nesting == 0 => return Some(i),
            b';' if nesting == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Every difference between the list and the tree: the list is exact, so it can only shrink.
fn compare(found: &Lengths, listed: &Lengths) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, length) in found {
        match listed.get(name) {
            None => findings.push(format!("{name} has {length} lines: shorten it")),
            Some(limit) if length > limit => {
                findings.push(format!("{name} grew from {limit} to {length} lines: shorten it"));
            }
            _ => {}
        }
    }
    for (name, limit) in listed {
        if found.get(name).is_none_or(|length| length < limit) {
            findings.push(format!("{name} is shorter than {limit}: {UPDATE}=1 tightens {RATCHET}"));
        }
    }
    findings
}

/// The list after shortening. Only an empty one takes new entries.
fn tightened(found: &Lengths, listed: &Lengths) -> Lengths {
    if listed.is_empty() {
        return found.clone();
    }
    let kept = listed.iter().filter_map(|(name, limit)| {
        found.get(name).map(|length| (name.clone(), *length.min(limit)))
    });
    kept.collect()
}

fn parse(text: &str) -> Lengths {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| {
            let (length, name) = line.trim().split_once(' ').expect("`length name`");
            (name.trim().to_owned(), length.parse().expect("a length"))
        })
        .collect()
}

fn print(list: &Lengths) -> String {
    let mut text = format!(
        "# Files over {FILE_SOFT} lines and functions over {FUNCTION_SOFT}. May only shrink.\n"
    );
    for (name, length) in list {
        text.push_str(&format!("{length} {name}\n"));
    }
    text
}

#[test]
fn functions_are_measured_with_their_signature() {
    let code = "fn a() -> [u8; 2] {\n  if x { y }\n}\ntrait T { fn b(); }\npub fn c(\n) {\n}";
    let found = functions(code);
    assert_eq!(found, vec![("a".into(), 0, 3), ("c".into(), 4, 3)]);
}

#[test]
fn the_list_only_shrinks() {
    let list = |entries: &[(&str, usize)]| -> Lengths {
        entries.iter().map(|(name, length)| ((*name).to_owned(), *length)).collect()
    };
    let listed = list(&[("kept", 70), ("shrunk", 80), ("gone", 90)]);
    let found = list(&[("kept", 70), ("shrunk", 75), ("new", 99)]);
    assert_eq!(compare(&found, &listed).len(), 3);
    assert_eq!(tightened(&found, &listed), list(&[("kept", 70), ("shrunk", 75)]));
    assert_eq!(compare(&list(&[("kept", 71)]), &list(&[("kept", 70)])).len(), 1);
    assert_eq!(parse(&print(&listed)), listed);
}
