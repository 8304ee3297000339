//! The stories of the product: who does what, in which order.
