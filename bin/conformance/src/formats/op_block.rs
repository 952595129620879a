//! Real OP Stack blocks: built from their payload attributes on a partial state of the parent, the
//! block must get the hash that it has on its chain.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use banyan_chainspec::{ChainSpec, OpFork, Rules};
use banyan_consensus::{
    PayloadAttributes, attributes_extra_data, next_base_fee, next_excess_blob_gas,
    validate_attributes,
};
use banyan_executor::{BlockContext, BlockOutput};
use banyan_primitives::{
    Address, B64, B256, Bytes, Decodable2718, EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header,
    Transaction, Withdrawals, roots, signer,
};
use serde::Deserialize;
use serde_json::Value;

use super::{Loaded, parse};
use crate::{
    Case, Worker,
    collect::FixtureFile,
    number::Number,
    op_chain::{FeeParameters, op_spec},
    witness::Witness,
};

#[derive(Debug, Deserialize)]
struct OpCase {
    chain: String,
    number: u64,
    fork: String,
    rollup_config: RollupConfig,
    parent_header: Header,
    payload_attributes: Attributes,
    expected_block_hash: B256,
    preimages: Vec<Bytes>,
}

#[derive(Debug, Deserialize)]
struct RollupConfig {
    l2_chain_id: u64,
    chain_op_config: FeeConfig,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FeeConfig {
    eip1559_elasticity: u64,
    eip1559_denominator: u64,
    eip1559_denominator_canyon: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attributes {
    timestamp: Number,
    prev_randao: B256,
    suggested_fee_recipient: Address,
    parent_beacon_block_root: Option<B256>,
    transactions: Vec<Bytes>,
    gas_limit: Number,
    eip1559_params: Option<B64>,
    min_base_fee: Option<Number>,
}

/// One case.
pub(crate) fn load(_file: &FixtureFile, text: &str) -> anyhow::Result<Loaded> {
    let case: OpCase = parse(text)?;
    let id = format!("{}-{}", case.chain, case.number);
    Ok(vec![Case::new(id, case.fork.clone(), move |worker| run(&case, worker))].into())
}

fn run(case: &OpCase, worker: &Worker) -> anyhow::Result<()> {
    let spec = chain(&case.rollup_config)?;
    let attributes = attributes(&spec, case)?;
    let parent = &case.parent_header;
    validate_attributes(&spec, parent, &attributes)?;

    let mut witness = Witness::new(parent.state_root, case.preimages.iter().cloned());
    witness.block_hashes.insert(parent.number, parent.hash_slow());
    let mut header = open_header(&spec, parent, &attributes)?;
    let output = execute(&spec, &header, &attributes.transactions, &witness, worker)?;
    header.state_root = witness.root_after(&output.diff)?;
    let rules = spec.rules_of(&header);
    close_header(&mut header, &rules, &attributes, &output);
    let found = header.hash_slow();
    ensure!(
        found == case.expected_block_hash,
        "block hash {found}, expected {}; built {header:?}",
        case.expected_block_hash
    );
    Ok(())
}

fn chain(config: &RollupConfig) -> anyhow::Result<ChainSpec> {
    let fees: FeeParameters = [
        config.chain_op_config.eip1559_elasticity,
        config.chain_op_config.eip1559_denominator,
        config.chain_op_config.eip1559_denominator_canyon,
    ];
    op_spec(config.l2_chain_id, fees, |fork| match config.others.get(&format!("{fork}_time")) {
        Some(time) => time.as_u64(),
        // Left out where it is active from the start.
        None => (fork == "regolith").then_some(0),
    })
}

fn attributes(spec: &ChainSpec, case: &OpCase) -> anyhow::Result<PayloadAttributes> {
    let given = &case.payload_attributes;
    let timestamp = given.timestamp.as_u64().context("timestamp")?;
    let rules = spec.rules_at(case.parent_header.number + 1, timestamp);
    let decode = |bytes: &Bytes| Transaction::decode_2718_exact(bytes);
    Ok(PayloadAttributes {
        timestamp,
        prev_randao: given.prev_randao,
        suggested_fee_recipient: given.suggested_fee_recipient,
        withdrawals: rules.is_op(OpFork::Canyon).then(Withdrawals::default),
        parent_beacon_block_root: given.parent_beacon_block_root,
        slot_number: None,
        transactions: given.transactions.iter().map(decode).collect::<Result<_, _>>()?,
        no_tx_pool: true,
        gas_limit: Some(given.gas_limit.saturating_u64()),
        eip1559_params: given.eip1559_params,
        min_base_fee: given.min_base_fee.map(Number::saturating_u64),
    })
}

/// Everything that is known before the transactions run.
fn open_header(
    spec: &ChainSpec,
    parent: &Header,
    attributes: &PayloadAttributes,
) -> anyhow::Result<Header> {
    let timestamp = attributes.timestamp;
    Ok(Header {
        parent_hash: parent.hash_slow(),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: attributes.suggested_fee_recipient,
        number: parent.number + 1,
        gas_limit: attributes.gas_limit.unwrap_or(parent.gas_limit),
        timestamp,
        extra_data: attributes_extra_data(spec, attributes, &Bytes::new())?,
        mix_hash: attributes.prev_randao,
        base_fee_per_gas: next_base_fee(spec, parent, timestamp)?,
        excess_blob_gas: next_excess_blob_gas(spec, parent, timestamp),
        parent_beacon_block_root: attributes.parent_beacon_block_root,
        ..Default::default()
    })
}

/// Everything that the transactions decided, but for the state root.
fn close_header(
    header: &mut Header,
    rules: &Rules,
    attributes: &PayloadAttributes,
    output: &BlockOutput,
) {
    header.transactions_root = roots::transactions_root(&attributes.transactions);
    (header.receipts_root, header.logs_bloom) = roots::receipts_root_and_bloom(&output.receipts);
    header.gas_used = output.gas_used;
    header.withdrawals_root = rules.is_op(OpFork::Canyon).then_some(EMPTY_ROOT_HASH);
    header.blob_gas_used = rules.is_op(OpFork::Ecotone).then_some(output.blob_gas_used);
}

fn execute(
    spec: &ChainSpec,
    header: &Header,
    transactions: &[Transaction],
    witness: &Witness,
    worker: &Worker,
) -> anyhow::Result<BlockOutput> {
    let with_sender = |(index, tx): (usize, &Transaction)| {
        let sender = signer::sender(tx).with_context(|| format!("transaction {index}"))?;
        Ok((tx.clone(), sender))
    };
    let transactions =
        transactions.iter().enumerate().map(with_sender).collect::<anyhow::Result<Vec<_>>>()?;
    let context = BlockContext::from_header(header);
    worker.executor().build(spec, context, witness, |mut executor| {
        executor.offer(transactions.clone());
        executor.begin()?;
        for (index, (tx, sender)) in transactions.iter().enumerate() {
            executor.execute(tx, *sender).with_context(|| format!("transaction {index}"))?;
        }
        Ok(executor.finish(&[], Some(&[]))?)
    })
}
