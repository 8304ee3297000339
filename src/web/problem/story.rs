//! How a story's bad end becomes a problem: one exhaustive match, and the only one.

use crate::flows::{Error, Thing, UNWITNESSED};

use super::{Code, Problem};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Unknown(_) => Self::new(Code::NotFound),
            Error::Gone(_) => Self::new(Code::Gone),
            Error::Refused(reason, receipt) => Self::refused(reason).recorded(&receipt),
            Error::Conflict(Thing::IdempotencyKey, _) => Self::new(Code::IdempotencyConflict),
            Error::Conflict(thing, says) => {
                Self::new(Code::Conflict).detail(format!("this {thing} is in the way: {says}"))
            }
            Error::Invalid(fault) if fault.at == "cursor" => {
                Self::new(Code::InvalidCursor).detail(fault.says)
            }
            Error::Invalid(fault) => {
                Self::new(Code::InvalidContent).detail(format!("{} {}", fault.at, fault.says))
            }
            Error::Busy { what, retry_after_s } => {
                tracing::warn!(what, "busy");
                let code = match what {
                    UNWITNESSED => Code::LedgerUnwitnessed,
                    _ if what.starts_with("ledger") => Code::LedgerUnavailable,
                    _ => Code::Busy,
                };
                Self::new(code).retry_after_s(retry_after_s)
            }
            Error::Stopped(alarm) => Self::new(Code::LedgerStopped).detail(alarm.to_string()),
            Error::Broken(source) => Self::broken(&*source),
        }
    }
}
