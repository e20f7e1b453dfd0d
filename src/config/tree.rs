//! Parses YAML text to a tree in which every value has its place.
//!
//! Only tables, lists and scalars are supported. Features that can make a file hard to understand (anchors, aliases,
//! merge keys, tags, duplicate keys) are refused, with their line.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use super::bounds;
use super::fault::Fault;
use super::problem::{Excerpt, Place, Problems, child_path};

/// A value and its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

#[derive(Debug)]
pub(super) enum Value {
    /// A scalar. If it is quoted (or a block), it is a text; otherwise it may also be a number, a boolean or null.
    Scalar {
        text: String,
        quoted: bool,
    },
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// A value with a problem that was already reported. Readers ignore it.
    Refused,
}

/// A key, its place, and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Node,
}

impl Node {
    /// A table without entries.
    pub(super) fn empty_table(place: Place) -> Self {
        Self { value: Value::Table(Vec::new()), place }
    }

    /// Whether the value is null: an empty value, `~` or `null` without quotes.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, quoted: false } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Changes the place of this value and of all values in it.
    pub(super) fn set_place(&mut self, place: &Place) {
        self.place = place.clone();
        match &mut self.value {
            Value::Scalar { .. } | Value::Refused => {}
            Value::List(items) => items.iter_mut().for_each(|item| item.set_place(place)),
            Value::Table(entries) => {
                for entry in entries {
                    entry.place = place.clone();
                    entry.value.set_place(place);
                }
            }
        }
    }
}

/// Parses one document. Returns `None` after a problem without a usable tree; after other problems, the rest is read.
pub(super) fn parse(text: &str, problems: &Problems) -> Option<Node> {
    if text.len() > bounds::MAX_TEXT_BYTES {
        problems.add("", &Place::Document, Fault::TextTooLong { max: bounds::MAX_TEXT_BYTES });
        return None;
    }
    let mut builder = Builder { problems, open: Vec::new(), root: None, nodes: 0, documents: 0 };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                problems.add("", &place(error.marker()), Fault::Syntax(Excerpt::new(error.info())));
                return None;
            }
        };
        let place = place(&span.start);
        if let Err(fault) = builder.accept(event, &place) {
            problems.add(builder.path(), &place, fault);
            return None;
        }
    }
    Some(builder.root.unwrap_or_else(|| Node::empty_table(Place::Document)))
}

fn place(marker: &Marker) -> Place {
    Place::Text { line: marker.line(), column: marker.col().saturating_add(1) }
}

/// A list or table whose end was not reached yet.
enum Open {
    List { place: Place, items: Vec<Node> },
    Table { place: Place, entries: Vec<Entry>, key: Option<Key> },
}

/// A key whose value was not read yet.
struct Key {
    text: String,
    place: Place,
    /// Whether the value is ignored.
    skip: bool,
}

struct Builder<'p> {
    problems: &'p Problems,
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    documents: usize,
}

impl Builder<'_> {
    /// Handles one event of the parser. A fault ends the parsing.
    fn accept(&mut self, event: Event<'_>, place: &Place) -> Result<(), Fault> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 { Err(Fault::SeveralDocuments) } else { Ok(()) }
            }
            Event::Alias(_) => {
                self.begin(place, false, false)?;
                if self.expects_key() {
                    return Err(Fault::KeyNotText);
                }
                self.problems.add(self.path(), place, Fault::Alias);
                self.put(Node { value: Value::Refused, place: place.clone() });
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.begin(place, anchor != 0, tag.is_some())?;
                let quoted = style != ScalarStyle::Plain;
                if self.expects_key() {
                    self.key(text.into_owned(), quoted, place);
                } else {
                    let value = Value::Scalar { text: text.into_owned(), quoted };
                    self.put(Node { value, place: place.clone() });
                }
                Ok(())
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(place, anchor != 0, tag.is_some())?;
                self.open(Open::List { place: place.clone(), items: Vec::new() })
            }
            Event::MappingStart(anchor, tag) => {
                self.begin(place, anchor != 0, tag.is_some())?;
                self.open(Open::Table { place: place.clone(), entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                match self.open.pop() {
                    Some(Open::List { place, items }) => self.put(Node { value: Value::List(items), place }),
                    Some(Open::Table { place, entries, .. }) => self.put(Node { value: Value::Table(entries), place }),
                    None => {}
                }
                Ok(())
            }
        }
    }

    /// Checks that apply to every node.
    fn begin(&mut self, place: &Place, anchor: bool, tag: bool) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > bounds::MAX_NODES {
            return Err(Fault::TooManyNodes { max: bounds::MAX_NODES });
        }
        if anchor {
            self.problems.add(self.path(), place, Fault::Anchor);
        }
        if tag {
            self.problems.add(self.path(), place, Fault::Tag);
        }
        Ok(())
    }

    fn open(&mut self, node: Open) -> Result<(), Fault> {
        if self.expects_key() {
            return Err(Fault::KeyNotText);
        }
        if self.open.len() >= bounds::MAX_DEPTH {
            return Err(Fault::TooDeep { max: bounds::MAX_DEPTH });
        }
        self.open.push(node);
        Ok(())
    }

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open::Table { key: None, .. }))
    }

    fn key(&mut self, text: String, quoted: bool, place: &Place) {
        let path = self.path();
        let Some(Open::Table { entries, key, .. }) = self.open.last_mut() else { return };
        let mut skip = false;
        if text == "<<" && !quoted {
            self.problems.add(path, place, Fault::MergeKey);
            skip = true;
        } else if let Some(first) = entries.iter().find(|entry| entry.key == text) {
            let first_line = match first.place {
                Place::Text { line, .. } => line,
                Place::Document | Place::Environment(_) => 1,
            };
            self.problems.add(child_path(&path, &text), place, Fault::DuplicateKey { first_line });
            skip = true;
        }
        *key = Some(Key { text, place: place.clone(), skip });
    }

    fn put(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Table { entries, key, .. }) => {
                if let Some(Key { text, place, skip: false }) = key.take() {
                    entries.push(Entry { key: text, place, value: node });
                }
            }
        }
    }

    /// The path of the next node.
    fn path(&self) -> String {
        self.open.iter().fold(String::new(), |path, open| match open {
            Open::List { items, .. } => format!("{path}[{}]", items.len()),
            Open::Table { key: Some(key), .. } => child_path(&path, &key.text),
            Open::Table { key: None, .. } => path,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    /// The tree in one line, each node with its line and column; or the problems.
    fn dump(text: &str) -> String {
        fn render(out: &mut String, node: &Node) {
            match &node.value {
                Value::Scalar { text, quoted: true } => write!(out, "{text:?}").unwrap(),
                Value::Scalar { text, quoted: false } => out.push_str(text),
                Value::Refused => out.push('!'),
                Value::List(items) => {
                    out.push('[');
                    for item in items {
                        render(out, item);
                        out.push(' ');
                    }
                    out.push(']');
                }
                Value::Table(entries) => {
                    out.push('{');
                    for entry in entries {
                        let Place::Text { line, column } = entry.place else { panic!("{entry:?}") };
                        write!(out, "{}@{line}.{column}=", entry.key).unwrap();
                        render(out, &entry.value);
                        out.push(' ');
                    }
                    out.push('}');
                }
            }
            if let Place::Text { line, column } = node.place {
                write!(out, "@{line}.{column}").unwrap();
            }
        }
        let problems = Problems::default();
        let tree = parse(text, &problems);
        if let Some(error) = problems.into_error("t") {
            return error.to_string();
        }
        let mut out = String::new();
        render(&mut out, &tree.expect("no tree, no problem"));
        out
    }

    #[test]
    fn every_node_knows_its_place() {
        assert_eq!(
            dump("a: 1\nb:\n  c: \"2\"\n  d: [x, 'y']\n"),
            "{a@1.1=1@1.4 b@2.1={c@3.3=\"2\"@3.6 d@4.3=[x@4.7 \"y\"@4.10 ]@4.6 }@3.3 }@1.1"
        );
        assert_eq!(
            dump("- |\n  two\n  lines\n- >-\n  folded\n  text\n"),
            "[\"two\\nlines\\n\"@2.3 \"folded text\"@5.3 ]@1.1"
        );
    }

    #[test]
    fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
        assert_eq!(dump("a: 1\r\nb: 2\r\n"), dump("a: 1\nb: 2\n"));
        assert!(dump("\u{feff}a: 1\n").contains("a@1."), "{}", dump("\u{feff}a: 1\n"));
    }

    #[test]
    fn an_empty_document_is_an_empty_table_or_nothing() {
        assert_eq!(dump(""), "{}");
        assert_eq!(dump("# only a comment\n"), "{}");
        assert_eq!(dump("{}"), "{}@1.1");
        let problems = Problems::default();
        assert!(parse("--- # nothing\n", &problems).unwrap().is_null());
    }

    #[test]
    fn what_hides_its_meaning_is_refused_with_its_line() {
        for (text, expected) in [
            ("a: 1\nb: 2\na: 3\n", "t:3:1: a: this key is already on line 1"),
            ("s:\n  a: 1\n  a: 3\n", "t:3:3: s.a: this key is already on line 2"),
            ("a: &x 1\n", "t:1:4: a: anchors"),
            ("a: &x 1\nb: *x\n", "t:2:4: b: aliases"),
            ("a: 1\n<<: {b: 2}\n", "t:2:1: merge keys"),
            ("a: !!str 1\n", "t:1:4: a: tags"),
            ("a: 1\n---\nb: 2\n", "t:2:1: the file has more than one YAML document"),
            ("[a, b]: 1\n", "t:1:1: a key must be a plain text"),
            ("a: [1, 2\nb: 3\n", "t:2:"),
            ("a: b: c\n", "t:1:"),
        ] {
            let found = dump(text);
            assert!(found.lines().any(|line| line.starts_with(expected)), "{text:?}: {found}");
        }
        assert_eq!(dump("a: &x 1\nb: *x\na: 2\n").lines().count(), 3, "they are reported together");
    }

    #[test]
    fn size_depth_and_number_of_nodes_are_bounded() {
        assert!(dump(&"# \n".repeat(bounds::MAX_TEXT_BYTES)).contains("longer than"));
        let list = |n: usize| format!("[{}]", "1,".repeat(n));
        assert!(dump(&list(bounds::MAX_NODES - 1)).starts_with('['));
        assert!(dump(&list(bounds::MAX_NODES)).contains("more than 10000 values"));
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(dump(&deep(bounds::MAX_DEPTH)).starts_with('['));
        assert!(dump(&deep(bounds::MAX_DEPTH + 1)).contains("nested deeper"));
        assert!(dump(&"[".repeat(100_000)).starts_with("t:1:"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).{0,200}") {
            parse(&text, &Problems::default());
        }

        #[test]
        fn no_soup_of_yaml_signs_panics(text in "([ \\n]|[-:,?#&*!|>'\"%@~<=.a1]|\\[|\\]|\\{|\\}|\\t|\\r|<<: |- |: |---\\n|\\.\\.\\.\\n){0,60}") {
            parse(&text, &Problems::default());
        }
    }
}
