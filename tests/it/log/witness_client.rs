//! The gateway asks its witnesses: real ones, and fakes that deviate as real ones do.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use fieldgate::clock::Clock;
use fieldgate::flows::question::{HITS_MAX, Inquirer, Question, Search};
use fieldgate::flows::witnesses::Witness;
use fieldgate::flows::{Alarm, Gateway, checkpoints, evidence, witnesses};
use fieldgate::jobs::witness::{Trouble, client, turn};
use fieldgate::ledger::bundle::{Bundle, BundleError};
use fieldgate::ledger::{Notary, Sequencer};
use fieldgate::merkle::add_checkpoint::AddCheckpoint;
use fieldgate::merkle::cosignature;
use fieldgate::merkle::key::{KeyType, Signer, Verifier};
use fieldgate::merkle::note::Note;
use fieldgate::merkle::policy::{Policy, Unconvinced};
use fieldgate::store::{Effect, ReadTx, checkpoint_rows, key_rows, witness_rows};
use fieldgate::vault::authority::to_pem;
use fieldgate::vault::keyring::Keyring;

use super::witness_server::Running;
use crate::harness::process::{Installed, install_provider, until};
use crate::harness::world::{actor, signer};
use crate::harness::{Database, World, databases, wait};

/// What a fake witness answers to a request.
pub enum Reply {
    Text(u16, &'static str, String),
    /// Nothing, while the connection stays open.
    Silence,
}

/// A witness that answers as a test likes; it ends with the test binary.
pub struct Fake {
    pub url: String,
    pub asked: Arc<Mutex<Vec<AddCheckpoint>>>,
}

impl Fake {
    pub fn start(mut answer: impl FnMut(&AddCheckpoint) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/some/prefix", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<AddCheckpoint>>> = Arc::default();
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read(&mut stream) else { continue };
                let reply = answer(&request);
                heard.lock().unwrap().push(request);
                let Reply::Text(status, kind, body) = reply else {
                    silent.push(stream);
                    continue;
                };
                let kind = match kind {
                    "" => String::new(),
                    kind => format!("content-type: {kind}\r\n"),
                };
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} X\r\n{kind}content-length: {length}\r\n\
                     connection: close\r\n\r\n{body}"
                );
            }
        });
        Self { url, asked }
    }

    /// The sizes that it was asked from.
    pub fn olds(&self) -> Vec<u64> {
        self.asked.lock().unwrap().iter().map(|request| request.old).collect()
    }

    /// What it was asked so far is of no interest any more.
    pub fn forget(&self) {
        self.asked.lock().unwrap().clear();
    }
}

fn read(stream: &mut TcpStream) -> Option<AddCheckpoint> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut chunk).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        assert!(head.starts_with("POST /some/prefix/add-checkpoint "), "{head}");
        let length = head.to_lowercase();
        let length = length.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        if body.len() >= length.parse::<usize>().unwrap() {
            return Some(AddCheckpoint::parse(body.as_bytes()).unwrap());
        }
    }
}

pub fn cosigner(seed: u8) -> Signer {
    Signer::from_seed(&format!("w{seed}.example.com"), KeyType::Witness, &[seed; 32]).unwrap()
}

pub fn line(seed: u8, request: &AddCheckpoint) -> String {
    cosignature::sign(request.note.text(), &cosigner(seed), 1_800_000_000).unwrap().to_line()
}

fn size_of(request: &AddCheckpoint) -> u64 {
    request.admit(&[signer().verifier().clone()]).unwrap().size
}

pub fn ok(body: String) -> Reply {
    Reply::Text(200, "text/plain; charset=utf-8", body)
}

pub fn sized(size: u64) -> Reply {
    Reply::Text(409, "text/x.tlog.size", format!("{size}\n"))
}

/// A gateway on a world whose policy asks for all of these witnesses.
fn gateway(world: &World, urls: &[&str]) -> (Gateway, Sequencer<Effect>) {
    gateway_at(world, urls, Clock::System)
}

/// The same by a clock of one's own.
pub fn gateway_at(world: &World, urls: &[&str], clock: Clock) -> (Gateway, Sequencer<Effect>) {
    let mut text = format!("log {}\n", signer().verifier());
    let mut names = String::new();
    for (seed, url) in (1..).zip(urls) {
        text.push_str(&format!("witness w{seed} {} {url}\n", cosigner(seed).verifier()));
        names.push_str(&format!(" w{seed}"));
    }
    text.push_str(&format!("group all all{names}\nquorum all\n"));
    let rows = world.store.read_blocking(key_rows::list_keys).unwrap();
    let keyring = Keyring::open(&world.master, &rows).unwrap();
    let sequencer = Sequencer::start(world.store.shelf(), vec![signer()]).unwrap();
    let policy = Policy::parse(text.as_bytes()).unwrap();
    let notary = Notary::new(vec![signer()]).judged_by(policy);
    let gateway = Gateway::new(world.store.clone(), sequencer.clone(), (keyring, notary), clock);
    (gateway, sequencer)
}

pub async fn ask(gateway: &Gateway, witness: &Witness, seen: &mut u64) -> Result<(), Trouble> {
    install_provider();
    turn(gateway, witness, &client().unwrap(), seen).await
}

#[test]
fn a_quorum_of_two_is_served_once_both_have_cosigned() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let fakes = [1, 2].map(|seed| Fake::start(move |request| ok(line(seed, request))));
            let (gateway, _) = gateway(&world, &[&fakes[0].url, &fakes[1].url]);
            let size = checkpoints::publish(&gateway).await.unwrap().size;
            let all = witnesses::list(&gateway);
            assert_eq!(all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["w1", "w2"]);
            assert_eq!(witnesses::published(&gateway).await.unwrap(), None);
            let mut seen = 0;
            ask(&gateway, &all[0], &mut seen).await.unwrap();
            assert_eq!(seen, size);
            assert_eq!(witnesses::published(&gateway).await.unwrap(), None, "one of two");
            ask(&gateway, &all[1], &mut 0).await.unwrap();
            let note = witnesses::published(&gateway).await.unwrap().unwrap();
            let note = Note::parse(note.as_bytes()).unwrap();
            let known = [1, 2].map(|seed| cosigner(seed).verifier().clone());
            assert_eq!(note.verify(&known).unwrap().len(), 2);
            // The same size again, without a proof, renews the time.
            ask(&gateway, &all[0], &mut seen).await.unwrap();
            let request = fakes[0].asked.lock().unwrap().pop().unwrap();
            assert_eq!((request.old, request.proof.len()), (size, 0));
        });
    }
}

#[test]
fn a_bundle_carries_the_cosignatures_of_what_the_witnesses_saw_and_no_others() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let fakes = [1, 2].map(|seed| Fake::start(move |request| ok(line(seed, request))));
            let (gateway, _) = gateway(&world, &[&fakes[0].url, &fakes[1].url]);
            let size = checkpoints::publish(&gateway).await.unwrap().size;
            for witness in witnesses::list(&gateway) {
                ask(&gateway, &witness, &mut 0).await.unwrap();
            }
            let names = [1, 2].map(|n| format!("witness w{n} {}\n", cosigner(n).verifier()));
            let log = signer();
            let policy = format!(
                "log {}\n{}group all all w1 w2\nquorum all\n",
                log.verifier(),
                names.concat()
            );
            let policy = Policy::parse(policy.as_bytes()).unwrap();
            let everything = Question {
                search: Search::default(),
                person: None,
                newest_first: true,
                limit: HITS_MAX,
                cursor: None,
            };
            let by = Inquirer::from(&actor("officer"));
            let found = evidence::collect(&gateway, &by, &everything).await.unwrap();
            assert_eq!((found.entry, found.cosigned), (size, Some(true)));
            let bytes = found.bundle.write().unwrap();
            let proved = Bundle::read(&bytes).unwrap().verify(&policy).unwrap();
            assert_eq!(proved.rows.len() as u64, size);
            assert_eq!(proved.checkpoint.size, size);

            // The question itself is an entry that no witness has seen: whoever asks for witnesses
            // is told so, whoever trusts the log alone has every entry proved.
            let found = evidence::collect(&gateway, &by, &everything).await.unwrap();
            assert_eq!((found.entry, found.cosigned), (size + 1, Some(false)));
            let refused = found.bundle.verify(&policy).unwrap_err();
            assert_eq!(refused, BundleError::Checkpoint(Unconvinced::Quorum));
            let alone = Policy::of_log(log.verifier().clone());
            assert_eq!(found.bundle.verify(&alone).unwrap().rows.len() as u64, size + 1);
        });
    }
}

/// Runs one turn against a fake and gives its outcome, the alarm, the sizes it asked from, and the
/// published size; the ledger holds one entry more.
async fn one_turn(
    mut answer: impl FnMut(&AddCheckpoint) -> Reply + Send + 'static,
) -> (Result<(), Trouble>, Option<Alarm>, Vec<u64>, u64) {
    let world = World::new(Database::Sqlite).await;
    let fake = Fake::start(move |request| answer(request));
    let (gateway, _) = gateway(&world, &[&fake.url]);
    let size = checkpoints::publish(&gateway).await.unwrap().size;
    world.people(1).await;
    assert_eq!(world.verify().head.size, size + 1);
    let witness = witnesses::list(&gateway).remove(0);
    let outcome = ask(&gateway, &witness, &mut 0).await;
    let stopped = gateway.alarm_raised();
    assert_eq!(gateway.is_ready(), stopped.is_none());
    (outcome, stopped, fake.olds(), size)
}

#[test]
fn a_witness_that_knows_more_than_we_thought_is_asked_from_there() {
    wait(async {
        let (outcome, alarm, olds, size) = one_turn(|request| match request.old {
            0 => sized(1),
            _ => ok(line(1, request)),
        })
        .await;
        outcome.unwrap();
        assert_eq!((alarm, olds), (None, vec![0, 1]));
        assert!(size > 1);
        // It has seen all that we have: no proof, the time is renewed.
        let (outcome, alarm, olds, size) = one_turn(|request| match request.old {
            0 => sized(size_of(request)),
            _ => ok(line(1, request)),
        })
        .await;
        outcome.unwrap();
        assert_eq!((alarm, olds), (None, vec![0, size]));
    });
}

#[test]
fn a_witness_that_has_seen_more_than_we_have_raises_the_rollback_alarm() {
    wait(async {
        let (outcome, alarm, _, size) = one_turn(|request| sized(size_of(request) + 5)).await;
        assert!(matches!(outcome, Err(Trouble::Story(_))));
        let by = "witness w1".to_owned();
        assert_eq!(alarm, Some(Alarm::RolledBack { have: size + 1, seen: size + 5, by }));
    });
}

#[test]
fn a_witness_that_is_ahead_of_what_is_published_but_not_of_the_ledger_is_waited_for() {
    wait(async {
        let (outcome, alarm, olds, _) = one_turn(|request| sized(size_of(request) + 1)).await;
        let Err(Trouble::Waits(why)) = outcome else { panic!("{outcome:?}") };
        assert!(why.contains("ahead of what is published"), "{why}");
        assert_eq!((alarm, olds), (None, vec![0]));
        let (.., alarm, _, size) = one_turn(|request| sized(size_of(request) + 2)).await;
        let by = "witness w1".to_owned();
        assert_eq!(alarm, Some(Alarm::RolledBack { have: size + 1, seen: size + 2, by }));
    });
}

#[test]
fn another_history_raises_the_fork_alarm_however_it_is_said() {
    wait(async {
        for (status, kind) in [(422, ""), (422, "text/plain"), (409, ""), (409, "text/plain")] {
            let reply = move |_: &AddCheckpoint| Reply::Text(status, kind, String::new());
            let (_, alarm, _, size) = one_turn(reply).await;
            let by = "witness w1".to_owned();
            assert_eq!(
                alarm,
                Some(Alarm::Forked { have: size + 1, size, by }),
                "{status} {kind:?}"
            );
        }
    });
}

#[test]
fn failing_busy_strange_and_silent_witnesses_are_asked_again_later() {
    wait(async {
        for status in [429, 500, 502, 503, 301, 404, 403, 400] {
            let reply = move |_: &AddCheckpoint| Reply::Text(status, "", String::new());
            let (outcome, alarm, olds, _) = one_turn(reply).await;
            assert!(matches!(outcome, Err(Trouble::Waits(_))), "{status}");
            assert_eq!((alarm, olds), (None, vec![0]), "{status}");
        }
        let strange: [fn(&AddCheckpoint) -> Reply; 5] = [
            |_| ok(String::new()),
            |request| ok(line(2, request)),
            |_| Reply::Text(409, "text/x.tlog.size", "seven\n".to_owned()),
            |request| sized(u64::from(request.old == 0)),
            |_| Reply::Text(200, "", "x".repeat(1_000_000)),
        ];
        for reply in strange {
            let (outcome, alarm, ..) = one_turn(reply).await;
            assert!(outcome.is_err());
            assert_eq!(alarm, None);
        }
        let (outcome, alarm, ..) = one_turn(|_| Reply::Silence).await;
        assert!(matches!(outcome, Err(Trouble::Silent(_))));
        assert_eq!(alarm, None);
        // A line of another algorithm beside the right one does no harm.
        let with_another = |request: &AddCheckpoint| {
            ok(format!("\u{2014} w1.example.com AAAAAAA=\n{}", line(1, request)))
        };
        one_turn(with_another).await.0.unwrap();
    });
}

/// The largest size whose stored lines satisfy a policy.
fn witnessed(installed: &Installed, policy: &str) -> Option<u64> {
    let judge = Notary::new(Vec::new()).judged_by(Policy::parse(policy.as_bytes()).unwrap());
    installed.look(move |tx: &mut ReadTx| {
        for row in checkpoint_rows::list_checkpoints(tx, 0, 1000)?.into_iter().rev() {
            let lines = witness_rows::list_cosignatures(tx, row.size)?;
            if judge.convincing(&row.note, lines.iter().map(|one| one.line.as_str())).is_some() {
                return Ok(Some(row.size));
            }
        }
        Ok(None)
    })
}

/// An export that ends where both have cosigned, and the live ledger, satisfy the policy; a byte of a
/// witness's line more or less, and they do not.
fn judged_by_policy(installed: &Installed, policy: &str, least: u64) {
    let home = installed.home();
    let (folder, file) = (home.join("cosigned"), home.join("judge.policy"));
    std::fs::write(&file, policy).unwrap();
    let [dir, judge] = [&folder, &file].map(|path| path.display().to_string());
    let run = |words: &[&str]| {
        let output = installed.run(&[&["--json"], words].concat());
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, told) = run(&["ledger", "export", "--dir", &dir, "--cosigned"]);
    assert_eq!(code, Some(0), "{told}");
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(told["cosigned"] == true && told["size"].as_u64() >= Some(least), "{told}");
    let verify = ["ledger", "verify", "--dir", &dir, "--policy", &judge];
    let (code, says) = run(&verify);
    assert_eq!(code, Some(0), "{says}");
    let (code, says) = run(&["ledger", "verify", "--policy", &judge]);
    assert_eq!(code, Some(0), "{says}");

    let note = std::fs::read(folder.join("checkpoint")).unwrap();
    // The last line is a witness's: its key id, its time, its signature.
    let line = note.iter().rposition(|byte| *byte == b' ').unwrap();
    for place in [line + 3, line + 16, line + 40] {
        let mut spoiled = note.clone();
        // Another letter of base64: what is none of it would not even be read.
        spoiled[place] = if note[place] == b'A' { b'B' } else { b'A' };
        std::fs::write(folder.join("checkpoint"), spoiled).unwrap();
        let (code, says) = run(&verify);
        assert_eq!(code, Some(1), "{place}: {says}");
    }
}

#[test]
fn a_gateway_and_two_witnesses_reach_their_quorum_and_survive_the_loss_of_one() {
    for database in databases() {
        wait(async {
            let (installed, ()) = Installed::new(database, async |world: &World| {
                world.people(1).await;
            })
            .await;
            let log = installed.log.to_string();
            let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
            let start = |dir: &tempfile::TempDir, at: &str| Running::start(dir.path(), &log, at);
            let mut one = start(&dirs[0], "127.0.0.1:0");
            let two = start(&dirs[1], "127.0.0.1:0");
            assert!(Verifier::parse(&one.vkey).is_ok() && one.vkey != two.vkey);
            let policy = format!(
                "log {log}\nwitness one {} {}\nwitness two {} {}\ngroup both all one two\n\
                 quorum both\n",
                one.vkey, one.url, two.vkey, two.url
            );
            std::fs::write(installed.home().join("tlog.policy"), &policy).unwrap();
            let settings = installed.home().join("fieldgate.toml");
            let text = std::fs::read_to_string(&settings).unwrap();
            let text = text.replace("\norigin =", "\npolicy_file = \"tlog.policy\"\norigin =");
            std::fs::write(&settings, text).unwrap();

            let mut gate = installed.serve();
            let size = until("both have cosigned", async || witnessed(&installed, &policy)).await;

            judged_by_policy(&installed, &policy, size);

            let url = one.url.clone();
            one.kill();
            let grown = installed.run(&["key", "rotate", "--use", "ticket"]);
            assert!(grown.status.success(), "{grown:?}");
            let alone = format!("log {log}\nwitness two {} {}\nquorum two\n", two.vkey, two.url);
            until("the other one goes on", async || {
                witnessed(&installed, &alone).filter(|now| *now > size)
            })
            .await;
            assert_eq!(witnessed(&installed, &policy), Some(size), "one of two is no quorum");
            assert!(gate.runs(), "{}", installed.log_text());

            let back = start(&dirs[0], url.strip_prefix("http://").unwrap());
            assert_eq!(back.vkey, one.vkey);
            until("the lost one catches up", async || {
                witnessed(&installed, &policy).filter(|now| *now > size)
            })
            .await;
        });
    }
}

#[test]
fn over_tls_a_witness_is_asked_where_its_authority_is_trusted_and_nowhere_else() {
    wait(async {
        let (installed, ()) = Installed::new(Database::Sqlite, async |_: &World| ()).await;
        let (log, dir) = (installed.log.to_string(), tempfile::tempdir().unwrap());
        let file = |name: &str| installed.home().join(name).display().to_string();
        // The installation's own server certificate is as good as any for `localhost`.
        let (certificate, key) = (file("server.pem"), file("server.key"));
        let tls = ["--certificate", &certificate, "--certificate-key", &key];
        let witness = Running::start_with(
            dir.path(),
            &log,
            &[&tls[..], &["--listen", "127.0.0.1:0"]].concat(),
        );
        let port = witness.url.strip_prefix("https://127.0.0.1:").expect(&witness.url);
        let policy =
            format!("log {log}\nwitness w {} https://localhost:{port}\nquorum w\n", witness.vkey);
        std::fs::write(installed.home().join("tlog.policy"), &policy).unwrap();
        installed.edit_settings(|settings| {
            settings.replace("\norigin =", "\npolicy_file = \"tlog.policy\"\norigin =")
        });
        let other = World::new(Database::Sqlite).await;
        let other = to_pem("CERTIFICATE", other.authority.certificate());
        std::fs::write(file("other.pem"), other).unwrap();

        let gate = installed.serve_trusting(&installed.home().join("other.pem"));
        until("the witness is refused", async || {
            installed.log_text().contains("a witness failed").then_some(())
        })
        .await;
        assert!(installed.log_text().contains("connection that this machine trusts"));
        assert_eq!(witnessed(&installed, &policy), None);
        assert_eq!(gate.stop().await, Some(0), "{}", installed.log_text());
        assert_eq!(witnessed(&installed, &policy), None);

        let gate = installed.serve_trusting(&installed.home().join("ca.pem"));
        until("the witness has cosigned", async || witnessed(&installed, &policy)).await;
        assert_eq!(gate.stop().await, Some(0), "{}", installed.log_text());
    });
}

#[test]
fn a_policy_that_does_not_name_the_log_is_refused_at_the_start() {
    wait(async {
        let (installed, ()) = Installed::new(Database::Sqlite, async |_: &World| ()).await;
        let stranger = Signer::from_seed("log.example.com", KeyType::Log, &[1; 32]).unwrap();
        let policy = format!("log {}\nquorum none\n", stranger.verifier());
        std::fs::write(installed.home().join("tlog.policy"), policy).unwrap();
        let settings = installed.home().join("fieldgate.toml");
        let text = std::fs::read_to_string(&settings).unwrap();
        std::fs::write(
            &settings,
            text.replace("\norigin =", "\npolicy_file = \"tlog.policy\"\norigin ="),
        )
        .unwrap();
        let refused = installed.run(&["ledger", "key"]);
        assert_eq!(refused.status.code(), Some(3));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("does not name this log's key"));
    });
}
