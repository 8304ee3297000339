//! How many may shake hands at once, and how many connections one address may hold.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for handshakes and connections. Clones share it.
#[derive(Debug, Clone)]
pub struct Seats {
    handshakes: Arc<Semaphore>,
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
    per_address_max: usize,
}

/// Why a connection is closed before its handshake (check T1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoSeat {
    /// Too many handshakes are under way.
    Handshakes,
    /// This address holds too many connections.
    Address,
}

impl Seats {
    /// Room for so many handshakes at once, and so many connections of one address.
    pub fn new(handshakes_max: usize, per_address_max: usize) -> Self {
        let handshakes = Arc::new(Semaphore::new(handshakes_max.min(Semaphore::MAX_PERMITS)));
        Self { handshakes, held: Arc::default(), per_address_max }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for as long as the connection lasts.
    pub(super) fn sit(&self, peer: IpAddr) -> Result<Seat, NoSeat> {
        let address = network(peer);
        let mut held = self.held();
        let count = held.entry(address).or_insert(0);
        if *count >= self.per_address_max {
            return Err(NoSeat::Address);
        }
        *count = count.saturating_add(1);
        Ok(Seat { seats: self.clone(), address })
    }

    /// A slot for as long as the handshake lasts. Nobody waits for one: a queue of silent
    /// clients would make good ones wait.
    pub(super) fn handshake(&self) -> Result<OwnedSemaphorePermit, NoSeat> {
        Arc::clone(&self.handshakes).try_acquire_owned().map_err(|_| NoSeat::Handshakes)
    }
}

/// One connection counted against its address.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    address: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut held = self.seats.held();
        if let Some(count) = held.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.remove(&self.address);
            }
        }
    }
}

/// What counts as one address: an IPv4 address, or an IPv6 /64, which one host can fill.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_free_again_when_it_is_left() {
        let seats = Seats::new(1, 2);
        let peer: IpAddr = "192.0.2.1".parse().unwrap();
        let first = seats.sit(peer).unwrap();
        let _second = seats.sit(peer).unwrap();
        assert_eq!(seats.sit(peer).unwrap_err(), NoSeat::Address);
        assert!(seats.sit("192.0.2.2".parse().unwrap()).is_ok());
        drop(first);
        assert!(seats.sit(peer).is_ok());
        let slot = seats.handshake().unwrap();
        assert_eq!(seats.handshake().unwrap_err(), NoSeat::Handshakes);
        drop(slot);
        assert!(seats.handshake().is_ok());
    }

    #[test]
    fn one_ipv6_host_cannot_pass_as_many() {
        let seats = Seats::new(1, 1);
        let _seat = seats.sit("2001:db8::1".parse().unwrap()).unwrap();
        assert!(seats.sit("2001:db8::2".parse().unwrap()).is_err());
        assert!(seats.sit("2001:db8:0:1::2".parse().unwrap()).is_ok());
        let _mapped = seats.sit("::ffff:192.0.2.9".parse().unwrap()).unwrap();
        assert!(seats.sit("192.0.2.9".parse().unwrap()).is_err());
    }
}
