//! Reading and writing the submission types as Go's JSON package does.
//!
//! Keys match whatever their case, unknown keys are passed over, `null` leaves a field unset, integers must be
//! integral and in range, a repeated key is read again. Keys are written sorted, as the parse endpoint does.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::time::Nanos;

/// A map with string values, `None` for `null`.
pub type StringMap = Option<BTreeMap<String, String>>;
/// A list of strings, `None` for `null`.
pub type StringList = Option<Vec<String>>;
/// A free-form map (driver configuration, scaling policy), `None` for `null`.
pub type AnyMap = Option<BTreeMap<String, Value>>;

/// Bytes that are base64 text in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Base64(pub Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD
            .decode(text)
            .map(Base64)
            .map_err(|_| D::Error::custom("illegal base64 data"))
    }
}

/// A type that can be read from a JSON field, with its own answer to `null`.
pub trait FromJson: Sized {
    /// Reads the value.
    fn from_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

/// Lets a [`FromJson`] type be read where serde wants a seed.
pub(super) struct As<T>(PhantomData<T>);

impl<T> As<T> {
    pub(super) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T: FromJson> DeserializeSeed<'de> for As<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::from_json(deserializer)
    }
}

macro_rules! scalars {
    ($($type:ty),*) => {$(
        impl FromJson for $type {
            fn from_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Option::<$type>::deserialize(deserializer)?.unwrap_or_default())
            }
        }
        impl FromJson for Option<$type> {
            fn from_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Option::<$type>::deserialize(deserializer)
            }
        }
    )*};
}

scalars!(String, bool, i8, i64, u8, u16, u32, u64, Nanos, Base64);

/// Reads a list whose `null` elements are zero values (for scalars) or are left out (for objects).
pub(super) fn list<'de, D, T>(deserializer: D, keep_null: bool) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Default,
    Option<T>: FromJson,
{
    struct List<T>(bool, PhantomData<T>);
    impl<'de, T: Default> Visitor<'de> for List<T>
    where
        Option<T>: FromJson,
    {
        type Value = Option<Vec<T>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list or null")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = seq.next_element_seed(As::<Option<T>>::new())? {
                match item {
                    Some(item) => items.push(item),
                    None if self.0 => items.push(T::default()),
                    None => {}
                }
            }
            Ok(Some(items))
        }
    }
    deserializer.deserialize_any(List(keep_null, PhantomData))
}

/// Reads a map with string keys; `null` values become zero values.
pub(super) fn map<'de, D, T>(deserializer: D) -> Result<Option<BTreeMap<String, T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Default,
    Option<T>: FromJson,
{
    struct Pairs<T>(PhantomData<T>);
    impl<'de, T: Default> Visitor<'de> for Pairs<T>
    where
        Option<T>: FromJson,
    {
        type Value = Option<BTreeMap<String, T>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object or null")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = BTreeMap::new();
            while let Some(key) = map.next_key::<String>()? {
                pairs.insert(
                    key,
                    map.next_value_seed(As::<Option<T>>::new())?
                        .unwrap_or_default(),
                );
            }
            Ok(Some(pairs))
        }
    }
    deserializer.deserialize_any(Pairs(PhantomData))
}

impl FromJson for StringList {
    fn from_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        list(deserializer, true)
    }
}

impl FromJson for Option<Vec<u16>> {
    fn from_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        list(deserializer, true)
    }
}

impl FromJson for StringMap {
    fn from_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        map(deserializer)
    }
}

impl FromJson for Option<BTreeMap<String, Vec<String>>> {
    fn from_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        map(deserializer)
    }
}

impl FromJson for Vec<String> {
    fn from_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(StringList::from_json(deserializer)?.unwrap_or_default())
    }
}

impl FromJson for AnyMap {
    fn from_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut map = Option::<BTreeMap<String, Value>>::deserialize(deserializer)?;
        map.iter_mut()
            .flatten()
            .for_each(|(_, value)| sort_keys(value));
        Ok(map)
    }
}

/// Sorts the keys of every object inside, so that equal values are written equally.
pub fn sort_keys(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(sort_keys),
        Value::Object(map) => {
            map.sort_keys();
            map.values_mut().for_each(sort_keys);
        }
        _ => {}
    }
}

/// Finds the field that a JSON key names: exactly, or else whatever its case.
pub(super) struct Key(pub(super) &'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let exact = self.0.iter().find(|name| **name == key);
        Ok(exact
            .or_else(|| self.0.iter().find(|name| name.eq_ignore_ascii_case(key)))
            .copied())
    }
}

/// Declares an object of the submission shape: the struct, how it is written, how it is read.
///
/// `field: Type = "Key"` is always written; `field: Type = "Key", omit` is left out while it is its default.
macro_rules! api_struct {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* pub $field:ident : $type:ty = $key:literal $([$omit:ident])? ,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $type, )*
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut map = serializer.serialize_map(None)?;
                $(
                    if true $(&& { let _ = stringify!($omit); self.$field != Default::default() })? {
                        map.serialize_entry($key, &self.$field)?;
                    }
                )*
                map.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use $crate::spec::json::FromJson;
                Ok(Option::<$name>::from_json(deserializer)?.unwrap_or_default())
            }
        }

        impl $crate::spec::json::FromJson for Option<$name> {
            fn from_json<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Object;
                impl<'de> serde::de::Visitor<'de> for Object {
                    type Value = Option<$name>;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("an object (", stringify!($name), ") or null"))
                    }

                    fn visit_unit<E>(self) -> Result<Self::Value, E> {
                        Ok(None)
                    }

                    fn visit_none<E>(self) -> Result<Self::Value, E> {
                        Ok(None)
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let mut object = $name::default();
                        while let Some(key) = map.next_key_seed($crate::spec::json::Key(&[$($key),*]))? {
                            match key {
                                $( Some($key) => {
                                    object.$field = map.next_value_seed($crate::spec::json::As::<$type>::new())?;
                                } )*
                                _ => { map.next_value::<serde::de::IgnoredAny>()?; }
                            }
                        }
                        Ok(Some(object))
                    }
                }
                deserializer.deserialize_any(Object)
            }
        }

        impl $crate::spec::json::FromJson for Option<Vec<$name>> {
            fn from_json<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::spec::json::list(deserializer, false)
            }
        }

        impl $crate::spec::json::FromJson for Option<std::collections::BTreeMap<String, $name>> {
            fn from_json<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::spec::json::map(deserializer)
            }
        }
    };
}
pub(super) use api_struct;
