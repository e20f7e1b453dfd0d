//! Tests of valid and invalid metadata.

use super::*;

const GOOD: &str = r#"
{<<"name">>,<<"acme_core">>}.
{<<"version">>,<<"1.2.0-rc.1">>}.
{<<"app">>,<<"acme_core">>}.
{<<"description">>,<<"Grüße"/utf8>>}.
{<<"licenses">>,[<<"Apache-2.0">>]}.
{<<"links">>,#{<<"GitHub">> => <<"https://example.com/x">>}}.
{<<"files">>,[<<"mix.exs">>,<<"lib/a.ex">>]}.
{<<"elixir">>,<<"~> 1.14">>}.
{<<"extra">>,#{<<"tags">> => [<<"a">>, 1]}}.
{<<"requirements">>,
 [[{<<"name">>,<<"plug">>},{<<"app">>,<<"plug">>},{<<"optional">>,true},{<<"requirement">>,<<"~> 1.0">>},
   {<<"repository">>,<<"hexpm">>}],
  [{<<"name">>,<<"jason">>},{<<"requirement">>,<<">= 0.0.0">>}]]}.
"#;

fn with(key: &str, value: &str) -> Result<Metadata, Invalid> {
    Metadata::read(format!("{GOOD}\n{{<<\"{key}\">>,{value}}}.\n").as_bytes())
}

#[test]
fn a_package_of_mix() {
    let read = Metadata::read(GOOD.as_bytes()).unwrap();
    assert_eq!((read.name.as_str(), read.version.as_str(), &*read.app), ("acme_core", "1.2.0-rc.1", "acme_core"));
    assert_eq!(read.description.as_deref(), Some("Grüße"));
    assert_eq!(read.build_tools, [Box::from("mix")], "told by the files");
    assert_eq!(read.extra["tags"], serde_json::json!(["a", 1]));
    let [jason, plug] = &read.requirements[..] else { panic!("{:?}", read.requirements) };
    assert_eq!((jason.package.as_str(), &*jason.requirement, &*jason.app), ("jason", ">= 0.0.0", "jason"));
    assert!(plug.optional && plug.repository.as_deref() == Some("hexpm"));
    assert_eq!(Metadata::name_of(GOOD.as_bytes()).unwrap().as_str(), "acme_core");
}

#[test]
fn a_dependency_says_which_versions() {
    for fields in [
        r#"[{<<"name">>,<<"plug">>}]"#,
        r#"[{<<"name">>,<<"plug">>},{<<"requirement">>,undefined}]"#,
        r#"[{<<"name">>,<<"plug">>},{<<"requirement">>,nil}]"#,
    ] {
        let told = with("requirements", &format!("[{fields}]")).unwrap_err().to_string();
        assert!(told.contains("can't be blank") && told.contains(">= 0.0.0"), "{fields}: {told}");
    }
}

#[test]
fn requirements_in_every_form() {
    for form in [
        r##"#{<<"plug">> => #{<<"app">> => <<"plug">>, <<"optional">> => false, <<"requirement">> => <<"~> 1.0">>}}"##,
        r##"[{<<"plug">>, [{<<"app">>, <<"plug">>}, {<<"optional">>, false}, {<<"requirement">>, <<"~> 1.0">>}]}]"##,
        r##"[[{<<"name">>, <<"plug">>}, {<<"optional">>, false}, {<<"requirement">>, <<"~> 1.0">>}]]"##,
    ] {
        let read = with("requirements", form).unwrap();
        assert_eq!(read.requirements.len(), 1, "{form}");
        assert_eq!(&*read.requirements[0].requirement, "~> 1.0", "{form}");
    }
}

#[test]
fn every_rule_has_its_field() {
    for (key, value, expected) in [
        ("name", r#"<<"mix">>"#, "name: is reserved"),
        ("name", r#"<<"a">>"#, "name: should be at least 2 character(s)"),
        ("name", r#"<<"acme\n">>"#, "name: has invalid format"),
        ("name", "undefined", "name: can't be blank"),
        ("version", r#"<<"1.0">>"#, "version: is invalid SemVer"),
        ("version", r#"<<"1.0.0+b">>"#, "version: build number not allowed"),
        ("version", r#"<<"1.0.100000000000000">>"#, "version: has a number that is too large"),
        ("app", "nil", "app: can't be blank"),
        ("app", "<<255>>", "app: must be a text in UTF-8"),
        ("licenses", r#"<<"MIT">>"#, "licenses: expected type list(string)"),
        ("links", r##"#{<<"a">> => <<"javascript:x">>}"##, "links: invalid link \"javascript:x\""),
        ("links", r##"#{<<"a">> => <<"https://">>}"##, "links: invalid link"),
        ("files", "[]", "files: package can't be empty"),
        ("build_tools", "[1]", "build_tools: expected type list(string)"),
        ("elixir", r#"<<"1.x">>"#, "elixir: invalid requirement: \"1.x\""),
        (
            "requirements",
            r##"#{<<"plug">> => #{<<"requirement">> => <<"!= 1.0.0">>}}"##,
            "requirements.plug: invalid requirement",
        ),
        ("requirements", "1", "requirements: expected type map"),
        ("extra", "{a}", "tar: error reading package metadata: illegal atom a"),
        ("extra", r##"#{<<"a">> => {1}}"##, "extra: tuples are not supported here"),
    ] {
        let error = with(key, value).unwrap_err().to_string();
        assert!(error.contains(expected), "{key} {value}: {error}");
    }
    let error = Metadata::read(b"{<<\"name\">>}.").unwrap_err().to_string();
    assert_eq!(error, "tar: error reading package metadata: not in key-value format");
    let error = Metadata::read(b"").unwrap_err();
    let fields: Vec<String> = error.iter().map(|(path, _)| path.join(".")).collect();
    assert_eq!(fields, ["name", "version", "app", "files"], "all at once");
}
