//! Tokens that are void before their time: by `jti`, or all of a partner's up to a moment.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Moment;
use crate::id::{PartnerId, TokenId};

/// How many single tokens are remembered. One more, and the partner that asks loses all its
/// tokens instead: forgetting one would bring it back to life.
const TOKENS_MAX: usize = 50_000;

#[derive(Debug, Default)]
struct Lists {
    tokens: HashMap<TokenId, Moment>,
    floors: HashMap<PartnerId, Moment>,
}

/// Tokens revoked at this process (RFC 7009), each until it would have ended anyway.
#[derive(Debug, Default)]
pub struct Revoked {
    lists: Mutex<Lists>,
}

impl Revoked {
    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a token void. `ends_at` is when it may be forgotten.
    pub fn revoke(&self, token: TokenId, owner: PartnerId, ends_at: Moment, now: Moment) {
        let mut lists = self.lists();
        if lists.tokens.len() >= TOKENS_MAX {
            lists.tokens.retain(|_, ends_at| *ends_at >= now);
        }
        if lists.tokens.len() >= TOKENS_MAX {
            lists.floors.insert(owner, now);
        } else {
            lists.tokens.insert(token, ends_at);
        }
    }

    /// Whether a token of this partner, issued at `issued_at`, is void.
    pub fn is_void(&self, token: TokenId, owner: PartnerId, issued_at: Moment) -> bool {
        let lists = self.lists();
        lists.tokens.contains_key(&token)
            || lists.floors.get(&owner).is_some_and(|floor| issued_at <= *floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_list_voids_more_never_less() {
        let revoked = Revoked::default();
        let (owner, other) = (PartnerId::new(), PartnerId::new());
        let first = TokenId::new();
        revoked.revoke(first, owner, Moment(100), Moment(1));
        for _ in 1..TOKENS_MAX {
            revoked.revoke(TokenId::new(), other, Moment(100), Moment(1));
        }
        let one_more = TokenId::new();
        revoked.revoke(one_more, owner, Moment(100), Moment(2));
        assert!(revoked.is_void(first, owner, Moment(0)));
        assert!(revoked.is_void(one_more, owner, Moment(2)));
        assert!(!revoked.is_void(TokenId::new(), other, Moment(2)));
        revoked.revoke(TokenId::new(), other, Moment(300), Moment(200));
        assert!(!revoked.is_void(first, other, Moment(201)), "ended tokens are forgotten");
    }
}
