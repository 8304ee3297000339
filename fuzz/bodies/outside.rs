//! Targets of whatever strangers outside answer to a job.

use std::sync::OnceLock;

use fieldgate::jobs::timestamp::Query;
use fieldgate::vault::certificate::chain_from_pem;

const NOTE: &[u8] = include_bytes!("../../tests/vectors/timestamp/checkpoint.note");
const AUTHORITY: &[u8] = include_bytes!("../../tests/vectors/timestamp/authority.crt");

/// When the seeds were stamped: the key that did it is gone.
const STAMPED: std::ops::RangeInclusive<u64> = 1_795_728_412..=1_795_728_413;

pub fn timestamp(input: &[u8]) {
    static TRUSTED: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let trusted = TRUSTED.get_or_init(|| chain_from_pem(AUTHORITY).unwrap());
    let query = Query::about(NOTE, None);
    if let Ok(found) = query.check(input, trusted) {
        assert!(STAMPED.contains(&found.seconds), "a time that nobody stated: {found:?}");
        assert_eq!(found.signer, "CN=Example time,O=Example");
        assert!(query.check(input, &[]).is_err(), "trusted without an authority");
        assert!(Query::about(b"", None).check(input, trusted).is_err(), "counts for other data");
    }
}
