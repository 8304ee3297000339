//! The glossary as types: nouns of the product and the pure rules over them.

mod catalogue;

pub(crate) use catalogue::codes;
pub use catalogue::{UnknownCode, find_code};

/// Every contact field, one row each.
pub mod field;

/// Every purpose, one row each.
pub mod purpose;

/// What a policy version discloses.
pub mod policy;

/// Partners and their states.
pub mod partner;

/// What a partner may receive, where and until when.
pub mod grant;

/// Contacts, collection points, countries.
pub mod contact;

/// Choices: yes or no to a purpose.
pub mod consent;

/// On which ground a person's data goes, and when the last trace may.
pub mod erasure;

/// What is demanded back from partners, and what they answer.
pub mod recall;

/// How long bodies of entries are kept.
pub mod retention;

/// Which fields of whom, for what, or why not.
pub mod disclosure;
