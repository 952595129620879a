//! Real blocks with the state that they touch: gas, receipts and bloom must be those of the header.
//! (The state root cannot be computed from a part of the state.)

use anyhow::{Context, ensure};
use banyan_chainspec::{ChainSpec, Fork};
use banyan_executor::BlockOutput;
use banyan_primitives::{Header, roots};
use banyan_testing::real_block::BlockCase;

use super::{Loaded, stem};
use crate::{Case, Worker, collect::FixtureFile};

/// One case.
pub(crate) fn load(file: &FixtureFile, text: &str) -> anyhow::Result<Loaded> {
    let case = BlockCase::parse(text)?;
    let stem = stem(file);
    Ok(vec![Case::new(stem, case.fork.clone(), move |worker| run(&case, worker))].into())
}

fn run(case: &BlockCase, worker: &Worker) -> anyhow::Result<()> {
    let real = case.open()?;
    let executor = worker.executor();
    let output = executor.execute_block(&real.spec, &real.block, &real.state)?.output;
    compare(&real.spec, &real.block.header, &output)
        .with_context(|| format!("{} block {}", case.chain, case.number))
}

fn compare(spec: &ChainSpec, header: &Header, output: &BlockOutput) -> anyhow::Result<()> {
    let (found, wanted) = (output.gas_used, header.gas_used);
    ensure!(found == wanted, "gas used {found}, expected {wanted}");
    let (found, bloom) = roots::receipts_root_and_bloom(&output.receipts);
    ensure!(bloom == header.logs_bloom, "logs bloom differs");
    // Older receipts carry state roots.
    if spec.rules_of(header).is(Fork::Byzantium) {
        let wanted = header.receipts_root;
        ensure!(found == wanted, "receipts root {found}, expected {wanted}");
    }
    Ok(())
}
