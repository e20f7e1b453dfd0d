//! mix with Hex publishes to local repositories and does everything else there that it does with hex.pm.

use std::path::Path;

use tempfile::TempDir;

use crate::support::{Client, Company, Mix};

/// A library whose documentation is made by a task of its own, so that no generator has to be fetched.
const LIBRARY: &str = r##"defmodule AcmeCore.MixProject do
  use Mix.Project

  def project do
    [
      app: :acme_core,
      version: System.get_env("ACME_VERSION", "1.0.0"),
      description: "What everything needs",
      package: [
        licenses: ["Apache-2.0"],
        links: %{"Source" => "https://git.example/acme_core"},
        extra: %{"team" => %{"name" => "core", "sizes" => [1, 2]}},
        secret_scan: [ignore: ["test/**"]]
      ],
      deps: [],
      aliases: [docs: &docs/1]
    ]
  end

  def application, do: []

  defp docs(_) do
    File.mkdir_p!("doc")
    File.write!("doc/index.html", "<h1>acme_core #{project()[:version]}</h1>")
  end
end
"##;

pub(crate) fn mix_publishes_with_a_key() {
    let mix = Mix::installed();
    let company = Company::open();
    let publisher = Developer::new(&mix, &company, Some(company.key("wilma")));

    let said = publisher.succeed("1.0.0", &["hex.publish", "--yes", "--organization", "acme"]);
    assert!(said.contains("Publishing package to private repository acme"), "{said}");
    assert!(said.contains("/api/repos/acme/packages/acme_core/releases/1.0.0 ("), "{said}");
    assert!(said.contains("/repos/acme/docs/acme_core-1.0.0.tar.gz"), "{said}");
    let found = publisher.succeed("", &["hex.package", "search", "extra:team,name,core"]);
    assert!(found.contains("acme_core"), "{found}");
    let again = publisher.mix("1.0.0", &["hex.publish", "package", "--yes", "--organization", "acme"]).run();
    assert!(!again.status.success(), "{}", again.text);
    assert!(
        again.text.contains("inserted_at: must include the --replace flag to update an existing release"),
        "{}",
        again.text
    );
    publisher.succeed("1.0.0", &["hex.publish", "package", "--yes", "--replace", "--organization", "acme"]);
    publisher.succeed("1.1.0", &["hex.publish", "package", "--yes", "--organization", "acme"]);
    let early = publisher.mix("1.2.0", &["hex.publish", "docs", "--yes", "--organization", "acme"]).run();
    assert!(early.text.contains("due to the package not being published yet"), "{}", early.text);
    publisher.succeed("1.1.0", &["hex.publish", "docs", "--yes", "--organization", "acme"]);

    let info = publisher.succeed("", &["hex.info", "acme_core", "--organization", "acme"]);
    for line in [
        "What everything needs",
        "Config: {:acme_core, \"~> 1.1\", organization: \"acme\"}",
        "1.1.0 (",
        "1.0.0 (",
        "Licenses: Apache-2.0",
        "Source: https://git.example/acme_core",
    ] {
        assert!(info.contains(line), "{line}:\n{info}");
    }
    let info = publisher.succeed("", &["hex.info", "acme_core", "1.1.0", "--organization", "acme"]);
    assert!(info.contains("Published by: wilma") && info.contains("Documentation at: "), "{info}");
    let missing = publisher.mix("", &["hex.info", "nothing", "--organization", "acme"]).run();
    assert!(missing.text.contains("No package with name nothing"), "{}", missing.text);
    let found = publisher.succeed("", &["hex.package", "search", "acme"]);
    assert!(found.contains("acme_core") && found.contains("What everything needs"), "{found}");

    let reader = Developer::new(&mix, &company, None);
    let key = company.daemon.hexkeep(&["key", "create", "ci", "--org", "acme", "--permission", "repository:acme"], "");
    reader.succeed("", &["hex.organization", "auth", "acme", "--key", key.trim()]);
    reader.gets("1.1.0");
    assert!(reader.succeed("", &["hex.audit"]).contains("No retired"));
    let outdated = reader.succeed("", &["hex.outdated"]);
    assert!(outdated.contains("Up-to-date") && !outdated.to_lowercase().contains("error"), "{outdated}");
    let docs = reader.succeed("", &["hex.docs", "fetch", "acme_core", "1.1.0", "--organization", "acme"]);
    let page =
        std::fs::read_to_string(Path::new(docs.trim().strip_prefix("Docs fetched: ").unwrap()).join("index.html"));
    assert_eq!(page.unwrap(), "<h1>acme_core 1.1.0</h1>");

    let retire = ["hex.retire", "acme_core", "1.1.0", "security", "--message", "loses data", "--organization", "acme"];
    assert!(publisher.succeed("", &retire).contains("acme_core 1.1.0 has been retired"));
    let fresh = Developer::new(&mix, &company, None);
    fresh.depends("{:acme_core, \"~> 1.0\", organization: \"acme\"}");
    fresh.succeed("", &["hex.organization", "auth", "acme", "--key", key.trim()]);
    std::fs::copy(reader.dir.path().join("mix.lock"), fresh.dir.path().join("mix.lock")).unwrap();
    let warned = fresh.succeed("", &["deps.get"]);
    assert!(warned.contains("RETIRED"), "{warned}");
    let audit = fresh.mix("", &["hex.audit"]).run();
    assert!(!audit.status.success() && audit.text.contains("loses data"), "{}", audit.text);
    let unretire = ["hex.retire", "acme_core", "1.1.0", "--unretire", "--organization", "acme"];
    assert!(publisher.succeed("", &unretire).contains("has been unretired"));

    let reverted = publisher.succeed("", &["hex.publish", "--revert", "1.1.0", "--organization", "acme"]);
    assert!(reverted.contains("Reverted acme_core 1.1.0"), "{reverted}");
    let reverted = publisher.succeed("", &["hex.publish", "docs", "--revert", "1.0.0", "--organization", "acme"]);
    assert!(reverted.contains("Reverted docs for acme_core 1.0.0"), "{reverted}");
    let late = Developer::new(&mix, &company, None);
    late.succeed("", &["hex.organization", "auth", "acme", "--key", key.trim()]);
    late.gets("1.0.0");
}

pub(crate) fn mix_publishes_to_the_default_repository() {
    let mix = Mix::installed();
    let company = Company::open();
    let publisher = Developer::new(&mix, &company, Some(company.key("wilma")));
    let said = publisher.succeed("1.0.0", &["hex.publish", "--yes"]);
    assert!(said.contains("/api/packages/acme_core/releases/1.0.0 ("), "{said}");
    let stranger = Developer::new(&mix, &company, Some(company.key("sam")));
    let refused = stranger.mix("2.0.0", &["hex.publish", "package", "--yes"]).run();
    assert!(!refused.status.success(), "{}", refused.text);
    assert!(refused.text.contains("Package with name acme_core already exists"), "{}", refused.text);
    // Whoever has no credential gets what is open.
    let reader = Developer::new(&mix, &company, None);
    reader.depends("{:acme_core, \"~> 1.0\"}");
    reader.gets("1.0.0");
    let docs = reader.succeed("", &["hex.docs", "fetch"]);
    assert!(docs.contains("Docs fetched: "), "{docs}");
    publisher.succeed("1.1.0", &["hex.publish", "package", "--yes"]);
    let outdated = reader.mix("", &["hex.outdated"]).run().text;
    // There are no short addresses here, so mix shows the long one and says nothing of it.
    assert!(outdated.contains("Update possible") && outdated.contains("diffs[]=acme_core:1.0.0:1.1.0"), "{outdated}");
    assert!(!outdated.contains("404") && !outdated.to_lowercase().contains("error"), "{outdated}");
}

pub(crate) fn mix_logs_in_at_the_page() {
    let mix = Mix::installed();
    let company = Company::open();
    let developer = Developer::new(&mix, &company, None);
    let mut login = developer.mix("", &["hex.user", "auth"]).start();
    let code = login.await_text(|text| {
        let (_, after) = text.split_once("Your verification code:\n\n  ")?;
        let (code, _) = after.split_once('\n')?;
        Some(code.to_owned())
    });
    company.let_in(&code, "wilma");
    let ended = login.end();
    assert!(ended.status.success() && ended.text.contains("You are authenticated!"), "{}", ended.text);

    assert_eq!(developer.succeed("", &["hex.user", "whoami"]).trim(), "wilma");
    developer.succeed("1.0.0", &["hex.publish", "--yes", "--organization", "acme"]);
    developer.gets("1.0.0");
    let generated = developer.succeed("", &["hex.organization", "key", "acme", "generate", "--key-name", "ci"]);
    assert!(generated.contains("hkk_"), "{generated}");
    let listed = developer.succeed("", &["hex.organization", "key", "acme", "list"]);
    assert!(listed.contains("ci "), "{listed}");
    developer.succeed("", &["hex.organization", "key", "acme", "revoke", "ci"]);
    let listed = developer.succeed("", &["hex.organization", "key", "acme", "list"]);
    assert!(!listed.contains("ci "), "{listed}");
    developer.succeed("", &["hex.organization", "auth", "acme"]);
    assert_eq!(developer.succeed("", &["hex.organization", "list"]).trim(), "acme");

    developer.succeed("", &["hex.user", "deauth"]);
    let gone = developer.mix("", &["hex.user", "whoami"]).run();
    assert!(gone.text.contains("No authenticated user found"), "{}", gone.text);
}

pub(crate) fn mix_changes_owners() {
    let mix = Mix::installed();
    let company = Company::open();
    let wilma = Developer::new(&mix, &company, Some(company.key("wilma")));
    wilma.succeed("1.0.0", &["hex.publish", "package", "--yes", "--organization", "acme"]);
    let owner = |args: &[&str]| {
        let all: Vec<&str> = ["hex.owner"].iter().chain(args).chain(&["--organization", "acme"]).copied().collect();
        wilma.mix("", &all).run().text
    };
    let listed = |text: String| {
        let rows = text.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "));
        let mut rows: Vec<String> = rows.filter(|row| !row.is_empty()).collect();
        rows.sort();
        rows
    };
    assert_eq!(listed(owner(&["list", "acme_core"])), ["wilma full"]);
    owner(&["add", "acme_core", "rita@acme.example", "--level", "maintainer"]);
    assert_eq!(listed(owner(&["list", "acme_core"])), ["rita maintainer", "wilma full"]);
    let refused = owner(&["add", "acme_core", "sam"]);
    assert!(refused.contains("not a member of the organization"), "{refused}");
    assert!(owner(&["add", "acme_core", "nobody"]).contains("Adding owner failed\nPage not found"));
    owner(&["remove", "acme_core", "rita"]);
    assert_eq!(listed(owner(&["list", "acme_core"])), ["wilma full"]);
    assert!(wilma.succeed("", &["hex.owner", "packages"]).contains("acme_core - "));
    owner(&["transfer", "acme_core", "rita"]);
    assert_eq!(listed(owner(&["list", "acme_core"])), ["rita full"]);
}

/// At the first publish to the default repository mix asks who is to own the package.
pub(crate) fn mix_publishes_for_an_organization() {
    let mix = Mix::installed();
    let company = Company::open();
    let wilma = Developer::new(&mix, &company, Some(company.key("wilma")));
    // [1] Yourself, [2] acme, [3] team, which is the organization of this repository.
    let said = wilma.mix("1.0.0", &["hex.publish", "package"]).types("3\n").succeed();
    assert!(said.contains("[2] acme") && said.contains("[3] team"), "{said}");
    assert!(said.contains("Transferring ownership to team...") && !said.contains("Failed"), "{said}");
    let owners = wilma.succeed("", &["hex.owner", "list", "acme_core"]);
    assert!(owners.contains("team") && owners.contains("full") && !owners.contains("wilma"), "{owners}");
    // Whoever writes in the organization goes on publishing, and is not asked again.
    wilma.succeed("1.1.0", &["hex.publish", "package", "--yes"]);
    let info = wilma.succeed("", &["hex.info", "acme_core"]);
    assert!(info.contains("1.1.0 ("), "{info}");
    // Another organization than the repository's owns nothing there, and mix says so.
    let other = wilma.mix("1.0.0", &["hex.owner", "transfer", "acme_core", "acme"]).run();
    assert!(other.text.contains("account not authorized for this action"), "{}", other.text);
    let root = Developer::new(&mix, &company, Some(company.key("root")));
    let other = root.mix("", &["hex.owner", "transfer", "acme_core", "acme"]).run();
    assert!(other.text.contains("a user or the organization \"team\""), "{}", other.text);
}

/// Anybody publishes a new name, and its owners alone change it.
pub(crate) fn mix_publishes_as_on_hex_pm() {
    let mix = Mix::installed();
    let config = "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\nstorage: { path: ./store }\n\
                  installs: { url: http://127.0.0.1:9 }\ndefault_repository: hexpm\nrepositories:\n  \
                  hexpm: { type: local, organization: team, anonymous_read: true, publish: users, changes: owners }\n  \
                  acme: { type: local }\n";
    let company = Company::with(config, &["acme", "team"]);
    let sam = Developer::new(&mix, &company, Some(company.key("sam")));
    let wilma = Developer::new(&mix, &company, Some(company.key("wilma")));
    sam.succeed("1.0.0", &["hex.publish", "--yes"]);
    // A member of the organization owns nothing of it.
    for args in [
        &["hex.publish", "package", "--yes"][..],
        &["hex.retire", "acme_core", "1.0.0", "other", "--message", "mine now"],
        &["hex.owner", "add", "acme_core", "wilma"],
        &["hex.publish", "--revert", "1.0.0"],
    ] {
        let refused = wilma.mix("1.1.0", args).run();
        let text = &refused.text;
        assert!(text.contains("not authorized for this action") || text.contains("already exists"), "{args:?}: {text}");
    }
    sam.succeed("", &["hex.owner", "add", "acme_core", "wilma", "--level", "maintainer"]);
    wilma.succeed("1.1.0", &["hex.publish", "package", "--yes"]);
    let last = sam.mix("", &["hex.owner", "remove", "acme_core", "sam"]).run();
    assert!(last.text.contains("cannot remove the last full owner of package"), "{}", last.text);
    let reader = Developer::new(&mix, &company, None);
    reader.depends("{:acme_core, \"~> 1.0\"}");
    reader.gets("1.1.0");
}

/// A repository that is no organization of hexpm, whose key mix fetches by itself.
pub(crate) fn mix_adds_a_repository_with_its_key() {
    let mix = Mix::installed();
    let company = Company::open();
    let wilma = Developer::new(&mix, &company, Some(company.key("wilma")));
    wilma.succeed("1.0.0", &["hex.publish", "--yes", "--organization", "acme"]);
    let key = company.daemon.hexkeep(&["key", "create", "ci", "--org", "acme", "--permission", "repository:acme"], "");
    let listed = company.daemon.hexkeep(&["public-key", "acme", "--list"], "");
    let fingerprint = listed.split_whitespace().find(|word| word.starts_with("SHA256:")).unwrap().to_owned();
    let reader = Developer::new(&mix, &company, None);
    let url = format!("{}/repos/acme", company.url());
    let add = |fingerprint: &str| {
        let args = ["hex.repo", "add", "acme", &url, "--fetch-public-key", fingerprint, "--auth-key", key.trim()];
        reader.mix("", &args).run()
    };
    let refused = add("SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert!(!refused.status.success() && refused.text.contains("fingerprint mismatch"), "{}", refused.text);
    let added = add(&fingerprint);
    assert!(added.status.success(), "{}", added.text);
    assert!(reader.succeed("", &["hex.repo", "list"]).contains(&url));
    reader.depends("{:acme_core, \"~> 1.0\", repo: \"acme\"}");
    reader.gets("1.0.0");
}

/// A developer with a fresh home and a project: the library to publish, or one that depends on it.
struct Developer<'a> {
    mix: &'a Mix,
    url: String,
    key: Option<String>,
    dir: TempDir,
    home: TempDir,
}

impl<'a> Developer<'a> {
    /// Whoever has a key publishes, everybody else depends.
    fn new(mix: &'a Mix, company: &Company, key: Option<String>) -> Self {
        let dir = TempDir::with_prefix("hexkeep-mix-").unwrap();
        let home = TempDir::with_prefix("hexkeep-home-").unwrap();
        std::fs::create_dir(dir.path().join("lib")).unwrap();
        std::fs::write(dir.path().join("lib/acme_core.ex"), "defmodule AcmeCore do\n  def answer, do: 42\nend\n")
            .unwrap();
        std::fs::write(dir.path().join("mix.exs"), LIBRARY).unwrap();
        let developer = Self { mix, url: company.url(), key, dir, home };
        let key = company.key_file.to_string_lossy();
        developer.succeed("", &["hex.repo", "set", "hexpm", "--url", &company.url(), "--public-key", &key]);
        developer
    }

    fn depends(&self, dependency: &str) {
        let project = format!(
            "defmodule Shop.MixProject do\n  use Mix.Project\n  def project, do: [app: :shop, version: \"0.1.0\", deps: [{dependency}]]\n  \
             def application, do: []\nend\n"
        );
        std::fs::write(self.dir.path().join("mix.exs"), project).unwrap();
    }

    fn mix(&self, version: &str, args: &[&str]) -> Client {
        let mut client =
            self.mix.client(self.home.path(), self.dir.path()).env("HEX_API_URL", format!("{}/api", self.url));
        if let Some(key) = &self.key {
            client = client.env("HEX_API_KEY", key);
        }
        if !version.is_empty() {
            client = client.env("ACME_VERSION", version);
        }
        client.args(args)
    }

    fn succeed(&self, version: &str, args: &[&str]) -> String {
        self.mix(version, args).succeed()
    }

    /// Fetches and compiles the library in this version.
    fn gets(&self, version: &str) {
        if std::fs::read_to_string(self.dir.path().join("mix.exs")).unwrap() == LIBRARY {
            self.depends("{:acme_core, \"~> 1.0\", organization: \"acme\"}");
        }
        let said = self.succeed("", &["deps.get"]);
        assert!(said.contains(&format!("acme_core {version}")), "{said}");
        let said = self.succeed("", &["deps.compile"]);
        assert!(said.contains("Generated acme_core app"), "{said}");
    }
}
