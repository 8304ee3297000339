//! The doors through which partners, people, staff and operators come in.
