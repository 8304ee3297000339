//! A policy version is drafted, checked and published; published versions never change.

use crate::clock::Moment;
use crate::domain::policy::{Policy, PolicyFault};
use crate::id::PolicyVersion;
use crate::ledger::{Kind, Receipt};
use crate::store::{Effect, policy_rows};

use super::{Actor, Error, Gateway, Thing};

/// Saves a draft under the next free number, or replaces the draft of that number.
pub async fn draft(
    gateway: &Gateway,
    actor: &Actor,
    mut policy: Policy,
) -> Result<PolicyVersion, Error> {
    let registry = gateway.registry_now().await?;
    let published = registry.policies().iter().filter(|one| one.published_at.is_some());
    let next = published.map(|one| one.version.0).max().unwrap_or(0).saturating_add(1);
    policy.version = PolicyVersion(next);
    policy.published_at = None;
    policy.check().map_err(|fault| Error::invalid("policy", fault))?;
    let version = policy.version;
    let mut facts = gateway.staff_facts(Kind::PolicyDraft, "policy.draft", actor);
    facts.policy = Some(version);
    let mut draft = Gateway::draft(facts, Vec::new())?;
    draft.effect = Some(Effect::new(move |tx| policy_rows::save_draft(tx, &policy)));
    gateway.act(draft).await?;
    Ok(version)
}

/// Publishes a draft. It holds from `effective_at`, or at once. Counts as narrowing unless it
/// discloses all that the version in force discloses.
pub async fn publish(
    gateway: &Gateway,
    actor: &Actor,
    version: PolicyVersion,
    effective_at: Option<Moment>,
) -> Result<Receipt, Error> {
    let now = gateway.now();
    let narrower = check_publishing(gateway, version).await?;
    let effective_at = effective_at.unwrap_or(now).max(now);
    let mut facts = gateway.staff_facts(Kind::PolicyPublish, "policy.publish", actor);
    facts.policy = Some(version);
    facts.restricting = narrower;
    let mut draft = Gateway::draft(facts, Vec::new())?;
    draft.effect =
        Some(Effect::new(move |tx| policy_rows::publish(tx, version, now, effective_at)));
    gateway.act(draft).await
}

/// Whether a draft may be published; `true` when it discloses less than the version in force.
///
/// # Errors
/// `Unknown` for a number nobody drafted, `Conflict` for one that is published, `Invalid` for a
/// draft that breaks a rule.
pub async fn check_publishing(gateway: &Gateway, version: PolicyVersion) -> Result<bool, Error> {
    let registry = gateway.registry_now().await?;
    let policy = registry.policy(version).ok_or(Error::Unknown(Thing::Policy))?;
    if policy.published_at.is_some() {
        let fault = PolicyFault::Published(version);
        return Err(Error::Conflict(Thing::Policy, fault.to_string()));
    }
    policy.check().map_err(|fault| Error::invalid("policy", fault))?;
    let in_force = registry.policy_in_force(gateway.now());
    Ok(in_force.is_some_and(|in_force| !in_force.within(policy)))
}
