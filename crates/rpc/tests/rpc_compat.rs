//! The tests of execution-apis (`.io` files: requests and geth's answers on one chain), for the
//! methods that we serve. `RPC_COMPAT=DIR` takes another folder of the same form.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod common;

use std::path::{Path, PathBuf};

use common::{Node, testdata};
use serde_json::Value;

/// Methods of the suite that are not served yet.
const NOT_SERVED: [&str; 2] = ["debug_trace", "eth_simulateV1"];

/// One `.io` file.
struct Case {
    name: String,
    /// Only the form of the answer is fixed.
    form_only: bool,
    exchanges: Vec<(String, Value)>,
}

fn read_case(path: &Path) -> Case {
    let text = std::fs::read_to_string(path).unwrap();
    let mut requests = Vec::new();
    let mut exchanges = Vec::new();
    for line in text.lines() {
        if let Some(request) = line.strip_prefix(">> ") {
            requests.push(request.to_owned());
        } else if let Some(answer) = line.strip_prefix("<< ") {
            exchanges.push((requests.pop().unwrap(), serde_json::from_str(answer).unwrap()));
        }
    }
    let method = path.parent().and_then(Path::file_name).unwrap().to_string_lossy();
    let stem = path.file_stem().unwrap().to_string_lossy();
    let form_only = text.lines().any(|line| line.starts_with("// speconly"));
    Case { name: format!("{method}/{stem}"), form_only, exchanges }
}

fn cases() -> Vec<Case> {
    let folder =
        std::env::var_os("RPC_COMPAT").map_or_else(|| testdata().join("rpc-compat"), PathBuf::from);
    let mut cases = Vec::new();
    for method in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = method.file_name().unwrap().to_string_lossy().into_owned();
        if !method.is_dir() || NOT_SERVED.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        for file in std::fs::read_dir(method).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension == "io") {
                cases.push(read_case(&file));
            }
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// The same answer; ours may say more before geth's words for an error.
fn is_geths(expected: &Value, found: &Value) -> bool {
    let text = |answer: &Value| answer["error"]["message"].as_str().map(str::to_owned);
    let (Some(theirs), Some(ours)) = (text(expected), text(found)) else {
        return expected == found;
    };
    let mut found = found.clone();
    found["error"]["message"] = expected["error"]["message"].clone();
    ours.ends_with(&theirs) && *expected == found
}

fn same_form(expected: &Value, found: &Value) -> bool {
    match (expected.get("result"), found.get("result")) {
        (Some(expected), Some(found)) => {
            std::mem::discriminant(expected) == std::mem::discriminant(found)
        }
        (None, None) => true,
        _ => false,
    }
}

#[tokio::test]
async fn answers_are_those_of_geth() {
    let node = Node::execution_apis().await;
    let cases = cases();
    assert!(cases.len() >= 20, "only {} cases found", cases.len());
    let mut failures = Vec::new();
    for case in &cases {
        for (request, expected) in &case.exchanges {
            let found = node.request(request).await;
            let equal = if case.form_only {
                same_form(expected, &found)
            } else {
                is_geths(expected, &found)
            };
            if !equal {
                failures.push(format!("{}\n  want {expected}\n  got  {found}", case.name));
            }
        }
    }
    let (all, bad) = (cases.len(), failures.len());
    assert!(failures.is_empty(), "{bad} of {all} differ:\n{}", failures.join("\n"));
}
