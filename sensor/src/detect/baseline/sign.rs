//! Keys and signatures: Ed25519, as text files of one line.

use std::fmt::Write as _;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

const SECRET: &str = "whodunit-ed25519-secret:";
const PUBLIC: &str = "whodunit-ed25519-public:";
/// Put before what is signed, so that no other use of the key can be taken for a baseline.
const DOMAIN: &[u8] = b"whodunit baseline\n";

/// Why a text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It does not begin as a secret key does.
    #[error("not a secret key: it begins with `{SECRET}`")]
    NotSecret,
    /// It does not begin as a public key does.
    #[error("not a public key: it begins with `{PUBLIC}`")]
    NotPublic,
    /// What follows is not 64 hex digits, or no point of the curve.
    #[error("the key is damaged")]
    Damaged,
}

/// A key that signs.
pub struct SecretKey(SigningKey);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey")
    }
}

/// A key that checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl SecretKey {
    /// The key of 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads the file's text.
    ///
    /// # Errors
    ///
    /// When it is no secret key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let hex = text
            .trim()
            .strip_prefix(SECRET)
            .ok_or(KeyError::NotSecret)?;
        Ok(Self::from_seed(&unhex(hex).ok_or(KeyError::Damaged)?))
    }

    /// The file's text. Whoever has it can sign.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{SECRET}{}\n", hex(self.0.as_bytes()))
    }

    /// The key that checks what this one signs.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The signature of a message, in hex.
    #[must_use]
    pub(super) fn sign(&self, message: &[u8]) -> String {
        hex(&self.0.sign(&[DOMAIN, message].concat()).to_bytes())
    }
}

impl PublicKey {
    /// Reads the file's text.
    ///
    /// # Errors
    ///
    /// When it is no public key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let hex = text
            .trim()
            .strip_prefix(PUBLIC)
            .ok_or(KeyError::NotPublic)?;
        let bytes = unhex(hex).ok_or(KeyError::Damaged)?;
        VerifyingKey::from_bytes(&bytes)
            .map(Self)
            .map_err(|_| KeyError::Damaged)
    }

    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{PUBLIC}{}\n", self.id())
    }

    /// The key in hex.
    #[must_use]
    pub fn id(&self) -> String {
        hex(self.0.as_bytes())
    }

    /// Whether a signature in hex is this key's of the message.
    #[must_use]
    pub(super) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let Some(bytes) = unhex::<64>(signature) else {
            return false;
        };
        let message = [DOMAIN, message].concat();
        // Strict: no weak keys, and one signature for one message.
        self.0
            .verify_strict(&message, &Signature::from_bytes(&bytes))
            .is_ok()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn unhex<const COUNT: usize>(text: &str) -> Option<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    if text.len() != 2 * COUNT || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}
