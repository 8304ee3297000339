//! The database goes away, or takes no writes, under a gateway that serves: refusals without
//! personal data, and everything works again as soon as the database does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::load::{Cast, PAGE, Pullers, Received, assert_refusal, try_page};
use crate::harness::process::{Gate, Installed, until};
use crate::harness::{postgres, wait};

/// Clients that go on all the time.
const PULLERS: usize = 3;

struct Scene {
    server: postgres::Server,
    installed: Installed,
    cast: Cast,
    gate: Gate,
    received: Arc<Received>,
    pullers: Pullers,
}

/// A gateway under load on a server of its own; `None` without `PostgreSQL`.
async fn scene() -> Option<Scene> {
    let server = postgres::server_to_kill()?;
    let home = tempfile::tempdir().unwrap();
    let fill = async |world: &_| Cast::enter(world, 12).await;
    let (installed, cast) = Installed::at(server.empty(), home, fill).await;
    let gate = installed.serve();
    let received = Arc::new(Received::default());
    let new = || installed.client(&cast.reseller.0, &cast.reseller.1);
    let pullers = Pullers::start(PULLERS, new, &received);
    Some(Scene { server, installed, cast, gate, received, pullers })
}

impl Scene {
    /// Waits for the first refusal and looks at some more: while it lasts nothing is released.
    async fn refused(&self, client: &mut fieldgate::cli::Client) {
        until("a page is refused", async || try_page(client).await.is_none().then_some(())).await;
        self.received.until_turned_away(PULLERS).await;
        let pages = self.received.pages.lock().unwrap().len();
        for _ in 0..20 {
            assert_refusal(&client.get("offers", PAGE).await.unwrap());
        }
        assert_eq!(self.received.pages.lock().unwrap().len(), pages, "released without a ledger");
        let whoami = client.get_plain("/v1/whoami").await.unwrap();
        assert_eq!(whoami.status, 200, "{}", whoami.text);
    }

    /// The same process serves again, and every answer of the whole time is proved.
    async fn recovered(mut self, client: &mut fieldgate::cli::Client, what: &str) {
        let begun = Instant::now();
        until("a page comes again", async || try_page(client).await).await;
        let spent = begun.elapsed();
        self.received.until_pages(10).await;
        self.pullers.stop().await;
        assert!(self.gate.runs(), "{}", self.installed.log_text());
        let report = self.received.assert_whole(&self.installed);
        eprintln!(
            "{what}: served again after {spent:.1?}; {} pages, {} refusals, {} entries verified",
            self.received.pages.lock().unwrap().len(),
            self.received.busy.lock().unwrap(),
            report.entries,
        );
    }

    async fn begin(&self) -> fieldgate::cli::Client {
        let (asker, pem) = &self.cast.reseller;
        let mut client = self.installed.client(asker, pem);
        until("a page comes", async || try_page(&mut client).await).await;
        self.received.until_pages(10).await;
        client
    }
}

#[test]
fn a_killed_postgresql_means_503_then_stale_trust_and_the_gateway_recovers_by_itself() {
    wait(async {
        let Some(scene) = scene().await else { return };
        let mut client = scene.begin().await;
        scene.server.kill();
        let gone = Instant::now();
        scene.refused(&mut client).await;
        // What the gate rests on may be 30 seconds old, and no older.
        let stale = until("trust is stale", async || {
            let answer = client.get_plain("/v1/whoami").await.unwrap();
            (answer.status != 200).then_some(answer)
        })
        .await;
        let waited = gone.elapsed();
        assert_refusal(&stale);
        assert_eq!(stale.code(), "trust_stale");
        assert!(waited > Duration::from_secs(25), "stale after {waited:?} already");
        assert!(waited < Duration::from_secs(40), "stale after {waited:?} only");
        scene.server.start_again();
        scene.recovered(&mut client, "PostgreSQL killed").await;
    });
}

#[test]
fn a_postgresql_that_takes_no_writes_means_503_until_it_does() {
    wait(async {
        let Some(scene) = scene().await else { return };
        let mut client = scene.begin().await;
        scene.server.sql("ALTER SYSTEM SET default_transaction_read_only = on");
        scene.server.sql("SELECT pg_reload_conf()");
        scene.refused(&mut client).await;
        scene.server.sql("ALTER SYSTEM RESET default_transaction_read_only");
        scene.server.sql("SELECT pg_reload_conf()");
        scene.recovered(&mut client, "PostgreSQL read-only").await;
    });
}
