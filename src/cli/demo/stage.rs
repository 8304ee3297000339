//! Sets the stage: folder, settings, keys, database, policy, partners with certificates.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use crate::clock::Moment;
use crate::config::{DoorSettings, KeySettings, LedgerSettings, Settings, StoreSettings};
use crate::domain::contact::{Country, PointSet};
use crate::domain::field::{Field, FieldSet};
use crate::domain::grant::{Grant, Territory};
use crate::domain::partner::{Partner, PartnerKind, PartnerState};
use crate::domain::purpose::Purpose;
use crate::flows::{Actor, onboard, publish};
use crate::id::{GrantId, PartnerId, RequestId};
use crate::store::migrate;
use crate::vault::authority::{new_client_key, to_pem};

use super::super::installation::{Installation, load, store_url, write_private};
use super::super::say::{Ending, Failure};
use super::super::serve::Listeners;
use super::super::{founding, policies};

/// Marks a folder as ready; written last.
const READY: &str = "demo.ready";

/// The policy of the demonstration.
const POLICY: &str = include_str!("policy.toml");

/// The collection points' system.
pub(super) const COLLECTOR: &str = "collection-points";

/// The partners: code, kind, legal name, country, territory, grants.
pub(super) const PARTNERS: [Cast; 5] = [
    Cast {
        code: "alpine-distribution",
        kind: PartnerKind::Distributor,
        name: "Alpine Distribution AG",
        country: "CH",
        territory: "DE,AT,CH",
        grants: &[
            (
                Purpose::Offers,
                FieldSet::of(&[
                    Field::Email,
                    Field::GivenName,
                    Field::FamilyName,
                    Field::Company,
                    Field::Country,
                    Field::Language,
                    Field::Product,
                ]),
            ),
            (
                Purpose::Licensing,
                FieldSet::of(&[
                    Field::Email,
                    Field::GivenName,
                    Field::FamilyName,
                    Field::Company,
                    Field::Country,
                    Field::Product,
                    Field::Edition,
                    Field::TrialEnd,
                    Field::LicenceNumber,
                ]),
            ),
        ],
    },
    Cast {
        code: "rhein-resale",
        kind: PartnerKind::Reseller,
        name: "Rhein Resale GmbH",
        country: "DE",
        territory: "DE",
        grants: &[(
            Purpose::Offers,
            FieldSet::of(&[Field::Email, Field::Country, Field::Language, Field::Product]),
        )],
    },
    Cast {
        code: "nordic-service",
        kind: PartnerKind::ServicePartner,
        name: "Nordic Service ApS",
        country: "DK",
        territory: "DK,SE",
        grants: &[(
            Purpose::Support,
            FieldSet::of(&[
                Field::Email,
                Field::GivenName,
                Field::FamilyName,
                Field::Phone,
                Field::Country,
                Field::Product,
                Field::Edition,
                Field::SupportPlan,
            ]),
        )],
    },
    Cast {
        code: COLLECTOR,
        kind: PartnerKind::InHouse,
        name: "Our collection points",
        country: "DE",
        territory: "*",
        grants: &[],
    },
    Cast {
        code: "mailer",
        kind: PartnerKind::InHouse,
        name: "Our mailing system",
        country: "DE",
        territory: "*",
        grants: &[(Purpose::News, FieldSet::of(&[Field::Email, Field::Language]))],
    },
];

/// One partner of the demonstration.
pub(super) struct Cast {
    pub(super) code: &'static str,
    kind: PartnerKind,
    pub(super) name: &'static str,
    country: &'static str,
    pub(super) territory: &'static str,
    pub(super) grants: &'static [(Purpose, FieldSet)],
}

/// The folder of the demonstration.
pub(super) struct Folder {
    pub(super) dir: PathBuf,
    /// Whether an earlier run made it.
    pub(super) reused: bool,
}

impl Folder {
    /// Takes an empty or new folder, or one that an earlier run made. A run that was cut off is
    /// swept up; any other folder is refused.
    pub(super) fn take(dir: &Path) -> Result<Self, Failure> {
        let reused = dir.join(READY).exists();
        let failed = |error| Failure::broken(format!("{}: {error}", dir.display()));
        if dir.exists() && !reused {
            let mut entries = std::fs::read_dir(dir).map_err(failed)?;
            if entries.next().is_some() {
                let ours = load(&dir.join("fieldgate.toml")).is_ok_and(|found| found.doors.demo);
                if !ours {
                    let says = format!("{} is not empty and not of a demonstration", dir.display());
                    return Err(
                        Failure::new(Ending::Conflict, says).hint("name another with --dir")
                    );
                }
                std::fs::remove_dir_all(dir).map_err(failed)?;
            }
        }
        std::fs::create_dir_all(dir.join("clients")).map_err(failed)?;
        Ok(Self { dir: dir.to_owned(), reused })
    }

    /// The settings file.
    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("fieldgate.toml")
    }

    /// A file of a partner system.
    pub(super) fn client(&self, code: &str, ending: &str) -> PathBuf {
        self.dir.join("clients").join(format!("{code}.{ending}"))
    }

    /// Says that everything is there.
    pub(super) fn ready(&self) -> Result<(), Failure> {
        write_private(&self.dir.join(READY), b"remove this folder to begin anew\n")
    }
}

/// Writes the settings, on the usual ports where they are free and on others where not. The ports
/// stay taken from here on: another demonstration may be starting at the same moment.
pub(super) fn settings(folder: &Folder) -> Result<(Settings, Listeners), Failure> {
    let usual = DoorSettings::default();
    let listeners = Listeners {
        partner: listen(usual.partner)?,
        public: listen(usual.public)?,
        ops: listen(usual.ops)?,
    };
    let address = |one: &TcpListener| one.local_addr().map_err(Failure::broken);
    let (partner, public) = (address(&listeners.partner)?, address(&listeners.public)?);
    let settings = Settings {
        store: StoreSettings { url: "sqlite://fieldgate.db".to_owned(), readers: 4 },
        keys: KeySettings {
            master_file: "master.key".into(),
            authority_file: "ca.pem".into(),
            server_certificate_file: "server.pem".into(),
            server_key_file: "server.key".into(),
        },
        doors: DoorSettings {
            partner,
            public,
            ops: address(&listeners.ops)?,
            partner_url: format!("https://localhost:{}", partner.port()),
            public_url: format!("https://localhost:{}", public.port()),
            demo: true,
            ..usual
        },
        ledger: LedgerSettings::of("demo.example.com/fieldgate".to_owned()),
        anchors: Vec::new(),
        buckets: Vec::new(),
    };
    let text = toml::to_string_pretty(&settings).map_err(Failure::broken)?;
    write_private(&folder.config(), text.as_bytes())?;
    Ok((load(&folder.config())?, listeners))
}

/// The wanted address if nobody listens on it, else any free port.
fn listen(wanted: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(wanted)
        .or_else(|_| TcpListener::bind((wanted.ip(), 0)))
        .map_err(Failure::broken)
}

/// Makes the database and the keys.
pub(super) fn foundation(settings: &Settings) -> Result<usize, Failure> {
    let applied = migrate(&store_url(settings)?)?;
    founding::create(settings, &["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    Ok(applied.len())
}

/// Somebody who acts in the demonstration.
pub(super) fn staff(name: &str) -> Actor {
    Actor { name: name.to_owned(), request: RequestId::new() }
}

/// Publishes the policy and brings the partners on: one person enters, another approves.
pub(super) async fn cast(open: &Installation, folder: &Folder) -> Result<(), Failure> {
    let gateway = &open.gateway;
    let (admin, officer) = (staff("demo-admin"), staff("demo-officer"));
    let policy = policies::parse(POLICY.as_bytes())?;
    let version = publish::draft(gateway, &admin, policy).await?;
    publish::publish(gateway, &officer, version, None).await?;
    let authority = open.authority()?;
    for one in &PARTNERS {
        let partner = one.partner(gateway.now())?;
        let id = partner.id;
        onboard::add(gateway, &admin, partner).await?;
        onboard::approve(gateway, &officer, one.code).await?;
        let made = new_client_key(one.code).map_err(Failure::broken)?;
        let with = (&authority, made.certificate.as_slice(), 30);
        let issued = onboard::issue_certificate(gateway, &officer, one.code, with).await?;
        let key = to_pem("PRIVATE KEY", made.key.expose());
        let certificate = to_pem("CERTIFICATE", &issued.der);
        write_private(&folder.client(one.code, "key"), key.as_bytes())?;
        write_private(&folder.client(one.code, "pem"), certificate.as_bytes())?;
        for (purpose, fields) in one.grants {
            onboard::grant(gateway, &officer, one.grant(id, *purpose, *fields, gateway.now())?)
                .await?;
        }
    }
    Ok(())
}

impl Cast {
    fn partner(&self, now: Moment) -> Result<Partner, Failure> {
        Ok(Partner {
            id: PartnerId::new(),
            code: self.code.to_owned(),
            kind: self.kind,
            state: PartnerState::Applied,
            legal_name: self.name.to_owned(),
            country: Country::parse(self.country).map_err(Failure::broken)?,
            contract_ref: "demo".to_owned(),
            contract_version: "1".to_owned(),
            privacy_contact: "privacy@example.com".to_owned(),
            recall_days: 7,
            requests_per_minute: 600,
            applied_by: String::new(),
            approved_by: None,
            tokens_not_before: now,
            created_at: now,
        })
    }

    fn grant(
        &self,
        partner: PartnerId,
        purpose: Purpose,
        fields: FieldSet,
        now: Moment,
    ) -> Result<Grant, Failure> {
        Ok(Grant {
            id: GrantId::new(),
            partner,
            purpose,
            fields,
            territory: Territory::parse(self.territory).map_err(Failure::broken)?,
            points: PointSet::EVERY,
            from: now,
            until: None,
        })
    }
}
