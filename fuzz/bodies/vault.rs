//! Targets of the vault: certificates, signing requests, lead ids, cursors.

use std::sync::OnceLock;

use fieldgate::clock::Moment;
use fieldgate::id::{ContactNo, PartnerId, Thumbprint};
use fieldgate::secret::KeyBytes;
use fieldgate::vault::authority::{csr_from_pem_or_der, csr_key_hash, read_csr};
use fieldgate::vault::certificate::{chain_from_pem, leaf_from_pem, read_leaf};
use fieldgate::vault::keyring::{KeyUse, Keyring};
use fieldgate::vault::ticket::{lead_id as new_lead_id, open_ticket, read_lead_id, seal_ticket};

use super::{edited, text};

pub fn certificate(input: &[u8]) {
    if let Ok(facts) = read_leaf(input) {
        assert_eq!(facts.thumbprint, Thumbprint::of(input));
        assert_eq!(read_leaf(input), Ok(facts));
    }
    if let (Ok(leaf), Ok(chain)) = (leaf_from_pem(input), chain_from_pem(input)) {
        assert_eq!(chain, [leaf], "one certificate is a chain of one");
    }
}

pub fn signing_request(input: &[u8]) {
    let Ok(der) = csr_from_pem_or_der(input) else { return };
    if let Ok(request) = read_csr(&der) {
        let again = read_csr(&der).unwrap();
        assert_eq!(csr_key_hash(&request), csr_key_hash(&again));
    }
}

struct Seals {
    keyring: Keyring,
    partner: PartnerId,
    lead: String,
    cursor: String,
}

/// Made once for each process: no key is committed, and nothing in the corpus opens.
fn seals() -> &'static Seals {
    static SEALS: OnceLock<Seals> = OnceLock::new();
    SEALS.get_or_init(|| {
        let master = KeyBytes::new([1; 32]);
        let new = |usage| Keyring::seal_new(&master, usage, None, Moment(1)).unwrap();
        let rows = [new(KeyUse::Lead), new(KeyUse::Ticket)];
        let keyring = Keyring::open(&master, &rows).unwrap();
        let partner = PartnerId::new();
        let lead = new_lead_id(&keyring, partner, ContactNo(4711)).unwrap();
        let cursor = seal_ticket(&keyring, b"of this query", b"after 4711").unwrap();
        Seals { keyring, partner, lead, cursor }
    })
}

pub fn lead_id(input: &[u8]) {
    let Seals { keyring, partner, lead, .. } = seals();
    let edited = edited(lead, input);
    for candidate in [text(input), Some(&edited)].into_iter().flatten() {
        let read = read_lead_id(keyring, *partner, candidate);
        assert_eq!(read.is_ok(), candidate == lead, "{candidate}");
        assert!(read_lead_id(keyring, PartnerId::new(), candidate).is_err(), "{candidate}");
    }
}

pub fn cursor(input: &[u8]) {
    let Seals { keyring, cursor, .. } = seals();
    let edited = edited(cursor, input);
    for candidate in [text(input), Some(&edited)].into_iter().flatten() {
        let read = open_ticket(keyring, b"of this query", candidate);
        assert_eq!(read.is_ok(), candidate == cursor, "{candidate}");
        assert!(open_ticket(keyring, b"of another", candidate).is_err(), "{candidate}");
    }
}
