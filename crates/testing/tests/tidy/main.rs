//! The house rules, as tests: layers, lengths, docs, words that do not belong.
//!
//! Each rule is one file here. A rule that stands in the way is changed by a commit that says why,
//! not by a waiver beside the code.

mod docs;
mod layers;
mod lengths;
mod source;
mod words;

/// Fails with every finding at once, so that one run shows all there is to do.
fn report(rule: &str, findings: &[String]) {
    assert!(
        findings.is_empty(),
        "{rule}: {} findings\n  {}",
        findings.len(),
        findings.join("\n  ")
    );
}
