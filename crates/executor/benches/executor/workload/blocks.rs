//! The fixtures `mainnet-blocks`: real blocks, and the code of real contracts.

use std::{
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use banyan_primitives::{B256, Bytes};
use banyan_testing::{archive, real_block::BlockCase};

use super::{Plan, Workload};
use crate::lean;

/// Name of the workloads that are blocks of Ethereum mainnet; the height follows.
pub(crate) const MAINNET: &str = "mainnet";
/// The same of OP-stack chains.
pub(crate) const OP: &str = "op block";

/// Smaller blocks of mainnet are left out.
const LEAST_GAS: u64 = 4_000_000;

/// Blocks in order of height.
pub(crate) struct Fixtures {
    cases: Vec<Rc<BlockCase>>,
}

impl Fixtures {
    /// Reads the archive `mainnet-blocks` in `folder`, or the files in a folder of that name.
    pub(crate) fn load(folder: &Path) -> Result<Self, String> {
        let place = unpacked(folder).map_err(|error| format!("{error:#}"))?;
        let mut cases = Vec::new();
        for file in files(&place) {
            let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
            // Others of the archive have another form.
            cases.extend(BlockCase::parse(&text).map(Rc::new));
        }
        cases.sort_by_key(|case| case.number);
        match cases.is_empty() {
            true => Err(format!("no blocks in {}", place.display())),
            false => Ok(Self { cases }),
        }
    }

    /// The code of this hash, which one of the blocks must have.
    pub(super) fn code(&self, hash: B256) -> Bytes {
        let code = self.cases.iter().find_map(|case| case.codes.get(&hash));
        code.unwrap_or_else(|| panic!("the fixtures have no code {hash}")).clone()
    }
}

fn unpacked(folder: &Path) -> Result<PathBuf, String> {
    let packed = ["tar.zst", "tar.gz"].map(|end| folder.join(format!("mainnet-blocks.{end}")));
    let Some(packed) = packed.iter().find(|path| path.is_file()) else {
        let plain = folder.join("mainnet-blocks");
        return match plain.is_dir() {
            true => Ok(plain),
            false => Err(format!("no mainnet-blocks in {}", folder.display())),
        };
    };
    // Where the conformance runner unpacks too.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("fixtures");
    let (_, place) = archive::unpack(packed, &target).map_err(|error| format!("{error:#}"))?;
    Ok(place)
}

/// All below, since archives have folders of their own.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    let deeper = folders.iter().flat_map(|folder| self::files(folder));
    files.into_iter().filter(json).chain(deeper).collect()
}

/// One workload per block.
pub(super) fn plans(fixtures: &Rc<Fixtures>) -> Vec<Plan> {
    let plan = |case: &Rc<BlockCase>| {
        let kind = if case.fork.starts_with("op-") { OP } else { MAINNET };
        let large = case.gas_used() >= LEAST_GAS;
        let case = Rc::clone(case);
        large.then(|| Plan::new(format!("{kind} {}", case.number), move |name| real(name, &case)))
    };
    fixtures.cases.iter().filter_map(plan).collect()
}

fn real(name: String, case: &BlockCase) -> Workload {
    let real = case.open().unwrap();
    let lean = lean::database(&real.state);
    Workload { name, spec: real.spec, block: real.block, state: real.state, lean }
}
