//! Which crate may use which. Dev-dependencies are free.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::{report, source};

/// Product crates, lowest layer first, with the in-tree crates that each may use (the table in
/// `ARCHITECTURE.md`).
const LAYERS: &[(&str, &[&str])] = &[
    ("wide-proof", &[]),
    ("primitives", &["wide-proof"]),
    ("chainspec", &["wide-proof", "primitives"]),
    ("storage", &["primitives"]),
    ("consensus", &["primitives", "chainspec"]),
    ("state", &["wide-proof", "primitives", "storage"]),
    ("executor", &["primitives", "chainspec", "state"]),
    ("commitment", &["wide-proof", "primitives", "chainspec", "storage", "state"]),
    ("txpool", &["primitives", "chainspec", "consensus", "state", "executor"]),
    (
        "chain",
        &["primitives", "chainspec", "storage", "consensus", "state", "executor", "commitment"],
    ),
    (
        "payload",
        &[
            "primitives",
            "chainspec",
            "consensus",
            "state",
            "executor",
            "commitment",
            "txpool",
            "chain",
        ],
    ),
    (
        "rpc",
        &[
            "wide-proof",
            "primitives",
            "chainspec",
            "consensus",
            "state",
            "executor",
            "commitment",
            "txpool",
            "chain",
            "payload",
        ],
    ),
    (
        "node",
        &[
            "primitives",
            "chainspec",
            "storage",
            "consensus",
            "state",
            "executor",
            "commitment",
            "txpool",
            "chain",
            "payload",
            "rpc",
        ],
    ),
];

/// Outside crates that only some of ours may know.
const KEPT_IN: &[(&[&str], &[&str])] = &[
    (&["libmdbx", "mdbx-sys"], &["storage"]),
    (&["revm", "op-revm", "alloy-evm", "alloy-op-evm"], &["executor"]),
    (&["jsonrpsee", "tower", "tower-http"], &["rpc"]),
    (&["jsonwebtoken"], &["rpc", "torture"]),
    (&["tracing-subscriber", "metrics-exporter-prometheus"], &["node"]),
    (&["clap"], &["banyan", "conformance", "torture"]),
];

/// Crates of the workspace that are no product crates: they may use any.
const FREE: &[&str] = &["banyan", "conformance", "testing", "torture"];

#[test]
fn every_edge_stands_in_the_table() {
    let metadata = metadata();
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let name = short(package);
        match LAYERS.iter().find(|(layer, _)| *layer == name) {
            Some((_, allowed)) => {
                for used in dependencies(package).filter_map(|dep| in_tree(&metadata, &dep)) {
                    if !allowed.contains(&used.as_str()) {
                        findings.push(format!("{name} must not use {used}"));
                    }
                }
            }
            None if FREE.contains(&name.as_str()) => {}
            None => findings.push(format!("{name} has no place in the layer table")),
        }
    }
    report("layers", &findings);
}

#[test]
fn libraries_are_known_where_they_belong() {
    let mut findings = Vec::new();
    for package in &metadata().packages {
        let name = short(package);
        for used in dependencies(package) {
            let homes = KEPT_IN.iter().find(|(libraries, _)| libraries.contains(&used.as_str()));
            if let Some((_, homes)) = homes
                && !homes.contains(&name.as_str())
            {
                findings.push(format!("{name} uses {used}, which only {homes:?} may"));
            }
        }
    }
    report("libraries", &findings);
}

#[test]
fn the_architecture_page_names_every_crate() {
    let page = std::fs::read_to_string(source::root().join("ARCHITECTURE.md")).unwrap_or_default();
    let missing = LAYERS.iter().filter(|(name, _)| !page.contains(&format!("`{name}`")));
    let findings: Vec<_> = missing.map(|(name, _)| format!("ARCHITECTURE.md: `{name}`")).collect();
    report("architecture page", &findings);
}

#[test]
fn the_table_itself_has_no_cycle() {
    let mut seen = BTreeSet::new();
    for (name, allowed) in LAYERS {
        for used in *allowed {
            assert!(seen.contains(used), "{name} may use {used}, which stands higher");
        }
        seen.insert(*name);
    }
}

fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(source::root().join("Cargo.toml")).no_deps();
    command.other_options(vec!["--offline".to_owned()]);
    command.exec().expect("cargo metadata")
}

/// `banyan-state` → `state`; the binary `banyan` keeps its name.
fn short(package: &Package) -> String {
    package.name.strip_prefix("banyan-").unwrap_or(&package.name).to_owned()
}

fn in_tree(metadata: &Metadata, dependency: &str) -> Option<String> {
    let package = metadata.packages.iter().find(|package| package.name.as_str() == dependency)?;
    Some(short(package))
}

/// Names of the packages it is built with; not those of its tests.
fn dependencies(package: &Package) -> impl Iterator<Item = String> {
    let used = package.dependencies.iter().filter(|dep| dep.kind != DependencyKind::Development);
    used.map(|dep| dep.name.clone())
}
