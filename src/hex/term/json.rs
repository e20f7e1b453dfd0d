//! Converts between terms and JSON values for the API, and prints JSON values as Elixir literals.

use serde_json::{Map, Number, Value};

use super::{Term, TermError, codes};

/// Converts a term to JSON. `nil`, `null` and `undefined` become null, `true` and `false` booleans, other atoms and
/// binaries strings, lists arrays, and maps with text keys objects. Tuples are rejected, and texts must be UTF-8.
pub fn to_json(term: Term) -> Result<Value, TermError> {
    Ok(match term {
        Term::Atom(text) => match &*text {
            "nil" | "null" | "undefined" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::String(text.into()),
        },
        Term::Integer(number) => Value::Number(number.into()),
        Term::Big(digits) => Value::String(digits.into()),
        Term::Float(number) => Number::from_f64(number).map(Value::Number).ok_or(TermError::Number)?,
        Term::Binary(bytes) => Value::String(String::from_utf8(bytes).map_err(|_| TermError::NotUtf8)?),
        Term::List(items) => Value::Array(items.into_iter().map(to_json).collect::<Result<_, _>>()?),
        Term::Characters(text) => Value::Array(codes(&text).map(Value::from).collect()),
        Term::Tuple(_) => return Err(TermError::Tuple),
        Term::Map(pairs) => {
            let mut map = Map::new();
            for (key, value) in pairs {
                map.insert(text(key)?, to_json(value)?);
            }
            Value::Object(map)
        }
    })
}

fn text(term: Term) -> Result<String, TermError> {
    match term {
        Term::Atom(text) => Ok(text.into()),
        Term::Binary(bytes) => String::from_utf8(bytes).map_err(|_| TermError::NotUtf8),
        _ => Err(TermError::Key),
    }
}

/// Converts JSON to a term, as clients expect it: null becomes `nil`, strings become binaries, and objects become maps
/// with binary keys.
pub fn from_json(value: &Value) -> Term {
    match value {
        Value::Null => Term::Atom("nil".into()),
        Value::Bool(true) => Term::Atom("true".into()),
        Value::Bool(false) => Term::Atom("false".into()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Term::Integer(integer),
            (None, Some(float)) if number.is_f64() => Term::Float(float),
            _ => Term::Big(number.to_string().into()),
        },
        Value::String(text) => Term::text(text),
        Value::Array(items) => Term::List(items.iter().map(from_json).collect()),
        Value::Object(map) => Term::Map(map.iter().map(|(key, value)| (Term::text(key), from_json(value))).collect()),
    }
}

/// Prints a JSON value as an Elixir literal: `%{"name" => nil}`.
pub fn elixir(value: &Value) -> String {
    let mut out = String::new();
    write_elixir(value, &mut out);
    out
}

fn write_elixir(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("nil"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&elixir_number(&number.to_string())),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                write_elixir(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push_str("%{");
            for (at, (key, value)) in map.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                write_string(key, out);
                out.push_str(" => ");
                write_elixir(value, out);
            }
            out.push('}');
        }
    }
}

/// Elixir requires a decimal point and a digit before an exponent: `1.0e300`.
fn elixir_number(text: &str) -> String {
    match text.split_once(['e', 'E']) {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0e{exponent}"),
        _ => text.to_owned(),
    }
}

/// `#` is escaped because `#{` begins an interpolation.
fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' | '#' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => out.push_str(&format!("\\x{{{:X}}}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_go_both_ways() {
        let value = json!({"a": null, "b": [true, false, 1, -7, 1.5, "x"], "c": {"d": "é"}, "e": u64::MAX});
        let back = to_json(from_json(&value)).unwrap();
        let mut expected = value;
        expected["e"] = json!(u64::MAX.to_string());
        assert_eq!(back, expected);
    }

    #[test]
    fn atoms_are_what_erlang_clients_mean() {
        let map = Term::Map(vec![
            (Term::text("role"), Term::Atom("admin".into())),
            (Term::Atom("replace".into()), Term::Atom("true".into())),
            (Term::text("message"), Term::Atom("undefined".into())),
        ]);
        assert_eq!(to_json(map).unwrap(), json!({"role": "admin", "replace": true, "message": null}));
        assert_eq!(to_json(Term::Tuple(vec![])), Err(TermError::Tuple));
        assert_eq!(to_json(Term::Binary(vec![0xff])), Err(TermError::NotUtf8));
        assert_eq!(to_json(Term::Map(vec![(Term::Integer(1), Term::Integer(1))])), Err(TermError::Key));
    }

    #[test]
    fn elixir_reads_the_numbers() {
        assert_eq!(elixir(&json!([1e300, 1.5e-7, -2, 0.5, 3.0])), "[1.0e+300, 1.5e-7, -2, 0.5, 3.0]");
    }

    #[test]
    fn elixir_literals_hold_no_code() {
        let value = json!({"a\"#{b}": [null, 1, "x\n\u{0}"]});
        assert_eq!(elixir(&value), "%{\"a\\\"\\#{b}\" => [nil, 1, \"x\\n\\x{0}\"]}");
    }
}
