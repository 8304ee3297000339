//! An HTTP/1.1 client down to the bytes: it sends what it is told and keeps all it receives.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

/// No answer takes longer than this.
const PATIENCE: Duration = Duration::from_secs(40);

/// The authority that clients trust.
#[derive(Clone)]
pub struct Trusted {
    roots: Arc<RootCertStore>,
}

impl Trusted {
    pub fn new(authority: &[u8]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(authority.to_vec())).unwrap();
        Self { roots: Arc::new(roots) }
    }

    /// A client with or without key and certificate.
    pub fn wire(&self, url: &str, identity: Option<&str>) -> Wire {
        let builder = ClientConfig::builder().with_root_certificates(Arc::clone(&self.roots));
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let chain: Vec<_> =
                    CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect();
                let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let host = url.trim_start_matches("https://").to_owned();
        Wire { host, config: Some(Arc::new(config)), line: None, received: Vec::new() }
    }
}

/// One connection, opened again when it was closed.
pub struct Wire {
    pub host: String,
    config: Option<Arc<ClientConfig>>,
    line: Option<Box<dyn Line>>,
    /// Every byte received.
    pub received: Vec<u8>,
}

trait Line: Read + Write + Send {}

impl<T: Read + Write + Send> Line for T {}

/// An answer as it stood on the wire.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The code of a problem, or the error of an OAuth answer.
    pub fn code(&self) -> String {
        let body = self.json();
        let code = body.get("code").or_else(|| body.get("error"));
        code.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Status and code as one word, for comparing.
    pub fn says(&self) -> String {
        format!("{} {}", self.status, self.code())
    }
}

impl Wire {
    /// Without TLS, for the ops door.
    pub fn plain(host: &str) -> Self {
        Self { host: host.to_owned(), config: None, line: None, received: Vec::new() }
    }

    fn connect(&self) -> std::io::Result<Box<dyn Line>> {
        let port = self.host.rsplit(':').next().unwrap();
        let tcp = TcpStream::connect(format!("127.0.0.1:{port}"))?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        let Some(config) = &self.config else { return Ok(Box::new(tcp)) };
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(Arc::clone(config), name).unwrap();
        Ok(Box::new(StreamOwned::new(tls, tcp)))
    }

    /// Sends a request and reads its answer; connects again if the connection was closed.
    pub fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let first = self.try_call(method, path, headers, body);
        first.or_else(|_| self.try_call(method, path, headers, body)).unwrap()
    }

    /// The same, but a connection that is closed without an answer is an error.
    pub fn try_call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("host: {}\r\n", self.host));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == "POST" {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        let answer = self.exchange(&bytes);
        let closes = answer
            .as_ref()
            .map_or(true, |answer| answer.header("connection").is_some_and(|one| one == "close"));
        if closes {
            self.line = None;
        }
        answer
    }

    fn exchange(&mut self, bytes: &[u8]) -> std::io::Result<Answer> {
        if self.line.is_none() {
            self.line = Some(self.connect()?);
        }
        let line = self.line.as_mut().unwrap();
        // A server that refuses early closes while we still write; its answer counts.
        let _ = line.write_all(bytes).and_then(|()| line.flush());
        read_answer(line.as_mut(), &mut self.received)
    }

    /// Sends bytes as they are; gives everything until the server closes, or `None` if it does
    /// not within the patience of a client.
    pub fn raw(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut line = self.connect().unwrap();
        let _ = line.write_all(bytes).and_then(|()| line.flush());
        let mut read = Vec::new();
        let ended = line.read_to_end(&mut read);
        self.received.extend_from_slice(&read);
        match ended {
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                None
            }
            _ => Some(read),
        }
    }

    /// Fetches a token; all that is granted without a scope.
    pub fn token(&mut self, client_id: &str, scope: Option<&str>) -> String {
        let scope = scope.map(|scope| format!("&scope={scope}")).unwrap_or_default();
        let form = format!("grant_type=client_credentials&client_id={client_id}{scope}");
        let answer = self.form("/oauth2/token", &form);
        let body = answer.json();
        body["access_token"].as_str().unwrap_or_else(|| panic!("{}", answer.says())).to_owned()
    }

    /// POST of a form.
    pub fn form(&mut self, path: &str, form: &str) -> Answer {
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.call("POST", path, &kind, form.as_bytes())
    }

    /// POST of JSON with a token.
    pub fn post(&mut self, token: &str, path: &str, body: &[u8]) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        self.call("POST", path, &headers, body)
    }

    /// GET with a token.
    pub fn get(&mut self, token: &str, path: &str) -> Answer {
        self.call("GET", path, &[("authorization", &format!("Bearer {token}"))], b"")
    }
}

/// Reads one answer by its Content-Length, keeping every byte.
fn read_answer(line: &mut dyn Line, received: &mut Vec<u8>) -> std::io::Result<Answer> {
    let from = received.len();
    let mut part = [0; 16 * 1024];
    loop {
        let bytes = &received[from..];
        if let Some(answer) = parse(bytes) {
            return Ok(answer);
        }
        let read = line.read(&mut part)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        received.extend_from_slice(&part[..read]);
    }
}

/// An answer, once all of it is there.
pub fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<_> = lines
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        })
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    let body = &bytes[end + 4..];
    (body.len() >= length).then(|| Answer { status, headers, body: body[..length].to_vec() })
}
