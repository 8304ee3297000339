//! What wakes by itself: loops that poll, publish and tidy.
