//! Sizes, deadlines and ages of connections and requests, per door.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::id::PartnerId;

use super::problem::{Code, Problem};

/// What one door allows a connection.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Worker threads of this door alone.
    pub workers: usize,
    /// Connections per worker.
    pub connections_per_worker_max: usize,
    /// Handshakes at once.
    pub handshakes_max: usize,
    /// Connections of one address (an IPv6 /64 counts as one).
    pub connections_per_address_max: usize,
    /// Deadline of a handshake.
    pub handshake: Duration,
    /// Idle time between two requests.
    pub keep_alive: Duration,
    /// Deadline of the first request head.
    pub first_head: Duration,
    /// Deadline of closing.
    pub disconnect: Duration,
    /// From this age on answers close the connection; 30 s later it is cut.
    pub age_max: Duration,
    /// How long a graceful stop may take.
    pub stop: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            workers: 2,
            connections_per_worker_max: 10_000,
            handshakes_max: 512,
            connections_per_address_max: 256,
            handshake: Duration::from_secs(3),
            keep_alive: Duration::from_secs(30),
            first_head: Duration::from_secs(5),
            disconnect: Duration::from_secs(1),
            age_max: Duration::from_secs(30 * 60),
            stop: Duration::from_secs(10),
        }
    }
}

/// What one door allows a request.
#[derive(Debug, Clone)]
pub struct RequestLimits {
    /// From the request's head to the answer's head, reading the body included.
    pub deadline: Duration,
    /// Bytes of a body.
    pub body_bytes_max: usize,
    /// Bytes of a batch of contacts (`POST /v1/contacts`).
    pub batch_bytes_max: usize,
    /// Bytes of a head; actix itself stops at 128 KiB.
    pub head_bytes_max: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            body_bytes_max: 16 * 1024,
            batch_bytes_max: 2 * 1024 * 1024,
            head_bytes_max: 16 * 1024,
        }
    }
}

/// Middleware: refuses a large head, and answers 408 when the whole takes too long. Extractors
/// run inside, so the deadline bounds the reading of the body, for which actix has none.
pub async fn bound<B: MessageBody>(
    limits: web::ThinData<RequestLimits>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    if head_bytes(&request) > limits.head_bytes_max {
        return Err(Problem::new(Code::HeadTooLarge).closing().into());
    }
    match tokio::time::timeout(limits.deadline, next.call(request)).await {
        Ok(answer) => answer,
        Err(_) => Err(Problem::new(Code::RequestTimeout).closing().into()),
    }
}

/// The size of the request line and all header lines as they were sent, near enough.
fn head_bytes(request: &ServiceRequest) -> usize {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    request.headers().iter().fold(target.saturating_add(16), |sum, (name, value)| {
        sum.saturating_add(name.as_str().len()).saturating_add(value.len()).saturating_add(4)
    })
}

/// What is left of a partner's quota after this request; becomes the `RateLimit` headers.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Requests per minute.
    pub quota: u32,
    /// Requests left now.
    pub left: u32,
    /// Seconds until the quota is whole again.
    pub reset_s: u32,
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// One bucket per partner, refilled evenly over the minute (gate G7).
#[derive(Debug, Default)]
pub struct Rates {
    buckets: Mutex<HashMap<PartnerId, (u32, Arc<Bucket>)>>,
}

impl Rates {
    /// Takes one request from the partner's quota. A changed quota begins with a full bucket.
    ///
    /// # Errors
    /// 429 with the seconds to wait.
    pub fn take(&self, partner: PartnerId, per_minute: u32) -> Result<Allowance, Problem> {
        let Some(quota) = NonZeroU32::new(per_minute) else {
            return Err(Problem::new(Code::RateLimited).retry_after_s(60));
        };
        let bucket = self.bucket(partner, quota);
        match bucket.check() {
            Ok(state) => {
                let left = state.remaining_burst_capacity();
                let used = u64::from(per_minute.saturating_sub(left));
                let reset = used.saturating_mul(60).div_ceil(u64::from(per_minute));
                let reset_s = u32::try_from(reset).unwrap_or(60);
                Ok(Allowance { quota: per_minute, left, reset_s })
            }
            Err(no) => {
                let wait = no.wait_time_from(DefaultClock::default().now());
                let seconds = u32::try_from(wait.as_secs()).unwrap_or(60).saturating_add(1);
                Err(Problem::new(Code::RateLimited).retry_after_s(seconds))
            }
        }
    }

    fn bucket(&self, partner: PartnerId, quota: NonZeroU32) -> Arc<Bucket> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || {
            let bucket = RateLimiter::direct(Quota::per_minute(quota))
                .with_middleware::<StateInformationMiddleware>();
            (quota.get(), Arc::new(bucket))
        };
        let entry = buckets.entry(partner).or_insert_with(fresh);
        if entry.0 != quota.get() {
            *entry = fresh();
        }
        Arc::clone(&entry.1)
    }
}
