//! The partner door as partners see it: real TLS, real bytes.

mod cast;

mod forms;

mod leads;

mod raw;
