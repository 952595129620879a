//! Network upgrade transactions of the OP Stack, and the code that they deploy.

use std::{fs, path::Path};

use anyhow::{Context, ensure};
use banyan_primitives::{
    Bytes, Decodable2718, Encodable2718, Transaction, TransactionTrait, keccak256,
};

use super::Loaded;
use crate::{Case, collect::FixtureFile};

/// Marks files that hold a transaction; others hold code.
const TRANSACTION: &str = "_tx_";

/// One case.
pub(crate) fn load(file: &FixtureFile) -> anyhow::Result<Loaded> {
    let bytes = read(&file.path)?;
    let name = file.name.rsplit('/').next().unwrap_or_default().to_owned();
    if name.contains(TRANSACTION) {
        return Ok(vec![Case::new(name, "upgrade", move |_| check(&bytes))].into());
    }
    let deployed = transactions_beside(&file.path)?.iter().any(|tx| contains(tx.input(), &bytes));
    if !deployed {
        let reason = "code that no upgrade transaction beside it deploys";
        return Ok(Loaded { not_run: vec![reason], ..Default::default() });
    }
    Ok(vec![Case::new(name, "upgrade", |_| Ok(()))].into())
}

/// The transaction is a deposit, and comes out again byte for byte, with the hash of those bytes.
fn check(bytes: &Bytes) -> anyhow::Result<()> {
    let tx = Transaction::decode_2718_exact(bytes)?;
    ensure!(tx.is_deposit(), "not a deposit");
    ensure!(tx.encoded_2718() == *bytes, "re-encoded as {}", Bytes::from(tx.encoded_2718()));
    ensure!(*tx.hash() == keccak256(bytes), "hash {}", tx.hash());
    Ok(())
}

fn transactions_beside(path: &Path) -> anyhow::Result<Vec<Transaction>> {
    let mut transactions = Vec::new();
    for entry in fs::read_dir(path.parent().context("a file lies in a folder")?)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.contains(TRANSACTION) && name.ends_with(".hex") {
            transactions.push(Transaction::decode_2718_exact(&read(&path)?).context(name)?);
        }
    }
    Ok(transactions)
}

fn read(path: &Path) -> anyhow::Result<Bytes> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    text.trim().parse().with_context(|| format!("{} is no hex", path.display()))
}

fn contains(data: &[u8], code: &[u8]) -> bool {
    data.windows(code.len()).any(|window| window == code)
}
