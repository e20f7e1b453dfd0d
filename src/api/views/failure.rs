//! JSON of an error.

use serde_json::{Map, Value, json};

use crate::hex::invalid::Invalid;

/// A status, a message, and the errors of invalid fields.
pub(in crate::api) fn failure(status: u16, message: &str, invalid: Option<&Invalid>) -> Value {
    match invalid {
        None => json!({"status": status, "message": message}),
        Some(invalid) => json!({"status": status, "message": message, "errors": errors(invalid)}),
    }
}

/// The errors of fields as nested objects: mix expects an object at every level.
fn errors(invalid: &Invalid) -> Value {
    let mut root = Map::new();
    for (path, message) in invalid.iter() {
        let Some((last, above)) = path.split_last() else { continue };
        let mut level = &mut root;
        for part in above {
            let next = level.entry(part.to_string()).or_insert_with(|| Value::Object(Map::new()));
            if !next.is_object() {
                *next = Value::Object(Map::new());
            }
            let Value::Object(map) = next else { return Value::Object(root) };
            level = map;
        }
        level.entry(last.to_string()).or_insert_with(|| Value::String(message.to_owned()));
    }
    Value::Object(root)
}
