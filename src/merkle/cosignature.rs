//! A witness's line: at this time, this was the largest consistent tree it had seen
//! (`c2sp.org/tlog-cosignature`, Ed25519, type 0x04).

use super::checkpoint::Checkpoint;
use super::key::{KeyType, Signer, Verifier};
use super::note::SignatureLine;

/// Why no cosignature was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CosignError {
    /// The key is a log's.
    #[error("a log's key never cosigns")]
    NotAWitness,
    /// Zero or beyond 2^63 − 1 seconds.
    #[error("the time of a cosignature lies between 1 and 2^63 - 1 seconds")]
    Time,
    /// The text is not a checkpoint.
    #[error("only checkpoints are cosigned")]
    NotACheckpoint,
}

/// Cosigns the text of a checkpoint at `time`, in seconds since 1970.
///
/// # Errors
/// A log's key, a time of 0 or above 2^63 − 1, or a text that is not a checkpoint.
pub fn sign(text: &str, signer: &Signer, time: u64) -> Result<SignatureLine, CosignError> {
    if signer.verifier().key_type() != KeyType::Witness {
        return Err(CosignError::NotAWitness);
    }
    if !is_time(time) {
        return Err(CosignError::Time);
    }
    Checkpoint::parse(text).map_err(|_| CosignError::NotACheckpoint)?;
    let signature = signer.sign(message(text, time).as_bytes());
    Ok(SignatureLine {
        name: signer.name().to_owned(),
        id: signer.verifier().id(),
        payload: [time.to_be_bytes().as_slice(), &signature].concat(),
    })
}

/// The time of the line, if it is a valid cosignature of this checkpoint by this key.
pub(super) fn verify(text: &str, line: &SignatureLine, verifier: &Verifier) -> Option<u64> {
    Checkpoint::parse(text).ok()?;
    let (time, signature) = line.payload.split_first_chunk::<8>()?;
    let time = u64::from_be_bytes(*time);
    let good = is_time(time) && verifier.accepts(message(text, time).as_bytes(), signature);
    good.then_some(time)
}

fn is_time(time: u64) -> bool {
    time > 0 && i64::try_from(time).is_ok()
}

fn message(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::super::key::tests::{log_signer, witness_signer};
    use super::super::note::Note;
    use super::*;

    fn body() -> String {
        let bytes = include_bytes!("../../tests/vectors/log600/checkpoint.log-only");
        Note::parse(bytes).unwrap().text().to_owned()
    }

    #[test]
    fn a_cosignature_is_bound_to_time_text_and_key() {
        let (text, witness) = (body(), witness_signer());
        let line = sign(&text, &witness, 7).unwrap();
        assert_eq!(line.payload.len() + 4, 76);
        assert_eq!(verify(&text, &line, witness.verifier()), Some(7));
        let mut later = line.clone();
        *later.payload.get_mut(7).unwrap() = 8;
        assert_eq!(verify(&text, &later, witness.verifier()), None);
        assert_eq!(verify(&text.replace("600", "601"), &line, witness.verifier()), None);
        assert_eq!(verify(&text, &line, log_signer().verifier()), None);
        let mut short = line;
        short.payload.truncate(7);
        assert_eq!(verify(&text, &short, witness.verifier()), None);
    }

    #[test]
    fn what_may_not_be_cosigned_is_not() {
        let (text, witness) = (body(), witness_signer());
        assert_eq!(sign(&text, &log_signer(), 7), Err(CosignError::NotAWitness));
        assert_eq!(sign(&text, &witness, 0), Err(CosignError::Time));
        assert_eq!(sign(&text, &witness, 1 << 63), Err(CosignError::Time));
        assert_eq!(sign("text\n", &witness, 7), Err(CosignError::NotACheckpoint));
    }
}
