//! The partner door as partners see it: real TLS, real bytes.

mod bodies;

mod cast;

mod described;

mod forms;

mod gate;

mod intake;

mod leads;

mod log;

mod oauth;

mod questions;

mod raw;

mod recalls;

mod tokens;

mod withheld;
