//! What counts as a timestamp: our verdict and that of `openssl ts -verify`, on real answers.

use std::path::Path;

use fieldgate::jobs::timestamp::{ANSWER_BYTES_MAX, BadAnswer, Query, Timestamp};
use fieldgate::vault::certificate::chain_from_pem;

use crate::harness::stamps::Openssl;

const NOTE: &[u8] = b"log.example\n1\nroot\n";

/// Certificates of an authority, and a note to stamp.
struct Court(Openssl);

impl Court {
    fn new() -> Self {
        let openssl = Openssl::new();
        std::fs::write(openssl.path("note"), NOTE).unwrap();
        std::fs::write(openssl.path("query"), query().to_der().unwrap()).unwrap();
        Self(openssl)
    }

    fn answer(&self, by: (&str, &str), more: &str) -> Vec<u8> {
        self.0.answer(&query().to_der().unwrap(), by, more)
    }

    /// An answer that somebody else signed: `openssl ts` itself refuses most of them as signers.
    fn signed_by(&self, signer: &str) -> Vec<u8> {
        let right = self.answer(("by_sha256", "good"), "");
        std::fs::write(self.0.path("right"), right).unwrap();
        let key = signer.split(' ').next().unwrap();
        for step in [
            "ts -reply -in right -token_out -out token".to_owned(),
            "cms -verify -noverify -binary -inform DER -in token -out facts".to_owned(),
            format!(
                "cms -sign -binary -nodetach -cades -md sha256 -in facts -outform DER -out token \
                 -econtent_type 1.2.840.113549.1.9.16.1.4 -inkey {key}.key -signer {key}.pem {}",
                signer.strip_prefix(key).unwrap()
            ),
            "ts -reply -in token -token_in -out forged".to_owned(),
        ] {
            assert!(self.0.ends_well(&step), "openssl {step}");
        }
        std::fs::read(self.0.path("forged")).unwrap()
    }

    /// What openssl says of an answer, by the note and by the query.
    fn openssl_accepts(&self, answer: &[u8]) -> bool {
        std::fs::write(self.0.path("answer"), answer).unwrap();
        let by_note = self.0.accepts(&self.0.path("note"), &self.0.path("answer"));
        let by_query = "ts -verify -queryfile query -in answer -CAfile ca.pem";
        assert_eq!(by_note, self.0.ends_well(by_query));
        by_note
    }

    /// What we say of it, trusting these.
    fn verdict(&self, answer: &[u8], trusted: &[&str]) -> Result<Timestamp, BadAnswer> {
        let trusted: Vec<_> = trusted.iter().map(|name| self.0.certificate(name)).collect();
        query().check(answer, &trusted)
    }
}

fn query() -> Query {
    Query::about(NOTE, Some([0xff; 8]))
}

#[test]
fn an_answer_counts_when_openssl_accepts_it() {
    let court = Court::new();
    let chains = ["-chain between.pem", "-chain both.pem", "-chain turned.pem"];
    let pem = |name: &str| std::fs::read_to_string(court.0.path(name)).unwrap();
    std::fs::write(court.0.path("both.pem"), pem("between.pem") + &pem("ca.pem")).unwrap();
    std::fs::write(court.0.path("turned.pem"), pem("ca.pem") + &pem("between.pem")).unwrap();
    let cases =
        ["by_sha1", "by_sha256", "exact"].map(|section| [(section, "good"), (section, "rsa")]);
    let plain = cases.concat().into_iter().map(|by| (by, ""));
    for (by, more) in plain.chain(chains.map(|more| (("exact", "deep"), more))) {
        let answer = court.answer(by, more);
        assert!(court.openssl_accepts(&answer), "{by:?} {more}");
        let found = court.verdict(&answer, &["ca"]);
        let found = found.unwrap_or_else(|bad| panic!("{by:?} {more}: {bad}"));
        assert_eq!(found.signer, format!("CN={},O=Stamps", by.1));
        let now = fieldgate::clock::Clock::System.now().seconds();
        assert!((now - 60..=now).contains(&i64::try_from(found.seconds).unwrap()), "{found:?}");
        assert_eq!(court.verdict(&answer, &["other", "ca"]), Ok(found.clone()), "any of them");
        let later = Query::about(NOTE, None).check(&answer, &[court.0.certificate("ca")]);
        assert_eq!(later, Ok(found));
        assert_eq!(court.verdict(&answer, &["other"]), Err(BadAnswer::Signer));
        assert_eq!(court.verdict(&answer, &[]), Err(BadAnswer::Signer));
        let trusted = [court.0.certificate("ca")];
        let other_nonce = Query::about(NOTE, Some([1; 8])).check(&answer, &trusted);
        assert_eq!(other_nonce, Err(BadAnswer::OtherNonce));
        let other_data = Query::about(b"another", None).check(&answer, &trusted);
        assert_eq!(other_data, Err(BadAnswer::OtherData));
    }
}

#[test]
fn an_answer_that_openssl_refuses_does_not_count() {
    let court = Court::new();
    for (by, why) in [
        (("by_sha256", "foreign"), BadAnswer::Signer),
        (("by_sha256", "expired"), BadAnswer::Signer),
        (("by_sha256", "deep"), BadAnswer::Signer),
        (("refuses", "good"), BadAnswer::Refused(2)),
    ] {
        let answer = court.answer(by, "");
        assert_eq!(court.verdict(&answer, &["ca"]), Err(why), "{by:?}");
        assert!(!court.openssl_accepts(&answer), "{by:?}");
    }
    // Stricter than openssl: a signature over SHA-1.
    let weak = court.answer(("weak", "good"), "");
    assert_eq!(court.verdict(&weak, &["ca"]), Err(BadAnswer::Algorithm));
}

#[test]
fn a_changed_answer_never_says_another_time_or_signer() {
    let court = Court::new();
    let trusted = [court.0.certificate("ca")];
    let answer = court.answer(("by_sha256", "good"), "");
    let said = query().check(&answer, &trusted).unwrap();
    let mut counts = Vec::new();
    for place in 0..answer.len() {
        let mut changed = answer.clone();
        changed[place] ^= 1;
        if let Ok(found) = query().check(&changed, &trusted) {
            assert_eq!(found, said, "byte {place}");
            counts.push(place);
        }
    }
    // What no signature covers is a handful: the rest was refused.
    assert!(counts.len() < answer.len() / 50, "{counts:?} of {}", answer.len());
    for end in (0..answer.len()).step_by(7) {
        assert!(query().check(&answer[..end], &trusted).is_err(), "cut at {end}");
    }
    let longer = [&answer[..], b"0"].concat();
    assert_eq!(query().check(&longer, &trusted), Err(BadAnswer::Syntax));
    let long = vec![0x30; ANSWER_BYTES_MAX + 1];
    assert_eq!(query().check(&long, &trusted), Err(BadAnswer::TooLong));
    assert_eq!(query().check(b"<html>", &trusted), Err(BadAnswer::Syntax));
}

#[test]
fn what_only_the_list_of_hashes_says_is_checked_as_openssl_checks_it() {
    let court = Court::new();
    let answer = court.answer(("by_sha256", "good"), "");
    // SHA-256 stands first in the list of digests, then in the imprint, then with the signer.
    let sha256 = [0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
    let at = answer.windows(11).position(|eleven| eleven == sha256).unwrap();
    let mut changed = answer;
    changed[at + 10] = 0x03;
    assert!(!court.openssl_accepts(&changed));
    assert_eq!(court.verdict(&changed, &["ca"]), Err(BadAnswer::Syntax));
}

#[test]
fn a_signer_who_may_do_more_than_stamp_does_not_count() {
    let court = Court::new();
    for (signer, expected) in [
        ("good", None),
        ("server", Some(BadAnswer::Signer)),
        ("two", Some(BadAnswer::Signer)),
        ("between", Some(BadAnswer::Signer)),
        ("rsa -keyopt rsa_padding_mode:pss", Some(BadAnswer::Algorithm)),
    ] {
        let answer = court.signed_by(signer);
        assert_eq!(court.verdict(&answer, &["ca"]).err(), expected, "{signer}");
        let stricter = expected == Some(BadAnswer::Algorithm);
        assert!(stricter || court.openssl_accepts(&answer) == expected.is_none(), "{signer}");
    }
}

#[test]
fn a_timestamp_outlives_the_certificate_of_its_signer() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/timestamp");
    let file = |name: &str| vectors.join(name);
    let [note, answer, pem] = ["checkpoint.note", "checkpoint.tsr", "authority.crt"]
        .map(|name| std::fs::read(file(name)).unwrap());
    let trusted = chain_from_pem(&pem).unwrap();
    let found = Query::about(&note, None).check(&answer, &trusted).unwrap();
    // It was stamped in the last minute in which that certificate was valid.
    assert_eq!(found.seconds, 1_795_728_412);
    let openssl = |more: &str| {
        let [note, answer, pem] = ["checkpoint.note", "checkpoint.tsr", "authority.crt"]
            .map(|name| file(name).display().to_string());
        let mut command = std::process::Command::new("openssl");
        command.args(["ts", "-verify", "-data", &note, "-in", &answer, "-CAfile", &pem]);
        command.args(more.split_whitespace()).output().unwrap().status.success()
    };
    assert!(openssl(&format!("-partial_chain -attime {}", found.seconds)));
    assert!(!openssl("-partial_chain"), "openssl judges as of today unless it is told");
}
