//! What wakes by itself: loops that poll, publish and tidy.

/// Looks at the registry each second and hands on what it finds.
pub mod registry_watch;
