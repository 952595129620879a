use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use rand::RngCore;
use serde::{Deserialize, Serialize};

/// How far `iat` may lie from our clock, seconds.
const MAX_DRIFT_SECONDS: f64 = 60.0;

/// The secret shared with the consensus client (HS256, 32 bytes).
#[derive(Clone, PartialEq, Eq)]
pub struct JwtSecret([u8; 32]);

impl std::fmt::Debug for JwtSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JwtSecret(…)")
    }
}

/// Why a secret could not be used.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    /// Not 64 hexadecimal digits.
    #[error("JWT secret must be 64 hexadecimal digits (32 bytes), with or without 0x")]
    Malformed,
    /// The file could not be read or written.
    #[error("JWT secret file {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The file does not hold a secret.
    #[error(
        "JWT secret file {path} must hold 64 hexadecimal digits (32 bytes), with or without 0x"
    )]
    MalformedFile {
        /// The file.
        path: String,
    },
}

/// Why a token was refused; the text of the 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("missing token")]
    Missing,
    #[error("invalid token")]
    Invalid,
    #[error("missing issued-at")]
    NoIssuedAt,
    #[error("stale token")]
    Stale,
    #[error("future token")]
    Future,
    #[error("token is expired")]
    Expired,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iat: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exp: Option<f64>,
}

impl JwtSecret {
    /// Reads 64 hexadecimal digits, with or without `0x`, white space around them ignored.
    pub fn from_hex(text: &str) -> Result<Self, JwtError> {
        let text = text.trim();
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        let mut secret = [0; 32];
        hex::decode_to_slice(digits, &mut secret).map_err(|_| JwtError::Malformed)?;
        Ok(Self(secret))
    }

    /// A new random secret.
    pub fn random() -> Self {
        let mut secret = [0; 32];
        rand::rng().fill_bytes(&mut secret);
        Self(secret)
    }

    /// Reads the file, or creates it (mode 0600, with parent folders) with a random secret.
    pub fn read_or_create(path: &Path) -> Result<Self, JwtError> {
        let failed = |source| JwtError::Io { path: path.display().to_string(), source };
        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_hex(&text)
                .map_err(|_| JwtError::MalformedFile { path: path.display().to_string() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let secret = Self::random();
                secret.write_new(path).map_err(failed)?;
                Ok(secret)
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn write_new(&self, path: &Path) -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(hex::encode(self.0).as_bytes())
    }

    /// A token for a client of ours, issued at `now` (seconds since 1970).
    pub fn token(&self, now: u64) -> String {
        let claims = Claims { iat: Some(now as f64), exp: None };
        let key = EncodingKey::from_secret(&self.0);
        encode(&Header::new(Algorithm::HS256), &claims, &key)
            .expect("HS256 over a number cannot fail")
    }

    /// Checks the signature (HS256 only), `iat` within 60 s of `now`, and `exp` if there is one.
    pub(crate) fn verify(&self, token: &str, now: u64) -> Result<(), TokenError> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        // Times are checked below, against a clock that tests can set.
        validation.validate_exp = false;
        validation.validate_aud = false;
        let claims = decode::<Claims>(token, &DecodingKey::from_secret(&self.0), &validation)
            .map_err(|_| TokenError::Invalid)?
            .claims;
        let now = now as f64;
        let issued = claims.iat.ok_or(TokenError::NoIssuedAt)?;
        if claims.exp.is_some_and(|expiry| expiry < now) {
            return Err(TokenError::Expired);
        }
        if now - issued > MAX_DRIFT_SECONDS {
            return Err(TokenError::Stale);
        }
        if issued - now > MAX_DRIFT_SECONDS {
            return Err(TokenError::Future);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn secret() -> JwtSecret {
        JwtSecret::from_hex(&"73".repeat(32)).unwrap()
    }

    fn sign(algorithm: Algorithm, claims: serde_json::Value) -> String {
        encode(&Header::new(algorithm), &claims, &EncodingKey::from_secret(&secret().0)).unwrap()
    }

    #[test]
    fn a_secret_is_read_with_and_without_prefix_and_newline() {
        let digits = "73".repeat(32);
        for text in [digits.clone(), format!("0x{digits}"), format!("  0X{digits}\r\n")] {
            assert_eq!(JwtSecret::from_hex(&text).unwrap(), secret());
        }
        for text in ["", "0x", &digits[1..], &format!("{digits}00"), &"zz".repeat(32)] {
            assert!(JwtSecret::from_hex(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_missing_file_is_created_for_the_owner_alone_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/jwt.hex");
        let first = JwtSecret::read_or_create(&path).unwrap();
        assert_eq!(JwtSecret::read_or_create(&path).unwrap(), first);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(first, JwtSecret::random());
    }

    #[test]
    fn a_damaged_file_is_refused_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwt.hex");
        std::fs::write(&path, "abc").unwrap();
        assert!(matches!(JwtSecret::read_or_create(&path), Err(JwtError::MalformedFile { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "abc");
    }

    #[test]
    fn issued_at_must_lie_within_a_minute() {
        let cases = [
            (0i64, Ok(())),
            (-60, Ok(())),
            (60, Ok(())),
            (-61, Err(TokenError::Stale)),
            (61, Err(TokenError::Future)),
        ];
        for (drift, expected) in cases {
            let token = secret().token(NOW.checked_add_signed(drift).unwrap());
            assert_eq!(secret().verify(&token, NOW), expected, "{drift}");
        }
    }

    #[test]
    fn tokens_of_another_kind_are_refused() {
        let verify = |token: &str| secret().verify(token, NOW);
        let good = serde_json::json!({"iat": NOW, "id": "op-node", "clv": "v1"});
        assert_eq!(verify(&sign(Algorithm::HS256, good.clone())), Ok(()));
        assert_eq!(verify(&sign(Algorithm::HS512, good)), Err(TokenError::Invalid));
        let no_iat = serde_json::json!({"exp": NOW + 10});
        assert_eq!(verify(&sign(Algorithm::HS256, no_iat)), Err(TokenError::NoIssuedAt));
        let expired = serde_json::json!({"iat": NOW, "exp": NOW - 1});
        assert_eq!(verify(&sign(Algorithm::HS256, expired)), Err(TokenError::Expired));
        assert_eq!(verify(&JwtSecret::random().token(NOW)), Err(TokenError::Invalid));
        assert_eq!(verify("not.a.token"), Err(TokenError::Invalid));
        assert_eq!(verify("eyJhbGciOiJub25lIn0.eyJpYXQiOjF9."), Err(TokenError::Invalid));
    }
}
