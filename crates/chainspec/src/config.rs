//! The `config` object of a genesis file: chain id, forks, blob limits, OP parameters.

use alloy_eips::{eip6110::MAINNET_DEPOSIT_CONTRACT_ADDRESS, eip7840};
use banyan_primitives::{Address, U256};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    Activation, BaseFeeParams, BlobParams, Commitment, DaoFork, Fork, GenesisError, OpFork,
    OpParams, ScheduledFork, WideParams,
    json::{HexAddress, Quantity},
    schedule::Schedule,
};

/// A fork key of the file: name with suffix, what it activates, whether it may be left out although
/// a later one is given.
type Key<T> = (&'static str, Option<T>, bool);

const BLOCK_KEYS: [Key<Fork>; 15] = [
    ("homesteadBlock", Some(Fork::Homestead), false),
    ("daoForkBlock", Some(Fork::DaoFork), true),
    ("eip150Block", Some(Fork::Tangerine), false),
    ("eip155Block", None, false),
    ("eip158Block", Some(Fork::SpuriousDragon), false),
    ("byzantiumBlock", Some(Fork::Byzantium), false),
    ("constantinopleBlock", Some(Fork::Constantinople), false),
    ("petersburgBlock", Some(Fork::Petersburg), false),
    ("istanbulBlock", Some(Fork::Istanbul), false),
    ("muirGlacierBlock", Some(Fork::MuirGlacier), true),
    ("berlinBlock", Some(Fork::Berlin), false),
    ("londonBlock", Some(Fork::London), false),
    ("arrowGlacierBlock", Some(Fork::ArrowGlacier), true),
    ("grayGlacierBlock", Some(Fork::GrayGlacier), true),
    ("mergeNetsplitBlock", None, true),
];

const TIME_KEYS: [Key<Fork>; 10] = [
    ("shanghaiTime", Some(Fork::Shanghai), false),
    ("cancunTime", Some(Fork::Cancun), false),
    ("pragueTime", Some(Fork::Prague), false),
    ("osakaTime", Some(Fork::Osaka), false),
    ("bpo1Time", None, true),
    ("bpo2Time", None, true),
    ("bpo3Time", None, true),
    ("bpo4Time", None, true),
    ("bpo5Time", None, true),
    ("amsterdamTime", Some(Fork::Amsterdam), false),
];

/// Delta changed nothing in the execution layer, so op-deployer's files leave it out.
const OP_KEYS: [Key<OpFork>; 10] = [
    ("regolithTime", Some(OpFork::Regolith), false),
    ("canyonTime", Some(OpFork::Canyon), false),
    ("deltaTime", Some(OpFork::Delta), true),
    ("ecotoneTime", Some(OpFork::Ecotone), false),
    ("fjordTime", Some(OpFork::Fjord), false),
    ("graniteTime", Some(OpFork::Granite), false),
    ("holoceneTime", Some(OpFork::Holocene), false),
    ("isthmusTime", Some(OpFork::Isthmus), false),
    ("jovianTime", Some(OpFork::Jovian), false),
    ("karstTime", Some(OpFork::Karst), false),
];

/// Ethereum forks that an OP fork brings along.
const IMPLIED: [(&str, &str); 4] = [
    ("canyonTime", "shanghaiTime"),
    ("ecotoneTime", "cancunTime"),
    ("isthmusTime", "pragueTime"),
    ("karstTime", "osakaTime"),
];

const BEDROCK_KEY: &str = "bedrockBlock";
/// OP forks that are announced but not implemented here.
const FUTURE_OP_KEYS: [&str; 2] = ["lagoonTime", "interopTime"];

/// OP chains carry the blob fields but no blobs; the fraction keeps the blob base fee defined.
const NO_BLOBS: BlobParams = BlobParams { target: 0, max: 0, update_fraction: 3_338_477 };

/// Where the chain begins: forks up to here are active "at genesis".
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) number: u64,
    pub(crate) timestamp: u64,
}

/// What the `config` object says.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) chain_id: u64,
    pub(crate) op: Option<OpParams>,
    pub(crate) terminal_total_difficulty: Option<U256>,
    pub(crate) deposit_contract: Address,
    pub(crate) dao: Option<DaoFork>,
    pub(crate) commitment: Commitment,
    pub(crate) schedule: Schedule,
    pub(crate) forks: Vec<ScheduledFork>,
    pub(crate) unsupported: Vec<ScheduledFork>,
}

impl Config {
    /// Reads and checks the object; keys that name no fork and are unknown are left alone.
    pub(crate) fn read(json: Map<String, Value>, start: Start) -> Result<Self, GenesisError> {
        let mut fields = Fields(json);
        fields.refuse_unknown_forks()?;
        let op = read_op(&fields)?;
        let unsupported = check_op(&mut fields, op.is_some(), start)?;
        let blocks = ordered(&fields, &BLOCK_KEYS)?;
        let times = ordered(&fields, &TIME_KEYS)?;
        check_blocks(&fields, !times.is_empty())?;
        let mut schedule = Schedule {
            blocks: activations(&blocks),
            times: activations(&times),
            op: Vec::new(),
            blobs: blob_steps(&fields, &times)?,
        };
        let op_forks = ordered(&fields, &OP_KEYS)?;
        if op.is_some() {
            schedule.op = vec![(OpFork::Bedrock, 0)];
            schedule.op.extend(activations(&op_forks));
            schedule.blobs.iter_mut().for_each(|(blobs, _)| *blobs = NO_BLOBS);
        }
        let mut forks: Vec<_> = blocks.iter().map(|k| k.scheduled(Activation::Block)).collect();
        forks.extend(fields.u64(BEDROCK_KEY)?.map(|at| named(BEDROCK_KEY, Activation::Block(at))));
        forks.extend(times.iter().map(|k| k.scheduled(Activation::Time)));
        forks.extend(op_forks.iter().map(|k| k.scheduled(Activation::Time)));
        let chain_id =
            fields.u64("chainId")?.ok_or_else(|| malformed("config.chainId is missing"))?;
        Ok(Self {
            chain_id,
            op,
            terminal_total_difficulty: terminal(&fields, op.is_some())?,
            deposit_contract: fields
                .get::<HexAddress>("depositContractAddress")?
                .map_or(MAINNET_DEPOSIT_CONTRACT_ADDRESS, |address| address.0),
            dao: read_dao(&fields)?,
            commitment: read_commitment(&fields)?,
            schedule,
            forks,
            unsupported,
        })
    }
}

/// The object, with errors that name the key.
struct Fields(Map<String, Value>);

impl Fields {
    /// The value of a key; a missing key and `null` are the same.
    fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, GenesisError> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value.clone())
                .map(Some)
                .map_err(|error| GenesisError::Malformed(format!("config.{key}: {error}"))),
        }
    }

    fn u64(&self, key: &str) -> Result<Option<u64>, GenesisError> {
        let Some(quantity) = self.get::<Quantity>(key)? else { return Ok(None) };
        quantity
            .to_u64()
            .map(Some)
            .ok_or_else(|| GenesisError::Malformed(format!("config.{key} exceeds 64 bits")))
    }

    /// A fork that we do not know would make us follow wrong rules without noticing.
    fn refuse_unknown_forks(&self) -> Result<(), GenesisError> {
        let known = |name: &str| {
            BLOCK_KEYS.iter().chain(&TIME_KEYS).any(|(key, ..)| *key == name)
                || OP_KEYS.iter().any(|(key, ..)| *key == name)
                || FUTURE_OP_KEYS.contains(&name)
                || name == BEDROCK_KEY
        };
        for (key, value) in &self.0 {
            let fork = key.ends_with("Block") || key.ends_with("Time");
            if fork && !value.is_null() && !known(key) {
                return Err(inconsistent(format!(
                    "config.{key} = {value}: this version knows no such fork; remove the key or use \
                     a version that supports it"
                )));
            }
        }
        Ok(())
    }
}

/// A fork key that is present, with its block number or timestamp.
struct Scheduled<T> {
    key: &'static str,
    fork: Option<T>,
    at: u64,
}

impl<T> Scheduled<T> {
    fn scheduled(&self, activation: fn(u64) -> Activation) -> ScheduledFork {
        named(self.key, activation(self.at))
    }
}

fn named(key: &str, at: Activation) -> ScheduledFork {
    let name = key.strip_suffix("Block").or_else(|| key.strip_suffix("Time")).unwrap_or(key);
    ScheduledFork { name: name.strip_suffix("Fork").unwrap_or(name).to_owned(), at }
}

/// The keys that are present, in order of the forks; an error if one comes before its predecessor
/// or without it.
fn ordered<T: Copy>(fields: &Fields, keys: &[Key<T>]) -> Result<Vec<Scheduled<T>>, GenesisError> {
    let mut found: Vec<Scheduled<T>> = Vec::new();
    let mut missing = None;
    for &(key, fork, optional) in keys {
        let Some(at) = fields.u64(key)? else {
            missing = missing.or((!optional).then_some(key));
            continue;
        };
        if let Some(before) = missing {
            return Err(inconsistent(format!(
                "unsupported fork ordering: {before} not enabled, but {key} enabled at {at}"
            )));
        }
        if let Some(last) = found.last().filter(|last| last.at > at) {
            return Err(inconsistent(format!(
                "unsupported fork ordering: {} enabled at {}, but {key} enabled at {at}",
                last.key, last.at
            )));
        }
        found.push(Scheduled { key, fork, at });
    }
    Ok(found)
}

fn activations<T: Copy>(forks: &[Scheduled<T>]) -> Vec<(T, u64)> {
    forks.iter().filter_map(|fork| fork.fork.map(|name| (name, fork.at))).collect()
}

fn check_blocks(fields: &Fields, has_time_forks: bool) -> Result<(), GenesisError> {
    if fields.u64("eip155Block")? != fields.u64("eip158Block")? {
        return Err(inconsistent("eip155Block and eip158Block must be equal (Spurious Dragon)"));
    }
    if has_time_forks && fields.u64("londonBlock")?.is_none() {
        return Err(inconsistent(
            "unsupported fork ordering: londonBlock not enabled, but a fork by timestamp is",
        ));
    }
    Ok(())
}

fn read_dao(fields: &Fields) -> Result<Option<DaoFork>, GenesisError> {
    let support = fields.get::<bool>("daoForkSupport")?.unwrap_or(false);
    Ok(fields.u64("daoForkBlock")?.map(|block| DaoFork { block, support }))
}

/// Whoever misspells a key here would start another chain than the one meant, so all are known.
fn read_commitment(fields: &Fields) -> Result<Commitment, GenesisError> {
    let Some(object) = fields.get::<Map<String, Value>>("commitment")? else {
        return Ok(Commitment::Mpt);
    };
    let object = Fields(object);
    let kind = object.get::<String>("kind")?;
    let allowed: &[&str] = match kind.as_deref() {
        Some("mpt") => &["kind"],
        Some("wide") => &["kind", "lag", "rootInterval"],
        Some(kind) => {
            return Err(inconsistent(format!(
                "config.commitment.kind = {kind:?}: this version knows \"mpt\" and \"wide\""
            )));
        }
        None => return Err(malformed("config.commitment.kind is missing")),
    };
    if let Some(key) = object.0.keys().find(|key| !allowed.contains(&key.as_str())) {
        return Err(inconsistent(format!("config.commitment.{key} is not known")));
    }
    if kind.as_deref() == Some("mpt") {
        return Ok(Commitment::Mpt);
    }
    let default = WideParams::default();
    Ok(Commitment::Wide(WideParams {
        lag: object.u64("lag")?.unwrap_or(default.lag),
        root_interval: object.u64("rootInterval")?.unwrap_or(default.root_interval),
    }))
}

/// OP chains are proof of stake from their first block, whatever the file says.
fn terminal(fields: &Fields, op: bool) -> Result<Option<U256>, GenesisError> {
    if op {
        return Ok(Some(U256::ZERO));
    }
    let total = fields.get::<Quantity>("terminalTotalDifficulty")?;
    Ok(total.map(|quantity| quantity.0))
}

fn read_op(fields: &Fields) -> Result<Option<OpParams>, GenesisError> {
    let Some(object) = fields.get::<Map<String, Value>>("optimism")? else { return Ok(None) };
    let object = Fields(object);
    let positive = |key: &str| match object.u64(key)? {
        Some(value) if value > 0 && value <= u64::from(u32::MAX) => Ok(value),
        Some(value) => {
            Err(inconsistent(format!("config.optimism.{key} = {value} is out of range")))
        }
        None => Err(inconsistent(format!("config.optimism.{key} is missing"))),
    };
    let denominator = positive("eip1559Denominator")?;
    let denominator_canyon = match fields.u64("canyonTime")? {
        Some(_) => positive("eip1559DenominatorCanyon")?,
        None => denominator,
    };
    let base_fee = BaseFeeParams { denominator, elasticity: positive("eip1559Elasticity")? };
    Ok(Some(OpParams { base_fee, denominator_canyon }))
}

/// Checks what is special about an OP chain and fills in the Ethereum forks that its forks imply.
/// Gives back the scheduled forks that are not supported.
fn check_op(
    fields: &mut Fields,
    op: bool,
    start: Start,
) -> Result<Vec<ScheduledFork>, GenesisError> {
    if !op {
        let stray = OP_KEYS.iter().map(|(key, ..)| *key).chain([BEDROCK_KEY]).chain(FUTURE_OP_KEYS);
        for key in stray {
            if fields.u64(key)?.is_some() {
                let what = format!("config.{key} is set, but config.optimism is missing");
                return Err(inconsistent(what));
            }
        }
        return Ok(Vec::new());
    }
    match fields.u64(BEDROCK_KEY)? {
        Some(block) if block <= start.number => {}
        Some(block) => {
            return Err(inconsistent(format!(
                "bedrockBlock = {block}: blocks before Bedrock are not supported"
            )));
        }
        None => return Err(inconsistent("config.bedrockBlock is missing on an OP chain")),
    }
    for (key, ..) in TIME_KEYS {
        imply(fields, key, start)?;
    }
    unsupported(fields, start)
}

fn imply(fields: &mut Fields, key: &str, start: Start) -> Result<(), GenesisError> {
    let op_key = IMPLIED.iter().find(|(_, ethereum)| *ethereum == key).map(|(op_key, _)| *op_key);
    let implied = op_key.map(|op_key| fields.u64(op_key)).transpose()?.flatten();
    // Activations up to the genesis block are all the same.
    let from_start = |at: u64| at.max(start.timestamp);
    match (fields.u64(key)?, implied) {
        (None, None) => {}
        (Some(explicit), Some(implied)) if from_start(explicit) == from_start(implied) => {}
        (None, Some(at)) => {
            fields.0.insert(key.to_owned(), at.into());
        }
        (Some(explicit), _) => {
            let wanted = op_key.map_or_else(
                || "has no counterpart among the OP forks".to_owned(),
                |op_key| format!("must be the same as config.{op_key}"),
            );
            return Err(inconsistent(format!(
                "config.{key} = {explicit}: on an OP chain it {wanted}"
            )));
        }
    }
    Ok(())
}

fn unsupported(fields: &Fields, start: Start) -> Result<Vec<ScheduledFork>, GenesisError> {
    let mut forks = Vec::new();
    for key in FUTURE_OP_KEYS {
        let Some(at) = fields.u64(key)? else { continue };
        if at <= start.timestamp {
            return Err(inconsistent(format!(
                "config.{key} = {at}: this fork is active at genesis and not supported by this version"
            )));
        }
        forks.push(named(key, Activation::Time(at)));
    }
    Ok(forks)
}

/// Blob parameters of each scheduled fork and BPO step. Osaka and Amsterdam keep what was in force
/// unless the file says otherwise; BPO steps consist of nothing else, so theirs must be given.
fn blob_steps(
    fields: &Fields,
    times: &[Scheduled<Fork>],
) -> Result<Vec<(BlobParams, u64)>, GenesisError> {
    let given = Fields(fields.get::<Map<String, Value>>("blobSchedule")?.unwrap_or_default());
    let mut steps: Vec<(BlobParams, u64)> = Vec::new();
    for time in times.iter().filter(|time| time.fork != Some(Fork::Shanghai)) {
        let name = time.key.strip_suffix("Time").unwrap_or(time.key);
        let previous = steps.last().map(|(blobs, _)| *blobs);
        let blobs = match (read_blobs(&given, name)?, time.fork) {
            (Some(blobs), _) => blobs,
            (None, Some(Fork::Cancun)) => library_blobs(&eip7840::BlobParams::cancun()),
            (None, Some(Fork::Prague)) => library_blobs(&eip7840::BlobParams::prague()),
            (None, Some(_)) => previous
                .ok_or_else(|| inconsistent(format!("blobSchedule has no entry for {name}")))?,
            (None, None) => {
                return Err(inconsistent(format!(
                    "missing entry for fork {name} in blobSchedule, but {} is set",
                    time.key
                )));
            }
        };
        steps.push((blobs, time.at));
    }
    Ok(steps)
}

fn library_blobs(params: &eip7840::BlobParams) -> BlobParams {
    BlobParams {
        target: params.target_blob_count,
        max: params.max_blob_count,
        update_fraction: u64::try_from(params.update_fraction).unwrap_or(u64::MAX),
    }
}

fn read_blobs(schedule: &Fields, name: &str) -> Result<Option<BlobParams>, GenesisError> {
    /// Far above any real limit; keeps blob gas within 64 bits.
    const MOST: u64 = u32::MAX as u64;
    let Some(entry) = schedule.get::<Map<String, Value>>(name)? else { return Ok(None) };
    let entry = Fields(entry);
    let member = |key: &str| {
        entry.u64(key)?.ok_or_else(|| malformed(format!("blobSchedule.{name}.{key} is missing")))
    };
    let blobs = BlobParams {
        target: member("target")?,
        max: member("max")?,
        update_fraction: member("baseFeeUpdateFraction")?,
    };
    let sound = blobs.target <= blobs.max && (1..=MOST).contains(&blobs.max);
    if !sound || blobs.update_fraction == 0 {
        return Err(inconsistent(format!("blobSchedule.{name} is impossible: {blobs:?}")));
    }
    Ok(Some(blobs))
}

fn malformed(what: impl Into<String>) -> GenesisError {
    GenesisError::Malformed(what.into())
}

fn inconsistent(what: impl Into<String>) -> GenesisError {
    GenesisError::Inconsistent(what.into())
}
