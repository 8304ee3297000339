//! A whole installation without doors: store, keys, ledger, policy, partners, invented people.

use std::path::PathBuf;
use std::sync::Arc;

use fieldgate::clock::{Clock, Moment};
use fieldgate::domain::consent::ChoiceOrigin;
use fieldgate::domain::contact::{CollectionPoint, Country, PointSet};
use fieldgate::domain::disclosure::{Reason, Request};
use fieldgate::domain::field::{Field, FieldSet};
use fieldgate::domain::grant::{Grant, Territory};
use fieldgate::domain::partner::{Partner, PartnerKind, PartnerState};
use fieldgate::domain::policy::{Policy, PolicyText, PurposeTerms};
use fieldgate::domain::purpose::Purpose;
use fieldgate::flows::intake::{self, Bringer, Manner, Submission, Taken};
use fieldgate::flows::release::{self, Asker, PageRequest, Released};
use fieldgate::flows::withdraw::{self, Done, Word};
use fieldgate::flows::{Actor, Error, Gateway, keys, onboard, publish};
use fieldgate::id::{GrantId, KeyId, PartnerId, PolicyVersion, RequestId, Thumbprint};
use fieldgate::ledger::verify::{self, Plan, Report};
use fieldgate::ledger::{Cause, Notary, Sequencer, Signers};
use fieldgate::merkle::key::{KeyType, Signer};
use fieldgate::secret::{KeyBytes, KeyDocument, Personal};
use fieldgate::store::{
    Effect, OpenOptions, Store, StoreError, Url, key_rows, migrate, release_rows,
};
use fieldgate::vault::authority::{Authority, new_client_key, new_signing_key};
use fieldgate::vault::keyring::{KeyUse, Keyring};
use tempfile::TempDir;

use super::{Badge, postgres};

pub const ORIGIN: &str = "test.example.com/fieldgate";

/// Which database a world stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    Sqlite,
    Postgres,
}

/// An installation of one test.
pub struct World {
    pub gateway: Gateway,
    pub store: Store,
    pub sequencer: Sequencer<Effect>,
    pub authority: Authority,
    pub url: String,
    pub master: KeyBytes,
    pub wording: [u8; 32],
    folder: TempDir,
}

pub fn actor(name: &str) -> Actor {
    Actor { name: name.to_owned(), request: RequestId::new() }
}

/// The log's signer, the same in every world.
pub fn signer() -> Signer {
    Signer::from_seed(ORIGIN, KeyType::Log, &[7; 32]).unwrap()
}

/// Everything that the purposes permit at most.
pub fn wide_policy(wording: [u8; 32]) -> Policy {
    let terms = Purpose::ALL.iter().map(|purpose| PurposeTerms {
        purpose: *purpose,
        fields: purpose.row().fields_max,
        recipients: purpose.row().recipients,
    });
    Policy {
        version: PolicyVersion(1),
        effective_at: Moment(0),
        published_at: None,
        terms: terms.collect(),
        texts: vec![PolicyText {
            language: "en".into(),
            text: "wording".into(),
            wording_hash: wording,
        }],
    }
}

/// Opens a second gateway on the same database, as another replica would.
pub fn replica(url: &str, keyring_master: &KeyBytes) -> (Gateway, Sequencer<Effect>) {
    replica_at(url, keyring_master, Clock::System)
}

/// The same, by a clock of one's own.
pub fn replica_at(
    url: &str,
    keyring_master: &KeyBytes,
    clock: Clock,
) -> (Gateway, Sequencer<Effect>) {
    let store = Store::open(&Url::parse(url).unwrap(), OpenOptions::default()).unwrap();
    let rows = store.read_blocking(key_rows::list_keys).unwrap();
    let keyring = Keyring::open(keyring_master, &rows).unwrap();
    let sequencer = Sequencer::start(store.shelf(), followed(&store, keyring_master)).unwrap();
    let notary = notary_of(&keyring).unwrap();
    let master = keyring_master.clone();
    let gateway = Gateway::new(store, sequencer.clone(), (keyring, notary), clock)
        .following_log_keys(Arc::new(move |rows| notary_of(&Keyring::open(&master, rows)?)));
    (gateway, sequencer)
}

fn log_signers(keyring: &Keyring, ids: Vec<KeyId>) -> Result<Vec<Signer>, Cause> {
    let signer = |id| Ok(Signer::from_seed(ORIGIN, KeyType::Log, keyring.seed(id)?.expose())?);
    ids.into_iter().map(signer).collect()
}

/// The notary of a key ring, as the command line makes it.
fn notary_of(keyring: &Keyring) -> Result<Notary, Cause> {
    let former = log_signers(keyring, keyring.retired(KeyUse::Checkpoint))?;
    let former = former.iter().map(|signer| signer.verifier().clone()).collect();
    let now = log_signers(keyring, keyring.active(KeyUse::Checkpoint))?;
    Ok(Notary::new(now).after(former))
}

/// The signers of a sequencer that follows the key ring.
fn followed(store: &Store, master: &KeyBytes) -> Signers {
    let (store, master) = (store.clone(), master.clone());
    Signers::read_by(move || {
        let read = |tx: &mut fieldgate::store::ReadTx| {
            let version = release_rows::read_head(tx)?.registry_version;
            Ok::<_, StoreError>((version, key_rows::list_keys(tx)?))
        };
        let (version, rows) = store.read_blocking(read)?;
        let keyring = Keyring::open(&master, &rows)?;
        Ok((version, log_signers(&keyring, keyring.active(KeyUse::Checkpoint))?))
    })
    .unwrap()
}

impl World {
    /// A migrated database with keys, a ledger and a wide policy in force.
    pub async fn new(database: Database) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match database {
            Database::Sqlite => format!("sqlite://{}", folder.path().join("world.db").display()),
            Database::Postgres => postgres::server().unwrap().prepared(|url| {
                migrate(&Url::parse(url).unwrap()).unwrap();
            }),
        };
        Self::at(url, folder).await
    }

    /// The same on a database of one's own; the folder goes when the world goes.
    pub async fn at(url: String, folder: TempDir) -> Self {
        let parsed = Url::parse(&url).unwrap();
        migrate(&parsed).unwrap();
        let master = KeyBytes::new([9; 32]);
        let now = Clock::System.now();
        let made = Authority::create("test authority", now).unwrap();
        let rows: Vec<_> = KeyUse::ALL
            .iter()
            .map(|usage| {
                let document = match usage {
                    KeyUse::Authority => Some(made.key.clone()),
                    KeyUse::Token => Some(new_signing_key().unwrap()),
                    KeyUse::Checkpoint => Some(KeyDocument::new(vec![7; 32])),
                    _ => None,
                };
                Keyring::seal_new(&master, *usage, document.as_ref(), now).unwrap()
            })
            .collect();
        let keyring = Keyring::open(&master, &rows).unwrap();
        let store = Store::open(&parsed, OpenOptions::default()).unwrap();
        let sequencer = Sequencer::start(store.shelf(), vec![signer()]).unwrap();
        let notary = Notary::new(vec![signer()]);
        let handles = (keyring, notary);
        let gateway = Gateway::new(store.clone(), sequencer.clone(), handles, Clock::System);
        let founder = actor("founder");
        keys::found(&gateway, &founder, ORIGIN.into(), "test".into()).await.unwrap();
        keys::store_first(&gateway, &founder, rows).await.unwrap();
        let wording = [3; 32];
        publish::draft(&gateway, &founder, wide_policy(wording)).await.unwrap();
        publish::publish(&gateway, &founder, PolicyVersion(1), None).await.unwrap();
        let authority = Authority::open(&made.key, &made.certificate).unwrap();
        Self { gateway, store, sequencer, authority, url, master, wording, folder }
    }

    /// The folder of this test.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// An active partner with a certificate; its key and certificate in PEM.
    pub async fn partner(&self, code: &str, kind: PartnerKind) -> (Asker, String) {
        self.partner_at_rate(code, kind, 1_000_000).await
    }

    /// The same, with so many requests per minute.
    pub async fn partner_at_rate(
        &self,
        code: &str,
        kind: PartnerKind,
        per_minute: u32,
    ) -> (Asker, String) {
        let now = self.gateway.now();
        let partner = Partner {
            id: PartnerId::new(),
            code: code.to_owned(),
            kind,
            state: PartnerState::Applied,
            legal_name: format!("{code} Ltd"),
            country: Country::parse("DE").unwrap(),
            contract_ref: "c".into(),
            contract_version: "1".into(),
            privacy_contact: String::new(),
            recall_days: 7,
            requests_per_minute: per_minute,
            applied_by: String::new(),
            approved_by: None,
            tokens_not_before: Moment(0),
            created_at: now,
        };
        let id = partner.id;
        onboard::add(&self.gateway, &actor("admin"), partner).await.unwrap();
        onboard::approve(&self.gateway, &actor("officer"), code).await.unwrap();
        let (thumbprint, pem) = self.certificate(code).await;
        (Asker { partner: id, certificate: thumbprint, request: RequestId::new() }, pem)
    }

    /// One more certificate for a partner; key and certificate in PEM.
    pub async fn certificate(&self, code: &str) -> (Thumbprint, String) {
        use fieldgate::vault::authority::to_pem;
        let made = new_client_key(code).unwrap();
        let with = (&self.authority, made.certificate.as_slice(), 30);
        let officer = actor("officer");
        let issued = onboard::issue_certificate(&self.gateway, &officer, code, with).await.unwrap();
        let mut pem = to_pem("PRIVATE KEY", made.key.expose());
        pem.push_str(&to_pem("CERTIFICATE", &issued.der));
        (issued.thumbprint, pem)
    }

    /// Grants fields of everybody everywhere.
    pub async fn grant(&self, partner: PartnerId, purpose: Purpose, fields: FieldSet) {
        self.grant_in(partner, purpose, fields, "*").await;
    }

    /// Grants fields in a territory.
    pub async fn grant_in(&self, partner: PartnerId, purpose: Purpose, fields: FieldSet, at: &str) {
        let grant = Grant {
            id: GrantId::new(),
            partner,
            purpose,
            fields,
            territory: Territory::parse(at).unwrap(),
            points: PointSet::EVERY,
            from: Moment(0),
            until: None,
        };
        onboard::grant(&self.gateway, &actor("officer"), grant).await.unwrap();
    }

    /// A reseller with all of offers.
    pub async fn reseller(&self, code: &str) -> Asker {
        let (asker, _) = self.partner(code, PartnerKind::Reseller).await;
        self.grant(asker.partner, Purpose::Offers, Purpose::Offers.row().fields_max).await;
        asker
    }

    /// Takes people in.
    pub async fn take(&self, batch: Vec<Submission>) -> Result<Taken, Error> {
        let manner = Manner {
            request: RequestId::new(),
            bringer: Bringer::Staff(actor("clerk")),
            dry_run: false,
            once: None,
        };
        intake::hand_in(&self.gateway, manner, batch).await
    }

    /// Takes in people `0..count`, each with every field, in Germany.
    pub async fn people(&self, count: usize) {
        let numbers: Vec<_> = (0..count).collect();
        for part in numbers.chunks(500) {
            let batch = part.iter().map(|number| self.person(*number)).collect();
            self.take(batch).await.unwrap();
        }
    }

    /// The submission of person `number`: every value carries the field's code and the number.
    pub fn person(&self, number: usize) -> Submission {
        self.submission(&address(number), CollectionPoint::Trial, number)
    }

    /// A submission of any address at any point.
    pub fn submission(&self, email: &str, point: CollectionPoint, number: usize) -> Submission {
        let fields = Field::ALL.iter().map(|field| {
            let value = match field {
                Field::Email => email.to_owned(),
                _ => value(*field, number),
            };
            (*field, Personal::new(value))
        });
        Submission {
            point,
            at: Clock::System.now(),
            policy: PolicyVersion(1),
            wording_hash: self.wording,
            fields: fields.collect(),
            choices: Vec::new(),
        }
    }

    /// Pulls one page of offers.
    pub async fn pull(&self, asker: Asker, limit: u16) -> Result<Released, Error> {
        release::page(&self.gateway, asker, offers(limit)).await
    }

    /// Person `number` says yes or no to offers, to all partners.
    pub async fn says_to_offers(&self, number: usize, given: bool) -> Done {
        let word =
            Word { purpose: Purpose::Offers, partner: None, given, origin: ChoiceOrigin::Person };
        let she = Personal::new(address(number));
        withdraw::choose(&self.gateway, &actor("officer"), &she, word).await.unwrap()
    }

    /// So many entries that touch no contact, all queued at once.
    pub async fn refusals(&self, badge: &Badge, count: usize) {
        let refuse = |_| {
            release::refuse(
                &self.gateway,
                badge.asker,
                Some(Purpose::Support),
                Reason::PurposeNotGranted,
            )
        };
        let refused = futures_util::future::join_all((0..count).map(refuse)).await;
        assert!(refused.iter().all(Result::is_ok), "a refusal was not recorded");
    }

    /// Re-hashes the whole ledger.
    pub fn verify(&self) -> Report {
        let plan = Plan { log: vec![signer().verifier().clone()], ..Plan::default() };
        self.store
            .read_blocking(move |tx| {
                tx.take_time()?;
                Ok::<_, StoreError>(verify::everything(tx, &plan, |_| {}))
            })
            .unwrap()
            .unwrap()
    }
}

/// The address of person `number`.
pub fn address(number: usize) -> String {
    format!("person-{number}@example.com")
}

/// The value of a field of person `number`: a canary that names the field.
pub fn value(field: Field, number: usize) -> String {
    match field {
        Field::Email => address(number),
        Field::Country => "DE".to_owned(),
        Field::Language => "de".to_owned(),
        Field::Phone => format!("+4930{:07}", 1_000_000 + number),
        Field::TrialEnd => "2031-07-09".to_owned(),
        Field::PostalCode => format!("PC{number:05}"),
        _ => format!("canary-{}-{number}", field.code()),
    }
}

/// A page of offers with all fields.
pub fn offers(limit: u16) -> PageRequest {
    PageRequest {
        what: Request { purpose: Purpose::Offers, fields: None, territory: None, point: None },
        updated_since: None,
        limit,
        cursor: None,
    }
}
