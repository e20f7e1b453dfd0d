//! Files beside tarballs that a disk has refused are written later, whatever was changed meanwhile.

use std::fs;
use std::sync::atomic::Ordering;

use reqwest::Method;
use serde_json::json;

use super::support::hub::{Hub, Wishes};
use super::support::local::package;

const SENTENCE: &str = "hexkeep: the latest change of 2 packages is only in the database, because files beside the tarballs could not \
                        be written, or are newer than the database; see the log\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_could_not_be_written_is_written_later() {
    for how in ["restart", "reload", "verify-store", "backup"] {
        let acme = "acme: { type: local, mutability: always, anonymous_read: true }";
        let mut hub = Hub::with(Wishes { more: vec![acme.to_owned()], ..Wishes::default() }).await;
        let root = hub.user("root", true).await;
        for name in ["retired", "reverted", "other"] {
            assert_eq!(hub.publish_to_acme(&root, name, package(name, "1.0.0", "")).await.status, 201);
        }
        hub.disk.no_new_files.store(true, Ordering::SeqCst);
        let body = Some(json!({"reason": "security", "message": "do not use"}));
        let path = "/api/repos/acme/packages/retired/releases/1.0.0/retire";
        assert_eq!(hub.api(Method::POST, path, &root, body).await.status, 204);
        let path = "/api/repos/acme/packages/reverted/releases/1.0.0";
        assert_eq!(hub.api(Method::DELETE, path, &root, None).await.status, 204);
        let read = |name: &str| fs::read_to_string(hub.data().join(format!("local/acme/{name}-1.0.0.json"))).unwrap();
        assert!(read("retired").contains("\"retirement\": null") && read("reverted").contains("\"removed\": false"));
        let (code, _, error) = hub.command(&["verify-store"]).await;
        assert!(code == 1 && error.ends_with(SENTENCE), "{how}: {code}: {error}");

        // The audit log ends with another package.
        hub.disk.heal();
        assert_eq!(hub.publish_to_acme(&root, "other", package("other", "1.1.0", "")).await.status, 201);
        let file = hub.config_file().with_file_name("backup.tar");
        match how {
            "restart" => hub.restart().await,
            "backup" => {
                let (code, _, error) = hub.command(&["backup", file.to_str().unwrap()]).await;
                assert_eq!((code, error.contains("only in the database")), (0, false), "{error}");
            }
            command => {
                let (code, _, error) = hub.command(&[command]).await;
                assert_eq!(code, 0, "{command}: {error}");
            }
        }
        let read = |name: &str| fs::read_to_string(hub.data().join(format!("local/acme/{name}-1.0.0.json"))).unwrap();
        assert!(read("retired").contains("\"reason\": \"security\""), "{how}: {}", read("retired"));
        assert!(read("reverted").contains("\"removed\": true"), "{how}: {}", read("reverted"));
    }
}
