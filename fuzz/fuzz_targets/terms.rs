//! Erlang terms, in both forms. The bytes are read as each.
#![no_main]

use hexkeep::hex::term::{elixir, etf, from_json, text, to_json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = text::parse(bytes);
    let Ok(term) = etf::decode(bytes) else { return };
    // What was read is written so that it reads the same again.
    assert_eq!(etf::decode(&etf::encode(&term)).as_ref(), Ok(&term));
    if let Ok(value) = to_json(term) {
        let _ = elixir(&value);
        assert!(to_json(from_json(&value)).is_ok());
    }
});
