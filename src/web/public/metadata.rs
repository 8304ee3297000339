//! What clients discover by themselves: OAuth metadata, token keys, our CA.

use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use arc_swap::ArcSwap;
use serde::Serialize;

use crate::web::caller::Anyone;
use crate::web::partner::scope::Scopes;
use crate::web::partner::token::Tokens;

/// What the public door publishes. URLs come from configuration, never from `Host`.
pub struct Published {
    public_url: String,
    partner_url: String,
    tokens: Arc<Tokens>,
    ca_pem: ArcSwap<String>,
    revocations: ArcSwap<Vec<u8>>,
}

impl Published {
    /// `public_url` is the issuer, `partner_url` the API; neither ends in a slash or has a path.
    /// `ca_pem` is the certificate of our authority.
    pub fn new(
        public_url: String,
        partner_url: String,
        tokens: Arc<Tokens>,
        ca_pem: String,
    ) -> Self {
        let (ca_pem, revocations) = (ArcSwap::from_pointee(ca_pem), ArcSwap::default());
        Self { public_url, partner_url, tokens, ca_pem, revocations }
    }

    /// Takes a newer list of revoked certificates, in DER.
    pub fn replace_revocations(&self, list: Vec<u8>) {
        self.revocations.store(Arc::new(list));
    }

    /// Takes another CA certificate.
    pub fn replace_ca(&self, ca_pem: String) {
        self.ca_pem.store(Arc::new(ca_pem));
    }

    /// The URL of the public door.
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// The URL of the partner door.
    pub fn partner_url(&self) -> &str {
        &self.partner_url
    }

    /// Where the protected-resource metadata stands (RFC 9728 §5.1).
    pub fn resource_metadata_url(&self) -> String {
        format!("{}/.well-known/oauth-protected-resource", self.public_url)
    }
}

#[derive(Serialize)]
struct Endpoints {
    token_endpoint: String,
    introspection_endpoint: String,
    revocation_endpoint: String,
}

impl Endpoints {
    fn at(partner_url: &str) -> Self {
        Self {
            token_endpoint: format!("{partner_url}/oauth2/token"),
            introspection_endpoint: format!("{partner_url}/oauth2/introspect"),
            revocation_endpoint: format!("{partner_url}/oauth2/revoke"),
        }
    }
}

const METHODS: [&str; 2] = ["tls_client_auth", "self_signed_tls_client_auth"];

#[derive(Serialize)]
struct ServerMetadata<'a> {
    issuer: &'a str,
    #[serde(flatten)]
    endpoints: Endpoints,
    jwks_uri: String,
    grant_types_supported: [&'static str; 1],
    // RFC 8414 §2 requires it and forbids an empty list; clients accept this.
    response_types_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: [&'static str; 2],
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
    revocation_endpoint_auth_methods_supported: [&'static str; 2],
    tls_client_certificate_bound_access_tokens: bool,
    mtls_endpoint_aliases: Endpoints,
    scopes_supported: Vec<&'static str>,
}

fn cached(kind: &'static str) -> actix_web::HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer.insert_header((CACHE_CONTROL, "max-age=300")).insert_header((CONTENT_TYPE, kind));
    answer
}

/// `GET /.well-known/oauth-authorization-server` (RFC 8414, RFC 8705 §3.3 and §5).
pub async fn server(_: Anyone, published: web::Data<Published>) -> HttpResponse {
    cached("application/json").json(ServerMetadata {
        issuer: &published.public_url,
        endpoints: Endpoints::at(&published.partner_url),
        jwks_uri: format!("{}/oauth2/jwks.json", published.public_url),
        grant_types_supported: ["client_credentials"],
        response_types_supported: ["none"],
        token_endpoint_auth_methods_supported: METHODS,
        introspection_endpoint_auth_methods_supported: METHODS,
        revocation_endpoint_auth_methods_supported: METHODS,
        tls_client_certificate_bound_access_tokens: true,
        mtls_endpoint_aliases: Endpoints::at(&published.partner_url),
        scopes_supported: Scopes::every(),
    })
}

#[derive(Serialize)]
struct ResourceMetadata<'a> {
    resource: &'a str,
    authorization_servers: [&'a str; 1],
    scopes_supported: Vec<&'static str>,
    bearer_methods_supported: [&'static str; 1],
    tls_client_certificate_bound_access_tokens: bool,
}

/// `GET /.well-known/oauth-protected-resource` (RFC 9728 §2).
pub async fn resource(_: Anyone, published: web::Data<Published>) -> HttpResponse {
    cached("application/json").json(ResourceMetadata {
        resource: &published.partner_url,
        authorization_servers: [&published.public_url],
        scopes_supported: Scopes::every(),
        bearer_methods_supported: ["header"],
        tls_client_certificate_bound_access_tokens: true,
    })
}

/// `GET /oauth2/jwks.json`: the keys that verify our tokens (RFC 7517).
pub async fn jwks(_: Anyone, published: web::Data<Published>) -> HttpResponse {
    cached("application/jwk-set+json").body(published.tokens.jwks())
}

/// `GET /pki/crl.der`: the certificates of our authority that were revoked (RFC 5280 §5). Nobody
/// needs it to use the gateway: the doors ask the registry.
pub async fn revocations(_: Anyone, published: web::Data<Published>) -> HttpResponse {
    cached("application/pkix-crl").body(published.revocations.load().as_slice().to_vec())
}

/// `GET /pki/ca.pem`: the certificate of our authority.
pub async fn ca(_: Anyone, published: web::Data<Published>) -> HttpResponse {
    cached("application/pem-certificate-chain").body(published.ca_pem.load().as_str().to_owned())
}
