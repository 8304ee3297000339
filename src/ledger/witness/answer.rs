//! What a log asks a witness, and what it makes of the answer (reference page §7).
//!
//! Real witnesses deviate from the specification, each in its own way; the decision is made here
//! once, from status, content type and body alone.

use crate::clock::Moment;
use crate::merkle::Hash;
use crate::merkle::add_checkpoint::AddCheckpoint;
use crate::merkle::key::Verifier;
use crate::merkle::note::{Note, SignatureLine};

/// Most signature lines that are looked at in one answer.
const LINES_MAX: usize = 100;

/// A witness that we ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Its name in our policy.
    pub name: String,
    /// Where it listens: `add-checkpoint` is below this.
    pub url: String,
    key: Verifier,
}

impl Witness {
    /// A witness with its key and address.
    pub fn new(name: String, url: &str, key: Verifier) -> Self {
        Self { name, url: url.trim_end_matches('/').to_owned(), key }
    }

    /// Name and id of its key: under this its lines are kept.
    pub fn key_id(&self) -> String {
        format!("{}+{}", self.key.name(), self.key.id())
    }

    /// Where checkpoints are handed in.
    pub fn submission_url(&self) -> String {
        format!("{}/add-checkpoint", self.url)
    }
}

/// A request to a witness, on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The body to post.
    pub body: String,
    /// Size of the checkpoint that is handed in.
    pub size: u64,
    note: Note,
}

impl Question {
    /// Asks for a cosignature on a published note, with the proof from the size that the witness
    /// has seen.
    pub fn new(old: u64, proof: Vec<Hash>, note: Note, size: u64) -> Self {
        let body = AddCheckpoint { old, proof, note: note.clone() }.to_string();
        Self { body, size, note }
    }
}

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Content type, if one was given.
    pub content_type: Option<String>,
    /// The body, possibly cut.
    pub body: Vec<u8>,
}

/// What an answer means for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A line of the configured key that verifies, with its newline, and its time.
    Cosigned(String, Moment),
    /// The witness has seen so many entries: ask again from there, unless that is more than we
    /// have.
    At(u64),
    /// The witness says that our checkpoint does not continue what it has seen.
    Forked,
    /// Try again later.
    Later(&'static str),
    /// The witness will not have us: somebody must look at the settings of one of the two.
    Misconfigured(u16),
}

/// Judges the answer of a witness to a question.
pub fn judge(answer: &Answer, question: &Question, witness: &Witness) -> Verdict {
    let sized = answer.content_type.as_deref().is_some_and(is_size);
    match answer.status {
        200 => line_of(answer, question, witness)
            .unwrap_or(Verdict::Later("it answered without a line of its key that verifies")),
        409 if sized => size_of(&answer.body)
            .map_or(Verdict::Later("it answered 409 with something else than a size"), Verdict::At),
        409 | 422 => Verdict::Forked,
        429 => Verdict::Later("it is asked too often"),
        400..=499 => Verdict::Misconfigured(answer.status),
        _ => Verdict::Later("it failed"),
    }
}

fn is_size(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/x.tlog.size")
}

fn size_of(body: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(body).ok()?.strip_suffix('\n')?;
    let plain = digits == "0" || !digits.starts_with('0');
    (plain && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// The newest line of the configured key; lines of other keys are of no interest.
fn line_of(answer: &Answer, question: &Question, witness: &Witness) -> Option<Verdict> {
    let body = std::str::from_utf8(&answer.body).ok()?;
    let lines = body.lines().take(LINES_MAX).filter_map(|line| SignatureLine::parse(line).ok());
    let verified = lines.filter_map(|line| {
        let mut note = question.note.clone();
        note.add(line.clone());
        let seen = note.verify(std::slice::from_ref(&witness.key)).ok()?;
        let time = seen.first().and_then(|seen| seen.time)?;
        Some((i64::try_from(time).ok()?, line))
    });
    let (seconds, line) = verified.max_by_key(|(time, _)| *time)?;
    Some(Verdict::Cosigned(line.to_line(), Moment::from_seconds(seconds)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;
    use crate::merkle::checkpoint::Checkpoint;
    use crate::merkle::cosignature;
    use crate::merkle::key::{KeyType, Signer};

    fn signer(seed: u8) -> Signer {
        Signer::from_seed("w.example.com", KeyType::Witness, &[seed; 32]).unwrap()
    }

    fn witness() -> Witness {
        Witness::new("w".into(), "http://w/", signer(1).verifier().clone())
    }

    fn question(size: u64) -> Question {
        let log = Signer::from_seed("log.example.com", KeyType::Log, &[7; 32]).unwrap();
        let root = Hash::leaf(b"x");
        let note = Checkpoint { origin: log.name().into(), size, root }.sign(&[log]).unwrap();
        Question::new(0, Vec::new(), note, size)
    }

    fn line(seed: u8, size: u64, time: u64) -> String {
        cosignature::sign(question(size).note.text(), &signer(seed), time).unwrap().to_line()
    }

    fn verdict(status: u16, content_type: Option<&str>, body: &str) -> Verdict {
        let content_type = content_type.map(str::to_owned);
        let answer = Answer { status, content_type, body: body.as_bytes().to_vec() };
        judge(&answer, &question(5), &witness())
    }

    #[test]
    fn only_a_line_of_the_configured_key_that_verifies_counts() {
        let good = line(1, 5, 9);
        let cosigned = Verdict::Cosigned(good.clone(), Moment::from_seconds(9));
        assert_eq!(verdict(200, None, &good), cosigned);
        // A second line of a key that we do not know, as from a witness with two algorithms.
        let other = line(2, 5, 9);
        assert_eq!(verdict(200, None, &format!("{other}{good}\u{2014} x AAAAAAA=\n")), cosigned);
        assert_eq!(verdict(200, None, &format!("{}{good}", line(1, 5, 8))), cosigned);
        for bad in [other, line(1, 6, 9), String::new(), "ok\n".to_owned()] {
            assert!(matches!(verdict(200, None, &bad), Verdict::Later(_)), "{bad}");
        }
        // One bad line of the key among good ones takes nothing away from the good one.
        assert_eq!(verdict(200, None, &format!("{}{good}", line(1, 6, 7))), cosigned);
    }

    #[test]
    fn a_size_is_believed_only_in_its_content_type() {
        let size = Some("text/x.tlog.size");
        assert_eq!(verdict(409, size, "7\n"), Verdict::At(7));
        assert_eq!(verdict(409, Some("text/x.tlog.size; charset=utf-8"), "0\n"), Verdict::At(0));
        for bad in ["7", "07\n", "+7\n", "-1\n", "\n", "18446744073709551616\n", "7\n7\n"] {
            assert!(matches!(verdict(409, size, bad), Verdict::Later(_)), "{bad:?}");
        }
        assert_eq!(verdict(409, None, ""), Verdict::Forked);
        assert_eq!(verdict(409, Some("text/plain"), "7\n"), Verdict::Forked);
    }

    #[test]
    fn every_other_status_has_its_meaning() {
        assert_eq!(verdict(422, None, ""), Verdict::Forked);
        for later in [429, 500, 502, 503, 100, 301, 204] {
            assert!(matches!(verdict(later, None, ""), Verdict::Later(_)), "{later}");
        }
        for wrong in [400, 401, 403, 404, 413] {
            assert_eq!(verdict(wrong, None, ""), Verdict::Misconfigured(wrong));
        }
    }
}
