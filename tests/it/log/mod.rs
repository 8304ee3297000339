//! The ledger as a log that others follow: what is published, who cosigns it, what alarms.

mod publishing;

mod quorum;

mod rotation;

pub mod witness_client;

mod witness_run;

pub mod witness_server;
