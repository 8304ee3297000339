//! The doors from outside: real sockets, real handshakes, real tokens.

mod bench;
mod client;
mod corpus;

mod gate;
mod handshake;
mod live;
mod oauth;
mod public;
mod token;
