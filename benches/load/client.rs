//! The load client: a process that takes orders on standard input and answers with figures.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fieldgate::cli::Client;

use crate::measure::{cpu_ms, quantile};

/// What one order gave.
pub struct Seen {
    pub count: f64,
    pub errors: u64,
    pub seconds: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub worst_ms: f64,
    pub cpu_ms: f64,
}

/// The client as the bench sees it.
pub struct Orders {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    _folder: tempfile::TempDir,
}

impl Orders {
    /// Starts the process.
    pub fn start(base: &str, client_id: &str, identity: &str, authority: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (key, ca) = (folder.path().join("client.pem"), folder.path().join("ca.pem"));
        std::fs::write(&key, identity).unwrap();
        std::fs::write(&ca, authority).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["client", base, client_id])
            .args([&key, &ca])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output, _folder: folder }
    }

    /// Asks for a path from so many tasks for so long.
    pub fn order(&mut self, path: &str, at_once: usize, time: Duration) -> Seen {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{path} {at_once} {}", time.as_millis()).unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let numbers: Vec<f64> = line.split_whitespace().map(|n| n.parse().unwrap()).collect();
        let [count, errors, seconds, p50_ms, p99_ms, worst_ms, cpu_ms] = numbers[..] else {
            panic!("the client said {line:?}");
        };
        Seen { count, errors: errors as u64, seconds, p50_ms, p99_ms, worst_ms, cpu_ms }
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// The process itself: reads orders until the input ends.
pub fn serve_orders() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    let [base, client_id, identity, authority] = &arguments[..] else {
        panic!("expects base, client id, identity, authority");
    };
    let (identity, authority) =
        (std::fs::read(identity).unwrap(), std::fs::read(authority).unwrap());
    let mut client = Client::new(base, client_id, Some(&identity), &authority).unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut walks = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let order: Vec<&str> = line.split(' ').collect();
        let (at_once, time) = (order[1].parse().unwrap(), order[2].parse().unwrap());
        let time = Duration::from_millis(time);
        let token = runtime.block_on(client.token("offers")).unwrap();
        if !walks.contains_key(order[0]) {
            let walk = runtime.block_on(walk(&client, &token, order[0]));
            walks.insert(order[0].to_owned(), walk);
        }
        let paths = walks[order[0]].clone();
        let asking = Arc::new(Asking { client, token, paths, next: AtomicUsize::new(0) });
        println!("{}", runtime.block_on(drive(&asking, at_once, time)));
        client = Arc::into_inner(asking).unwrap().client;
    }
}

/// What the tasks of one order share.
struct Asking {
    client: Client,
    token: String,
    paths: Vec<String>,
    next: AtomicUsize,
}

/// The paths of all pages from here on: a partner walks through everybody, so the bench does.
async fn walk(client: &Client, token: &str, path: &str) -> Vec<String> {
    let mut paths = vec![path.to_owned()];
    while path.starts_with("/v1/leads") {
        let answer = client.get_bearer(token, &paths[paths.len() - 1]).await.unwrap().json();
        let Some(cursor) = answer["next"].as_str() else { break };
        paths.push(format!("{path}&cursor={cursor}"));
    }
    if paths.len() > 1 {
        // The last page may be short.
        paths.pop();
    }
    paths
}

async fn drive(asking: &Arc<Asking>, at_once: usize, time: Duration) -> String {
    let all = Arc::new(Mutex::new((Vec::new(), 0_u64)));
    let (cpu, begun) = (cpu_ms(), Instant::now());
    let tasks: Vec<_> = (0..at_once)
        .map(|_| {
            let (asking, all) = (Arc::clone(asking), Arc::clone(&all));
            tokio::spawn(async move {
                let Asking { client, token, paths, next } = &*asking;
                let (mut times, mut errors) = (Vec::new(), 0);
                while begun.elapsed() < time {
                    let one = Instant::now();
                    let place = next.fetch_add(1, Ordering::Relaxed) % paths.len();
                    let answer = client.get_bearer(token, &paths[place]).await;
                    times.push(one.elapsed());
                    if !answer.is_ok_and(|answer| answer.status == 200) {
                        errors += 1;
                    }
                }
                let mut all = all.lock().unwrap();
                all.0.append(&mut times);
                all.1 += errors;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let seconds = begun.elapsed().as_secs_f64();
    let used = cpu_ms() - cpu;
    let (mut taken, errors) = std::mem::take(&mut *all.lock().unwrap());
    taken.sort();
    let [p50, p99, worst] = [0.5, 0.99, 0.999].map(|share| quantile(&taken, share));
    format!("{} {errors} {seconds} {p50} {p99} {worst} {used}", taken.len())
}
