//! Every kind of entry the ledger can hold, one row each.

use crate::domain::codes;

codes! {
    /// What happened. The code stands in the entry as `k` and in the projection.
    Kind {
        /// Fields of contacts were released to a partner.
        Release = "release",
        /// A partner asked and got nothing.
        Withhold = "withhold",
        /// A contact was collected.
        Intake = "intake",
        /// A person said yes or no to a purpose.
        Choice = "choice",
        /// A contact's fields were corrected.
        Correct = "correct",
        /// A person withdrew.
        Withdraw = "withdraw",
        /// A contact was erased.
        Erase = "erase",
        /// Processing of a contact was restricted, or the restriction lifted.
        Restrict = "restrict",
        /// A recall was opened.
        RecallOpen = "recall.open",
        /// The partner was told.
        RecallTold = "recall.told",
        /// The partner confirmed receipt.
        RecallReceived = "recall.received",
        /// The partner says it erased the data.
        RecallErased = "recall.erased",
        /// The partner says it never held or no longer holds the data.
        RecallNotHeld = "recall.not_held",
        /// The partner refused, with a reason.
        RecallRefused = "recall.refused",
        /// The partner let the deadline pass.
        RecallOverdue = "recall.overdue",
        /// A partner was entered into the registry.
        PartnerAdd = "partner.add",
        /// A partner was approved, by a second person.
        PartnerApprove = "partner.approve",
        /// An approved partner became active.
        PartnerActivate = "partner.activate",
        /// A partner's terms or contacts were changed.
        PartnerChange = "partner.change",
        /// A partner was suspended.
        PartnerSuspend = "partner.suspend",
        /// A suspended partner became active again.
        PartnerResume = "partner.resume",
        /// A partner left for good.
        PartnerOffboard = "partner.offboard",
        /// A certificate was registered for a partner.
        CertificateBind = "certificate.bind",
        /// A certificate was revoked.
        CertificateRevoke = "certificate.revoke",
        /// A grant was given or changed.
        GrantSet = "grant.set",
        /// A grant was ended.
        GrantEnd = "grant.end",
        /// A policy version was drafted.
        PolicyDraft = "policy.draft",
        /// A policy version was published.
        PolicyPublish = "policy.publish",
        /// A member of staff did something that no other kind names; `op` says what.
        StaffAct = "staff.act",
        /// Somebody asked who received what; a person's own report too.
        AuditQuery = "audit.query",
        /// A key was replaced.
        KeyRotate = "key.rotate",
        /// Old bodies were removed under a written retention rule.
        Prune = "prune",
        /// The ledger went on from a backup: a declared break, which raises the epoch.
        Restore = "restore",
    }
}

impl Kind {
    /// Whether it is a step of a recall.
    pub const fn is_recall(self) -> bool {
        matches!(
            self,
            Self::RecallOpen
                | Self::RecallTold
                | Self::RecallReceived
                | Self::RecallErased
                | Self::RecallNotHeld
                | Self::RecallRefused
                | Self::RecallOverdue
        )
    }

    /// `release` or `withhold` for the two answers to a partner's request, else nothing.
    pub const fn decision(self) -> Option<&'static str> {
        match self {
            Self::Release | Self::Withhold => Some(self.code()),
            _ => None,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}
