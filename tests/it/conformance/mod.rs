//! Every route of the API, for every kind of caller, in both formats: status, headers and body, compared with what was
//! read and found right.
//!
//! A row is one request. It is made by each caller, once in JSON and once in Erlang terms; both have to say the same.
//! What they were told is held by a snapshot for each row (`INSTA_UPDATE=always cargo test --test it conformance`, and
//! then read every difference against the specification). What holds for all rows is asserted here.

mod oauth;
mod rows;
mod world;

use std::time::Duration;

use reqwest::Method;

use self::rows::{ROWS, Row};
use self::world::{Caller, Told, World};

/// What rebar3 takes for a refusal when it has changed something; anything else below 600 is "Published" to it.
const REFUSALS: [u16; 5] = [401, 403, 404, 422, 500];

/// What was found wrong, all of it, so that one run shows everything.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn check(&mut self, holds: bool, what: &str, story: &str) {
        if !holds {
            self.0.push(format!("{what}: {story}"));
        }
    }
}

/// What every answer has to be, whoever asks.
fn judge(faults: &mut Faults, row: &Row, caller: &Caller, told: &Told) {
    let story = format!("{} {} for {}\n{told}", row.method, row.path, caller.name);
    let mut check = |holds: bool, what: &str| faults.check(holds, what, &story);
    let is_write = row.method != Method::GET;
    let (status, header) = (told.status, |name: &str| told.headers.get(name).map(String::as_str).unwrap_or_default());
    if is_write {
        check((200..300).contains(&status) || REFUSALS.contains(&status), "rebar3 would call it done");
        check(header("cache-control") == "no-store", "the answer to a change is kept");
        if !row.is_for_everybody && caller.key.is_none() {
            check(status == 401 && header("www-authenticate") == "Basic realm=hex", "nobody may change anything");
        }
    }
    check((status == 401) != header("www-authenticate").is_empty(), "a 401, and only that, says what it wants");
    check(header("retry-after").is_empty(), "nothing was too often");
    if status >= 400 {
        let (message, errors) = (&told.body["message"], &told.body["errors"]);
        check(told.body["status"] == status, "the status is in the body");
        check(message.as_str().is_some_and(|message| !message.is_empty()), "there is a sentence");
        check(errors.is_null() || errors.is_object(), "mix walks errors as a map");
        check((message == "Validation error(s)") == errors.is_object(), "fields and these words go together");
    }
    if !row.is_open && caller.key.is_some() && status < 300 {
        check(!header("cache-control").contains("public"), "what a credential showed is its bearer's");
    }
}

/// What can be asked of a read that was answered: its headers alone, and whether it has changed.
async fn judge_read(faults: &mut Faults, world: &World, row: &Row, caller: &Caller, told: &Told) {
    let story = format!("{} for {}", row.path, caller.name);
    let head = world.ask(&Method::HEAD, row, caller, &[]).await;
    let same = (head.status, &head.headers, head.length) == (told.status, &told.headers, 0);
    faults.check(same, "HEAD differs", &format!("{story}\n{head}\n{told}"));
    if told.status != 200 {
        return;
    }
    if row.varies {
        let is_kept = told.headers.get("cache-control").is_none_or(|value| value != "no-store");
        faults.check(!is_kept && told.raw_etag.is_empty(), "what may be secret is kept", &story);
        return;
    }
    let tag = &told.raw_etag;
    faults.check(tag.len() == 66 && tag.starts_with('"') && tag.ends_with('"'), "no strong tag", &story);
    let spellings = [tag.as_str(), tag.trim_matches('"'), &format!("\"other\", W/{tag}"), "*"];
    // Once for everybody, and in every spelling for one.
    let count = if caller.name == "admin" { spellings.len() } else { 1 };
    for tag in spellings.into_iter().take(count) {
        let again = world.ask(&Method::GET, row, caller, &[("if-none-match", tag)]).await;
        let unchanged = (again.status, again.length) == (304, 0);
        let keep = again.headers.get("cache-control") == told.headers.get("cache-control");
        faults.check(unchanged && keep, "If-None-Match", &format!("{tag} {story}\n{again}"));
    }
    let other = world.ask(&Method::GET, row, caller, &[("if-none-match", "\"other\"")]).await;
    faults.check(other.status == 200, "another tag", &story);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_every_caller_as_specified() {
    let world = World::new().await;
    let mut faults = Faults::default();
    for row in ROWS {
        if row.is_later {
            world.hub.clock.advance(Duration::from_secs(60));
        }
        let mut groups: Vec<(Vec<&str>, Told)> = Vec::new();
        for caller in &world.callers {
            let json = world.tell(row, caller, false).await;
            let erlang = world.tell(row, caller, true).await;
            let story = format!("{} {} for {}", row.method, row.path, caller.name);
            let same = json.without_type() == erlang.without_type();
            faults.check(same, "the formats differ", &format!("{story}\n{json}\n{erlang}"));
            for (told, content_type) in
                [(&json, "application/json; charset=utf-8"), (&erlang, "application/vnd.hex+erlang; charset=utf-8")]
            {
                let expected = if told.length == 0 { None } else { Some(content_type) };
                let found = told.headers.get("content-type").map(String::as_str);
                faults.check(found == expected, "content-type", &format!("{story}: {found:?}"));
            }
            judge(&mut faults, row, caller, &json);
            if row.method == Method::GET {
                judge_read(&mut faults, &world, row, caller, &json).await;
            }
            match groups.iter_mut().find(|(_, told)| told.without_type() == json.without_type()) {
                Some((names, _)) => names.push(caller.name),
                None => groups.push((vec![caller.name], json)),
            }
        }
        let told: Vec<String> = groups.iter().map(|(names, told)| format!("## {}\n{told}", names.join(", "))).collect();
        let text = format!("{} {}\n\n{}", row.method, row.path, told.join("\n"));
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(row.name, text);
        });
    }
    assert!(faults.0.is_empty(), "{} faults\n\n{}", faults.0.len(), faults.0.join("\n\n"));
}
