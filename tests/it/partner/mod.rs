//! The partner door as partners see it: real TLS, real bytes.

mod cast;

mod leads;
