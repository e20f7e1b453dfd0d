//! Accounts, requests to the API, and packages to publish.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hexkeep::operations::Operations as _;
use hexkeep::operations::commands::{Account, Command, KeyCommand, OrganizationCommand, UserCommand};
use hexkeep::operations::outcome::Text;
use hexkeep::state::audit::Actor;
use reqwest::Method;
use serde_json::Value;

use super::hub::{Answer, Hub};
use super::tarballs::{archive, gzip, pack};

/// The password of every user that a test makes.
pub(crate) const PASSWORD: &str = "correct horse";

impl Hub {
    /// Carries out an order, as the command line does; what is told of it.
    pub(crate) async fn order(&self, command: impl Into<Command>) -> Text {
        let outcome = self.app().core().administer(command.into(), Actor::console()).await;
        outcome.unwrap_or_else(|error| panic!("{}", error.sentence())).text()
    }

    /// Makes a user, and a key that may do what the user may; the key.
    pub(crate) async fn user(&self, name: &str, admin: bool) -> String {
        let (name, password) = (name.to_owned(), Some(PASSWORD.to_owned()));
        self.order(UserCommand::Add { name: name.clone(), email: None, full_name: None, password, admin }).await;
        self.key(Account::User(name), &["api", "repositories"]).await
    }

    /// Lets in the program that shows a code, as its user does at the page, with these rights checked.
    pub(crate) async fn let_in(&self, code: &str, name: &str, rights: &[&str], otp: &str) -> Answer {
        self.let_in_with(code, (name, PASSWORD), rights, otp).await
    }

    /// The same with another password.
    pub(crate) async fn let_in_with(
        &self,
        code: &str,
        (name, password): (&str, &str),
        rights: &[&str],
        otp: &str,
    ) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs([("user_code", code), ("username", name), ("password", password), ("otp", otp)]);
        form.extend_pairs(rights.iter().map(|right| (format!("right {right}"), "yes")));
        form.append_pair("decision", "approve");
        let form = Some(Bytes::from(form.finish()));
        self.call(Method::POST, "/oauth/device", "", "application/x-www-form-urlencoded", form).await
    }

    /// Makes a key.
    pub(crate) async fn key(&self, owner: Account, permissions: &[&str]) -> String {
        let permissions = permissions.iter().map(|one| (*one).to_owned()).collect();
        let made = self.order(KeyCommand::Create { owner, name: "test".to_owned(), permissions, days: None }).await;
        made.lines[0].clone()
    }

    /// Makes a member of the organization `acme`, which is made if need be; the member's key.
    pub(crate) async fn member(&self, name: &str, role: &str) -> String {
        let organizations = self.order(OrganizationCommand::List).await.lines;
        if !organizations.iter().any(|line| line.starts_with("acme\t")) {
            self.order(OrganizationCommand::Add { name: "acme".to_owned(), admin: None }).await;
        }
        let key = self.user(name, false).await;
        let (organization, user, role) = ("acme".to_owned(), name.to_owned(), role.to_owned());
        self.order(OrganizationCommand::Member { organization, user, role }).await;
        key
    }

    /// A request to the API in JSON; without a key where `key` is empty.
    pub(crate) async fn api(&self, method: Method, path: &str, key: &str, body: Option<Value>) -> Answer {
        let bytes = body.map(|body| Bytes::from(body.to_string()));
        self.call(method, path, key, "application/json", bytes).await
    }

    /// Any request to the API.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        key: &str,
        content_type: &str,
        body: Option<Bytes>,
    ) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.url())).header("user-agent", "test");
        if !key.is_empty() {
            request = request.header("authorization", key);
        }
        if let Some(body) = body {
            request = request.header("content-type", content_type).body(body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.unwrap() }
    }

    /// Publishes a tarball to `acme` by the route of mix.
    pub(crate) async fn publish_to_acme(&self, key: &str, name: &str, tarball: Bytes) -> Answer {
        self.publish_to("acme", key, name, tarball).await
    }

    /// Publishes a tarball to a repository by the route of mix.
    pub(crate) async fn publish_to(&self, repository: &str, key: &str, name: &str, tarball: Bytes) -> Answer {
        let path = format!("/api/repos/{repository}/packages/{name}/releases");
        self.call(Method::POST, &path, key, "application/octet-stream", Some(tarball)).await
    }
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// `Basic` with the password of all users that a test makes.
pub(crate) fn basic(name: &str) -> String {
    basic_with(name, PASSWORD)
}

/// `Basic` with another password.
pub(crate) fn basic_with(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// A package that may be published. `more` are further lines of its metadata, or, behind a `%`, words that nobody reads.
pub(crate) fn package(name: &str, version: &str, more: &str) -> Bytes {
    let more = match more.strip_prefix('%') {
        Some(words) => format!("{{<<\"remark\">>,<<\"{}\">>}}.", words.trim()),
        None => more.to_owned(),
    };
    let metadata = format!(
        "{{<<\"name\">>,<<\"{name}\">>}}.\n{{<<\"version\">>,<<\"{version}\">>}}.\n{{<<\"app\">>,<<\"{name}\">>}}.\n\
         {{<<\"description\">>,<<\"Does things\">>}}.\n{{<<\"files\">>,[<<\"mix.exs\">>]}}.\n{more}\n"
    );
    let contents = gzip(&archive(&[("mix.exs", format!("# {name} {version} {more}").as_bytes())]));
    pack(metadata.as_bytes(), &contents).0
}

/// A line of metadata: a requirement of a package that is said to live in `repository`.
pub(crate) fn requires(name: &str, repository: &str) -> String {
    format!(
        "{{<<\"requirements\">>,[[{{<<\"name\">>,<<\"{name}\">>}},{{<<\"app\">>,<<\"{name}\">>}},\
         {{<<\"optional\">>,false}},{{<<\"requirement\">>,<<\"~> 1.0\">>}},{{<<\"repository\">>,<<\"{repository}\">>}}]]}}."
    )
}

/// Documentation that may be published.
pub(crate) fn docs(text: &str) -> Bytes {
    gzip(&archive(&[("index.html", text.as_bytes())])).into()
}
