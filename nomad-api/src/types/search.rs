//! Search: by prefix and fuzzy.

use std::collections::BTreeMap;

use nomad_core::wire;
use serde::{Deserialize, Serialize};

use super::QueryMeta;

/// Body of a prefix search.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SearchRequest {
    #[serde(with = "wire::null_default")]
    pub prefix: String,
    #[serde(with = "wire::null_default")]
    pub context: String,
}

/// Answer to a prefix search.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SearchResponse {
    /// Context to ids; null where nothing matched.
    pub matches: BTreeMap<String, Option<Vec<String>>>,
    pub truncations: BTreeMap<String, bool>,
    #[serde(flatten)]
    pub meta: QueryMeta,
}

/// Body of a fuzzy search.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FuzzySearchRequest {
    #[serde(with = "wire::null_default")]
    pub text: String,
    #[serde(with = "wire::null_default")]
    pub context: String,
}

/// One thing whose name contains the text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FuzzyMatch {
    #[serde(rename = "ID")]
    pub id: String,
    /// What leads to it, from the outside in.
    #[serde(rename = "Scope", with = "wire::null_if_empty")]
    pub scope: Vec<String>,
}

/// Answer to a fuzzy search.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FuzzySearchResponse {
    pub matches: BTreeMap<String, Vec<FuzzyMatch>>,
    pub truncations: BTreeMap<String, bool>,
    #[serde(flatten)]
    pub meta: QueryMeta,
}
