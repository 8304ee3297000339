//! One receipt, told so that a lawyer understands it: what, to whom, for what, when, who vouches.

use std::io;
use std::path::Path;

use serde::Serialize;

use crate::clock::Moment;
use crate::domain::field::Field;
use crate::domain::purpose::Purpose;
use crate::ledger::Kind;
use crate::ledger::verify::{self, ReceiptError, VerifiedReceipt};
use crate::merkle::key::Verifier;
use crate::merkle::policy::{Policy, Unconvinced};
use crate::merkle::tlog_proof::{TlogProof, TlogProofError};

use super::super::installation::{chain, read_file};
use super::super::partners::invalid;
use super::super::say::{Ending, Failure, Say, Voice};
use super::policy;

/// What no receipt proves, whatever it says.
const NOT_PROVED: [&str; 4] = [
    "that the partner received the answer: the entry is written before anything leaves",
    "who the people are: the ledger knows them by random references only",
    "that the time is right: it is the clock of the company that keeps the log",
    "that everybody is shown the same log: compare your receipts with the published log \
     (`fieldgate ledger gossip`), or ask for witnesses in your policy",
];

/// A checked receipt in words and for machines.
#[derive(Debug, Serialize)]
struct Verdict {
    verified: bool,
    index: u64,
    size: u64,
    origin: String,
    /// Names of the witnesses that cosigned, and when they say they did.
    witnesses: Vec<(String, String)>,
    entry: String,
    #[serde(skip)]
    records: Vec<String>,
}

impl Verdict {
    fn of(receipt: &VerifiedReceipt, witnesses: Vec<(String, String)>) -> Self {
        Self {
            verified: true,
            index: receipt.index,
            size: receipt.checkpoint.size,
            origin: receipt.checkpoint.origin.clone(),
            witnesses,
            entry: String::from_utf8_lossy(&receipt.bytes).into_owned(),
            records: records(receipt),
        }
    }
}

/// What the entry says, a line each.
fn records(receipt: &VerifiedReceipt) -> Vec<String> {
    let facts = &receipt.entry.facts;
    let people = receipt.entry.items.map_or(0, |items| items.count);
    let what = match facts.kind {
        Kind::Release => format!("personal data of {} was disclosed", persons(people)),
        Kind::Withhold => "a partner asked for personal data, and nothing was disclosed".to_owned(),
        Kind::Intake => format!("details of {} were taken in", persons(people)),
        other => format!("an act of the kind {other} was recorded"),
    };
    let label = |field: Field| field.row().label;
    let listed = |fields: crate::domain::field::FieldSet| {
        fields.iter().map(label).collect::<Vec<_>>().join(", ")
    };
    let purpose = |one: Purpose| format!("{} ({})", one.row().label, one.code());
    let lines = [
        Some(("what", what)),
        facts.partner.map(|partner| ("to whom", format!("the partner {partner}"))),
        facts.purpose.map(|one| ("for what", purpose(one))),
        facts.fields.map(|fields| ("which data", listed(fields))),
        facts.reason.map(|reason| ("why not", reason.row().label.to_owned())),
        facts.policy.map(|version| ("under", format!("version {version} of the privacy policy"))),
        Some(("when", facts.at.rfc3339())),
        facts.certificate.map(|one| ("over", format!("the connection with certificate {one}"))),
        Some(("how", format!("operation {}, request {}", facts.op, facts.request))),
    ];
    lines.into_iter().flatten().map(|(name, says)| format!("{name:<11}{says}")).collect()
}

fn persons(count: u32) -> String {
    if count == 1 { "1 person".to_owned() } else { format!("{count} persons") }
}

impl Say for Verdict {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self { index, size, origin, .. } = self;
        writeln!(out, "VERIFIED: this receipt is genuine.\n\nWhat was recorded")?;
        self.records.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        writeln!(out, "\nWho vouches for it")?;
        writeln!(out, "  the log {origin} signed a ledger of {size} entries;")?;
        writeln!(out, "  this is entry {index} of it, and cannot be altered, moved or left out")?;
        writeln!(out, "  without contradicting that signature")?;
        for (name, time) in &self.witnesses {
            writeln!(out, "  the witness {name} had seen that ledger at {time}")?;
        }
        if self.witnesses.is_empty() {
            writeln!(out, "  no witness of your policy: it rests on the log's signature alone")?;
        }
        writeln!(out, "\nWhat it does not prove")?;
        NOT_PROVED.iter().try_for_each(|line| writeln!(out, "  - {line}"))
    }
}

/// Checks a receipt offline against a vkey or a policy.
pub(crate) fn verify_receipt(file: &Path, key: &str, voice: Voice) -> Result<Ending, Failure> {
    let text =
        String::from_utf8(read_file(file)?).map_err(|_| invalid("receipt", "is not UTF-8"))?;
    let policy = policy(key)?;
    match verify::verify_receipt(&text, &policy) {
        Ok(receipt) => {
            voice.tell(&Verdict::of(&receipt, cosigned(&text, &policy)));
            Ok(Ending::Done)
        }
        Err(error) => {
            let says = format!("NOT VERIFIED: {}", chain(&error));
            Err(Failure::new(Ending::Wrong, says).hint(reason(&error)))
        }
    }
}

/// The witnesses of the policy that cosigned the receipt's checkpoint.
fn cosigned(text: &str, policy: &Policy) -> Vec<(String, String)> {
    let keys: Vec<Verifier> = policy.witnesses().cloned().collect();
    let Ok(proof) = TlogProof::parse(text) else { return Vec::new() };
    let seen = proof.checkpoint.verify(&keys).unwrap_or_default();
    let name = |key: usize| keys.get(key).map(|key| key.name().to_owned());
    let time = |seconds: Option<u64>| {
        let seconds = seconds.and_then(|seconds| i64::try_from(seconds).ok());
        seconds.map(|seconds| Moment::from_seconds(seconds).rfc3339())
    };
    seen.iter().filter_map(|one| Some((name(one.key)?, time(one.time)?))).collect()
}

/// What the failure means, and what to do.
fn reason(error: &ReceiptError) -> &'static str {
    match error {
        ReceiptError::Proof(TlogProofError::Syntax | TlogProofError::Note(_)) => {
            "this is no receipt, or it was damaged on its way: get the file again"
        }
        ReceiptError::Proof(TlogProofError::Policy(Unconvinced::UnknownLog(_))) => {
            "the receipt belongs to another log than the one you trust: check which company it \
             comes from, and whether you hold that log's key"
        }
        ReceiptError::Proof(TlogProofError::Policy(Unconvinced::Quorum)) => {
            "the log signed, but fewer witnesses confirmed it than your policy asks for: fetch the \
             receipt again later, it then carries more of them"
        }
        ReceiptError::Proof(TlogProofError::Policy(_)) => {
            "the signature does not fit: the receipt was altered after it was signed, or the key \
             is not that log's key"
        }
        ReceiptError::Proof(TlogProofError::NotIncluded { .. }) => {
            "what the file shows is not what was signed: the entry was altered, or moved to \
             another place"
        }
        ReceiptError::NoEntry => "ask for the receipt with its entry inside (its `extra` line)",
        ReceiptError::Entry(_) => {
            "the log did sign these bytes, but they are no entry of this format: a newer version \
             of fieldgate may read them"
        }
    }
}
