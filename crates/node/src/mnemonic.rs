//! Keys from a phrase (BIP-39 seed, BIP-32 path `m/44'/60'/0'/0/i`), as wallets make them.

use banyan_primitives::B256;
use hmac::{Hmac, Mac};
use secp256k1::{PublicKey, SECP256K1, Scalar, SecretKey};
use sha2::Sha512;

use crate::NodeError;

/// Rounds of PBKDF2 that BIP-39 demands.
const ROUNDS: u32 = 2048;
/// Set in the index of a child that only the secret key can derive.
const HARDENED: u32 = 1 << 31;
/// Lengths of a phrase, words.
const LENGTHS: [usize; 5] = [12, 15, 18, 21, 24];

/// A key with its chain code.
struct Node {
    key: SecretKey,
    chain_code: [u8; 32],
}

/// The first `count` account keys of a phrase. Its words are not looked up in the word list.
pub(crate) fn keys(phrase: &str, count: u32) -> Result<Vec<B256>, NodeError> {
    let words: Vec<_> = phrase.split_whitespace().collect();
    if !LENGTHS.contains(&words.len()) || !phrase.is_ascii() {
        return Err(NodeError::Setup(format!(
            "--dev.mnemonic: {} words; a phrase has 12, 15, 18, 21 or 24",
            words.len()
        )));
    }
    let derive = || -> Option<Vec<B256>> {
        let root = Node::root(&seed(&words.join(" ")))?;
        let path = [44 | HARDENED, 60 | HARDENED, HARDENED, 0];
        let accounts = path.into_iter().try_fold(root, |node, index| node.child(index))?;
        (0..count)
            .map(|index| Some(B256::from(accounts.child(index)?.key.secret_bytes())))
            .collect()
    };
    // One phrase in 2^127 has no key at some step.
    derive().ok_or_else(|| NodeError::Setup("--dev.mnemonic: the phrase gives no keys".to_owned()))
}

/// PBKDF2 with HMAC-SHA512, one block, no passphrase.
fn seed(phrase: &str) -> [u8; 64] {
    let mut last = hmac(phrase.as_bytes(), &[b"mnemonic", &1u32.to_be_bytes()]);
    let mut seed = last;
    for _ in 1..ROUNDS {
        last = hmac(phrase.as_bytes(), &[&last]);
        seed.iter_mut().zip(last).for_each(|(byte, other)| *byte ^= other);
    }
    seed
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 64] {
    let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// The two halves of 64 bytes.
fn halves(bytes: &[u8; 64]) -> ([u8; 32], [u8; 32]) {
    let (mut left, mut right) = ([0; 32], [0; 32]);
    left.copy_from_slice(&bytes[..32]);
    right.copy_from_slice(&bytes[32..]);
    (left, right)
}

impl Node {
    fn root(seed: &[u8]) -> Option<Self> {
        let (key, chain_code) = halves(&hmac(b"Bitcoin seed", &[seed]));
        Some(Self { key: SecretKey::from_byte_array(key).ok()?, chain_code })
    }

    fn child(&self, index: u32) -> Option<Self> {
        let number = index.to_be_bytes();
        let derived = if index >= HARDENED {
            hmac(&self.chain_code, &[&[0], &self.key.secret_bytes(), &number])
        } else {
            let public = PublicKey::from_secret_key(SECP256K1, &self.key).serialize();
            hmac(&self.chain_code, &[&public, &number])
        };
        let (tweak, chain_code) = halves(&derived);
        let key = self.key.add_tweak(&Scalar::from_be_bytes(tweak).ok()?).ok()?;
        Some(Self { key, chain_code })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::{DEV_KEYS, DEV_MNEMONIC, address_of};

    #[test]
    fn the_known_phrase_gives_the_known_keys() {
        assert_eq!(keys(DEV_MNEMONIC, 10).unwrap(), DEV_KEYS);
        let spaced = DEV_MNEMONIC.replace(' ', "  ");
        assert_eq!(keys(&spaced, 1).unwrap(), DEV_KEYS[..1], "white space does not matter");
    }

    #[test]
    fn another_phrase_gives_its_own_accounts() {
        let phrase = "abandon ".repeat(11) + "about";
        let address = address_of(&keys(&phrase, 1).unwrap()[0]).unwrap();
        assert_eq!(address.to_string(), "0x9858EfFD232B4033E47d90003D41EC34EcaEda94");
    }

    #[test]
    fn what_is_no_phrase_is_refused() {
        for phrase in ["", "test", &"test ".repeat(13), &"tést ".repeat(12)] {
            assert!(keys(phrase, 1).is_err(), "{phrase:?}");
        }
    }
}
