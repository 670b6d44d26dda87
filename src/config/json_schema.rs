//! The configuration as a JSON Schema, from the declared keys, for editors and validators.
//!
//! It covers what a schema can: unknown keys, types, ranges, choices, the form of dates and time spans, and what is
//! required. It accepts whatever the program accepts; `check` reports the rest.

use serde_json::{Map, Value, json};

use super::key::{Key, Kind, Presence};
use super::load::declared_keys;

/// The name of a package in the declared keys.
const ANY_NAME: &str = "NAME";

/// A date of TOML, which validators pass on as a text.
const DATE: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$";

/// A time span: ISO 8601, `1:30:00`, or a number with its unit. Not a number alone.
const TIME_SPAN: &str = r"^\s*\+?\s*(P|p|[0-9]+:|[0-9]*[.,]?[0-9]+\s*[A-Za-zµμ])";

/// The JSON Schema (draft 7, which editors for TOML support).
#[must_use]
pub fn json_schema() -> Value {
    let mut root = table();
    for key in declared_keys() {
        add(&mut root, &key);
    }
    let schema = root.as_object_mut().expect("a table is an object");
    schema.insert(
        "$schema".into(),
        "http://json-schema.org/draft-07/schema#".into(),
    );
    schema.insert("title".into(), "The configuration of access-invite".into());
    root
}

/// A table without keys.
fn table() -> Value {
    json!({ "type": "object", "additionalProperties": false })
}

fn add(root: &mut Value, key: &Key) {
    let required = key.presence == Presence::Required;
    let alternative = match key.presence {
        Presence::RequiredWithout(other) => Some(other),
        _ => None,
    };
    let mut tables = key.path.split('.');
    let name = tables.next_back().expect("a path has a last part");
    let mut at = root;
    for name in tables {
        if required || alternative.is_some() {
            require(at, name);
        }
        at = child(at, name);
    }
    if required {
        require(at, name);
    }
    if let Some(other) = alternative {
        at["anyOf"] = json!([{ "required": [name] }, { "required": [other] }]);
    }
    at["properties"][name] = property(key);
}

/// The table of this name, which is created unless it is there.
fn child<'a>(at: &'a mut Value, name: &str) -> &'a mut Value {
    if name == ANY_NAME {
        if at["additionalProperties"] == false {
            at["additionalProperties"] = table();
            at["minProperties"] = 1.into();
        }
        return &mut at["additionalProperties"];
    }
    let tables = &mut at["properties"];
    if tables[name].is_null() {
        tables[name] = table();
    }
    &mut tables[name]
}

fn require(at: &mut Value, name: &str) {
    if name == ANY_NAME {
        return;
    }
    let schema = at.as_object_mut().expect("a table is an object");
    let required = schema.entry("required").or_insert_with(|| json!([]));
    let required = required.as_array_mut().expect("a list of names");
    if !required.contains(&name.into()) {
        required.push(name.into());
    }
}

fn property(key: &Key) -> Value {
    let mut schema = of_kind(&key.kind);
    let fields = schema.as_object_mut().expect("every schema is an object");
    fields.insert("description".into(), key.description.into());
    if let Presence::Default(default) = key.presence
        && let Some(default) = json_of(default)
    {
        fields.insert("default".into(), default);
    }
    schema
}

fn of_kind(kind: &Kind) -> Value {
    // An empty text is a key that is not filled in.
    let text = json!({ "type": "string", "pattern": "\\S" });
    match kind {
        Kind::Text(_) | Kind::Path => text,
        Kind::TimeSpan => json!({ "type": "string", "pattern": TIME_SPAN }),
        Kind::Number(range) => json!({
            "type": "integer", "minimum": range.start(), "maximum": range.end(),
        }),
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Choice(words) => json!({ "type": "string", "enum": words }),
        Kind::Date => json!({ "type": "string", "pattern": DATE }),
        Kind::List(element) => json!({ "type": "array", "items": of_kind(element) }),
        Kind::TextOrList => json!({ "anyOf": [text, { "type": "array", "items": text }] }),
        Kind::Texts => json!({
            "anyOf": [text, { "type": "object", "additionalProperties": text }],
        }),
        Kind::TextTable => json!({ "type": "object", "additionalProperties": text }),
    }
}

/// A default, which is written in TOML, as JSON.
fn json_of(toml: &str) -> Option<Value> {
    let table: Map<String, Value> = toml::from_str(&format!("value = {toml}")).ok()?;
    table.get("value").cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declared_key_is_a_property_with_its_type() {
        let schema = json_schema();
        for key in declared_keys() {
            let mut at = &schema;
            for name in key.path.split('.') {
                at = if name == ANY_NAME {
                    &at["additionalProperties"]
                } else {
                    &at["properties"][name]
                };
            }
            assert_eq!(at["description"], key.description, "{}", key.path);
            assert!(
                at["type"].is_string() || at["anyOf"].is_array(),
                "{}",
                key.path
            );
        }
        assert_eq!(
            schema["properties"]["smtp"]["properties"]["connections"]["default"],
            2
        );
        assert_eq!(
            schema["properties"]["packages"]["additionalProperties"]["required"],
            json!(["link", "name"])
        );
        assert_eq!(
            schema["required"],
            json!([
                "campaign", "sender", "packages", "partners", "smtp", "ledger"
            ])
        );
    }
}
