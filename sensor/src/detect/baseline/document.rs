//! The file of a baseline: one line of JSON with the state, one with the signature of that line's
//! bytes. What is checked are bytes as they are, before anything in them is read.

use serde::{Deserialize, Serialize};

use super::sign::{PublicKey, SecretKey};
use super::state::State;

/// What a baseline's first line says it is.
const FORMAT: &str = "whodunit-baseline";
/// The version that is written, and the newest that is read.
const VERSION: u32 = 1;
/// Name of the algorithm.
const ALGORITHM: &str = "ed25519";

/// Why a file is not taken for a baseline.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is something else, or cut off.
    #[error("not a baseline: {0}")]
    Malformed(String),
    /// It was written by a later whodunit.
    #[error("version {0} of the format is newer than this whodunit knows (version {VERSION})")]
    Version(u32),
    /// It has no signature.
    #[error("not signed; sign it with `baseline save --key`, or allow that with --unsigned")]
    Unsigned,
    /// It has a signature, and nothing to check it with was given.
    #[error("signed by {0}; give the public key with --key, or go without it with --unsigned")]
    NoKey(String),
    /// It was signed with another key.
    #[error("signed by {found}, not by {wanted}")]
    OtherKey {
        /// The key that it names.
        found: String,
        /// The key that was given.
        wanted: String,
    },
    /// The signature is not of this content.
    #[error(
        "the signature is bad: the file was changed after it was signed, or somebody else signed it"
    )]
    BadSignature,
}

/// A baseline as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    baseline: State,
    format: String,
    version: u32,
}

#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureLine {
    algorithm: String,
    key: String,
    signature: String,
}

/// The bytes of a baseline; without a key it is not signed.
///
/// # Errors
///
/// The serializer's.
pub fn write(state: &State, key: Option<&SecretKey>) -> Result<Vec<u8>, serde_json::Error> {
    let document = Document {
        baseline: state.clone(),
        format: FORMAT.to_owned(),
        version: VERSION,
    };
    let mut bytes = serde_json::to_vec(&document)?;
    let signature = key.map(|key| SignatureLine {
        algorithm: ALGORITHM.to_owned(),
        key: key.public().id(),
        signature: key.sign(&bytes),
    });
    bytes.push(b'\n');
    if let Some(signature) = signature {
        serde_json::to_writer(&mut bytes, &signature)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// Reads a baseline. With a key the signature must be that key's; without one nothing is taken but
/// with `unsigned`.
///
/// # Errors
///
/// Says what is wrong with it.
pub fn read(bytes: &[u8], key: Option<&PublicKey>, unsigned: bool) -> Result<State, DocumentError> {
    let malformed = |why: &str| DocumentError::Malformed(why.to_owned());
    let bytes = bytes
        .strip_suffix(b"\n")
        .ok_or_else(|| malformed("the last line has no end"))?;
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let second = lines.next();
    if lines.next().is_some() {
        return Err(malformed("more than two lines"));
    }
    let signature: Option<SignatureLine> = match second {
        Some(line) => Some(
            serde_json::from_slice(line)
                .map_err(|error| DocumentError::Malformed(format!("its signature: {error}")))?,
        ),
        None => None,
    };
    match (key, signature) {
        (Some(key), Some(line)) => {
            if line.algorithm != ALGORITHM {
                let why = format!("signed by the unknown algorithm {:?}", line.algorithm);
                return Err(DocumentError::Malformed(why));
            }
            if line.key != key.id() {
                return Err(DocumentError::OtherKey {
                    found: line.key,
                    wanted: key.id(),
                });
            }
            if !key.verifies(first, &line.signature) {
                return Err(DocumentError::BadSignature);
            }
        }
        (Some(_), None) => return Err(DocumentError::Unsigned),
        (None, Some(line)) if !unsigned => return Err(DocumentError::NoKey(line.key)),
        (None, None) if !unsigned => return Err(DocumentError::Unsigned),
        (None, _) => {}
    }
    let invalid = |error: serde_json::Error| DocumentError::Malformed(error.to_string());
    let header: Header = serde_json::from_slice(first).map_err(invalid)?;
    if header.format != FORMAT {
        return Err(malformed("it says that it is something else"));
    }
    if header.version > VERSION {
        return Err(DocumentError::Version(header.version));
    }
    let document: Document = serde_json::from_slice(first).map_err(invalid)?;
    Ok(document.baseline)
}
