//! Bodies without a schema (`config`, `policy`): whatever stands in them becomes a map.
//!
//! Nested blocks become lists of maps, as does an attribute that is written as an object; both because drivers'
//! schemas expect blocks to repeat. Source: jobspec.md §2.6.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::body::Reader;
use crate::expr::Scope;
use crate::syntax::ast::{Block, Body};
use crate::value::{Number, Value};

/// How deep blocks may be nested here.
const MAX_DEPTH: usize = 60;

impl Reader<'_> {
    /// The only block of a type as a map; `None` where there is none, or where it is empty and `empty_is_none`.
    pub(crate) fn free_form(
        &self,
        name: &'static str,
        empty_is_none: bool,
    ) -> Option<BTreeMap<String, Json>> {
        let block = self.block(name)?;
        let map: BTreeMap<String, Json> = block.free_form_members().into_iter().collect();
        if map.is_empty() && empty_is_none {
            None
        } else {
            Some(map)
        }
    }

    /// Everything in this body.
    pub(crate) fn free_form_members(&self) -> Map<String, Json> {
        let mut members = self.members_of(&self.body, &self.scope, 0);
        members.sort_keys();
        members
    }

    fn members_of(&self, body: &Arc<Body>, scope: &Scope, depth: usize) -> Map<String, Json> {
        let mut members = Map::new();
        for attribute in &body.attributes {
            if let Ok(value) = self.evaluator.eval(&attribute.value, scope) {
                let json = to_json(&value);
                let json = if Self::is_object_literal(attribute) {
                    json!([json])
                } else {
                    json
                };
                members.insert(attribute.name.clone(), json);
            }
        }
        for property in body
            .properties
            .iter()
            .filter(|property| property.name != "//")
        {
            if let Ok(value) = self.evaluator.eval(&property.value.to_expr(), scope) {
                let json = to_json(&value);
                let json = if json.is_object() {
                    json!([json])
                } else {
                    json
                };
                members.insert(property.name.clone(), json);
            }
        }
        for block in &body.blocks {
            self.add_block(block, scope, depth, &mut members);
        }
        members
    }

    fn add_block(
        &self,
        block: &Block,
        scope: &Scope,
        depth: usize,
        members: &mut Map<String, Json>,
    ) {
        if depth > MAX_DEPTH {
            self.evaluator.error(
                block.header_span,
                "Too deeply nested",
                "Blocks are nested too deeply here.",
            );
            return;
        }
        if members
            .get(&block.name)
            .is_some_and(|existing| !existing.is_array())
        {
            let detail = format!("{:?} is set as an argument already.", block.name);
            self.evaluator
                .error(block.header_span, "Duplicate key", detail);
            return;
        }
        let mut inner = self.members_of(&block.body, scope, depth + 1 + block.labels.len());
        inner.sort_keys();
        let mut value = Json::Object(inner);
        for label in block.labels.iter().rev() {
            value = json!({ label.text.as_str(): [value] });
        }
        if let Json::Array(items) = members
            .entry(block.name.clone())
            .or_insert_with(|| json!([]))
        {
            items.push(value);
        }
    }
}

/// A value as JSON: whole numbers as integers, others as floats. A map of maps loses its keys.
fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Number(number) => number_to_json(number),
        Value::String(text) => json!(&**text),
        Value::List(items) | Value::Set(items) | Value::Tuple(items) => {
            Json::Array(items.iter().map(to_json).collect())
        }
        Value::Map(members)
            if !members.is_empty() && members.values().all(|member| member.members().is_some()) =>
        {
            Json::Array(members.values().map(to_json).collect())
        }
        Value::Map(members) | Value::Object(members) => Json::Object(
            members
                .iter()
                .map(|(name, member)| (name.clone(), to_json(member)))
                .collect(),
        ),
    }
}

fn number_to_json(number: &Number) -> Json {
    match number.to_i64() {
        Some(value) => json!(value),
        None => json!(number.to_f64()),
    }
}
