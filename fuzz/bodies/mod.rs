//! What each fuzz target does with its input; shared by the fuzzer and by `cargo test`.
//!
//! Every target may refuse its input, must not panic, and asserts what holds where it does not
//! refuse: mostly that what was read is written back byte for byte.

mod doors;

mod files;

mod logs;

mod outside;

mod vault;

/// Every target by name.
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("access_token", doors::access_token),
    ("add_checkpoint", logs::add_checkpoint),
    ("anchor_file", files::anchor_file),
    ("certificate", vault::certificate),
    ("checkpoint", logs::checkpoint),
    ("contacts_csv", files::contacts_csv),
    ("cursor", vault::cursor),
    ("database_url", files::database_url),
    ("entry", logs::entry),
    ("entry_bundle", logs::entry_bundle),
    ("field_values", files::field_values),
    ("identifiers", files::identifiers),
    ("intake_body", doors::intake_body),
    ("item", logs::item),
    ("item_run", logs::item_run),
    ("lead_id", vault::lead_id),
    ("leads_query", doors::leads_query),
    ("note", logs::note),
    ("policy_file", files::policy_file),
    ("proof_bundle", logs::proof_bundle),
    ("proofs", logs::proofs),
    ("recall_body", doors::recall_body),
    ("settings", files::settings),
    ("signing_request", vault::signing_request),
    ("tile_path", logs::tile_path),
    ("timestamp", outside::timestamp),
    ("tlog_policy", logs::tlog_policy),
    ("tlog_proof", logs::tlog_proof),
];

/// The input as text; targets that read text look at nothing else.
fn text(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input).ok()
}

/// A right text with the edits that the input asks for: three bytes each, two of place and one of
/// what is put there. A fuzzer would never find a valid seal by itself; so it begins at one.
fn edited(right: &str, input: &[u8]) -> String {
    let mut bytes = right.as_bytes().to_vec();
    for edit in input.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % bytes.len();
        bytes[place] = edit[2] & 0x7f;
    }
    String::from_utf8(bytes).unwrap()
}
