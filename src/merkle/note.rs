//! Signed notes: a text and the signatures below it (`c2sp.org/signed-note`).

use super::cosignature;
use super::key::{KeyId, KeyType, Signer, Verifier, is_key_name};
use super::text;

/// Longest note that is read, in bytes.
pub const MAX_BYTES: usize = 1_000_000;

/// Most signature lines that are read.
pub const MAX_SIGNATURES: usize = 100;

/// What every signature line begins with: an em dash and a space.
const DASH: &str = "\u{2014} ";

/// Why bytes are not a note, or a note is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// More than 1 MB or more than 100 signatures.
    #[error("a note has at most 1 MB and 100 signatures")]
    TooLarge,
    /// Not UTF-8, a control character, no empty line, or no final newline.
    #[error("not a signed note")]
    Syntax,
    /// A signature line is not `— <name> <base64>`.
    #[error("a signature line is malformed")]
    SignatureSyntax,
    /// A line of a known key does not verify; the whole note is worthless.
    #[error("a signature of {0} does not verify")]
    Forged(String),
    /// No known key signed.
    #[error("no known key signed this note")]
    Unsigned,
}

/// One signature line, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureLine {
    /// Name of the key.
    pub name: String,
    /// Id of the key.
    pub id: KeyId,
    /// What follows the key id: 64 bytes for a log, time and 64 bytes for a witness.
    pub payload: Vec<u8>,
}

impl SignatureLine {
    /// The line as it stands in a note, with its newline.
    pub fn to_line(&self) -> String {
        let payload = [self.id.0.as_slice(), &self.payload].concat();
        format!("{DASH}{} {}\n", self.name, text::to_base64(&payload))
    }

    /// Reads one line without its newline.
    ///
    /// # Errors
    /// The line is not `— <name> <base64>` with at least one byte after the key id.
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let fields = line.strip_prefix(DASH).and_then(|rest| rest.split_once(' '));
        let (name, payload) = fields.ok_or(NoteError::SignatureSyntax)?;
        let payload = text::from_base64(payload).ok_or(NoteError::SignatureSyntax)?;
        match payload.split_first_chunk::<4>() {
            Some((id, payload)) if is_key_name(name) && !payload.is_empty() => {
                Ok(Self { name: name.to_owned(), id: KeyId(*id), payload: payload.to_vec() })
            }
            _ => Err(NoteError::SignatureSyntax),
        }
    }

    fn is_by(&self, verifier: &Verifier) -> bool {
        self.name == verifier.name() && self.id == verifier.id()
    }
}

/// A signature that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Place of the key among those that were offered to `Note::verify`.
    pub key: usize,
    /// For a witness: when it saw the checkpoint, in seconds since 1970.
    pub time: Option<u64>,
}

/// A text with signature lines, as read; nothing is believed before `verify`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

impl Note {
    /// Reads a note; the text ends at the last empty line.
    ///
    /// # Errors
    /// More than 1 MB or 100 signatures, not UTF-8, a control character, a malformed line.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_BYTES {
            return Err(NoteError::TooLarge);
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::Syntax)?;
        if note.bytes().any(|b| b < 0x20 && b != b'\n') {
            return Err(NoteError::Syntax);
        }
        let end = note.rfind("\n\n").ok_or(NoteError::Syntax)?;
        let (text, rest) = note.split_at_checked(end + 1).ok_or(NoteError::Syntax)?;
        let lines = rest.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
        let lines: Vec<&str> = lines.ok_or(NoteError::Syntax)?.split('\n').collect();
        if lines.len() > MAX_SIGNATURES {
            return Err(NoteError::TooLarge);
        }
        let signatures =
            lines.into_iter().map(SignatureLine::parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// Signs a text with log keys, one line for each.
    ///
    /// # Errors
    /// The text does not end in a newline or has control characters, or a key is a witness's.
    pub fn sign(text: &str, signers: &[Signer]) -> Result<Self, NoteError> {
        let controls = text.bytes().any(|b| b < 0x20 && b != b'\n');
        let logs = signers.iter().all(|s| s.verifier().key_type() == KeyType::Log);
        if !text.ends_with('\n') || controls || !logs || signers.is_empty() {
            return Err(NoteError::Syntax);
        }
        let line = |signer: &Signer| SignatureLine {
            name: signer.name().to_owned(),
            id: signer.verifier().id(),
            payload: signer.sign(text.as_bytes()).to_vec(),
        };
        Ok(Self { text: text.to_owned(), signatures: signers.iter().map(line).collect() })
    }

    /// The signed text, with its final newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signature lines, also of unknown keys.
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// Adds a line, such as a witness's answer. It is not checked here.
    pub fn add(&mut self, line: SignatureLine) {
        self.signatures.push(line);
    }

    /// Checks every line whose key is among `known`; lines of other keys are ignored. A key that
    /// signed twice counts once.
    ///
    /// # Errors
    /// A line of a known key fails (then the note is rejected as a whole), or no known key signed.
    pub fn verify(&self, known: &[Verifier]) -> Result<Vec<Verified>, NoteError> {
        let mut verified: Vec<Verified> = Vec::new();
        for line in &self.signatures {
            let Some(key) = known.iter().position(|verifier| line.is_by(verifier)) else {
                continue;
            };
            let checked = known.get(key).and_then(|verifier| self.check(key, line, verifier));
            let seen = checked.ok_or_else(|| NoteError::Forged(line.name.clone()))?;
            if verified.iter().all(|earlier| earlier.key != key) {
                verified.push(seen);
            }
        }
        if verified.is_empty() { Err(NoteError::Unsigned) } else { Ok(verified) }
    }

    /// The line as a checked signature of the key at this place, if it is one.
    fn check(&self, key: usize, line: &SignatureLine, verifier: &Verifier) -> Option<Verified> {
        match verifier.key_type() {
            KeyType::Log => {
                let good = verifier.accepts(self.text.as_bytes(), &line.payload);
                good.then_some(Verified { key, time: None })
            }
            KeyType::Witness => {
                let time = cosignature::verify(&self.text, line, verifier)?;
                Some(Verified { key, time: Some(time) })
            }
        }
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| f.write_str(&line.to_line()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]
mod tests {
    use super::super::key::tests::{LOG_VKEY, WITNESS_VKEY, log_signer, witness_signer};
    use super::*;
    use proptest::prelude::*;

    const CHECKPOINT: &str = include_str!("../../tests/vectors/log600/checkpoint");

    fn known() -> [Verifier; 2] {
        [Verifier::parse(LOG_VKEY).unwrap(), Verifier::parse(WITNESS_VKEY).unwrap()]
    }

    /// The example of the signed-note page.
    #[test]
    fn the_published_example_verifies() {
        let vkey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
        let note = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL\
                    1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
        let parsed = Note::parse(note.as_bytes()).unwrap();
        assert_eq!(parsed.text(), "This is an example message.\n");
        assert_eq!(parsed.to_string(), note);
        let key = Verifier::parse(vkey).unwrap();
        assert_eq!(parsed.verify(&[key]).unwrap(), [Verified { key: 0, time: None }]);
        assert_eq!(parsed.verify(&known()), Err(NoteError::Unsigned));
    }

    #[test]
    fn the_golden_checkpoint_is_signed_byte_for_byte() {
        let golden = Note::parse(CHECKPOINT.as_bytes()).unwrap();
        assert_eq!(golden.to_string(), CHECKPOINT);
        let verified = golden.verify(&known()).unwrap();
        let expected =
            [Verified { key: 0, time: None }, Verified { key: 1, time: Some(1_750_000_000) }];
        assert_eq!(verified, expected);
        let mut note = Note::sign(golden.text(), &[log_signer()]).unwrap();
        assert_eq!(
            note.to_string(),
            include_str!("../../tests/vectors/log600/checkpoint.log-only")
        );
        note.add(cosignature::sign(note.text(), &witness_signer(), 1_750_000_000).unwrap());
        assert_eq!(note.to_string(), CHECKPOINT);
    }

    #[test]
    fn every_flipped_byte_of_a_note_is_noticed() {
        let bytes = CHECKPOINT.as_bytes();
        for place in 0..bytes.len() {
            let mut spoiled = bytes.to_vec();
            spoiled[place] ^= 1 << (place % 8);
            let verified = Note::parse(&spoiled).and_then(|note| note.verify(&known()));
            assert_ne!(verified.map(|v| v.len()), Ok(2), "byte {place}");
        }
    }

    #[test]
    fn a_failed_line_of_a_known_key_spoils_the_note() {
        let forged = CHECKPOINT.replace("wvftSP4N", "wvftSP4O");
        let error = Note::parse(forged.as_bytes()).unwrap().verify(&known()).unwrap_err();
        assert_eq!(error, NoteError::Forged("ledger.example.com/fieldgate".to_owned()));
        // The same line under an unknown key id is somebody else's and is ignored.
        let unknown = CHECKPOINT.replace("wvftSP4N", "wvftSf4N");
        assert_eq!(Note::parse(unknown.as_bytes()).unwrap().verify(&known()).unwrap().len(), 1);
    }

    #[test]
    fn unknown_lines_are_ignored_wherever_they_stand() {
        let grease = "\u{2014} grease.example/x AAAAAP8=\n";
        let (text, lines) = CHECKPOINT.rsplit_once("\n\n").unwrap();
        let greased = format!("{text}\n\n{grease}{}\n{grease}", lines.trim_end());
        assert_eq!(Note::parse(greased.as_bytes()).unwrap().verify(&known()).unwrap().len(), 2);
        // A key that signed twice counts once.
        let twice = format!("{CHECKPOINT}{}\n", lines.lines().next().unwrap());
        assert_eq!(Note::parse(twice.as_bytes()).unwrap().verify(&known()).unwrap().len(), 2);
    }

    #[test]
    fn malformed_notes_are_refused() {
        let line = "\u{2014} a AAAAAAA=\n";
        for bad in [
            String::new(),
            "\n\n".to_owned(),
            "text\n".to_owned(),
            "text\n\n".to_owned(),
            format!("text\n{line}"),
            format!("te\rxt\n\n{line}"),
            format!("te\0xt\n\n{line}"),
            format!("text\n\n{}", line.trim_end()),
            format!("text\n\n{line}x"),
            format!("text\n\n{line}\n"),
            "text\n\n- a AAAAAAA=\n".to_owned(),
            "text\n\n\u{2014} a\n".to_owned(),
            "text\n\n\u{2014} a AAAAAAA\n".to_owned(),
            "text\n\n\u{2014} a AAAAAA==\n".to_owned(),
            "text\n\n\u{2014} a+b AAAAAAA=\n".to_owned(),
            "text\n\n\u{2014}  AAAAAAA=\n".to_owned(),
            "text\n\n\u{2014} a\u{a0}b AAAAAAA=\n".to_owned(),
            "text\n\n\u{2014} a AAAAAAA= \n".to_owned(),
            format!("text\n\n{}", line.repeat(101)),
        ] {
            assert!(Note::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(Note::parse(format!("text\n\n{}", line.repeat(100)).as_bytes()).is_ok());
        assert!(Note::parse(b"te\xffxt\n\n\xe2\x80\x94 a AAAAAAA=\n").is_err());
        assert_eq!(Note::parse(&vec![b'a'; MAX_BYTES + 1]), Err(NoteError::TooLarge));
        assert!(Note::sign("no newline", &[log_signer()]).is_err());
        assert!(Note::sign("text\n", &[witness_signer()]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_note_or_refused(text in "[\u{2014} a\n+=A]{0,60}") {
            if let Ok(note) = Note::parse(text.as_bytes()) {
                prop_assert_eq!(note.to_string(), text);
            }
        }
    }

    #[test]
    fn the_public_implementation_accepts_our_notes() {
        use signed_note::{StandardVerifier, VerifierList};
        let note = Note::sign("text\nof two lines\n", &[log_signer()]).unwrap().to_string();
        let verifier = StandardVerifier::new(LOG_VKEY).unwrap();
        let theirs = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
        let (good, other) = theirs.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
        assert_eq!((good.len(), other.len()), (1, 0));
    }
}
