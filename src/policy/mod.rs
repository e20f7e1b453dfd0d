//! What a view shows of what its members have. Pure; may import `hex` and the clock's `Timestamp`.
//!
//! Bytes and names go in, bytes come out: what is trusted, stored or asked for is decided elsewhere.

pub mod merge;
