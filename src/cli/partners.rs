//! `fieldgate partner`: add, approve, suspend, resume, grant, bind and revoke certificates, list.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::clock::Moment;
use crate::domain::contact::{Country, PointSet};
use crate::domain::field::FieldSet;
use crate::domain::find_code;
use crate::domain::grant::{Grant, Territory};
use crate::domain::partner::{Certificate, Partner, PartnerKind, PartnerState};
use crate::domain::purpose::Purpose;
use crate::flows::onboard;
use crate::id::{GrantId, PartnerId, Thumbprint};
use crate::vault::authority::{csr_from_pem_or_der, to_pem};
use crate::vault::certificate::leaf_from_pem;

use super::installation::{Installation, actor, read_file, wait};
use super::partner_list::Listing;
use super::say::{Act, Ending, Failure, Voice};

#[derive(Debug, Subcommand)]
pub(super) enum PartnerCommand {
    /// Enter a partner; a second person approves it.
    Add(AddArguments),
    /// Approve a partner that somebody else entered.
    Approve(Named),
    /// Stop a partner: certificates and tokens die at once, live connections are cut.
    Suspend(Named),
    /// Let a suspended partner come back.
    Resume(Named),
    /// Set what a partner may receive for one purpose; the former grant ends.
    Grant(GrantArguments),
    /// Register a certificate: issue one from a signing request, or pin the partner's own.
    BindCertificate(BindArguments),
    /// Revoke a certificate for ever.
    RevokeCertificate(RevokeArguments),
    /// List partners with their certificates and grants.
    List,
}

#[derive(Debug, clap::Args)]
pub(super) struct Named {
    /// Code of the partner.
    code: String,
    /// Who acts, where two people are needed; the login when left out.
    #[arg(long = "as", value_name = "NAME")]
    acting: Option<String>,
    /// Check and tell, change nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct AddArguments {
    /// Short name: a-z, 0-9 and -.
    code: String,
    /// distributor, reseller, `service_partner`, `in_house` or auditor.
    #[arg(long)]
    kind: String,
    /// Name of the legal entity.
    #[arg(long)]
    legal_name: String,
    /// Country of the legal entity, ISO 3166-1.
    #[arg(long)]
    country: String,
    /// Reference of the contract.
    #[arg(long, default_value = "none")]
    contract: String,
    /// Version of the contract.
    #[arg(long, default_value = "1")]
    contract_version: String,
    /// Mailbox of the privacy contact (a role, not a person).
    #[arg(long, default_value = "")]
    privacy_contact: String,
    /// Days to answer a recall.
    #[arg(long, default_value_t = 7)]
    recall_days: u16,
    /// Requests per minute.
    #[arg(long, default_value_t = 600)]
    requests_per_minute: u32,
    /// Who enters it; the login when left out.
    #[arg(long = "as", value_name = "NAME")]
    acting: Option<String>,
    /// Check and tell, change nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct GrantArguments {
    /// Code of the partner.
    code: String,
    /// offers, licensing, support or news.
    #[arg(long)]
    purpose: String,
    /// Field codes joined by commas; the purpose's usual fields when left out.
    #[arg(long)]
    fields: Option<String>,
    /// Country codes joined by commas, or `*`.
    #[arg(long)]
    territory: String,
    /// Collection points joined by commas; all when left out.
    #[arg(long)]
    points: Option<String>,
    /// First moment, RFC 3339 or a day; now when left out.
    #[arg(long)]
    from: Option<Moment>,
    /// Last moment (exclusive); open when left out.
    #[arg(long)]
    until: Option<Moment>,
    /// Check and tell, change nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct BindArguments {
    /// Code of the partner.
    code: String,
    /// Signing request (PEM or DER): our authority issues the certificate.
    #[arg(long, conflicts_with = "certificate", required_unless_present = "certificate")]
    csr: Option<PathBuf>,
    /// The partner's own certificate (PEM), whose fingerprint you compared with the partner.
    #[arg(long)]
    certificate: Option<PathBuf>,
    /// Days an issued certificate lives.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=90))]
    days: u16,
    /// Where the issued certificate is written; standard output when left out.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Check and tell, change nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RevokeArguments {
    /// Thumbprint: base64url, or hex as openssl prints it.
    #[arg(allow_hyphen_values = true)]
    thumbprint: Thumbprint,
    /// unspecified, `key_compromise`, `affiliation_changed`, superseded or cessation.
    #[arg(long, default_value = "unspecified")]
    reason: String,
    /// Check and tell, change nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(
    command: &PartnerCommand,
    config: &Path,
    voice: Voice,
) -> Result<Ending, Failure> {
    let open = Installation::open(config)?;
    let answer = match command {
        PartnerCommand::Add(arguments) => add(&open, arguments)?,
        PartnerCommand::Approve(named) => change(&open, named, "approved", PartnerState::Approved)?
            .next(format!("fieldgate partner bind-certificate {} --csr FILE", named.code)),
        PartnerCommand::Suspend(named) => {
            change(&open, named, "suspended", PartnerState::Suspended)?
        }
        PartnerCommand::Resume(named) => change(&open, named, "resumed", PartnerState::Active)?,
        PartnerCommand::Grant(arguments) => grant(&open, arguments)?,
        PartnerCommand::BindCertificate(arguments) => bind(&open, arguments, voice)?,
        PartnerCommand::RevokeCertificate(arguments) => revoke(&open, arguments)?,
        PartnerCommand::List => {
            let registry = wait(open.gateway.registry_now())??;
            voice.tell(&Listing::of(&registry, open.gateway.now()));
            return Ok(Ending::Done);
        }
    };
    voice.tell(&answer);
    Ok(Ending::Done)
}

pub(super) fn invalid(at: &str, says: impl std::fmt::Display) -> Failure {
    Failure::new(Ending::Invalid, format!("{at}: {says}"))
}

/// Reads a code of a catalogue, naming the known ones when it is another.
pub(super) fn parse_code<T: Copy>(
    at: &str,
    code: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, Failure> {
    find_code(code, all, name).map_err(|fault| invalid(at, fault))
}

/// Reads a purpose.
pub(super) fn purpose(code: &str) -> Result<Purpose, Failure> {
    parse_code("purpose", code, Purpose::ALL, Purpose::code)
}

/// Reads field codes joined by commas.
pub(super) fn fields(codes: &str) -> Result<FieldSet, Failure> {
    FieldSet::from_codes(codes.split(',').map(str::trim))
        .map_err(|code| invalid("fields", format!("{code} is unknown or named twice")))
}

fn add(open: &Installation, arguments: &AddArguments) -> Result<Act, Failure> {
    let who = actor(arguments.acting.as_deref());
    let now = open.gateway.now();
    let partner = Partner {
        id: PartnerId::new(),
        code: arguments.code.clone(),
        kind: parse_code("kind", &arguments.kind, PartnerKind::ALL, PartnerKind::code)?,
        state: PartnerState::Applied,
        legal_name: arguments.legal_name.clone(),
        country: Country::parse(&arguments.country).map_err(|f| invalid("country", f))?,
        contract_ref: arguments.contract.clone(),
        contract_version: arguments.contract_version.clone(),
        privacy_contact: arguments.privacy_contact.clone(),
        recall_days: arguments.recall_days,
        requests_per_minute: arguments.requests_per_minute,
        applied_by: who.name.clone(),
        approved_by: None,
        tokens_not_before: now,
        created_at: now,
    };
    Partner::check_code(&partner.code).map_err(|fault| invalid("code", fault))?;
    if arguments.dry_run {
        return Ok(Act::dry(format!("would enter {} as {}", partner.code, partner.kind)));
    }
    let (id, code) = (partner.id, partner.code.clone());
    let receipt = wait(onboard::add(&open.gateway, &who, partner))??;
    Ok(Act::new(format!("{code} entered, waits for approval"), &receipt)
        .id(&id)
        .next(format!("a second person: fieldgate partner approve {code}")))
}

fn change(
    open: &Installation,
    named: &Named,
    done: &str,
    next: PartnerState,
) -> Result<Act, Failure> {
    let who = actor(named.acting.as_deref());
    let (gateway, code) = (&open.gateway, named.code.as_str());
    if named.dry_run {
        let partner = wait(onboard::find(gateway, code))??;
        let check = match next {
            PartnerState::Approved => partner.check_approval(&who.name),
            _ => partner.check_state(next),
        };
        check.map_err(|fault| Failure::new(Ending::Conflict, fault))?;
        return Ok(Act::dry(format!("{code} would become {}", next.code())));
    }
    let receipt = match next {
        PartnerState::Approved => wait(onboard::approve(gateway, &who, code))??,
        PartnerState::Suspended => wait(onboard::suspend(gateway, &who, code))??,
        _ => wait(onboard::resume(gateway, &who, code))??,
    };
    Ok(Act::new(format!("{code} {done}"), &receipt))
}

fn grant(open: &Installation, arguments: &GrantArguments) -> Result<Act, Failure> {
    let purpose = purpose(&arguments.purpose)?;
    let partner = wait(onboard::find(&open.gateway, &arguments.code))??;
    let points = match &arguments.points {
        None => PointSet::EVERY,
        Some(codes) => PointSet::from_codes(codes.split(',').map(str::trim))
            .map_err(|code| invalid("points", format!("{code} is unknown or named twice")))?,
    };
    let grant = Grant {
        id: GrantId::new(),
        partner: partner.id,
        purpose,
        fields: match &arguments.fields {
            None => purpose.row().fields_usual,
            Some(codes) => fields(codes)?,
        },
        territory: Territory::parse(&arguments.territory).map_err(|f| invalid("territory", f))?,
        points,
        from: arguments.from.unwrap_or(open.gateway.now()),
        until: arguments.until,
    };
    grant.check().map_err(|fault| invalid("grant", fault))?;
    let says = format!(
        "{} may receive {} for {purpose} of people in {}",
        partner.code,
        grant.fields.codes(),
        grant.territory.text()
    );
    if arguments.dry_run {
        return Ok(Act::dry(says));
    }
    let id = grant.id;
    let receipt = wait(onboard::grant(&open.gateway, &actor(None), grant))??;
    Ok(Act::new(says, &receipt).id(&id))
}

fn revoke(open: &Installation, arguments: &RevokeArguments) -> Result<Act, Failure> {
    let RevokeArguments { thumbprint, reason, dry_run } = arguments;
    if *dry_run {
        let may = onboard::may_revoke(&open.gateway, *thumbprint, reason);
        let (certificate, _) = wait(may)??;
        let says = format!("would revoke a certificate of {} for ever", certificate.partner);
        return Ok(Act::dry(says));
    }
    let who = actor(None);
    let story = onboard::revoke_certificate(&open.gateway, &who, *thumbprint, reason);
    Ok(Act::new("certificate revoked; its connections are cut within a second", &wait(story)??))
}

fn bind(open: &Installation, arguments: &BindArguments, voice: Voice) -> Result<Act, Failure> {
    let (gateway, who) = (&open.gateway, actor(None));
    let (code, dry_run) = (arguments.code.as_str(), arguments.dry_run);
    let certificate = match (&arguments.csr, &arguments.certificate) {
        (Some(file), _) => {
            let csr = csr_from_pem_or_der(&read_file(file)?).map_err(|f| invalid("csr", f))?;
            if dry_run {
                wait(onboard::check_request(gateway, code, &csr))??;
                let says = format!("would issue a certificate of {} days", arguments.days);
                return Ok(Act::dry(format!("{says} to {code}")));
            }
            let with = (&open.authority()?, csr.as_slice(), arguments.days);
            let issued = wait(onboard::issue_certificate(gateway, &who, code, with))??;
            hand_over(&issued, arguments.out.as_deref(), voice)?;
            issued
        }
        (None, Some(file)) => {
            let der = leaf_from_pem(&read_file(file)?).map_err(|f| invalid("certificate", f))?;
            if dry_run {
                wait(onboard::check_certificate(gateway, code, &der))??;
                let thumbprint = Thumbprint::of(&der).hex();
                return Ok(Act::dry(format!("would pin {thumbprint} to {code}")));
            }
            wait(onboard::pin_certificate(gateway, &who, code, der))??
        }
        (None, None) => return Err(invalid("csr", "name --csr or --certificate")),
    };
    Ok(Act {
        done: format!("certificate bound to {code}, good until {}", certificate.not_after),
        entry: None,
        id: Some(certificate.thumbprint.hex()),
        next: Some("fieldgate partner grant ... (if not done), then the partner may pull".into()),
    })
}

/// An issued certificate goes to a file, or to standard output where words are spoken.
fn hand_over(issued: &Certificate, out: Option<&Path>, voice: Voice) -> Result<(), Failure> {
    let pem = to_pem("CERTIFICATE", &issued.der);
    match out {
        Some(out) => std::fs::write(out, &pem).map_err(|error| {
            let says = format!("issued, but cannot write {}: {error}", out.display());
            Failure::broken(says).hint("revoke it, then bind again to another file")
        }),
        None if !voice.is_json() => {
            Voice::raw(pem.as_bytes());
            Ok(())
        }
        None => Ok(()),
    }
}
