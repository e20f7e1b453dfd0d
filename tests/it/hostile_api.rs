//! What strangers and broken programs send to the API: a status of the client's, and a sentence that says why.

use std::time::Duration;

use bytes::Bytes;
use hexkeep::auth::TotpSetup;
use hexkeep::clock::Clock as _;
use hexkeep::hex::term::{Term, etf};
use reqwest::Method;
use serde_json::{Value, json};
use tar::{EntryType, Header};

use super::support::hub::{Answer, Hub, Wishes};
use super::support::local::{basic, basic_with, docs, package};
use super::support::tarballs::{archive, gzip, pack};

const RELEASES: &str = "/api/repos/acme/packages/core/releases";
const DOCS: &str = "/api/repos/acme/packages/core/releases/1.0.0/docs";
const ERLANG: &str = "application/vnd.hex+erlang";
const MEBIBYTE: usize = 1024 * 1024;

const METADATA: &str = "{<<\"name\">>,<<\"core\">>}.\n{<<\"version\">>,<<\"2.0.0\">>}.\n{<<\"app\">>,<<\"core\">>}.\n\
                        {<<\"description\">>,<<\"Does things\">>}.\n{<<\"files\">>,[<<\"mix.exs\">>]}.\n";

struct Home {
    hub: Hub,
    admin: String,
}

async fn home() -> Home {
    let more = vec!["acme: { type: local, dependency_check: off }".to_owned()];
    let server = "trusted_proxies: [127.0.0.1/32]".to_owned();
    let hub = Hub::with(Wishes { more, server, ..Wishes::default() }).await;
    let admin = hub.user("root", true).await;
    let answer = hub.publish_to_acme(&admin, "core", package("core", "1.0.0", "")).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    Home { hub, admin }
}

impl Home {
    /// The moment `seconds` from now, as clients write it.
    fn soon(&self, seconds: u64) -> String {
        self.hub.clock.now().plus(Duration::from_secs(seconds)).to_string()
    }

    /// What the app of a user shows now.
    fn code(&self, setup: &TotpSetup) -> String {
        let secret = totp_rs::Secret::Encoded(setup.secret.expose().to_owned()).to_bytes().unwrap();
        let totp = totp_rs::TOTP::new(totp_rs::Algorithm::SHA1, 6, 0, 30, secret, None, String::new()).unwrap();
        totp.generate(self.hub.clock.now().as_secs())
    }
}

/// A client's error that says why, and nothing of ours.
fn assert_sentence(what: &str, answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    let said = answer.json();
    assert!(said["message"].as_str().is_some_and(|text| !text.is_empty()), "{what}: {said}");
    let text = answer.text();
    for ours in ["/tmp/", "sqlite", "src/", "panicked", "RUST_BACKTRACE"] {
        assert!(!text.contains(ours), "{what}: {text}");
    }
}

/// A tar of one entry that the safe maker would not write.
fn entry(kind: EntryType, path: &str, target: &str) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(0);
    header.set_mode(0o644);
    // Not by `set_path`, which refuses what leaves the folder.
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn outer(version: &[u8], checksum: &[u8], metadata: &[u8], contents: &[u8]) -> Bytes {
    let files = [("VERSION", version), ("CHECKSUM", checksum), ("metadata.config", metadata)];
    archive(&[&files[..], &[("contents.tar.gz", contents)]].concat()).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_tarball_is_refused_with_the_field_and_a_sentence() {
    let Home { hub, admin } = home().await;
    let sound = gzip(&archive(&[("mix.exs", b"x")]));
    let with = |metadata: &str| pack(format!("{METADATA}{metadata}").as_bytes(), &sound).0;
    let inside = |kind, path: &str, target: &str| pack(METADATA.as_bytes(), &gzip(&entry(kind, path, target))).0;
    let whole = with("");
    let bomb = gzip(&vec![0; 140 * MEBIBYTE]);
    let deep = format!("{{<<\"extra\">>,{}1{}}}.", "[".repeat(5000), "]".repeat(5000));
    let wide = format!("{{<<\"extra\">>,[{}]}}.", "1,".repeat(MEBIBYTE / 2));
    let huge = format!("{{<<\"extra\">>,1{}}}.", "0".repeat(100_000));
    let cases: Vec<(&str, Bytes, &str)> = vec![
        ("nothing", Bytes::from_static(b" "), "tar"),
        ("noise", vec![0xa5; 4096].into(), "tar"),
        ("half of a tarball", whole.slice(..whole.len() / 2), "tar"),
        ("all but its end", whole.slice(..whole.len() - 1024), "tar"),
        ("a bomb", pack(METADATA.as_bytes(), &bomb).0, "tar"),
        ("a bomb that is no tar", pack(METADATA.as_bytes(), &gzip(&vec![1; MEBIBYTE])).0, "tar"),
        ("contents that are not compressed", pack(METADATA.as_bytes(), &archive(&[("a", b"x")])).0, "tar"),
        ("a path that climbs out", inside(EntryType::Regular, "../../etc/passwd", ""), "tar"),
        ("a link that leads out", inside(EntryType::Symlink, "link", "../../etc"), "tar"),
        ("a link to the root", inside(EntryType::Symlink, "link", "/etc"), "tar"),
        ("a hard link", inside(EntryType::Link, "hard", "mix.exs"), "tar"),
        ("a device", inside(EntryType::Block, "disk", ""), "tar"),
        ("a part twice", [&whole[..whole.len() - 1024], &archive(&[("VERSION", b"3")])].concat().into(), "tar"),
        ("another format", outer(b"4", b"00", METADATA.as_bytes(), &sound), "tar"),
        ("a checksum that is none", outer(b"3", b"zzzz", METADATA.as_bytes(), &sound), "tar"),
        ("another checksum", outer(b"3", &[b'0'; 64], METADATA.as_bytes(), &sound), "tar"),
        ("metadata that is too long", with(&"% more\n".repeat(200_000)), "tar"),
        ("metadata that is no text", pack(&[METADATA.as_bytes(), b"{<<\"x\">>,\xff\xfe}."].concat(), &sound).0, "tar"),
        ("metadata that is no terms", with("{<<\"x\">>"), "tar"),
        ("metadata with a program in it", with("{<<\"x\">>,fun() -> ok end}."), "tar"),
        ("a remark", with("% nobody reads this"), "tar"),
        ("a text that ends with a backslash", with(r#"{<<"x">>,<<"a\\">>}."#), "tar"),
        ("an atom nobody knows", with("{<<\"x\">>,boom}."), "tar"),
        ("terms nested deeply", with(&deep), "tar"),
        ("more terms than a package has", with(&wide), "tar"),
        ("a number without an end", with(&huge), "tar"),
        ("no version", pack(b"{<<\"name\">>,<<\"core\">>}.\n{<<\"app\">>,<<\"core\">>}.\n", &sound).0, "version"),
        (
            "a name with a newline",
            pack(METADATA.replace("<<\"core\">>", "<<\"core\\n\">>").as_bytes(), &sound).0,
            "name",
        ),
        (
            "a name that climbs out",
            pack(METADATA.replace("<<\"core\">>", "<<\"../core\">>").as_bytes(), &sound).0,
            "name",
        ),
        ("a name that is a list", pack(METADATA.replace("<<\"core\">>", "[1,2]").as_bytes(), &sound).0, "name"),
        ("a version with a newline", pack(METADATA.replace("2.0.0", "2.0.0\\n").as_bytes(), &sound).0, "version"),
        ("a dependency with a wrong requirement", with(&requirement("! 1.0.0")), "requirements"),
        ("a dependency that is not met by text", with(&requirement("!= 1.0.0")), "requirements"),
    ];
    for (what, tarball, field) in cases {
        for path in [RELEASES, "/api/repos/acme/publish"] {
            let answer = hub.call(Method::POST, path, &admin, "application/octet-stream", Some(tarball.clone())).await;
            assert_sentence(what, &answer, 422);
            let errors = answer.json()["errors"].clone();
            let told = |value: &Value| value.is_string() || value.is_object();
            assert!(errors.is_object() && told(&errors[field]), "{what}: {errors}");
        }
    }
    let shown = hub.api(Method::GET, "/api/repos/acme/packages/core", &admin, None).await.json();
    assert_eq!(shown["releases"].as_array().map(Vec::len), Some(1), "{shown}");
    assert!(hub.files().iter().all(|file| !file.starts_with("tmp/")), "{:?}", hub.files());
    // What only looks odd is taken.
    for odd in ["{<<\"extra\">>,[{<<\"a\">>,[1,2.5,true,nil]}]}.", "{<<\"licenses\">>,[]}."] {
        let path = format!("{RELEASES}?replace=true");
        let answer = hub.call(Method::POST, &path, &admin, "application/json", Some(with(odd))).await;
        assert!(answer.status < 300, "{odd}: {}", answer.text());
    }
}

fn requirement(text: &str) -> String {
    format!(
        "{{<<\"requirements\">>,[[{{<<\"name\">>,<<\"plug\">>}},{{<<\"app\">>,<<\"plug\">>}},\
         {{<<\"requirement\">>,<<\"{text}\">>}},{{<<\"optional\">>,false}}]]}}."
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_documentation_is_refused() {
    let Home { hub, admin } = home().await;
    let bomb = gzip(&vec![0; 140 * MEBIBYTE]);
    let whole = docs("text");
    let cases: Vec<(&str, Bytes)> = vec![
        ("not compressed", archive(&[("index.html", b"x")]).into()),
        ("no archive", gzip(b"text").into()),
        ("half", whole.slice(..whole.len() / 2)),
        ("a bomb", bomb.into()),
        ("a path that climbs out", gzip(&entry(EntryType::Regular, "../index.html", "")).into()),
        ("a hard link", gzip(&entry(EntryType::Link, "index.html", "x")).into()),
        ("no index", gzip(&archive(&[("readme.html", b"x")])).into()),
        ("too large", vec![0x1f; 17 * MEBIBYTE].into()),
    ];
    for (what, bytes) in cases {
        let answer = hub.call(Method::POST, DOCS, &admin, "application/x-tar", Some(bytes)).await;
        assert_sentence(what, &answer, 422);
        assert!(answer.json()["errors"]["tar"].is_string(), "{what}: {}", answer.text());
    }
    assert_eq!(hub.get_with("/repos/acme/docs/core-1.0.0.tar.gz", &[("authorization", &admin)]).await.status, 404);
}

/// A list in a list in a list.
fn nested(levels: usize) -> Vec<u8> {
    let mut bytes = vec![131];
    for _ in 0..levels {
        bytes.extend([108, 0, 0, 0, 1]);
    }
    bytes.push(106);
    bytes.extend(vec![106; levels]);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_body_is_refused_whatever_it_is_written_in() {
    let Home { hub, admin } = home().await;
    let json = "application/json";
    let compressed = vec![131, 80, 127, 255, 255, 255, 0x78, 0x9c, 3, 0, 0, 0, 0, 1];
    let announced = |tag: u8| [&[131, tag][..], &[0x7f, 0xff, 0xff, 0xff]].concat();
    let latin = etf::encode(&Term::Map(vec![(Term::Binary(b"name".to_vec()), Term::Binary(vec![0xff, 0xfe]))]));
    let cases: Vec<(&str, &str, Vec<u8>)> = vec![
        ("no JSON", json, b"{".to_vec()),
        ("two values", json, b"{} {}".to_vec()),
        ("JSON nested deeply", json, "[".repeat(100_000).into_bytes()),
        ("not UTF-8", json, b"{\"name\": \"\xff\"}".to_vec()),
        ("a term nested deeply", ERLANG, nested(10_000)),
        ("a compressed term", ERLANG, compressed),
        ("a binary of two gigabytes, announced", ERLANG, announced(109)),
        ("a list of two billion, announced", ERLANG, announced(108)),
        ("a map of two billion, announced", ERLANG, announced(116)),
        ("half a term", ERLANG, vec![131, 109, 0, 0]),
        ("something behind the term", ERLANG, vec![131, 106, 106]),
        ("a process", ERLANG, vec![131, 103, 100, 0, 1, b'a', 0, 0, 0, 1, 0, 0, 0, 0, 0]),
        ("not the format", ERLANG, vec![130, 106]),
        ("no version byte", ERLANG, b"name".to_vec()),
        ("text that is not UTF-8", ERLANG, latin),
        ("a type nobody knows", "image/png", b"x".to_vec()),
        ("a type nobody knows, with parameters", "text/xml; charset=utf-8", b"<a/>".to_vec()),
        ("more than a body may have", json, vec![b' '; 9 * MEBIBYTE]),
    ];
    for (what, content_type, body) in cases {
        for path in ["/api/keys", "/api/repos/acme/packages/core/releases/1.0.0/retire"] {
            let answer = hub.call(Method::POST, path, &admin, content_type, Some(body.clone().into())).await;
            assert_sentence(what, &answer, 422);
        }
        // Where no publisher writes, a refusal may have its own status, and is never ours.
        let answer = hub.call(Method::POST, "/api/oauth/token", "", content_type, Some(body.into())).await;
        assert!((400..500).contains(&answer.status), "{what}: {}", answer.text());
    }
    // What is no map names no field.
    for (content_type, body) in [(json, b"[1]".to_vec()), (json, b"7".to_vec()), (ERLANG, vec![131, 97, 7])] {
        let retire = "/api/repos/acme/packages/core/releases/1.0.0/retire";
        let answer = hub.call(Method::POST, retire, &admin, content_type, Some(body.into())).await;
        assert_sentence("no map", &answer, 422);
    }
    let wrong = json!({"name": {"a": 1}, "permissions": [{"domain": ["api"]}], "revoke_at": 7});
    assert_sentence("fields of other kinds", &hub.api(Method::POST, "/api/keys", &admin, Some(wrong)).await, 422);
    let wrong = json!({"reason": ["security"], "message": {"a": "b"}});
    let retire = "/api/repos/acme/packages/core/releases/1.0.0/retire";
    assert_sentence("fields of other kinds", &hub.api(Method::POST, retire, &admin, Some(wrong)).await, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_request_is_the_clients_fault() {
    let Home { hub, admin } = home().await;
    let get = async |path: &str, headers: &[(&str, &str)]| {
        let mut all = vec![("authorization", admin.as_str()), ("user-agent", "test")];
        all.extend_from_slice(headers);
        hub.get_with(path, &all).await
    };
    for path in [
        "/api/repos/acme/packages/%00",
        "/api/repos/acme/packages/core%0a",
        "/api/repos/acme/packages/..%2f..%2fetc",
        "/api/repos/acme/packages/%ff",
        "/api/repos/acme/packages/CORE",
        "/api/repos/acme/packages/core/releases/1.0.0%0a",
        "/api/repos/%2e%2e/packages/core",
        "/api/users/%F0%9F%92%A9",
        "/api/orgs/a'%20or%201=1--",
    ] {
        let answer = get(path, &[]).await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {} {}", answer.status, answer.text());
    }
    for query in [
        "page=-1",
        "page=99999999999999999999",
        "per_page=0",
        "per_page=-5",
        "search=%00",
        "sort=nothing",
        "search=%22",
    ] {
        let answer = get(&format!("/api/repos/acme/packages?{query}"), &[]).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    }
    let xml = get("/api/repos/acme/packages/core", &[("accept", "application/xml")]).await;
    assert_sentence("a form of answer that there is not", &xml, 406);
    let nobody = hub.client.get(format!("{}/api/packages", hub.url())).send().await.unwrap();
    assert_eq!(nobody.status(), 400, "a client says what it is");
    assert!(nobody.text().await.unwrap().contains("User-Agent header is required"));
    let elsewhere = hub.call(Method::POST, RELEASES, &admin, "multipart/form-data; boundary=x", None).await;
    assert_sentence("no tarball", &elsewhere, 422);
}

/// One database keeps NUL in a text and another one does not, so no way in takes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_text_with_nul_is_refused_on_every_way_in() {
    let more = vec!["acme: { type: local, dependency_check: off }".to_owned()];
    let top = "auth: { sign_up: true }\n".to_owned();
    let hub = Hub::with(Wishes { more, top, ..Wishes::default() }).await;
    let admin = hub.user("root", true).await;
    let answer = hub.publish_to_acme(&admin, "core", package("core", "1.0.0", "")).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let release = "/api/repos/acme/packages/core/releases/1.0.0/retire";
    let waiver = json!({"package": "core", "until": "2099-12-31", "reason": "a\0b"});
    for (path, body) in [
        ("/api/users", json!({"username": "al\0ice", "email": "a@acme.test", "password": "long enough"})),
        ("/api/users", json!({"username": "alice", "full_name": "Al\0ice", "email": "a@acme.test"})),
        ("/api/users/me\0/reset", json!({})),
        ("/api/keys", json!({"name": "lap\0top"})),
        ("/api/keys", json!({"name": "laptop", "permissions": [{"domain": "repo\0"}]})),
        ("/api/keys", json!({"name": "laptop", "a\0": true})),
        (release, json!({"reason": "security", "message": "a\0b"})),
        ("/api/repos/acme/policy/waivers", waiver),
        ("/api/admin/user-add", json!({"name": "al\0ice", "admin": false})),
        ("/api/admin/org-add", json!({"name": "wid\0gets"})),
        ("/api/admin/release-remove", json!({"repository": "acme", "package": "core", "reason": "a\0b"})),
        ("/api/admin/pin", json!({"repository": "acme", "releases": [], "reason": "a\0b"})),
    ] {
        let path = path.replace('\0', "%00");
        let erlang = etf::encode(&hexkeep::hex::term::from_json(&body));
        for (written, body) in [("application/json", body.to_string().into_bytes()), (ERLANG, erlang)] {
            let answer = hub.call(Method::POST, &path, &admin, written, Some(body.into())).await;
            assert_sentence(&path, &answer, 422);
            assert!(answer.text().contains("contains the character NUL"), "{path}: {}", answer.text());
        }
    }
    let set = hub.api(Method::PUT, "/api/repos/acme/packages/core/owners/al%00ice", &admin, Some(json!({}))).await;
    assert_sentence("a name in the address", &set, 422);

    // OAuth has one status for what cannot be read (RFC 6749, 5.2), pages have the form's.
    for path in ["device_authorization", "token", "revoke", "revoke_by_hash"] {
        let fields = json!({"client_id": "a\0", "name": "b", "token": "c", "token_hash": "d", "grant_type": "e"});
        let answer = hub.api(Method::POST, &format!("/api/oauth/{path}"), "", Some(fields)).await;
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_request")), "{path}");
        assert!(answer.text().contains("contains the character NUL"), "{path}: {}", answer.text());
    }
    let form = "application/x-www-form-urlencoded";
    for page in ["/oauth/device", "/ui/second-factor"] {
        let sent = Bytes::from_static(b"username=al%00ice&password=x&user_code=ABCD-EFGH&decision=approve");
        let answer = hub.call(Method::POST, page, "", form, Some(sent)).await;
        assert_eq!(answer.status, 422, "{page}: {}", answer.text());
        assert!(answer.text().contains("contains the character NUL"), "{page}: {}", answer.text());
    }

    // What is looked for is not there.
    assert_eq!(hub.api(Method::GET, "/api/users/me", &basic("al\0ice"), None).await.status, 401);
    for path in ["/api/users/al%00ice", "/api/keys/lap%00top", "/api/orgs/acme%00", "/api/users/al%2500ice"] {
        let answer = hub.api(Method::GET, path, &admin, None).await;
        assert_sentence(path, &answer, 400);
    }
    for query in ["search=depends:co%00re", "search=build_tool:m%00ix", "search=co%00re"] {
        let answer = hub.api(Method::GET, &format!("/api/repos/acme/packages?{query}"), &admin, None).await;
        assert_eq!((answer.status, answer.json()), (200, json!([])), "{query}");
    }
    let asked = hub.get_with("/oauth/device?user_code=AB%00D", &[]).await;
    assert_eq!(asked.status, 404, "{}", asked.text());

    let contents = gzip(&archive(&[("mix.exs", b"x")]));
    for more in [
        "{<<\"licenses\">>,[<<\"MIT\0\">>]}.",
        "{<<\"links\">>,[{<<\"a\0b\">>,<<\"https://example.com\">>}]}.",
        "{<<\"extra\">>,[{<<\"a\">>,<<\"\0\">>}]}.",
        "{<<\"maintainers\">>,[[97,0]]}.",
        "{<<\"a\0\">>,1}.",
        &requirement("~> 1.0\0"),
    ] {
        let tarball = pack(format!("{METADATA}{more}").as_bytes(), &contents).0;
        let answer = hub.call(Method::POST, RELEASES, &admin, "application/octet-stream", Some(tarball)).await;
        assert_sentence(more, &answer, 422);
    }
    let log = hub.api(Method::GET, "/api/users/me/audit-logs", &admin, None).await;
    assert!(!log.text().contains("\\u0000"), "{}", log.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_no_good_are_told_apart() {
    let home = home().await;
    let Home { hub, admin } = &home;
    let me = async |authorization: &str| hub.api(Method::GET, "/api/users/me", authorization, None).await;
    let (plain, bearer) = ("Basic realm=hex", r#"Bearer realm="hex", error="token_expired""#);

    let soon = json!({"name": "soon", "revoke_at": home.soon(60)});
    let expiring = hub.api(Method::POST, "/api/keys", admin, Some(soon)).await.json()["secret"].clone();
    let expiring = expiring.as_str().unwrap().to_owned();
    let exchange = json!({
        "grant_type": "client_credentials", "client_id": "78ea6566-89fd-481e-a1d6-7d9d78eacca8",
        "client_secret": admin, "scope": "api",
    });
    let token = hub.api(Method::POST, "/api/oauth/token", "", Some(exchange)).await.json()["access_token"].clone();
    let token = format!("Bearer {}", token.as_str().unwrap());
    for good in [&expiring, &token] {
        assert_eq!(me(good).await.status, 200);
    }
    hub.clock.advance(Duration::from_secs(3600));
    let wrong = "invalid username and password combination; if the account has a second factor, a password alone \
                 is not accepted: use an API key, or log in with mix hex.user auth";
    for (what, authorization, message, challenge) in [
        ("an expired key", expiring.clone(), "API key revoked", plain),
        ("an expired token", token.clone(), "access token expired", bearer),
        ("a token that was changed", format!("{token}x"), "invalid API key", plain),
        ("another server's token", "Bearer eyJhbGciOiJFUzI1NiJ9.e30.x".to_owned(), "invalid API key", plain),
        ("Basic that is none", "Basic ???".to_owned(), "invalid authentication information", plain),
        ("a wrong password", basic_with("root", "wrong"), wrong, plain),
        ("nobody's password", basic("nobody"), wrong, plain),
    ] {
        let answer = me(&authorization).await;
        assert_sentence(what, &answer, 401);
        assert_eq!(
            (answer.json()["message"].as_str(), answer.header("www-authenticate")),
            (Some(message), challenge),
            "{what}"
        );
        // The same on what changes something, where it is looked at before anything else.
        let answer = hub.publish_to_acme(&authorization, "core", Bytes::from_static(b"x")).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, challenge), "{what}");
    }
    // Which of two would count?
    let two = [("authorization", admin.as_str()), ("authorization", admin.as_str()), ("user-agent", "test")];
    let answer = hub.send(Method::GET, "/api/users/me", &two).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_asked_for_and_checked() {
    let home = home().await;
    let hub = &home.hub;
    let key = hub.user("tina", true).await;
    let accounts = hub.app().core().accounts();
    let setup = accounts.begin_totp("tina", "hexkeep").await.unwrap();
    let code = home.code(&setup);
    accounts.confirm_totp("tina", &code, &Default::default()).await.unwrap();
    hub.clock.advance(Duration::from_secs(90));

    // A token that a person has approved, as `mix hex.user auth` gets it.
    let client = "78ea6566-89fd-481e-a1d6-7d9d78eacca8";
    let ask = json!({"client_id": client, "scope": "api"});
    let device = hub.api(Method::POST, "/api/oauth/device_authorization", "", Some(ask)).await.json();
    let page = hub.let_in(device["user_code"].as_str().unwrap(), "tina", &["api"], &home.code(&setup)).await;
    assert_eq!(page.status, 200, "{}", page.text());
    hub.clock.advance(Duration::from_secs(90));
    let poll = json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code", "client_id": client,
        "device_code": device["device_code"],
    });
    let tokens = hub.api(Method::POST, "/api/oauth/token", "", Some(poll)).await.json();
    let token = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let retire = async |authorization: &str, otp: Option<&str>| {
        let mut headers = vec![("authorization", authorization), ("user-agent", "test")];
        headers.extend(otp.map(|otp| ("x-hex-otp", otp)));
        hub.send(Method::DELETE, "/api/repos/acme/packages/core/releases/1.0.0/retire", &headers).await
    };
    assert_eq!(retire(&key, None).await.status, 204, "a key is not asked");
    let answer = retire(&token, None).await;
    assert_sentence("no code", &answer, 401);
    assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="hex", error="totp_required""#);
    for wrong in ["", "000000", "12345", "1234567", "abcdef", "-00001"] {
        let answer = retire(&token, Some(wrong)).await;
        assert_eq!(answer.status, 401, "{wrong:?}: {}", answer.text());
        assert!(answer.header("www-authenticate").contains("totp"), "{wrong:?}");
    }
    let answer = retire(&token, Some(&home.code(&setup))).await;
    let exhausted = "Too many failed two-factor authentication attempts. Please try again later.";
    assert_eq!((answer.status, answer.json()["message"].as_str()), (403, Some(exhausted)), "{}", answer.text());
    assert!(!answer.headers.contains_key("www-authenticate"), "nobody is asked again");
    hub.clock.advance(Duration::from_secs(900));
    let code = home.code(&setup);
    for request in ["publish", "and its docs"] {
        assert_eq!(retire(&token, Some(&code)).await.status, 204, "one code is good for all of a command: {request}");
    }
    hub.clock.advance(Duration::from_secs(120));
    assert_eq!(retire(&token, Some(&code)).await.status, 401, "and for no other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_ipv6_is_counted_and_written_down_like_any_other() {
    let Home { hub, admin } = home().await;
    let from = |address: &str, key: &str| {
        let (address, key, client, url) = (address.to_owned(), key.to_owned(), hub.client.clone(), hub.url());
        async move {
            let request = client.get(format!("{url}/api/packages")).header("user-agent", "test");
            request.header("x-forwarded-for", address).header("authorization", key).send().await.unwrap()
        }
    };
    let number = |response: &reqwest::Response, name: &str| -> u64 {
        response.headers()[name].to_str().unwrap().parse().unwrap()
    };
    let first = from("2001:db8:1:2::1", "").await;
    assert_eq!((number(&first, "x-ratelimit-limit"), number(&first, "x-ratelimit-remaining")), (100, 99));
    let now = hub.clock.now().as_secs();
    assert_eq!(number(&first, "x-ratelimit-reset"), (now / 60 + 1) * 60);
    // One customer's network is one client, another's is another.
    assert_eq!(number(&from("2001:db8:1:2:ffff::9", "").await, "x-ratelimit-remaining"), 98);
    assert_eq!(number(&from("2001:db8:1:3::1", "").await, "x-ratelimit-remaining"), 99);
    assert_eq!(number(&from("2001:db8:1:2::1", &admin).await, "x-ratelimit-limit"), 500);
    // What the client has already costs nothing.
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    for _ in 0..2 {
        let request = hub.client.get(format!("{}/api/packages", hub.url())).header("user-agent", "test");
        let request = request.header("x-forwarded-for", "2001:db8:1:3::1").header("if-none-match", &tag);
        assert_eq!(request.send().await.unwrap().status().as_u16(), 304);
    }
    assert_eq!(number(&from("2001:db8:1:3::1", "").await, "x-ratelimit-remaining"), 98);
    for _ in 0..98 {
        from("2001:db8:1:2::1", "").await;
    }
    let refused = from("2001:db8:1:2::7", "").await;
    assert_eq!((refused.status().as_u16(), number(&refused, "x-ratelimit-remaining")), (429, 0));
    assert!(number(&refused, "retry-after") <= 60);
    assert!(refused.text().await.unwrap().contains("API rate limit exceeded for IP 2001:db8:1:2::7"));
    // For whoever changes something it is a refusal that rebar3 knows.
    let request = hub.client.post(format!("{}/api/repos/acme/publish", hub.url())).header("user-agent", "test");
    let refused = request.header("x-forwarded-for", "2001:db8:1:2::1").send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 403);
    assert!(!refused.headers().contains_key("retry-after") && !refused.headers().contains_key("www-authenticate"));
    // Wrong credentials have a bucket of their own, before anything is hashed.
    let mut statuses = Vec::new();
    for guess in 0..12 {
        statuses.push(from("2001:db8:9:9::1", &format!("hkk_{guess:032}")).await.status().as_u16());
    }
    assert_eq!(statuses, [vec![401; 10], vec![403; 2]].concat());
    // Who changed something from there is written down with the whole address.
    let request = hub.client.post(format!("{}/api/keys", hub.url())).header("user-agent", "test");
    let request = request.header("authorization", &admin).header("content-type", "application/json");
    let made = request.header("x-forwarded-for", "2001:db8:1:2::5").body(r#"{"name": "six"}"#).send().await.unwrap();
    assert_eq!(made.status().as_u16(), 201);
    let log = hub.api(Method::GET, "/api/users/me/audit-logs", &admin, None).await.json();
    assert_eq!(log[0]["ip"], json!("2001:db8:1:2::5"), "{}", log[0]);
}
