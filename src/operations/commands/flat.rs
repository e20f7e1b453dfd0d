//! Orders as JSON: by their own name, whatever family they are of.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, VariantAccess, Visitor,
};
use serde::ser::{Serialize, Serializer};

use super::{
    Command, GrantCommand, InspectCommand, KeyCommand, OrganizationCommand, PolicyCommand, ReleaseCommand, UserCommand,
};

/// The names of all orders, family by family.
const NAMES: &[&str] = &[
    "user-add",
    "user-email",
    "user-list",
    "user-password",
    "user-active",
    "user-admin",
    "user-totp",
    "user-totp-confirm",
    "user-totp-off",
    "key-create",
    "key-list",
    "key-revoke",
    "org-add",
    "org-list",
    "org-member",
    "org-remove-member",
    "grant-add",
    "grant-remove",
    "grant-list",
    "release-remove",
    "release-allow",
    "release-forget",
    "reindex",
    "pin",
    "unpin",
    "policy-waive",
    "policy-waivers",
    "policy-withdraw",
    "policy-why",
    "policy-test",
    "policy-report",
    "explain",
    "stats",
    "who-has",
    "audit",
];

macro_rules! families {
    ($($family:ident($orders:ident) is $($word:literal)|+;)+) => {
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
                f.write_str("an order")
            }

            fn visit_enum<A: EnumAccess<'de>>(self, order: A) -> Result<Command, A::Error> {
                let (name, fields) = order.variant::<String>()?;
                if !NAMES.contains(&name.as_str()) {
                    return Err(A::Error::unknown_variant(&name, NAMES));
                }
                let order = Named { name: &name, fields };
                match name.split('-').next().unwrap_or_default() {
                    $($($word)|+ => $orders::deserialize(order).map(Command::$family),)+
                    _ => Err(A::Error::unknown_variant(&name, NAMES)),
                }
            }
        }
    };
}

families! {
    User(UserCommand) is "user";
    Key(KeyCommand) is "key";
    Organization(OrganizationCommand) is "org";
    Grant(GrantCommand) is "grant";
    Release(ReleaseCommand) is "release" | "reindex";
    Policy(PolicyCommand) is "policy" | "pin" | "unpin";
    Inspect(InspectCommand) is "explain" | "stats" | "who" | "audit";
}

struct Flat;

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_enum("Command", NAMES, Flat)
    }
}

/// An order whose name was read, on its way to its family.
struct Named<'n, A> {
    name: &'n str,
    fields: A,
}

impl<'de, A: VariantAccess<'de>> Deserializer<'de> for Named<'_, A> {
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
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
            "until": "2030-01-01", "requirement": "~> 1.0", "number": 1,
        });
        for name in NAMES {
            if *name == "org-add" {
                fields["admin"] = json!("a");
            }
            let unit = serde_json::from_value::<Command>(json!(name));
            let order = unit.or_else(|_| serde_json::from_value::<Command>(json!({*name: fields})));
            let order = order.unwrap_or_else(|error| panic!("{name}: {error}"));
            let written = serde_json::to_value(&order).unwrap();
            let read = written.as_str().or_else(|| written.as_object()?.keys().next().map(String::as_str));
            assert_eq!(read, Some(*name));
            assert_eq!(serde_json::from_value::<Command>(written).unwrap(), order);
        }
        for (unknown, why) in [
            (json!({"no-such-order": {}}), "unknown variant `no-such-order`, expected one of `user-add`, `user-email`"),
            (json!({"user-nonsense": {}}), "unknown variant `user-nonsense`, expected one of `user-add`"),
            (json!({"user-admin": {"name": "a"}}), "missing field `admin`"),
            (Value::Null, "expected"),
        ] {
            let refused = serde_json::from_value::<Command>(unknown).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
