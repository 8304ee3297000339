//! The witnesses of the gateway's own ledger: the policy file, and a job for each of them.

use std::path::Path;

use tokio::task::JoinHandle;

use crate::flows::{Gateway, witnesses};
use crate::jobs::publisher::Publishing;
use crate::jobs::witness;
use crate::merkle::policy::Policy;

use super::installation::{chain, read_file};
use super::say::{Ending, Failure};

/// Reads the policy that the settings name.
pub(super) fn read_policy(file: &Path) -> Result<Policy, Failure> {
    Policy::parse(&read_file(file)?).map_err(|fault| {
        let says = format!("{}: {fault}", file.display());
        Failure::new(Ending::Settings, says).hint("docs/guides/witness.md shows one")
    })
}

/// Starts a job for each witness of the policy that has an address.
pub(super) fn start(
    gateway: &Gateway,
    publishing: &Publishing,
) -> Result<Vec<JoinHandle<()>>, Failure> {
    let all = witnesses::list(gateway);
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let http = witness::client().map_err(|error| Failure::broken(chain(&error)))?;
    let job = |one| witness::run(gateway.clone(), one, http.clone(), publishing.subscribe());
    Ok(all.into_iter().map(|one| actix_web::rt::spawn(job(one))).collect())
}
