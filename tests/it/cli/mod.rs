//! The command line as operators use it: the real program, its words, files and exit codes.

mod audits;

mod demo;

mod import;

mod partners;

mod people;

mod recalls;

mod resuming;

mod set_up;

mod verifying;

use std::process::Output;

use serde_json::Value;

/// The exit code of a command.
fn code(output: &Output) -> i32 {
    output.status.code().expect("the command ended by itself")
}

/// What a command said, on both outputs: for the message of a failed assertion.
fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("exit code {:?}\n{out}{err}", output.status.code())
}

/// The answer of a command that was asked for JSON and ended with this code.
fn json(output: &Output, expected: i32) -> Value {
    assert_eq!(code(output), expected, "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(output)))
}

/// The failure of a command that was asked for JSON, with this exit code: its kind and its hint.
fn failure(output: &Output, expected: i32) -> (String, String) {
    assert_eq!(code(output), expected, "{}", said(output));
    assert!(output.stdout.is_empty(), "{}", said(output));
    let body: Value = serde_json::from_slice(&output.stderr).expect("a failure in JSON");
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (text("error"), text("hint"))
}
