//! A partner applies, is approved by a second person, bound to a certificate, granted, suspended.

use crate::domain::grant::Grant;
use crate::domain::partner::{
    Certificate, CertificateSource, CertificateStatus, Partner, PartnerFault, PartnerState,
};
use crate::id::Thumbprint;
use crate::ledger::{Draft, Kind, Receipt};
use crate::store::{Effect, partner_rows};
use crate::vault::authority::{Authority, IssueFault, csr_key_hash, read_csr};
use crate::vault::certificate::{LeafFacts, read_leaf};

use super::{Actor, Error, Gateway, Thing};

/// Live certificates a partner may have at once: the one in use and its successor.
const CERTIFICATES_MAX: usize = 2;

/// Reads a certificate's facts: for the doors, which may not reach into the vault.
///
/// # Errors
/// `Invalid` when the bytes are not exactly one certificate.
pub fn read_certificate(der: &[u8]) -> Result<LeafFacts, Error> {
    read_leaf(der).map_err(|fault| Error::invalid("certificate", fault))
}

/// Enters a partner as `applied`. It receives nothing until a second person approves it.
pub async fn add(gateway: &Gateway, actor: &Actor, mut partner: Partner) -> Result<Receipt, Error> {
    Partner::check_code(&partner.code).map_err(|fault| Error::invalid("code", fault))?;
    partner.state = PartnerState::Applied;
    partner.applied_by.clone_from(&actor.name);
    partner.approved_by = None;
    let mut facts = gateway.staff_facts(Kind::PartnerAdd, "partner.add", actor);
    facts.partner = Some(partner.id);
    let mut draft = Gateway::draft(facts, Vec::new())?;
    draft.effect = Some(Effect::new(move |tx| partner_rows::insert_partner(tx, &partner)));
    gateway.act(draft).await
}

/// Approves a partner. The approver must be another person than the one who applied.
pub async fn approve(gateway: &Gateway, actor: &Actor, code: &str) -> Result<Receipt, Error> {
    let mut partner = find(gateway, code).await?;
    partner.check_approval(&actor.name).map_err(in_the_way)?;
    partner.state = PartnerState::Approved;
    partner.approved_by = Some(actor.name.clone());
    change(gateway, actor, partner, (Kind::PartnerApprove, "partner.approve"), false).await
}

/// Suspends a partner: every certificate stops, every token issued before now is void.
pub async fn suspend(gateway: &Gateway, actor: &Actor, code: &str) -> Result<Receipt, Error> {
    let mut partner = find(gateway, code).await?;
    partner.check_state(PartnerState::Suspended).map_err(in_the_way)?;
    partner.state = PartnerState::Suspended;
    partner.tokens_not_before = gateway.now();
    change(gateway, actor, partner, (Kind::PartnerSuspend, "partner.suspend"), true).await
}

/// Lets a suspended partner come back.
pub async fn resume(gateway: &Gateway, actor: &Actor, code: &str) -> Result<Receipt, Error> {
    let mut partner = find(gateway, code).await?;
    partner.check_state(PartnerState::Active).map_err(in_the_way)?;
    partner.state = PartnerState::Active;
    change(gateway, actor, partner, (Kind::PartnerResume, "partner.resume"), false).await
}

/// Sets the grant of a partner for one purpose; the former grant ends. Counts as narrowing
/// unless the new grant gives all the former gave.
pub async fn grant(gateway: &Gateway, actor: &Actor, grant: Grant) -> Result<Receipt, Error> {
    grant.check().map_err(|fault| Error::invalid("grant", fault))?;
    let registry = gateway.registry_now().await?;
    let partner = registry.partners.get(&grant.partner).ok_or(Error::Unknown(Thing::Partner))?;
    if !grant.purpose.row().recipients.contains(partner.kind) {
        let says = format!("{} never goes to a {}", grant.purpose, partner.kind);
        return Err(Error::invalid("grant", says));
    }
    let former = registry.grant(grant.partner, grant.purpose);
    let restricting = former.is_some_and(|former| !former.within(&grant));
    let mut facts = gateway.staff_facts(Kind::GrantSet, "grant.set", actor);
    facts.partner = Some(grant.partner);
    facts.purpose = Some(grant.purpose);
    facts.fields = Some(grant.fields);
    facts.restricting = restricting;
    let mut draft = Gateway::draft(facts, Vec::new())?;
    draft.effect = Some(Effect::new(move |tx| partner_rows::set_grant(tx, &grant)));
    gateway.act(draft).await
}

/// Registers a certificate the partner made itself, after its fingerprint was compared with the
/// partner by another way. Validity, key kind and usage are checked here, because the path check
/// of the doors cannot apply to it.
pub async fn pin_certificate(
    gateway: &Gateway,
    actor: &Actor,
    code: &str,
    der: Vec<u8>,
) -> Result<Certificate, Error> {
    let facts = read_partners_own(&der)?;
    bind(gateway, actor, code, (facts, der), CertificateSource::Pinned).await
}

/// Every check of `pin_certificate`, and nothing kept.
///
/// # Errors
/// Those of `pin_certificate`.
pub async fn check_certificate(gateway: &Gateway, code: &str, der: &[u8]) -> Result<(), Error> {
    let facts = read_partners_own(der)?;
    if facts.not_after <= gateway.now() {
        return Err(Error::invalid("certificate", "has expired"));
    }
    may_bind(gateway, code, facts.key_hash).await.map(|_| ())
}

/// Every check of `issue_certificate`, and nothing issued.
///
/// # Errors
/// Those of `issue_certificate`.
pub async fn check_request(gateway: &Gateway, code: &str, csr: &[u8]) -> Result<(), Error> {
    let request = read_csr(csr).map_err(|fault| Error::invalid("csr", fault))?;
    may_bind(gateway, code, csr_key_hash(&request)).await.map(|_| ())
}

fn read_partners_own(der: &[u8]) -> Result<LeafFacts, Error> {
    let facts = read_certificate(der)?;
    if !facts.client_auth {
        let says = "lacks the extended key usage clientAuth";
        return Err(Error::invalid("certificate", says));
    }
    if !facts.key_accepted {
        let says = "needs a key of P-256, P-384, Ed25519 or RSA from 2048 bits";
        return Err(Error::invalid("certificate", says));
    }
    Ok(facts)
}

/// Issues a certificate from a signing request and registers it. Only the public key is taken
/// from the request.
pub async fn issue_certificate(
    gateway: &Gateway,
    actor: &Actor,
    code: &str,
    (authority, csr, days): (&Authority, &[u8], u16),
) -> Result<Certificate, Error> {
    let partner = find(gateway, code).await?;
    let request = read_csr(csr).map_err(|fault| Error::invalid("csr", fault))?;
    check_key_is_new(gateway, csr_key_hash(&request)).await?;
    let issued = authority.issue_client(csr, partner.id, gateway.now(), days);
    let der = issued.map_err(|fault| match fault {
        IssueFault::Csr(fault) => Error::invalid("csr", fault),
        IssueFault::Vault(fault) => Error::broken(fault),
    })?;
    let facts = read_certificate(&der)?;
    bind(gateway, actor, code, (facts, der), CertificateSource::Issued).await
}

/// Revokes a certificate for ever; reason codes are those of RFC 5280 §5.3.1.
pub async fn revoke_certificate(
    gateway: &Gateway,
    actor: &Actor,
    thumbprint: Thumbprint,
    reason: &str,
) -> Result<Receipt, Error> {
    let (mut certificate, reason) = may_revoke(gateway, thumbprint, reason).await?;
    certificate.status = CertificateStatus::Revoked;
    certificate.revoked_at = Some(gateway.now());
    certificate.revoked_reason = Some(reason.to_owned());
    let mut facts = gateway.staff_facts(Kind::CertificateRevoke, "certificate.revoke", actor);
    facts.partner = Some(certificate.partner);
    facts.certificate = Some(thumbprint);
    facts.restricting = true;
    facts.detail = Some(reason.into());
    let mut draft = Gateway::draft(facts, Vec::new())?;
    draft.effect = Some(Effect::new(move |tx| partner_rows::update_certificate(tx, &certificate)));
    gateway.act(draft).await
}

/// The certificate of that thumbprint and the reason by its code, if it may be revoked.
///
/// # Errors
/// `Unknown` for another thumbprint, `Invalid` for another reason, `Conflict` where it is revoked.
pub async fn may_revoke(
    gateway: &Gateway,
    thumbprint: Thumbprint,
    reason: &str,
) -> Result<(Certificate, &'static str), Error> {
    const REASONS: [&str; 5] =
        ["unspecified", "key_compromise", "affiliation_changed", "superseded", "cessation"];
    let reason = REASONS.iter().find(|known| **known == reason).ok_or_else(|| {
        Error::invalid("reason", format!("must be one of {}", REASONS.join(", ")))
    })?;
    let registry = gateway.registry_now().await?;
    let found = registry.certificates.get(&thumbprint);
    let certificate = found.cloned().ok_or(Error::Unknown(Thing::Certificate))?;
    if certificate.status == CertificateStatus::Revoked {
        let says = "it is revoked already".to_owned();
        return Err(Error::Conflict(Thing::Certificate, says));
    }
    Ok((certificate, reason))
}

/// The partner of that code.
pub async fn find(gateway: &Gateway, code: &str) -> Result<Partner, Error> {
    let registry = gateway.registry_now().await?;
    registry.partner_by_code(code).cloned().ok_or(Error::Unknown(Thing::Partner))
}

async fn bind(
    gateway: &Gateway,
    actor: &Actor,
    code: &str,
    (facts, der): (LeafFacts, Vec<u8>),
    source: CertificateSource,
) -> Result<Certificate, Error> {
    let now = gateway.now();
    if facts.not_after <= now {
        return Err(Error::invalid("certificate", "has expired"));
    }
    let mut partner = may_bind(gateway, code, facts.key_hash).await?;
    let certificate = Certificate {
        thumbprint: facts.thumbprint,
        partner: partner.id,
        source,
        status: CertificateStatus::Active,
        serial: facts.serial,
        key_hash: facts.key_hash,
        not_before: facts.not_before,
        not_after: facts.not_after,
        der,
        bound_at: now,
        revoked_at: None,
        revoked_reason: None,
    };
    partner.state = PartnerState::Active;
    gateway.act(bind_draft(gateway, actor, partner, certificate.clone())?).await?;
    Ok(certificate)
}

/// The partner of that code, if a certificate of this key may be bound to it now.
async fn may_bind(gateway: &Gateway, code: &str, key_hash: [u8; 32]) -> Result<Partner, Error> {
    let partner = find(gateway, code).await?;
    if !matches!(partner.state, PartnerState::Approved | PartnerState::Active) {
        let says = format!("it is {}; approve or resume it first", partner.state.code());
        return Err(Error::Conflict(Thing::Partner, says));
    }
    check_key_is_new(gateway, key_hash).await?;
    let registry = gateway.registry_now().await?;
    if registry.live_certificates(partner.id, gateway.now()) >= CERTIFICATES_MAX {
        let says = format!("it has {CERTIFICATES_MAX} live certificates: revoke one first");
        return Err(Error::Conflict(Thing::Partner, says));
    }
    Ok(partner)
}

fn bind_draft(
    gateway: &Gateway,
    actor: &Actor,
    partner: Partner,
    certificate: Certificate,
) -> Result<Draft<Effect>, Error> {
    let mut facts = gateway.staff_facts(Kind::CertificateBind, "certificate.bind", actor);
    facts.partner = Some(partner.id);
    facts.certificate = Some(certificate.thumbprint);
    let mut draft = Gateway::draft(facts, Vec::new())?;
    draft.effect = Some(Effect::new(move |tx| {
        partner_rows::insert_certificate(tx, &certificate)?;
        partner_rows::update_partner(tx, &partner)
    }));
    Ok(draft)
}

/// A key that any certificate ever used is refused: revoking one would not revoke the other.
async fn check_key_is_new(gateway: &Gateway, key_hash: [u8; 32]) -> Result<(), Error> {
    let known = gateway.store.read(move |tx| partner_rows::key_is_known(tx, &key_hash)).await?;
    if known {
        let says = "its key is registered already: make a new key".to_owned();
        return Err(Error::Conflict(Thing::Certificate, says));
    }
    Ok(())
}

async fn change(
    gateway: &Gateway,
    actor: &Actor,
    partner: Partner,
    (kind, op): (Kind, &'static str),
    restricting: bool,
) -> Result<Receipt, Error> {
    let mut facts = gateway.staff_facts(kind, op, actor);
    facts.partner = Some(partner.id);
    facts.restricting = restricting;
    let mut draft = Gateway::draft(facts, Vec::new())?;
    draft.effect = Some(Effect::new(move |tx| partner_rows::update_partner(tx, &partner)));
    gateway.act(draft).await
}

fn in_the_way(fault: PartnerFault) -> Error {
    Error::Conflict(Thing::Partner, fault.to_string())
}
