//! What happens when something dies: the process, the database, the disk, a partner's right.

pub mod load;

mod disk;

mod io_error;

mod killed;

mod outage;

mod revoked;

mod tampered;

mod two_writers;
