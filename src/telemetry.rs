//! Tracing set-up and the field names every log line uses.
