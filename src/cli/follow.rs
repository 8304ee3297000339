//! What follows the registry while the doors are open: trust, live connections, keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock::{Moment, SECOND};
use crate::flows::{Gateway, Registry};
use crate::id::KeyId;
use crate::secret::KeyBytes;
use crate::store::{Store, key_rows};
use crate::vault::keyring::{KeyUse, Keyring};
use crate::web::partner::token::Tokens;
use crate::web::partner::token_keys::TokenKeys;
use crate::web::tls::registry::snapshot_of;
use crate::web::tls::trust::Trust;

use super::doors::DoorFault;

/// A new token key is published for so long before it signs: twice the `max-age` of the JWKS, so
/// that every replica and every reader knows it by then.
const SETTLES_IN: i64 = 600 * SECOND;

/// Follows the registry; cheap to clone.
#[derive(Clone)]
pub(super) struct Follow {
    gateway: Gateway,
    store: Store,
    master: Arc<KeyBytes>,
    trust: Arc<Trust>,
    tokens: Arc<Tokens>,
    roots: Arc<Vec<Vec<u8>>>,
    reading: Arc<AtomicBool>,
}

impl Follow {
    /// Follows the registry for the doors that trust it; `keys` is where the key ring is read
    /// again and what opens it.
    pub(super) fn new(
        gateway: Gateway,
        (store, master): (Store, Arc<KeyBytes>),
        (trust, tokens): (Arc<Trust>, Arc<Tokens>),
        roots: Vec<Vec<u8>>,
    ) -> Self {
        let (roots, reading) = (Arc::new(roots), Arc::default());
        Self { gateway, store, master, trust, tokens, roots, reading }
    }

    /// Takes in what the watch saw. An unchanged registry confirms the trust at hand.
    pub(super) fn see(&self, registry: &Registry, at: Moment) {
        if registry.version == self.trust.load().version {
            self.trust.confirm(at);
        } else {
            match snapshot_of(registry, at, &self.roots) {
                Ok(snapshot) => {
                    let cut = self.trust.replace(snapshot);
                    tracing::info!(version = registry.version, cut, "registry changed");
                }
                // The snapshot in force stays and goes stale: 503 after 30 seconds.
                Err(error) => tracing::error!(%error, "the registry cannot be trusted"),
            }
            self.read_keys();
        }
        self.sign_with_what_settled(at);
    }

    /// Opens the key ring anew, beside the watch: a slow database must not hold the watch up.
    fn read_keys(&self) {
        if self.reading.swap(true, Ordering::AcqRel) {
            return;
        }
        let follow = self.clone();
        tokio::spawn(async move {
            let rows = follow.store.read(key_rows::list_keys).await;
            follow.reading.store(false, Ordering::Release);
            match rows.map(|rows| Keyring::open(&follow.master, &rows)) {
                Ok(Ok(keyring)) => follow.gateway.swap_keyring(keyring),
                Ok(Err(error)) => tracing::error!(%error, "the key ring does not open"),
                Err(error) => tracing::warn!(%error, "the key ring cannot be read"),
            }
        });
    }

    fn sign_with_what_settled(&self, at: Moment) {
        let keyring = self.gateway.keyring();
        match token_keys(&keyring, at) {
            Ok(keys) => self.tokens.replace_keys(keys),
            Err(fault) => tracing::error!(%fault, "the token keys cannot be used"),
        }
    }
}

/// The keys that verify tokens, and the one that signs: the newest that has been published long
/// enough, or the oldest of an installation that has none so old.
pub(super) fn token_keys(keyring: &Keyring, now: Moment) -> Result<TokenKeys, DoorFault> {
    let all = keyring.all(KeyUse::Token);
    let settled =
        |id: &&KeyId| keyring.created_at(**id).is_some_and(|made| made.plus(SETTLES_IN) <= now);
    let none = "the key ring has no token key; make one: fieldgate key rotate --use token";
    let signing = all.iter().find(settled).or(all.last()).copied();
    let signing = signing.ok_or_else(|| DoorFault::settings(none))?;
    let document = |id| keyring.document(id).map_err(DoorFault::settings);
    let others: Result<Vec<_>, _> =
        all.iter().filter(|id| **id != signing).map(|id| document(*id)).collect();
    TokenKeys::new(&document(signing)?, &others?).map_err(DoorFault::settings)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;
    use crate::vault::authority::new_signing_key;

    fn kid_of_signer(keys: &TokenKeys) -> String {
        keys.signing_kid().to_owned()
    }

    #[test]
    fn a_new_token_key_is_published_before_it_signs() {
        let master = KeyBytes::new([1; 32]);
        let made = |at| {
            let document = new_signing_key().unwrap();
            Keyring::seal_new(&master, KeyUse::Token, Some(&document), Moment(at)).unwrap()
        };
        let (old, new) = (made(0), made(1_000 * SECOND));
        let first = Keyring::open(&master, std::slice::from_ref(&old)).unwrap();
        let both = Keyring::open(&master, &[old, new]).unwrap();
        let at = |ring: &Keyring, seconds: i64| {
            kid_of_signer(&token_keys(ring, Moment(seconds * SECOND)).unwrap())
        };
        let former = at(&first, 0);
        assert_eq!(at(&both, 1_000), former);
        assert_eq!(at(&both, 1_599), former);
        assert_ne!(at(&both, 1_600), former);
    }
}
