//! Who may enter a route: types that are made only by passing a door.

use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

/// One of the doors of the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Mutual TLS: partners and our own systems.
    Partner,
    /// Everybody: persons, metadata, policy pages.
    Public,
    /// Staff.
    Console,
    /// Operators, on loopback.
    Ops,
}

impl Door {
    /// The name in metrics, log lines and the access matrix.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Partner => "partner",
            Self::Public => "public",
            Self::Console => "console",
            Self::Ops => "ops",
        }
    }
}

/// A type that exists only once its door has let somebody in. The first argument of every
/// handler is one; a handler without does not fit into the table of routes.
pub trait Caller: FromRequest + 'static {
    /// The door it comes through.
    const DOOR: Door;
    /// What it had to show, for the access matrix.
    const KIND: &'static str;
}

/// Anybody at the public door. Stands in plain sight at each page that asks for nothing.
#[derive(Debug, Clone, Copy)]
pub struct Anyone;

impl FromRequest for Anyone {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self))
    }
}

impl Caller for Anyone {
    const DOOR: Door = Door::Public;
    const KIND: &'static str = "anyone";
}

/// Whoever reaches the ops door, which listens on loopback.
#[derive(Debug, Clone, Copy)]
pub struct Operator;

impl FromRequest for Operator {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self))
    }
}

impl Caller for Operator {
    const DOOR: Door = Door::Ops;
    const KIND: &'static str = "operator";
}

/// The argument list of a handler that begins with a caller.
pub trait Entrance: FromRequest + 'static {
    /// Its first argument.
    type Caller: Caller;
}

macro_rules! entrances {
    ($(($($rest:ident),*))*) => {$(
        impl<C: Caller, $($rest: FromRequest + 'static),*> Entrance for (C, $($rest,)*) {
            type Caller = C;
        }
    )*};
}

entrances! { () (A) (A, B) (A, B, D) (A, B, D, E) }
