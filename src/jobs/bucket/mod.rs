//! A folder in a bucket of an S3-compatible store: objects are put, listed and read there.

mod access;

mod https;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{TryStreamExt as _, future};
use object_store::aws::{AmazonS3Builder, Checksum, S3ConditionalPut};
use object_store::path::Path as Key;
use object_store::{
    Error as StoreFault, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
    RetryConfig,
};

pub use access::{Access, BadAccess};
use https::{Connector, Refusal};

/// A request that failed for no lasting reason is repeated so often.
const REPEATS: usize = 2;

/// What a store says of a fault is cut here: some answer with pages of XML.
const SAYS_CHARS_MAX: usize = 200;

/// Where a bucket is, and who opens it.
pub struct BucketPlace<'a> {
    /// Address of the store, `https://HOST` or, on this machine, `http://HOST:PORT`.
    pub endpoint: &'a str,
    /// Name of the bucket.
    pub name: &'a str,
    /// Region that signatures name; stores of one region take any.
    pub region: &'a str,
    /// Folder in the bucket, without slashes around it; may be empty.
    pub folder: &'a str,
    /// Key of whoever opens it.
    pub access: Access,
    /// Authority of the store's certificate in PEM; left out, those of the operating system.
    pub authority: Option<&'a [u8]>,
    /// A request that takes longer has failed.
    pub patience: Duration,
}

/// Why a bucket could not be used, in a sentence that names it.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {says}")]
pub struct BucketFault {
    /// The place.
    pub place: String,
    /// What is wrong.
    pub says: String,
}

/// An open folder in a bucket.
#[derive(Clone)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    folder: Key,
    place: String,
}

impl std::fmt::Debug for Bucket {
    /// The place alone: what the store holds may print the key of whoever opened it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Bucket").field(&self.place).finish()
    }
}

impl Bucket {
    /// Opens a bucket; nothing is asked of it yet.
    ///
    /// # Errors
    /// An address or a certificate that is none.
    pub fn open(at: &BucketPlace<'_>) -> Result<Self, BucketFault> {
        let place = match at.folder {
            "" => format!("s3://{}", at.name),
            folder => format!("s3://{}/{folder}", at.name),
        };
        let fault = |says: String| BucketFault { place: place.clone(), says };
        let connector = Connector::new(at.authority, at.patience)
            .map_err(|error| fault(format!("TLS cannot be set up: {error}")))?;
        let retry = RetryConfig {
            max_retries: REPEATS,
            retry_timeout: at.patience.saturating_mul(2),
            ..RetryConfig::default()
        };
        let store = AmazonS3Builder::new()
            .with_endpoint(at.endpoint)
            .with_allow_http(at.endpoint.starts_with("http://"))
            .with_bucket_name(at.name)
            .with_region(at.region)
            .with_access_key_id(at.access.id())
            .with_secret_access_key(at.access.secret())
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            // A bucket with a retention rule takes nothing without a checksum.
            .with_checksum_algorithm(Checksum::SHA256)
            .with_retry(retry)
            .with_http_connector(connector)
            .build()
            .map_err(|error| fault(told(&error)))?;
        let folder = Key::parse(at.folder).map_err(|error| fault(error.to_string()))?;
        Ok(Self { store: Arc::new(store), folder, place })
    }

    /// Its address, such as `s3://evidence/checkpoints`.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Writes an object unless one of this name is there; whether it was written.
    ///
    /// # Errors
    /// The store does not answer, or refuses.
    pub async fn put_new(&self, name: &str, bytes: Vec<u8>) -> Result<bool, BucketFault> {
        let once = PutOptions::from(PutMode::Create);
        match self.store.put_opts(&self.key(name), PutPayload::from(bytes), once).await {
            Ok(_) => Ok(true),
            Err(StoreFault::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.fault(&error)),
        }
    }

    /// Writes an object, whatever stands there.
    ///
    /// # Errors
    /// The store does not answer, or refuses.
    pub async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), BucketFault> {
        let put = self.store.put(&self.key(name), PutPayload::from(bytes)).await;
        put.map(drop).map_err(|error| self.fault(&error))
    }

    /// Reads an object; `None` where there is none.
    ///
    /// # Errors
    /// The store does not answer, or refuses.
    pub async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, BucketFault> {
        let read = async { self.store.get(&self.key(name)).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(StoreFault::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.fault(&error)),
        }
    }

    /// What `pick` makes of the first name, in the order of bytes, that it makes anything of. One
    /// request where that is among the first thousand names.
    ///
    /// # Errors
    /// The store does not answer, or refuses.
    pub async fn first<T>(
        &self,
        pick: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, BucketFault> {
        let objects = self.store.list(Some(&self.folder));
        let picked =
            objects.try_filter_map(|object| future::ok(object.location.filename().and_then(&pick)));
        let mut picked = std::pin::pin!(picked);
        picked.try_next().await.map_err(|error| self.fault(&error))
    }

    /// Names of all objects below a folder of this one, as [`Bucket::put`] takes them.
    ///
    /// # Errors
    /// The store does not answer, or refuses.
    pub async fn names(&self, below: &str) -> Result<BTreeSet<String>, BucketFault> {
        let objects = self.store.list(Some(&self.key(below)));
        let names = objects.try_filter_map(|object| future::ok(self.name(&object.location)));
        names.try_collect().await.map_err(|error| self.fault(&error))
    }

    fn key(&self, name: &str) -> Key {
        self.folder.parts().chain(Key::from(name).parts()).collect()
    }

    fn name(&self, key: &Key) -> Option<String> {
        let parts = key.prefix_match(&self.folder)?;
        let parts: Vec<String> = parts.map(|part| part.as_ref().to_owned()).collect();
        Some(parts.join("/"))
    }

    fn fault(&self, error: &StoreFault) -> BucketFault {
        BucketFault { place: self.place.clone(), says: told(error) }
    }
}

/// What is wrong, in a line.
fn told(error: &StoreFault) -> String {
    if matches!(error, StoreFault::NotFound { .. }) {
        return Refusal::Bucket.to_string();
    }
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(one) = cause {
        if let Some(refusal) = one.downcast_ref::<Refusal>() {
            return refusal.to_string();
        }
        cause = one.source();
    }
    let says = error.to_string();
    let line = says.split(['\n', '<']).next().unwrap_or_default();
    line.chars().take(SAYS_CHARS_MAX).collect()
}
