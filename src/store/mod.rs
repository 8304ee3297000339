//! Read and write transactions on either database; the only room that knows SQL.
