//! Intake: our own collection points hand in what people left.

use actix_web::http::header::HeaderMap;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::domain::contact::CollectionPoint;
use crate::domain::field::Field;
use crate::domain::purpose::Purpose;
use crate::flows::Gateway;
use crate::flows::intake::{self, Bringer, Manner, Once, Outcome, Submission, Taken};
use crate::id::{PolicyVersion, Thumbprint, digest};
use crate::secret::Personal;
use crate::web::problem::{Code, Problem};
use crate::web::recorded::Recorded;

use super::body::{demand_json, read_json};
use super::caller::PartnerCaller;

/// Longest `Idempotency-Key`, in characters.
const KEY_CHARS_MAX: usize = 128;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchBody {
    contacts: Vec<SubmissionBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubmissionBody {
    collection_point: String,
    collected_at: String,
    policy_version: i32,
    wording_hash: String,
    fields: Fields,
    #[serde(default)]
    choices: Choices,
}

/// Fields as they came; repeated and unknown ones are refused while reading.
struct Fields(Vec<(Field, Personal)>);

/// Choices as they came.
#[derive(Default)]
struct Choices(Vec<(Purpose, bool)>);

#[derive(Serialize)]
struct TakenBody {
    created: usize,
    merged: usize,
    suppressed: usize,
    invalid: usize,
    outcomes: Vec<OutcomeBody>,
    entry: Option<u64>,
}

#[derive(Serialize)]
struct OutcomeBody {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    says: Option<String>,
}

#[derive(Serialize)]
struct ReplayBody {
    replayed: bool,
    entry: u64,
}

/// `POST /v1/contacts`: a batch of 1 to 500 submissions. Needs the scope `intake` and an
/// `Idempotency-Key`: the same key with the same body is answered without doing it again, the
/// same key with another body is refused (409).
pub async fn hand_in(
    caller: PartnerCaller,
    request: HttpRequest,
    body: web::Bytes,
    gateway: web::Data<Gateway>,
) -> Result<HttpResponse, Problem> {
    caller.require_intake()?;
    demand_json(request.headers())?;
    let once = once(&caller, request.headers(), &body)?;
    let batch = read(&body)?;
    if let Some(entry) = intake::find_replay(&gateway, &once).await? {
        return Ok(HttpResponse::Ok().json(ReplayBody { replayed: true, entry }));
    }
    let manner = Manner {
        request: caller.request,
        bringer: Bringer::System(caller.partner, caller.certificate),
        dry_run: false,
        once: Some(once),
    };
    let taken = intake::hand_in(&gateway, manner, batch).await?;
    let mut answer = HttpResponse::Ok();
    if let Some(receipt) = &taken.receipt {
        Recorded::from(receipt).tell(&mut answer);
    }
    Ok(answer.json(TakenBody::of(&taken)))
}

fn once(caller: &PartnerCaller, headers: &HeaderMap, body: &[u8]) -> Result<Once, Problem> {
    let mut keys = headers.get_all("idempotency-key");
    let key = match (keys.next(), keys.next()) {
        (Some(key), None) => key.as_bytes(),
        _ => return Err(Problem::new(Code::IdempotencyKeyMissing)),
    };
    let visible = key.iter().all(u8::is_ascii_graphic);
    if key.is_empty() || key.len() > KEY_CHARS_MAX || !visible {
        let says = format!("Idempotency-Key has 1 to {KEY_CHARS_MAX} visible ASCII characters");
        return Err(Problem::new(Code::InvalidRequest).detail(says));
    }
    let mut owned = caller.partner.to_string().into_bytes();
    owned.push(b'\n');
    owned.extend_from_slice(key);
    Ok(Once { key: digest(&owned), body: digest(body) })
}

/// Reads the body of a batch. Unknown and repeated members are refused with their place; the
/// values are judged later, one contact at a time.
///
/// # Errors
/// Not JSON of this form, or a collection point, time or digest that is none.
pub fn read(body: &[u8]) -> Result<Vec<Submission>, Problem> {
    let batch: BatchBody = read_json(body)?;
    batch.contacts.into_iter().enumerate().map(|(at, one)| one.read(at)).collect()
}

impl SubmissionBody {
    fn read(self, position: usize) -> Result<Submission, Problem> {
        let wrong = |what: &str, says: &str| {
            let says = format!("/contacts/{position}/{what} {says}");
            Problem::new(Code::InvalidContent).detail(says)
        };
        let point = CollectionPoint::from_code(&self.collection_point)
            .ok_or_else(|| wrong("collection_point", "must be trial, support or news"))?;
        let at = self.collected_at.parse::<Moment>();
        let at = at.map_err(|_| wrong("collected_at", "must be an RFC 3339 time"))?;
        let hash = self.wording_hash.parse::<Thumbprint>();
        let hash = hash.map_err(|_| wrong("wording_hash", "must be a SHA-256 in hex"))?;
        Ok(Submission {
            point,
            at,
            policy: PolicyVersion(self.policy_version),
            wording_hash: hash.0,
            fields: self.fields.0,
            choices: self.choices.0,
        })
    }
}

impl TakenBody {
    fn of(taken: &Taken) -> Self {
        let mut body = Self {
            created: 0,
            merged: 0,
            suppressed: 0,
            invalid: 0,
            outcomes: Vec::with_capacity(taken.outcomes.len()),
            entry: None,
        };
        if let Some(receipt) = &taken.receipt {
            body.entry = Some(receipt.index());
        }
        for outcome in &taken.outcomes {
            let (count, name, fault) = match outcome {
                Outcome::Created => (&mut body.created, "created", None),
                Outcome::Invalid(fault) => (&mut body.invalid, "invalid", Some(fault)),
                Outcome::Merged => (&mut body.merged, "merged", None),
                Outcome::Suppressed => (&mut body.suppressed, "suppressed", None),
            };
            *count = count.saturating_add(1);
            body.outcomes.push(OutcomeBody {
                outcome: name,
                at: fault.map(|fault| fault.at.clone()),
                says: fault.map(|fault| fault.says.clone()),
            });
        }
        body
    }
}

/// Reads a JSON object of codes strictly: an unknown code or one named twice is refused, and the
/// message names the code, never the value.
macro_rules! coded_map {
    ($name:ident, $code:ty, $value:ty, $wrap:expr) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Reader;
                impl<'de> serde::de::Visitor<'de> for Reader {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object of known codes")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<$name, A::Error> {
                        use serde::de::Error as _;
                        let mut read: Vec<($code, _)> = Vec::new();
                        while let Some(code) = map.next_key::<String>()? {
                            let code = <$code>::from_code(&code)
                                .filter(|code| read.iter().all(|(one, _)| one != code))
                                .ok_or_else(|| A::Error::custom("a code unknown or repeated"))?;
                            read.push((code, $wrap(map.next_value::<$value>()?)));
                        }
                        Ok($name(read))
                    }
                }
                from.deserialize_map(Reader)
            }
        }
    };
}

coded_map!(Fields, Field, String, Personal::new);
coded_map!(Choices, Purpose, bool, std::convert::identity);
