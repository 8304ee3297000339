//! Timestamps of a stranger (RFC 3161): the question, who is asked, and whether an answer counts.

mod answer;

mod authority;

mod form;

mod signer;

pub use answer::{ANSWER_BYTES_MAX, BadAnswer, Query, Timestamp};
pub use authority::{TimestampAuthority, Unanswered};
