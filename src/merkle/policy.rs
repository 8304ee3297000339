//! Whom a reader trusts: logs, witnesses, and how many of them (`c2sp.org/tlog-policy`).

use super::checkpoint::Checkpoint;
use super::key::{BadKey, KeyType, Verifier};
use super::note::{Note, NoteError};
use super::text::{count, decimal};

/// Longest policy that is read, in bytes.
const MAX_BYTES: usize = 1 << 16;

/// Most logs, witnesses and groups together.
const MAX_MEMBERS: usize = 256;

/// Why a text is not a policy. `line` counts from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy line {line}: {fault}")]
pub struct BadPolicy {
    /// Where; 0 for the policy as a whole.
    pub line: usize,
    /// What is wrong.
    pub fault: PolicyFault,
}

/// What is wrong with a line of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// An octet outside tab, 20–7E and 80–FF, or more than 64 KiB or 256 names.
    #[error("contains a control character or is too long")]
    Octets,
    /// Not `log`, `witness`, `group` or `quorum` with its arguments.
    #[error("expected log, witness, group or quorum with its arguments")]
    Syntax,
    /// A public key is malformed or of the wrong kind.
    #[error("the key is not usable here: {0}")]
    Key(BadKey),
    /// A log's key where a witness's belongs, or the reverse.
    #[error("logs sign with type 0x01, witnesses with type 0x04")]
    KeyType,
    /// The public key stands there already, perhaps under another name.
    #[error("the same public key stands in the policy twice")]
    SameKey,
    /// The name is taken or reserved.
    #[error("the name is taken, or is the reserved word none")]
    Name,
    /// The name was not declared above, or belongs to another group.
    #[error("a member is declared above and belongs to one group at most")]
    Member,
    /// The threshold is not between 1 and the number of members.
    #[error("the threshold lies between 1 and the number of members")]
    Threshold,
    /// There must be exactly one quorum line and at least one log.
    #[error("a policy has at least one log and exactly one quorum")]
    Quorum,
}

/// Why a checkpoint does not convince.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unconvinced {
    /// The text is not a checkpoint.
    #[error("the note is not a checkpoint")]
    NotACheckpoint,
    /// A signature fails, or none is known.
    #[error("the signatures do not verify")]
    Note(#[source] NoteError),
    /// No trusted log of this origin signed.
    #[error("no trusted log of the origin {0} signed")]
    UnknownLog(String),
    /// Too few witnesses cosigned.
    #[error("too few witnesses cosigned")]
    Quorum,
}

/// A witness or a group: its name and what it takes to satisfy it.
#[derive(Debug, Clone)]
struct Member {
    name: Vec<u8>,
    rule: Rule,
    grouped: bool,
}

#[derive(Debug, Clone)]
enum Rule {
    /// Place of the witness's key among `Policy::keys`.
    Witness(usize),
    /// So many of the members at these places, all of them declared earlier.
    Group(u64, Vec<usize>),
}

/// A policy as read.
#[derive(Debug, Clone)]
pub struct Policy {
    keys: Vec<Verifier>,
    members: Vec<Member>,
    quorum: Quorum,
    addresses: Vec<Address>,
}

/// Where a witness of a policy listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The name in the policy; octets that are not UTF-8 are replaced.
    pub name: String,
    /// The witness's key.
    pub key: Verifier,
    /// The URL under which it takes checkpoints.
    pub url: String,
}

/// What must be satisfied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Quorum {
    /// No quorum line so far.
    #[default]
    Missing,
    /// `quorum none`.
    Nobody,
    /// The member at this place.
    Member(usize),
}

impl Policy {
    /// A policy of one log and no witness.
    pub fn of_log(log: Verifier) -> Self {
        Self::of_logs(vec![log])
    }

    /// A policy of these keys of logs and no witness: two keys while one is replaced.
    pub fn of_logs(keys: Vec<Verifier>) -> Self {
        Self { keys, members: Vec::new(), quorum: Quorum::Nobody, addresses: Vec::new() }
    }

    /// The same policy, with these keys of logs beside those that it names. A public key that
    /// stands there already is not added: it has its role.
    #[must_use]
    pub fn trusting(mut self, logs: Vec<Verifier>) -> Self {
        for log in logs.into_iter().filter(is_log) {
            if self.keys.iter().all(|key| key.public_key() != log.public_key()) {
                self.keys.push(log);
            }
        }
        self
    }

    /// Reads a policy file.
    ///
    /// # Errors
    /// The first line that is wrong, and why.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadPolicy> {
        let bad = |line, fault| BadPolicy { line, fault };
        let allowed = |b: &u8| matches!(b, 0x09 | 0x0a | 0x20..=0x7e | 0x80..);
        if bytes.len() > MAX_BYTES || !bytes.iter().all(allowed) {
            return Err(bad(0, PolicyFault::Octets));
        }
        let mut reader = Reader::default();
        for (at, line) in bytes.split(|b| *b == b'\n').enumerate() {
            reader.line(line).map_err(|fault| bad(at + 1, fault))?;
        }
        let Reader { keys, members, quorum, addresses } = reader;
        if quorum == Quorum::Missing || !keys.iter().any(is_log) {
            return Err(bad(0, PolicyFault::Quorum));
        }
        Ok(Self { keys, members, quorum, addresses })
    }

    /// Checks that a trusted log signed this checkpoint of its own, and the quorum cosigned it.
    ///
    /// # Errors
    /// Not a checkpoint, a bad signature of a known key, an unknown log, too few witnesses.
    pub fn check(&self, note: &Note) -> Result<Checkpoint, Unconvinced> {
        let checkpoint = Checkpoint::parse(note.text()).map_err(|_| Unconvinced::NotACheckpoint)?;
        let verified = note.verify(&self.keys).map_err(Unconvinced::Note)?;
        let signed = |key: usize| verified.iter().any(|seen| seen.key == key);
        let by_log =
            self.keys.iter().enumerate().any(|(place, key)| {
                is_log(key) && key.name() == checkpoint.origin && signed(place)
            });
        if !by_log {
            return Err(Unconvinced::UnknownLog(checkpoint.origin));
        }
        if self.is_quorum(signed) { Ok(checkpoint) } else { Err(Unconvinced::Quorum) }
    }

    /// The keys of the logs.
    pub fn logs(&self) -> impl Iterator<Item = &Verifier> {
        self.keys.iter().filter(|key| is_log(key))
    }

    /// The keys of the witnesses.
    pub fn witnesses(&self) -> impl Iterator<Item = &Verifier> {
        self.keys.iter().filter(|key| !is_log(key))
    }

    /// The witnesses that have an address, in the order of the file.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Members stand in the order of declaration, so one pass settles every group.
    fn is_quorum(&self, signed: impl Fn(usize) -> bool) -> bool {
        let mut satisfied: Vec<bool> = Vec::with_capacity(self.members.len());
        for member in &self.members {
            let is = match &member.rule {
                Rule::Witness(key) => signed(*key),
                Rule::Group(threshold, places) => {
                    let holds = |place: &&usize| satisfied.get(**place).copied().unwrap_or(false);
                    count(places.iter().filter(holds).count()) >= *threshold
                }
            };
            satisfied.push(is);
        }
        match self.quorum {
            Quorum::Missing => false,
            Quorum::Nobody => true,
            Quorum::Member(place) => satisfied.get(place).copied().unwrap_or(false),
        }
    }
}

fn is_log(key: &Verifier) -> bool {
    key.key_type() == KeyType::Log
}

/// What has been read so far.
#[derive(Default)]
struct Reader {
    keys: Vec<Verifier>,
    members: Vec<Member>,
    quorum: Quorum,
    addresses: Vec<Address>,
}

impl Reader {
    fn line(&mut self, line: &[u8]) -> Result<(), PolicyFault> {
        let words: Vec<&[u8]> =
            line.split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty()).collect();
        if self.keys.len() + self.members.len() > MAX_MEMBERS {
            return Err(PolicyFault::Octets);
        }
        match words.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", vkey] | [b"log", vkey, _] => self.key(vkey, KeyType::Log).map(|_| ()),
            [b"witness", name, vkey, url @ ..] if url.len() < 2 => {
                let key = self.key(vkey, KeyType::Witness)?;
                self.declare(name, Rule::Witness(key))?;
                url.first().map_or(Ok(()), |url| self.address(name, key, url))
            }
            [b"group", name, threshold, members @ ..] => self.group(name, threshold, members),
            [b"quorum", name] => self.set_quorum(name),
            _ => Err(PolicyFault::Syntax),
        }
    }

    fn key(&mut self, vkey: &[u8], wanted: KeyType) -> Result<usize, PolicyFault> {
        let vkey = std::str::from_utf8(vkey).map_err(|_| PolicyFault::Key(BadKey::Syntax))?;
        let key = Verifier::parse(vkey).map_err(PolicyFault::Key)?;
        if key.key_type() != wanted {
            return Err(PolicyFault::KeyType);
        }
        if self.keys.iter().any(|other| other.public_key() == key.public_key()) {
            return Err(PolicyFault::SameKey);
        }
        self.keys.push(key);
        Ok(self.keys.len() - 1)
    }

    fn address(&mut self, name: &[u8], key: usize, url: &[u8]) -> Result<(), PolicyFault> {
        let url = std::str::from_utf8(url).map_err(|_| PolicyFault::Syntax)?.to_owned();
        let key = self.keys.get(key).ok_or(PolicyFault::Syntax)?.clone();
        let name = String::from_utf8_lossy(name).into_owned();
        self.addresses.push(Address { name, key, url });
        Ok(())
    }

    fn declare(&mut self, name: &[u8], rule: Rule) -> Result<(), PolicyFault> {
        if name == b"none" || self.members.iter().any(|member| member.name == name) {
            return Err(PolicyFault::Name);
        }
        self.members.push(Member { name: name.to_vec(), rule, grouped: false });
        Ok(())
    }

    fn group(
        &mut self,
        name: &[u8],
        threshold: &[u8],
        members: &[&[u8]],
    ) -> Result<(), PolicyFault> {
        let mut places = Vec::with_capacity(members.len());
        for wanted in members {
            let found = self.members.iter_mut().enumerate().find(|(_, m)| m.name == *wanted);
            let (place, member) = found.ok_or(PolicyFault::Member)?;
            if std::mem::replace(&mut member.grouped, true) {
                return Err(PolicyFault::Member);
            }
            places.push(place);
        }
        let all = count(places.len());
        let threshold = match threshold {
            b"all" => Some(all),
            b"any" => Some(1),
            number => std::str::from_utf8(number).ok().and_then(decimal),
        };
        let threshold = threshold.filter(|k| (1..=all).contains(k));
        self.declare(name, Rule::Group(threshold.ok_or(PolicyFault::Threshold)?, places))
    }

    fn set_quorum(&mut self, name: &[u8]) -> Result<(), PolicyFault> {
        if self.quorum != Quorum::Missing {
            return Err(PolicyFault::Quorum);
        }
        let place = self.members.iter().position(|member| member.name == name);
        self.quorum = match place {
            Some(place) => Quorum::Member(place),
            None if name == b"none" => Quorum::Nobody,
            None => return Err(PolicyFault::Member),
        };
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::super::cosignature;
    use super::super::key::Signer;
    use super::super::key::tests::{LOG_VKEY, WITNESS_VKEY, log_signer, witness_signer};
    use super::*;
    use proptest::prelude::*;

    const CHECKPOINT: &[u8] = include_bytes!("../../tests/vectors/log600/checkpoint");

    fn witness(n: u8) -> Signer {
        Signer::from_seed(&format!("w{n}.example"), KeyType::Witness, &[n; 32]).unwrap()
    }

    /// The golden checkpoint's body under the log and these witnesses.
    fn cosigned(witnesses: &[u8]) -> Note {
        let golden = Note::parse(CHECKPOINT).unwrap();
        let mut note = Note::sign(golden.text(), &[log_signer()]).unwrap();
        for n in witnesses {
            note.add(cosignature::sign(golden.text(), &witness(*n), 1).unwrap());
        }
        note
    }

    fn declared(rest: &str) -> String {
        let line = |n| format!("witness w{n} {}", witness(n).verifier());
        let lines = (1..=5).map(line).collect::<Vec<_>>().join("\n");
        format!("# who we trust\nlog {LOG_VKEY} https://ledger.example.com/\n{lines}\n{rest}")
    }

    #[test]
    fn a_quorum_counts_witnesses_and_groups() {
        let rest = "group inner any w1 w2\n\tgroup \t outer  2 inner w3 w4\n\nquorum outer";
        let policy = Policy::parse(declared(rest).as_bytes()).unwrap();
        assert_eq!((policy.logs().count(), policy.witnesses().count()), (1, 5));
        for (witnesses, enough) in [
            (&[][..], false),
            (&[1, 2], false),
            (&[1, 3], true),
            (&[2, 4], true),
            (&[3, 4], true),
            (&[3, 5], false),
            (&[5, 1, 2], false),
            (&[1, 2, 3, 4, 5], true),
        ] {
            let result = policy.check(&cosigned(witnesses));
            let expected = if enough { Ok(600) } else { Err(Unconvinced::Quorum) };
            assert_eq!(result.map(|checkpoint| checkpoint.size), expected, "{witnesses:?}");
        }
        for (rest, witnesses, enough) in [
            ("group g all w1 w2 w3\nquorum g\n", &[1, 2, 3][..], true),
            ("group g all w1 w2 w3\nquorum g\n", &[1, 2], false),
            ("group g 3 w1 w2 w3 w4\nquorum g\n", &[1, 2, 4], true),
            ("quorum w5\n", &[5], true),
            ("quorum w5\n", &[4], false),
            ("quorum none\n", &[], true),
        ] {
            let policy = Policy::parse(declared(rest).as_bytes()).unwrap();
            assert_eq!(policy.check(&cosigned(witnesses)).is_ok(), enough, "{rest} {witnesses:?}");
        }
    }

    #[test]
    fn the_log_itself_must_sign() {
        let only_witness = {
            let golden = Note::parse(CHECKPOINT).unwrap();
            let (text, lines) = (golden.text(), golden.signatures());
            Note::parse(format!("{text}\n{}", lines.last().unwrap().to_line()).as_bytes()).unwrap()
        };
        let text = format!("log {LOG_VKEY}\nwitness w {WITNESS_VKEY}\nquorum w\n");
        let policy = Policy::parse(text.as_bytes()).unwrap();
        assert!(policy.check(&Note::parse(CHECKPOINT).unwrap()).is_ok());
        assert!(matches!(policy.check(&only_witness), Err(Unconvinced::UnknownLog(_))));
        // A trusted log does not vouch for another origin.
        let other = Signer::from_seed("other.example/log", KeyType::Log, &[9; 32]).unwrap();
        let foreign = Note::sign(Note::parse(CHECKPOINT).unwrap().text(), &[other]).unwrap();
        let vkey = Signer::from_seed("other.example/log", KeyType::Log, &[9; 32]).unwrap();
        let policy = Policy::of_log(vkey.verifier().clone());
        assert!(matches!(policy.check(&foreign), Err(Unconvinced::UnknownLog(_))));
        let plain = Note::sign("text\n", &[log_signer()]).unwrap();
        let policy = Policy::of_log(log_signer().verifier().clone());
        assert_eq!(policy.check(&plain), Err(Unconvinced::NotACheckpoint));
    }

    #[test]
    fn a_bad_line_is_named() {
        let w = witness_signer();
        let twin = Signer::from_seed("twin.example", KeyType::Witness, &[1; 32]).unwrap();
        for (rest, line, fault) in [
            ("", 0, PolicyFault::Quorum),
            ("quorum none\nquorum none\n", 9, PolicyFault::Quorum),
            ("quorum w9\n", 8, PolicyFault::Member),
            ("group g any w9\n", 8, PolicyFault::Member),
            ("group g any w1 w1\n", 8, PolicyFault::Member),
            ("group g any w1\ngroup h any w1\n", 9, PolicyFault::Member),
            ("group g any g\n", 8, PolicyFault::Member),
            ("group g any\n", 8, PolicyFault::Threshold),
            ("group g 0 w1\n", 8, PolicyFault::Threshold),
            ("group g 2 w1\n", 8, PolicyFault::Threshold),
            ("group g 01 w1\n", 8, PolicyFault::Threshold),
            ("group none any w1\n", 8, PolicyFault::Name),
            ("group w2 any w1\n", 8, PolicyFault::Name),
            ("quorum\n", 8, PolicyFault::Syntax),
            ("logs x\n", 8, PolicyFault::Syntax),
            ("log x\n", 8, PolicyFault::Key(BadKey::Syntax)),
            (&format!("log {LOG_VKEY}\n"), 8, PolicyFault::SameKey),
            (&format!("log {}\n", w.verifier()), 8, PolicyFault::KeyType),
            (&format!("witness x {LOG_VKEY}\n"), 8, PolicyFault::KeyType),
            (&format!("witness x {}\n", twin.verifier()), 8, PolicyFault::SameKey),
            (&format!("witness w1 {}\n", w.verifier()), 8, PolicyFault::Name),
            (&format!("witness none {}\n", w.verifier()), 8, PolicyFault::Name),
            ("quorum none\r\n", 0, PolicyFault::Octets),
            ("quorum none\0\n", 0, PolicyFault::Octets),
        ] {
            let error = Policy::parse(declared(rest).as_bytes()).unwrap_err();
            assert_eq!(error, BadPolicy { line, fault }, "{rest:?}");
        }
        assert_eq!(Policy::parse(b"quorum none\n").unwrap_err().fault, PolicyFault::Quorum);
        assert!(Policy::parse(&vec![b'#'; MAX_BYTES + 1]).is_err());
    }

    #[test]
    fn a_witness_with_an_address_can_be_asked() {
        let (one, two) = (witness(1), witness(2));
        let text = format!(
            "log {LOG_VKEY} https://log\nwitness a {} https://a/x\nwitness b {}\nquorum a",
            one.verifier(),
            two.verifier()
        );
        let policy = Policy::parse(text.as_bytes()).unwrap();
        assert_eq!(policy.addresses().len(), 1, "one witness has an address");
        let address = policy.addresses().first().unwrap();
        assert_eq!((address.name.as_str(), address.url.as_str()), ("a", "https://a/x"));
        assert_eq!(&address.key, one.verifier());
        let twice = text.replace("https://a/x", "https://a/x https://b");
        assert_eq!(Policy::parse(twice.as_bytes()).unwrap_err().fault, PolicyFault::Syntax);
    }

    #[test]
    fn names_are_octets_and_many_witnesses_are_supported() {
        let mut text = format!("log {LOG_VKEY}\n").into_bytes();
        for n in 1..=40 {
            text.extend_from_slice(b"witness \xff\xfe");
            text.extend_from_slice(format!("{n} {}\n", witness(n).verifier()).as_bytes());
        }
        text.extend_from_slice(b"group g 40");
        for n in 1..=40 {
            text.extend_from_slice(b" \xff\xfe");
            text.extend_from_slice(n.to_string().as_bytes());
        }
        text.extend_from_slice(b"\nquorum g");
        let policy = Policy::parse(&text).unwrap();
        let all: Vec<u8> = (1..=40).collect();
        assert!(policy.check(&cosigned(&all)).is_ok());
        assert!(policy.check(&cosigned(all.split_last().unwrap().1)).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_policy_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            words in "(log|group|quorum|witness|none|any|[ \t\n#a1]){0,40}",
        ) {
            let _ = Policy::parse(&bytes);
            let _ = Policy::parse(words.as_bytes());
        }
    }
}
