//! Reads and writes commands as JSON, without the enum variant that groups them.

use std::fmt;

use serde::de::value::{EnumAccessDeserializer, StrDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, VariantAccess, Visitor,
};
use serde::ser::{Serialize, Serializer};

use super::{
    Command, GrantCommand, InspectCommand, KeyCommand, OrganizationCommand, PolicyCommand, ReleaseCommand, UserCommand,
};

macro_rules! families {
    ($($family:ident($orders:ident) is $($name:literal)|+;)+) => {
        /// The names of all commands, grouped by enum variant.
        const NAMES: &[&str] = &[$($($name,)+)+];

        $(impl From<$orders> for Command {
            fn from(order: $orders) -> Self {
                Self::$family(order)
            }
        })+

        impl Serialize for Command {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$family(order) => order.serialize(serializer),)+
                }
            }
        }

        impl<'de> Visitor<'de> for Flat {
            type Value = Command;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command")
            }

            fn visit_enum<A: EnumAccess<'de>>(self, order: A) -> Result<Command, A::Error> {
                let (name, fields) = order.variant::<String>()?;
                match name.as_str() {
                    $($($name)|+ => $orders::deserialize(named(&name, fields)).map(Command::$family),)+
                    _ => Err(A::Error::unknown_variant(&name, NAMES)),
                }
            }
        }
    };
}

families! {
    User(UserCommand) is
        "user-add" | "user-email" | "user-list" | "user-password" | "user-active" | "user-admin"
        | "user-totp" | "user-totp-confirm" | "user-totp-off";
    Key(KeyCommand) is "key-create" | "key-list" | "key-revoke";
    Organization(OrganizationCommand) is "org-add" | "org-list" | "org-member" | "org-remove-member";
    Grant(GrantCommand) is "grant-add" | "grant-remove" | "grant-list";
    Release(ReleaseCommand) is "release-remove" | "release-allow" | "release-forget" | "reindex";
    Policy(PolicyCommand) is
        "pin" | "unpin" | "policy-waive" | "policy-waivers" | "policy-withdraw" | "policy-why" | "policy-test"
        | "policy-report";
    Inspect(InspectCommand) is "explain" | "client-setup" | "stats" | "who-has" | "audit";
}

struct Flat;

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_enum("Command", NAMES, Flat)
    }
}

/// A command whose name does not come from the same input as its fields.
#[derive(Debug)]
pub struct Named<'n, A> {
    name: &'n str,
    fields: A,
}

/// Returns a deserializer for a command with this name and these fields.
pub fn named<'de, A: VariantAccess<'de>>(name: &str, fields: A) -> EnumAccessDeserializer<Named<'_, A>> {
    EnumAccessDeserializer::new(Named { name, fields })
}

impl<'de, A: VariantAccess<'de>> EnumAccess<'de> for Named<'_, A> {
    type Error = A::Error;
    type Variant = A;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, A), A::Error> {
        let name: StrDeserializer<'_, A::Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self.fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_order_is_read_by_its_name_and_written_by_it() {
        let mut fields = json!({
            "name": "a", "email": "a@b.c", "password": "p", "active": true, "admin": true, "code": "1",
            "owner": {"user": "a"}, "permissions": ["api"], "organization": "o", "user": "u", "role": "read",
            "repository": "acme", "pattern": "*", "package": "p", "version": "1.0.0", "reason": "r", "releases": [],
            "until": "2030-01-01", "requirement": "~> 1.0", "number": 1, "client": "mix",
        });
        for name in NAMES {
            if *name == "org-add" {
                fields["admin"] = json!("a");
            }
            let mut own = fields.clone();
            let order = loop {
                let unit = serde_json::from_value::<Command>(json!(name));
                let order = unit.or_else(|_| serde_json::from_value::<Command>(json!({*name: own})));
                let error = match order {
                    Ok(order) => break order,
                    Err(error) => error.to_string(),
                };
                // Fields of other commands are refused.
                let other = error.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
                own.as_object_mut().unwrap().remove(other.unwrap_or_else(|| panic!("{name}: {error}")));
            };
            let written = serde_json::to_value(&order).unwrap();
            let read = written.as_str().or_else(|| written.as_object()?.keys().next().map(String::as_str));
            assert_eq!(read, Some(*name));
            assert_eq!(serde_json::from_value::<Command>(written).unwrap(), order);
        }
        for (unknown, why) in [
            (json!({"no-such-order": {}}), "unknown variant `no-such-order`, expected one of `user-add`, `user-email`"),
            (json!({"user-nonsense": {}}), "unknown variant `user-nonsense`, expected one of `user-add`"),
            (json!({"user-admin": {"name": "a"}}), "missing field `admin`"),
            (json!({"user-admin": {"name": "a", "admin": true, "root": true}}), "unknown field `root`"),
            (Value::Null, "expected"),
        ] {
            let refused = serde_json::from_value::<Command>(unknown).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
