//! What the Hex clients' own test suites expect of the API, and what people do with it by hand.

mod addresses;
mod extra;
mod ownership;
mod retirement;
mod snippets;
