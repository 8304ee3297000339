//! Every setting of the gateway, its default and its meaning.
