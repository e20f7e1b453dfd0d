//! Rows that an earlier version has written, as this one reads them.

use std::path::Path;

use base64::Engine as _;
use hexkeep::operations::commands::UserCommand;
use reqwest::Method;
use serde_json::json;
use sqlx::ConnectOptions as _;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::support::hub::{Hub, Wishes};
use super::support::local::PASSWORD;

async fn database(data: &Path) -> SqliteConnection {
    let file = data.join("state.sqlite");
    SqliteConnectOptions::new().filename(file).create_if_missing(true).connect().await.unwrap()
}

async fn run(connection: &mut SqliteConnection, statement: &'static str) -> u64 {
    sqlx::query(statement).execute(connection).await.unwrap().rows_affected()
}

/// Makes the database of a store anew, as it was after the migration of this number.
async fn as_after(data: &Path, number: u32) -> SqliteConnection {
    for file in ["state.sqlite", "state.sqlite-wal", "state.sqlite-shm"] {
        let _ = std::fs::remove_file(data.join(file));
    }
    let older = tempfile::tempdir().unwrap();
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/state/migrations");
    for entry in std::fs::read_dir(all).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if name.split('_').next().unwrap().parse::<u32>().is_ok_and(|found| found <= number) {
            std::fs::copy(entry.path(), older.path().join(name)).unwrap();
        }
    }
    let mut connection = database(data).await;
    Migrator::new(older.path()).await.unwrap().run(&mut connection).await.unwrap();
    connection
}

/// Before migration 12 nobody told apart who had said whose address it was.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_users_who_signed_up_are_unconfirmed_after_an_upgrade() {
    let mut hub = Hub::with(Wishes { more: vec!["acme: { type: local }".to_owned()], ..Wishes::default() }).await;
    hub.stop().await;
    let mut connection = as_after(&hub.data(), 11).await;
    run(
        &mut connection,
        "INSERT INTO users (name, email, administrator, created_at, updated_at) VALUES \
         ('made', 'made@example.com', 1, 1, 1), ('self', 'self@example.com', 0, 1, 1), ('none', NULL, 0, 1, 1), \
         ('console', 'console@example.com', 0, 1, 1), ('silent', 'silent@example.com', 0, 1, 1)",
    )
    .await;
    run(
        &mut connection,
        "INSERT INTO audit (at, action, repository, detail, actor, subject) VALUES \
         (1, 'user.create', '', '', 'user:root', 'user:made'), (1, 'user.create', '', '', NULL, 'user:self'), \
         (1, 'user.create', '', '', 'console', 'user:console'), (1, 'user.password', '', '', 'user:self', 'user:self')",
    )
    .await;
    sqlx::Connection::close(connection).await.unwrap();
    hub.launch().await;
    let listed = hub.order(UserCommand::List).await.lines;
    for line in [
        "made\tmade@example.com",
        "self\tself@example.com (unconfirmed)",
        "console\tconsole@example.com",
        "silent\tsilent@example.com (unconfirmed)",
    ] {
        assert!(
            listed.iter().any(|found| *found == line || found.starts_with(&format!("{line}\t"))),
            "{line}: {listed:?}"
        );
    }
    for name in ["made", "self"] {
        hub.order(UserCommand::Password { name: name.to_owned(), password: Some(PASSWORD.to_owned()) }).await;
    }
    let me = async |name: &str| {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{PASSWORD}"));
        hub.api(Method::GET, "/api/users/me", &format!("Basic {pair}"), None).await
    };
    assert_eq!(me("made@example.com").await.json()["username"], json!("made"));
    assert_eq!(me("self@example.com").await.status, 401, "nobody has confirmed it");
    assert_eq!(me("self").await.json()["email"], json!("self@example.com"), "it is not lost");
    // Its true owner may have it.
    let victim = UserCommand::Add {
        name: "victim".to_owned(),
        email: Some("self@example.com".to_owned()),
        full_name: None,
        password: Some(PASSWORD.to_owned()),
        admin: false,
    };
    hub.order(victim).await;
    assert_eq!(me("self@example.com").await.json()["username"], json!("victim"));
}

/// Before migration 9 nobody wrote down what an index said of a release.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_before_its_remarks_were_kept_is_refused_where_a_rule_asks_for_them() {
    for (rules, sentence) in [
        (
            "advisory_min_severity: high",
            "its entry in the index is not known any more, so not all its rules can be decided",
        ),
        (
            "retirement_reasons: [security]",
            "its entry in the index is not known any more, so not all its rules can be decided",
        ),
        ("freeze_after: 2099-01-01", ""),
    ] {
        let repository = "signature: own, metadata_ttl: 1s, on_upstream_delete: keep, policy: company".to_owned();
        let top = format!("policies:\n  company: {{ mode: enforce, repositories: {{ hexpm: {{ {rules} }} }} }}\n");
        let mut hub = Hub::with(Wishes { repository, top, ..Wishes::default() }).await;
        for version in ["1.0.0", "1.1.0", "1.2.0"] {
            hub.registry.add("jason", version);
        }
        hub.publish();
        // 1.0.0 is owed to lock files; nobody has 1.1.0.
        assert_eq!(hub.get("/tarballs/jason-1.0.0.tar").await.status, 200);
        hub.registry.package_mut("jason").releases.drain(..2);
        hub.publish();
        hub.clock.advance(std::time::Duration::from_secs(3600));
        assert_eq!(hub.get("/tarballs/jason-1.1.0.tar").await.status, 200, "{rules}: what it said is known");
        hub.stop().await;
        let mut connection = database(&hub.data()).await;
        assert!(run(&mut connection, "UPDATE ledger SET remark = NULL").await >= 3, "{rules}");
        run(&mut connection, "DELETE FROM exemptions WHERE version = '1.1.0'").await;
        sqlx::Connection::close(connection).await.unwrap();
        hub.launch().await;
        let refused = hub.get("/tarballs/jason-1.1.0.tar").await;
        let expected = if sentence.is_empty() { 200 } else { 403 };
        assert_eq!(refused.status, expected, "{rules}: {}", refused.text());
        assert!(refused.status == 200 || refused.text().contains(sentence), "{rules}: {}", refused.text());
        assert_eq!(hub.get("/tarballs/jason-1.0.0.tar").await.status, 200, "{rules}: it was delivered");
        // A list that names it again says again what it is.
        hub.registry.add("jason", "1.1.0");
        hub.publish();
        hub.clock.advance(std::time::Duration::from_secs(3600));
        assert_eq!(hub.get("/tarballs/jason-1.1.0.tar").await.status, 200, "{rules}");
    }
}
