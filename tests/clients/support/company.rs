//! A company that publishes: a daemon with local repositories and the accounts of those who use them.

use tempfile::TempDir;

use super::Daemon;

/// The password of every user.
const PASSWORD: &str = "correct horse";

/// `hexpm`, the default repository, is open to readers and of the organization `team`; `acme` is private.
const CONFIG: &str = "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\n\
                      storage: { path: ./store }\n\
                      installs: { url: http://127.0.0.1:9 }\n\
                      default_repository: hexpm\n\
                      repositories:\n  \
                      hexpm: { type: local, organization: team, anonymous_read: true }\n  \
                      acme: { type: local }\n";

/// The users are `root`, an administrator; `wilma`, who writes in both organizations; `rita`, who reads in `acme`; and
/// `sam`, who has no rights.
#[derive(Debug)]
pub(crate) struct Company {
    pub(crate) daemon: Daemon,
    /// The key that clients verify with, as a file.
    pub(crate) key_file: std::path::PathBuf,
    _dir: TempDir,
}

impl Company {
    pub(crate) fn open() -> Self {
        Self::with(CONFIG, &["acme", "team"])
    }

    /// One with repositories of its own, among them a local one for each of the organizations.
    pub(crate) fn with(config: &str, organizations: &[&str]) -> Self {
        let dir = TempDir::with_prefix("hexkeep-company-").unwrap();
        let daemon = Daemon::start(config);
        daemon.hexkeep(&["user", "add", "root", "--admin"], PASSWORD);
        for name in ["wilma", "rita", "sam"] {
            daemon.hexkeep(&["user", "add", name, "--email", &format!("{name}@acme.example")], PASSWORD);
        }
        for organization in organizations {
            daemon.hexkeep(&["org", "add", organization], "");
        }
        for (organization, user, role) in
            [("acme", "wilma", "write"), ("team", "wilma", "write"), ("acme", "rita", "read")]
        {
            if !organizations.contains(&organization) {
                continue;
            }
            daemon.hexkeep(&["org", "member", organization, user, "--role", role], "");
        }
        let key_file = dir.path().join("key.pem");
        std::fs::write(&key_file, daemon.public_key("acme")).unwrap();
        Self { daemon, key_file, _dir: dir }
    }

    pub(crate) fn url(&self) -> String {
        self.daemon.url()
    }

    /// The key that clients verify with.
    pub(crate) fn public_key(&self) -> String {
        std::fs::read_to_string(&self.key_file).unwrap()
    }

    /// `NAME:PASSWORD` of a user.
    pub(crate) fn account(name: &str) -> String {
        format!("{name}:{PASSWORD}")
    }

    /// A new key of a user, good for everything.
    pub(crate) fn key(&self, user: &str) -> String {
        let args = ["key", "create", "laptop", "--user", user, "--permission", "api", "--permission", "repositories"];
        self.daemon.hexkeep(&args, "").trim().to_owned()
    }

    /// Lets in the program that shows `code`, as the user `name` does it with a browser.
    pub(crate) fn let_in(&self, code: &str, name: &str) {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs([("user_code", code), ("username", name), ("password", PASSWORD), ("decision", "approve")]);
        form.extend_pairs([("right api", "yes"), ("right repositories", "yes"), ("right api:write", "yes")]);
        let form = form.finish();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (status, page) = runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let sent = client.post(format!("{}/oauth/device", self.url()));
            let sent =
                sent.header("content-type", "application/x-www-form-urlencoded").body(form).send().await.unwrap();
            (sent.status(), sent.text().await.unwrap())
        });
        assert!(status.is_success() && page.contains("Access granted."), "{status}: {page}");
    }
}
