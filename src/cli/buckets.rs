//! Buckets as the settings name them: opened with the key in their credentials file.

use std::time::Duration;

use crate::config::Settings;
use crate::jobs::bucket::{Access, Bucket, BucketPlace};

use super::installation::{check_mode, read_file};
use super::say::{Ending, Failure};

/// A request to a store that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens what `s3://NAME/FOLDER` names.
pub(super) fn open(settings: &Settings, url: &str) -> Result<Bucket, Failure> {
    let wrong = |says: String| Failure::new(Ending::Settings, says);
    let place = url.strip_prefix("s3://").unwrap_or_default().trim_end_matches('/');
    let (name, folder) = place.split_once('/').unwrap_or((place, ""));
    let of_name = settings.buckets.iter().find(|bucket| bucket.name == name);
    let bucket = of_name.ok_or_else(|| {
        let hint = "write s3://NAME/FOLDER, and a section [[buckets]] of that name into the \
                    settings (docs/reference/settings.md)";
        wrong(format!("no section [[buckets]] describes {url}")).hint(hint)
    })?;
    check_mode(&bucket.credentials_file)?;
    let named = |fault: &dyn std::fmt::Display| {
        wrong(format!("{} {fault}", bucket.credentials_file.display()))
    };
    let text = zeroize::Zeroizing::new(read_file(&bucket.credentials_file)?);
    let text = std::str::from_utf8(&text).map_err(|fault| named(&fault))?;
    let authority = bucket.authority_file.as_deref().map(read_file).transpose()?;
    let at = BucketPlace {
        endpoint: &bucket.endpoint,
        name,
        region: &bucket.region,
        folder,
        access: Access::parse(text).map_err(|fault| named(&fault))?,
        authority: authority.as_deref(),
        patience: PATIENCE,
    };
    Bucket::open(&at).map_err(|fault| wrong(fault.to_string()))
}
