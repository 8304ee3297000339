//! TLS towards `PostgreSQL`: always verified, with channel binding by the connector.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::error::StoreError;
use crate::store::url::{Roots, Transport};

/// The connector for a transport; `None` where the bytes travel in the clear.
///
/// # Errors
/// `Broken` when the root certificates cannot be read.
pub(super) fn connector(transport: &Transport) -> Result<Option<MakeRustlsConnect>, StoreError> {
    let roots = match transport {
        Transport::Clear => return Ok(None),
        Transport::Verified(roots) => roots,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(broken)?;
    let builder = match roots {
        Roots::System => builder.with_platform_verifier().map_err(broken)?,
        Roots::File(path) => {
            let mut store = RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(path).map_err(broken)? {
                store.add(certificate.map_err(broken)?).map_err(broken)?;
            }
            builder.with_root_certificates(store)
        }
    };
    Ok(Some(MakeRustlsConnect::new(builder.with_no_client_auth())))
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Broken(Box::new(error))
}
