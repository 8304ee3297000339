//! A timestamp authority of a test's own: `openssl ts` with certificates that are right or wrong,
//! alone or behind HTTP with the manners of whatever else may answer there.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fieldgate::jobs::timestamp::TimestampAuthority;
use fieldgate::vault::certificate::chain_from_pem;
use tempfile::TempDir;

use super::process::install_provider;

/// Sections of an authority that names its certificate by SHA-1 (OpenSSL's default), by SHA-256,
/// that tells all that can be told, and that refuses.
const CONFIG: &str = "
[req]
distinguished_name=dn
[dn]
[ca]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
[tsa]
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=critical,timeStamping
[server]
basicConstraints=critical,CA:FALSE
extendedKeyUsage=critical,serverAuth
[two]
basicConstraints=critical,CA:FALSE
extendedKeyUsage=critical,timeStamping,serverAuth
[by_sha1]
serial=serial
default_policy=1.2.3.4.1
digests=sha256
signer_digest=sha256
[by_sha256]
serial=serial
default_policy=1.2.3.4.1
digests=sha256
signer_digest=sha256
ess_cert_id_alg=sha256
[exact]
serial=serial
default_policy=1.1
digests=sha256
signer_digest=sha512
ess_cert_id_alg=sha512
ess_cert_id_chain=yes
accuracy=secs:1, millisecs:500, microsecs:100
clock_precision_digits=6
ordering=yes
tsa_name=yes
[weak]
serial=serial
default_policy=1.2.3.4.1
digests=sha256
signer_digest=sha1
[refuses]
serial=serial
default_policy=1.2.3.4.1
digests=sha512
signer_digest=sha256
";

/// The programs, keys and certificates of an authority `ca`, and signers that it vouches for or
/// does not: `good`, `rsa`, `deep` (over `between`), `foreign`, `expired`, `server`, `two`.
pub struct Openssl(TempDir);

impl Openssl {
    /// Makes all keys and certificates.
    pub fn new() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        std::fs::write(this.path("c.cnf"), CONFIG).unwrap();
        std::fs::write(this.path("serial"), "01\n").unwrap();
        for ca in ["ca", "other"] {
            let key = Self::new_key("ec", ca);
            this.run(&format!("req -x509 {key} -out {ca}.pem -subj /CN={ca} -extensions ca"));
        }
        for (name, kind, ca, extensions, days) in [
            ("between", "ec", "ca", "ca", 9),
            ("good", "ec", "ca", "tsa", 9),
            ("rsa", "rsa", "ca", "tsa", 9),
            ("deep", "ec", "between", "tsa", 9),
            ("foreign", "ec", "other", "tsa", 9),
            ("expired", "ec", "ca", "tsa", -1),
            ("server", "ec", "ca", "server", 9),
            ("two", "ec", "ca", "two", 9),
        ] {
            let key = Self::new_key(kind, name);
            this.run(&format!("req {key} -out {name}.csr -subj /O=Stamps/CN={name}"));
            this.run(&format!(
                "x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial \
                 -out {name}.pem -extfile c.cnf -extensions {extensions} -days {days}"
            ));
        }
        this
    }

    fn new_key(kind: &str, name: &str) -> String {
        let kind = match kind {
            "rsa" => "rsa:2048",
            _ => "ec -pkeyopt ec_paramgen_curve:P-256",
        };
        format!("-newkey {kind} -nodes -config c.cnf -keyout {name}.key")
    }

    /// A file in the authority's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Whether openssl ended well, run in that folder.
    pub fn ends_well(&self, arguments: &str) -> bool {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(self.0.path());
        command.output().unwrap().status.success()
    }

    fn run(&self, arguments: &str) {
        assert!(self.ends_well(arguments), "openssl {arguments}");
    }

    /// A certificate in DER.
    pub fn certificate(&self, name: &str) -> Vec<u8> {
        let pem = std::fs::read(self.path(&format!("{name}.pem"))).unwrap();
        chain_from_pem(&pem).unwrap().remove(0)
    }

    /// The authority's answer to a query, by a section and a signer. `more` are options of
    /// `openssl ts -reply`.
    pub fn answer(&self, query: &[u8], (section, signer): (&str, &str), more: &str) -> Vec<u8> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        std::fs::write(self.path(&format!("query{number}")), query).unwrap();
        self.ends_well(&format!(
            "ts -reply -config c.cnf -section {section} -queryfile query{number} \
             -signer {signer}.pem -inkey {signer}.key -out answer{number} {more}"
        ));
        std::fs::read(self.path(&format!("answer{number}"))).unwrap()
    }

    /// Whether `openssl ts -verify` accepts a kept timestamp of a kept file, trusting `ca`.
    pub fn accepts(&self, data: &std::path::Path, answer: &std::path::Path) -> bool {
        let (data, answer) = (data.display(), answer.display());
        self.ends_well(&format!("ts -verify -data {data} -in {answer} -CAfile ca.pem"))
    }
}

/// How whatever listens at the address answers.
#[derive(Debug, Clone, Copy)]
pub enum Manner {
    /// As the authority does, with a section and a signer.
    Stamps(&'static str, &'static str),
    /// With a timestamp of the same data for another question.
    OtherNonce,
    /// With a timestamp of other data.
    OtherData,
    /// With a status and a header.
    Says(u16, &'static str),
    /// With a page.
    Page,
    /// With more bytes than any timestamp has.
    Endless,
    /// Not at all, while the connection stays open.
    Silent,
}

/// As an authority should.
pub const RIGHT: Manner = Manner::Stamps("by_sha256", "good");

/// An authority behind HTTP; it ends with the test binary.
pub struct Stamps {
    /// Its programs and certificates.
    pub openssl: Arc<Openssl>,
    /// Its address.
    pub url: String,
    manner: Arc<Mutex<Manner>>,
    asked: Arc<AtomicUsize>,
}

impl Stamps {
    /// Starts it; it answers as it should.
    pub fn start() -> Self {
        install_provider();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/tsr", listener.local_addr().unwrap());
        let openssl = Arc::new(Openssl::new());
        let (manner, asked) = (Arc::new(Mutex::new(RIGHT)), Arc::new(AtomicUsize::new(0)));
        let this = Self { openssl, url, manner, asked };
        let (openssl, manner) = (Arc::clone(&this.openssl), Arc::clone(&this.manner));
        let asked = Arc::clone(&this.asked);
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(query) = read(&mut stream) else { continue };
                asked.fetch_add(1, Ordering::SeqCst);
                let manner = *manner.lock().unwrap();
                match reply(&openssl, &query, manner) {
                    Some(reply) => drop(stream.write_all(&reply)),
                    None => silent.push(stream),
                }
            }
        });
        this
    }

    /// From now on it answers like this.
    pub fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// How many questions have come.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// The product's client of it, trusting `ca`.
    pub fn client(&self, patience: Duration) -> TimestampAuthority {
        TimestampAuthority::new(&self.url, vec![self.openssl.certificate("ca")], patience).unwrap()
    }
}

fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut chunk).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        assert!(head.starts_with("post /tsr "), "{head}");
        assert!(head.contains("\r\ncontent-type: application/timestamp-query"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        if bytes.len() - end - 4 >= length.parse::<usize>().unwrap() {
            return Some(bytes[end + 4..].to_vec());
        }
    }
}

fn reply(openssl: &Openssl, query: &[u8], manner: Manner) -> Option<Vec<u8>> {
    let stamp = |query: &[u8]| openssl.answer(query, ("by_sha256", "good"), "");
    // The digest follows the header of an octet string of 32 bytes, the nonce one of 8 bytes.
    let altered = |header: [u8; 2]| {
        let mut other = query.to_vec();
        let at = query.windows(2).position(|two| two == header).unwrap();
        other[at + 3] ^= 1;
        other
    };
    let (status, head, body) = match manner {
        Manner::Stamps(section, signer) => {
            (200, STAMP, openssl.answer(query, (section, signer), ""))
        }
        Manner::OtherData => (200, STAMP, stamp(&altered([4, 32]))),
        Manner::OtherNonce => (200, STAMP, stamp(&altered([2, 8]))),
        Manner::Says(status, head) => (status, head, stamp(query)),
        Manner::Page => (200, "content-type: text/html", b"<html>Sign in</html>".to_vec()),
        Manner::Endless => (200, STAMP, vec![0x30; 1_000_000]),
        Manner::Silent => return None,
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\n{head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    Some([head.into_bytes(), body].concat())
}

const STAMP: &str = "content-type: application/timestamp-reply";
