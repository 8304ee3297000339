//! System calls of a running process that fail from now on, as they do on a dying disk.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// Set to `1` to fail instead of skipping where `strace` is missing or may not attach.
const REQUIRE: &str = "FIELDGATE_REQUIRE_STRACE";

/// A fault that lasts until this is dropped or the process has ended.
pub struct Fault(Child);

impl Fault {
    /// Makes these calls (`fsync,fdatasync`) of the process fail with an I/O error; `None`, after
    /// saying so, where that cannot be done.
    pub fn strike(process: u32, calls: &str) -> Option<Self> {
        match attached(process, calls) {
            Ok(fault) => Some(fault),
            Err(reason) => {
                let required = std::env::var(REQUIRE).is_ok_and(|value| value == "1");
                assert!(!required, "{REQUIRE}=1, but {reason}");
                eprintln!("SKIPPED: a failing disk needs strace: {reason}");
                None
            }
        }
    }
}

/// Returns once the tracer has hold of the process: from then on the calls fail.
fn attached(process: u32, calls: &str) -> Result<Fault, String> {
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    command.args(["-e", &format!("inject={calls}:error=EIO"), "-p", &process.to_string()]);
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = quiet.spawn().map_err(|error| format!("it does not start: {error}"))?;
    let mut says = BufReader::new(child.stderr.take().unwrap());
    let fault = Fault(child);
    let mut line = String::new();
    says.read_line(&mut line).map_err(|error| error.to_string())?;
    if !line.contains("attached") {
        return Err(line);
    }
    // It tells of every thread that comes and goes; nobody listens, but the pipe must not fill.
    std::thread::spawn(move || std::io::copy(&mut says, &mut std::io::sink()));
    Ok(fault)
}

impl Drop for Fault {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
