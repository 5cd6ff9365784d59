//! The description of the interface, an `OpenAPI` 3.1 document, as a page to read.
//!
//! References to schemas become links to where the page describes them; references to parameters, bodies and responses
//! are shown in place. What the page does not know of the standard it leaves out.

use maud::{Markup, html};
use serde_json::{Map, Value};

use super::layout;

/// The methods of the standard, in the order they are shown.
const METHODS: [&str; 8] = [
    "get", "head", "post", "put", "patch", "delete", "options", "trace",
];

/// The page of an `OpenAPI` document.
#[must_use]
pub(crate) fn api(document: &Value) -> String {
    let operations = operations(document);
    let title = text(document, "/info/title").unwrap_or("API");
    let main = html! {
        main #page tabindex="-1" {
            div.title {
                h1 { (title) }
                span.quiet { (text(document, "/info/version").unwrap_or_default()) }
                a href="/api/openapi.json" { "OpenAPI document" }
            }
            (prose(text(document, "/info/description")))
            (contents(&operations))
            h2 { "Operations" }
            @for operation in &operations { (operation.section(document)) }
            (schemas(document))
        }
    };
    layout::whole(title, None, &main)
}

/// One method of one path.
struct Operation<'a> {
    method: &'static str,
    path: &'a str,
    item: &'a Value,
    body: &'a Value,
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let paths = document.get("paths").and_then(Value::as_object);
    let mut all = Vec::new();
    for (path, item) in paths.into_iter().flatten() {
        for method in METHODS {
            if let Some(body) = item.get(method) {
                all.push(Operation {
                    method,
                    path,
                    item,
                    body,
                });
            }
        }
    }
    all
}

fn contents(operations: &[Operation<'_>]) -> Markup {
    html! {
        nav.contents aria-label="Operations" {
            ul {
                @for operation in operations {
                    li {
                        a href=(format!("#{}", operation.anchor())) { (operation.name()) }
                        " " span.quiet { (text(operation.body, "/summary").unwrap_or_default()) }
                    }
                }
            }
        }
    }
}

impl Operation<'_> {
    fn anchor(&self) -> String {
        anchor(&format!("{}-{}", self.method, self.path))
    }

    fn name(&self) -> Markup {
        html! { code { b { (self.method.to_uppercase()) } " " (self.path) } }
    }

    fn section(&self, document: &Value) -> Markup {
        html! {
            section.operation id=(self.anchor()) {
                h3 { (self.name()) }
                @if let Some(summary) = text(self.body, "/summary") { p { b { (summary) } } }
                (prose(text(self.body, "/description")))
                (self.parameters(document))
                @if let Some(body) = self.body.get("requestBody") {
                    h4 { "Body" }
                    (content(resolved(document, body)))
                }
                (self.responses(document))
            }
        }
    }

    fn parameters(&self, document: &Value) -> Markup {
        let places = [self.item, self.body].into_iter();
        let all = places.filter_map(|place| place.get("parameters")?.as_array());
        let rows = all.flatten().map(|parameter| {
            let parameter = resolved(document, parameter);
            let is_required = parameter.get("required") == Some(&Value::Bool(true));
            html! {
                (name(text(parameter, "/name").unwrap_or_default()))
                (cell("Where", &html! { (text(parameter, "/in").unwrap_or_default()) @if is_required { ", required" } }))
                (cell("Type", &kind(parameter.get("schema"))))
                (cell("Meaning", &prose(text(parameter, "/description"))))
            }
        });
        table("Parameters", &["Name", "Where", "Type", "Meaning"], rows)
    }

    fn responses(&self, document: &Value) -> Markup {
        let responses = self.body.get("responses").and_then(Value::as_object);
        let rows = responses.into_iter().flatten().map(|(status, response)| {
            let response = resolved(document, response);
            html! {
                (name(status))
                (cell("Meaning", &prose(text(response, "/description"))))
                (cell("Body", &content(response)))
            }
        });
        table("Answers", &["Status", "Meaning", "Body"], rows)
    }
}

/// What a body or an answer is made of, by media type.
fn content(holder: &Value) -> Markup {
    let media = holder.get("content").and_then(Value::as_object);
    html! {
        @for (media, body) in media.into_iter().flatten() {
            p { code { (media) } ": " (kind(body.get("schema"))) }
            @if let Some(schema) = body.get("schema") { (properties(schema)) }
        }
    }
}

fn schemas(document: &Value) -> Markup {
    let all = document
        .pointer("/components/schemas")
        .and_then(Value::as_object);
    html! {
        @if let Some(all) = all {
            h2 { "Schemas" }
            @for (name, schema) in all {
                section.schema id=(anchor(&format!("schema-{name}"))) {
                    h3 { code { (name) } }
                    (prose(text(schema, "/description")))
                    p { (kind(Some(schema))) }
                    (properties(schema))
                }
            }
        }
    }
}

/// The properties of an object, those of its parts (`allOf` and its like) too.
fn properties(schema: &Value) -> Markup {
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
    let all = schema.get("properties").and_then(Value::as_object);
    let rows = all.into_iter().flatten().map(|(named, property)| {
        html! {
            (name(named))
            (cell("Type", &html! { (kind(Some(property))) @if !is_required(named) { ", optional" } }))
            (cell("Meaning", &html! { (prose(text(property, "/description"))) (properties(property)) }))
        }
    });
    html! {
        (table("Properties", &["Name", "Type", "Meaning"], rows))
        @for part in parts(schema).map(|(_, parts)| parts).into_iter().flatten() { (properties(part)) }
        @if let Some(items) = schema.get("items") { (properties(items)) }
    }
}

/// The parts of a composed schema, and the word between them.
fn parts(schema: &Value) -> Option<(&'static str, &Vec<Value>)> {
    let words = [("allOf", " and "), ("oneOf", " or "), ("anyOf", " or ")];
    words
        .into_iter()
        .find_map(|(name, word)| Some((word, schema.get(name)?.as_array()?)))
}

/// The type of a schema in a few words, with links.
fn kind(schema: Option<&Value>) -> Markup {
    let Some(schema) = schema.and_then(Value::as_object) else {
        return html! { "anything" };
    };
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let name = name.rsplit('/').next().unwrap_or(name);
        return html! { a href=(format!("#{}", anchor(&format!("schema-{name}")))) { code { (name) } } };
    }
    if let Some((word, parts)) = parts(&Value::Object(schema.clone())) {
        return joined(parts.iter().map(|part| kind(Some(part))), word);
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values = values
            .iter()
            .map(|value| html! { code { (value.to_string()) } });
        return joined(values, " or ");
    }
    let format = schema.get("format").and_then(Value::as_str);
    html! { (named(schema)) @if let Some(format) = format { " (" (format) ")" } }
}

fn named(schema: &Map<String, Value>) -> Markup {
    let one = |name: &str| match name {
        "array" => html! { "array of " (kind(schema.get("items"))) },
        name => html! { (name) },
    };
    match schema.get("type") {
        Some(Value::String(name)) => one(name),
        Some(Value::Array(names)) => {
            joined(names.iter().filter_map(Value::as_str).map(one), " or ")
        }
        _ => schema.get("const").map_or_else(
            || html! { "anything" },
            |value| html! { code { (value.to_string()) } },
        ),
    }
}

fn joined(parts: impl Iterator<Item = Markup>, word: &str) -> Markup {
    html! { @for (n, part) in parts.enumerate() { @if n > 0 { (word) } (part) } }
}

/// The first cell of a row.
fn name(name: &str) -> Markup {
    html! { th scope="row" role="rowheader" { code { (name) } } }
}

/// Another cell, with what stands before it where rows are cards.
fn cell(head: &str, content: &Markup) -> Markup {
    html! { td role="cell" data-label=(head) { (content) } }
}

/// A table, or nothing where it has no rows.
fn table(caption: &str, heads: &[&str], rows: impl Iterator<Item = Markup>) -> Markup {
    let mut rows = rows.peekable();
    html! {
        @if rows.peek().is_some() {
            div.scroll {
                table.reference.cards role="table" {
                    caption { (caption) }
                    thead role="rowgroup" { tr role="row" { @for head in heads { th scope="col" role="columnheader" { (head) } } } }
                    tbody role="rowgroup" { @for row in rows { tr role="row" { (row) } } }
                }
            }
        }
    }
}

/// Paragraphs, with what stands between backticks as code: as much of Markdown as our descriptions use.
fn prose(text: Option<&str>) -> Markup {
    let paragraphs = text.unwrap_or_default().split("\n\n");
    html! {
        @for paragraph in paragraphs.filter(|paragraph| !paragraph.trim().is_empty()) {
            p {
                @for (n, part) in paragraph.split('`').enumerate() {
                    @if n % 2 == 1 { code { (part) } } @else { (part) }
                }
            }
        }
    }
}

/// What a reference within the document leads to; itself where it is none, or leads nowhere.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = text(value, "/$ref").and_then(|target| target.strip_prefix('#'));
    target
        .and_then(|pointer| document.pointer(pointer))
        .unwrap_or(value)
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// An id that is safe in an address.
fn anchor(name: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '-'
        }
    };
    name.chars().map(safe).collect()
}
