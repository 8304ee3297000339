//! The tour: what a partner does over real mutual TLS, and what it is refused.

use std::path::Path;

use serde_json::{Value, json};

use crate::domain::consent::ChoiceOrigin;
use crate::domain::purpose::Purpose;
use crate::flows::audit;
use crate::flows::report;
use crate::flows::withdraw::{self, Word};
use crate::ledger::verify::verify_receipt;
use crate::secret::Personal;
use crate::web::recorded::receipt_path;

use super::super::installation::{Installation, chain, read_file};
use super::super::pull::{Client, Pulled};
use super::super::say::{Ending, Failure, Voice};
use super::super::verify::policy;
use super::people::Invented;
use super::stage::{COLLECTOR, Folder, PARTNERS, staff};

/// Who is on stage.
pub(super) struct Tour<'a> {
    pub(super) open: &'a Installation,
    pub(super) folder: &'a Folder,
    pub(super) voice: Voice,
}

impl Tour<'_> {
    /// A client with the key and certificate of a partner of the demonstration.
    async fn client(&self, code: &str) -> Result<Client, Failure> {
        let partner = crate::flows::onboard::find(&self.open.gateway, code).await?;
        let mut identity = read_file(&self.folder.client(code, "key"))?;
        identity.extend(read_file(&self.folder.client(code, "pem"))?);
        let authority = read_file(&self.open.settings.keys.authority_file)?;
        let base = &self.open.settings.doors.partner_url;
        Client::new(base, &partner.id.to_string(), Some(&identity), &authority)
            .map_err(|error| Failure::broken(chain(&error)))
    }

    /// Hands the invented people in at the three collection points, over mutual TLS.
    pub(super) async fn collect(&self, people: usize) -> Result<(), Failure> {
        let gateway = &self.open.gateway;
        let registry = gateway.registry_now().await?;
        let policy = registry.policy_in_force(gateway.now());
        let policy = policy.ok_or_else(|| Failure::broken("no policy is in force"))?;
        let text = policy.texts.first();
        let hash = text.map(|text| crate::id::Thumbprint(text.wording_hash).hex());
        let wording = (policy.version.0, hash.unwrap_or_default());
        let mut client = self.client(COLLECTOR).await?;
        let at = gateway.now().rfc3339();
        let (half, most) = (people / 2, people.saturating_mul(4) / 5);
        let ranges = [
            ("trial", 0..half),
            ("support", people.saturating_mul(2) / 5..most),
            ("news", people.saturating_mul(7) / 10..people),
        ];
        for (point, range) in ranges {
            let numbers: Vec<_> = range.collect();
            let mut counts = (0, 0);
            for (part, batch) in numbers.chunks(500).enumerate() {
                let with = (wording.0, wording.1.as_str());
                let contacts: Vec<_> = batch
                    .iter()
                    .map(|number| Invented::new(*number).submission(point, &at, with))
                    .collect();
                let key = format!("demo-{point}-{part}-{at}");
                let body = json!({"contacts": contacts});
                let answer = client.post("intake", ("/v1/contacts", &key), &body).await;
                let answer = expect(answer, 200)?.json();
                let count = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
                counts = (counts.0 + count("created"), counts.1 + count("merged"));
            }
            self.ok(format_args!(
                "{point}: {} new people, {} known ones joined",
                counts.0, counts.1
            ));
        }
        Ok(())
    }

    fn ok(&self, text: impl std::fmt::Display) {
        self.voice.line(format_args!("  ok  {text}"));
    }

    /// The partner's side: identity, pull, refusals, receipt, opt-out, the same pull again.
    pub(super) async fn run(&self) -> Result<(), Failure> {
        let mut reseller = self.client("rhein-resale").await?;
        let whoami = expect(reseller.get_plain("/v1/whoami").await, 200)?.json();
        let days = whoami.get("days_left").and_then(Value::as_i64).unwrap_or(0);
        self.ok(format_args!("whoami: rhein-resale, certificate good for {days} more days"));

        let path = "/v1/leads?purpose=offers&limit=3";
        let page = expect(reseller.get("offers", path).await, 200)?;
        let leads = leads_of(&page);
        self.ok(format_args!("GET {path}: {} leads, each with", leads.len()));
        let fields = leads.first().and_then(|lead| lead.get("fields")).and_then(Value::as_object);
        let names: Vec<_> = fields.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        self.voice.line(format_args!("      {}", names.join(", ")));

        let asked = "/v1/leads?purpose=offers&fields=email,company";
        let refused = expect(reseller.get("offers", asked).await, 403)?;
        self.ok(format_args!("a field that is not granted: 403 {}", refused.code()));
        let wrong = expect(self.borrowed(&mut reseller).await, 401)?;
        self.ok(format_args!("the same token over another certificate: 401 {}", wrong.code()));
        self.stranger().await?;
        let index = self.receipt(&mut reseller, &page).await?;

        let email = fields.and_then(|fields| fields.get("email")).and_then(Value::as_str);
        let email = email.ok_or_else(|| Failure::broken("the page is empty"))?.to_owned();
        self.opt_out(&Personal::new(email.clone())).await?;
        let again = expect(reseller.get("offers", path).await, 200)?;
        if again.text.contains(&email) {
            return Err(Failure::new(Ending::Wrong, "the person is still released"));
        }
        let count = leads_of(&again).len();
        self.ok(format_args!("the same pull again: {count} leads, without that person"));
        self.recalled(&mut reseller).await?;
        self.who(&Personal::new(email), index).await
    }

    /// The reseller is told what to delete, and answers that it did.
    async fn recalled(&self, reseller: &mut Client) -> Result<(), Failure> {
        let poll = ("/v1/recalls/poll", "demo");
        let polled = expect(reseller.post("recalls", poll, &json!({})).await, 200)?.json();
        let demand = polled.pointer("/recalls/0");
        let text = |name: &str| demand.and_then(|one| one.get(name)).and_then(Value::as_str);
        let (Some(id), Some(due)) = (text("recall_id"), text("due_on")) else {
            return Err(Failure::new(Ending::Wrong, "the reseller was not told"));
        };
        self.ok(format_args!("rhein-resale polls and is told to erase one lead, by {due}"));
        let path = format!("/v1/recalls/{id}/result");
        let body = json!({ "outcome": "erased" });
        let answer = reseller.post("recalls", (&path, "demo"), &body).await;
        let answer = expect(answer, 200)?.json();
        let entry = answer.get("entry").and_then(Value::as_u64).unwrap_or(0);
        self.ok(format_args!("it answers that it did: entry {entry}, with a receipt"));
        Ok(())
    }

    async fn borrowed(
        &self,
        reseller: &mut Client,
    ) -> Result<Pulled, super::super::pull::ClientError> {
        let token = reseller.token("offers").await?;
        let other = self.client("alpine-distribution").await;
        let Ok(other) = other else { return Err(super::super::pull::ClientError::Answer) };
        other.get_bearer(&token, "/v1/leads?purpose=offers&limit=1").await
    }

    async fn stranger(&self) -> Result<(), Failure> {
        let authority = read_file(&self.open.settings.keys.authority_file)?;
        let base = &self.open.settings.doors.partner_url;
        let stranger = Client::new(base, "nobody", None, &authority)
            .map_err(|error| Failure::broken(chain(&error)))?;
        if stranger.get_plain("/v1/whoami").await.is_ok() {
            return Err(Failure::new(Ending::Wrong, "a client without certificate got an answer"));
        }
        self.ok("without a certificate: the handshake is refused");
        Ok(())
    }

    async fn receipt(&self, reseller: &mut Client, page: &Pulled) -> Result<u64, Failure> {
        let index = page.json().pointer("/receipt/index").and_then(Value::as_u64);
        let index = index.ok_or_else(|| Failure::broken("the page has no receipt"))?;
        let path = receipt_path(index);
        let proof = expect(reseller.get("offers", &path).await, 200)?.text;
        let file = self.folder.dir.join("receipt.tlog-proof");
        std::fs::write(&file, &proof).map_err(Failure::broken)?;
        let key = audit::log_key(&self.open.gateway);
        std::fs::write(self.folder.dir.join("log.vkey"), &key).map_err(Failure::broken)?;
        let verified = verify_receipt(&proof, &policy(&key)?)
            .map_err(|error| Failure::new(Ending::Wrong, chain(&error)))?;
        self.ok(format_args!(
            "receipt verified offline: entry {} of {}, {} people",
            verified.index,
            verified.checkpoint.size,
            verified.entry.items.map_or(0, |items| items.count)
        ));
        Ok(index)
    }

    async fn opt_out(&self, address: &Personal) -> Result<(), Failure> {
        let word = Word {
            purpose: Purpose::Offers,
            partner: None,
            given: false,
            origin: ChoiceOrigin::Person,
        };
        let gateway = &self.open.gateway;
        let done = withdraw::choose(gateway, &staff("demo-officer"), address, word).await?;
        let partners = done.recalls.len();
        self.ok(format_args!(
            "one of them opts out of offers; recalled from {partners} partner(s)"
        ));
        Ok(())
    }

    async fn who(&self, address: &Personal, index: u64) -> Result<(), Failure> {
        let found = report::who(&self.open.gateway, &staff("demo-officer"), address).await?;
        let named = found.holdings.iter().find(|one| one.entries.contains(&index));
        let holding = named.ok_or_else(|| {
            Failure::new(Ending::Wrong, "the report does not name the entry of the pull")
        })?;
        self.ok(format_args!(
            "who has her data: {} received {} for {} (entry {index}); recall: {}",
            holding.legal_name,
            holding.fields.codes(),
            holding.purpose,
            holding.recall.as_ref().map_or("none", |recall| recall.state.code())
        ));
        Ok(())
    }

    /// What to try next, in lines that work as they are printed.
    pub(super) async fn next_steps(&self) -> Result<(), Failure> {
        let doors = &self.open.settings.doors;
        let dir = quoted(&self.folder.dir);
        let partner = crate::flows::onboard::find(&self.open.gateway, "rhein-resale").await?;
        let curl = format!(
            "curl -s --cacert {dir}/ca.pem --cert {dir}/clients/rhein-resale.pem --key {dir}/clients/rhein-resale.key"
        );
        let (base, id) = (&doors.partner_url, partner.id);
        let config = quoted(&self.folder.config());
        let program = program();
        let line = |text: String| self.voice.line(text);
        line(format!("\nPartner door  {base}/v1   mutual TLS"));
        line(format!("Public door   {}/.well-known/oauth-authorization-server", doors.public_url));
        line(format!("Ops door      http://{}/readyz", doors.ops));
        line("\nPartners:".to_owned());
        for one in &PARTNERS {
            let grants: Vec<_> = one.grants.iter().map(|(purpose, _)| purpose.code()).collect();
            let may = match grants.as_slice() {
                [] => "hands contacts in, receives nothing".to_owned(),
                _ => format!("{} in {}", grants.join(" and "), one.territory),
            };
            line(format!("  {:<20} {may}", one.code));
        }
        line("\nNext, in another terminal:".to_owned());
        line(format!("  {curl} {base}/v1/whoami"));
        line(format!(
            "  TOKEN=$({curl} {base}/oauth2/token -d grant_type=client_credentials -d client_id={id} -d scope=offers | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')"
        ));
        line(format!(
            "  {curl} -H \"Authorization: Bearer $TOKEN\" '{base}/v1/leads?purpose=offers&limit=3'"
        ));
        line(format!("  {program} --config {config} partner list"));
        line(format!(
            "  printf %s {} | {program} --config {config} person who",
            Invented::new(0).email()
        ));
        line(format!("  {program} --config {config} ledger verify"));
        line(format!(
            "  {program} verify receipt {dir}/receipt.tlog-proof --policy {dir}/log.vkey"
        ));
        Ok(())
    }
}

/// This program as it was called, so that the lines printed work as they are.
fn program() -> String {
    quoted(Path::new(&std::env::args().next().unwrap_or_else(|| "fieldgate".to_owned())))
}

/// A path as a shell reads it back.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn leads_of(page: &Pulled) -> Vec<Value> {
    page.json().get("leads").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn expect(
    answer: Result<Pulled, super::super::pull::ClientError>,
    status: u16,
) -> Result<Pulled, Failure> {
    let answer = answer.map_err(|error| Failure::broken(chain(&error)))?;
    if answer.status == status {
        return Ok(answer);
    }
    let says = format!("expected {status}, got {} {}", answer.status, answer.code());
    Err(Failure::new(Ending::Wrong, says))
}
